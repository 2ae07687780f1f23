"""Partitioners: settings of a cut. Fitted on a table's statistics they give a pure Assignment of rows."""

from partwise.errors import InputError, unknown_choice
from partwise.partitioners.grouped import Grouped
from partwise.partitioners.ordered import Ordered
from partwise.partitioners.shuffled import Shuffled
from partwise.partitioners.stratified import Stratified
from partwise.protocols import Partitioner

__all__ = ["PARTITIONERS", "Grouped", "Ordered", "Shuffled", "Stratified", "make_partitioner"]

PARTITIONERS: dict[str, type[Partitioner]] = {
    "grouped": Grouped,
    "ordered": Ordered,
    "shuffled": Shuffled,
    "stratified": Stratified,
}
"""Name to settings class; each can be made without arguments."""


def make_partitioner(partitioner: str | Partitioner) -> Partitioner:
    """Return the settings object for a name; an object is returned as it is.

    Raises
    ------
    InputError
        If the name is unknown, or the object is no partitioner.
    """
    if isinstance(partitioner, str):
        if partitioner not in PARTITIONERS:
            raise unknown_choice("partitioner", partitioner, PARTITIONERS)
        return PARTITIONERS[partitioner]()
    if not (hasattr(partitioner, "fit") and hasattr(partitioner, "needs")):
        raise InputError(
            f"partitioner={partitioner!r} is no partitioner. Give one of {', '.join(PARTITIONERS)}, "
            "or an object with `needs` and `fit` (see partwise.protocols.Partitioner)."
        )
    return partitioner
