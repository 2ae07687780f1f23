"""Partitioners: settings of a cut. Fitted on a table's statistics they give a pure Assignment of rows."""

from partwise.errors import InputError
from partwise.naming import named
from partwise.partitioners.clustered import Clustered
from partwise.partitioners.grouped import Grouped
from partwise.partitioners.ordered import Ordered
from partwise.partitioners.replicated import Replicated
from partwise.partitioners.shuffled import Shuffled
from partwise.partitioners.stratified import Stratified
from partwise.protocols import Partitioner

__all__ = [
    "PARTITIONERS",
    "Clustered",
    "Grouped",
    "Ordered",
    "Replicated",
    "Shuffled",
    "Stratified",
    "make_partitioner",
]

PARTITIONERS: dict[str, type[Partitioner]] = {
    "clustered": Clustered,
    "grouped": Grouped,
    "ordered": Ordered,
    "replicated": Replicated,
    "shuffled": Shuffled,
    "stratified": Stratified,
}
"""Name to settings class; each can be made without arguments, or with the text after ``name:``."""


def make_partitioner(partitioner: str | Partitioner) -> Partitioner:
    """Return the settings object for ``name`` or ``name:argument``; an object is returned as it is.

    Raises
    ------
    InputError
        If the name or its argument is unknown, or the object is no partitioner.
    """
    if isinstance(partitioner, str):
        found: Partitioner = named("partitioner", partitioner, PARTITIONERS, PARTITIONERS)
        return found
    if not isinstance(partitioner, Partitioner):
        raise InputError(
            f"partitioner={partitioner!r} is no partitioner. Give one of {', '.join(PARTITIONERS)}, "
            "or an object with `needs`, `gives`, `replicable` and `fit` (see partwise.protocols.Partitioner)."
        )
    return partitioner
