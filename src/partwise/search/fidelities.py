"""What grows with the partitions of a trial: the members of an ensemble, or the rows of one model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, get_args

from partwise.errors import InputError, unknown_choice
from partwise.executors import with_cpus
from partwise.protocols import CutTable, Executor
from partwise.records import Fidelity
from partwise.search.growing import growing
from partwise.search.sampling import rungs_of

__all__ = ["Growth", "growth_of"]

Places = Mapping[int, tuple[int, ...]]
"""For each rung the partitions of the cut whose members are judged there."""


class Growth(Protocol):
    """How trials grow, and what is fitted in the end."""

    judged_by_all: ClassVar[bool]
    """Whether the last rung is judged by all rows, as in cross-validation."""

    def places(
        self, cut: CutTable, counting: Sequence[int], reduction_factor: int, lend: Callable[[Any], Callable[[], Any]]
    ) -> tuple[CutTable, Places]:
        """Return the cut whose partitions trials are fitted on, and which of them belong to each rung.

        Parameters
        ----------
        counting
            The partitions of ``cut`` that have rows of weights above zero.
        lend
            That of the executor.
        """

    def prepare(self, model: Any, executor: Executor, cpus_per_member: int) -> None:
        """Give the ensemble of a configuration, not fitted yet, what makes it the result of the search."""


class _Members:
    """A trial has a member on each of so many partitions, and the ensemble takes them over."""

    judged_by_all: ClassVar[bool] = False

    def places(
        self,
        cut: CutTable,
        counting: Sequence[int],
        reduction_factor: int,
        lend: Callable[[Any], Callable[[], Any]],  # noqa: ARG002 - each partition is sent once as it is
    ) -> tuple[CutTable, Places]:
        rungs = rungs_of(len(cut.partitions.sizes), reduction_factor)
        return cut, {rung: tuple(counting[:rung]) for rung in rungs}

    def prepare(self, model: Any, executor: Executor, cpus_per_member: int) -> None:
        """Leave it as it is."""


class _Rows:
    """A trial is one model on the rows of so many partitions, and the result is one on all rows."""

    judged_by_all: ClassVar[bool] = True

    def places(
        self, cut: CutTable, counting: Sequence[int], reduction_factor: int, lend: Callable[[Any], Callable[[], Any]]
    ) -> tuple[CutTable, Places]:
        return growing(cut, counting, reduction_factor, lend)

    def prepare(self, model: Any, executor: Executor, cpus_per_member: int) -> None:
        """Make it one model on all rows, which has the cores of a node: no other is fitted beside it."""
        cpus = max(cpus_per_member, executor.slots * cpus_per_member // executor.nodes)
        model.set_params(n_partitions=1, partitioner=None, executor=with_cpus(executor, cpus), cpus_per_member=cpus)


_GROWTHS: Mapping[str, Growth] = {"members": _Members(), "rows": _Rows()}


def growth_of(fidelity: Fidelity, of_ensembles: Mapping[str, Any]) -> Growth:
    """Return how trials grow.

    Parameters
    ----------
    of_ensembles
        Settings that were given and that only ensembles have, by name.

    Raises
    ------
    InputError
        If there is no such fidelity, or one model has no use for a setting.
    """
    if fidelity not in _GROWTHS:
        raise unknown_choice("fidelity", fidelity, get_args(Fidelity))
    if fidelity == "rows" and of_ensembles:
        name, value = next(iter(of_ensembles.items()))
        raise InputError(
            f"fidelity='rows' searches the parameters of one model on all rows, and {name}={value!r} is of ensembles. "
            "Leave it out, or give fidelity='members'."
        )
    return _GROWTHS[fidelity]
