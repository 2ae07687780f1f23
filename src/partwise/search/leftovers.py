"""Members that a search no longer needs."""

from collections.abc import Collection

from partwise.checkpoints import KeptMembers
from partwise.search.records import SearchPlan, SearchTrial

__all__ = ["Leftovers"]


class Leftovers:
    """Deletes the members of trials as they turn out to be of no use, so that a search needs the room of a few trials.

    Only the best trial's members are wanted when a search has ended, unless several configurations are kept. Where
    parameters can come back, as those of a few choices do, all stay: they are taken over instead of fitted again.

    Parameters
    ----------
    owned
        Whether the search alone keeps members where its own are.
    asked_again
        Whether the members of all judged trials are asked once more in the end.
    """

    def __init__(self, plan: SearchPlan, *, owned: bool, asked_again: bool, maximize: bool) -> None:
        self._applies = owned and not asked_again and plan.keep == 1 and plan.space.is_endless
        self._sign = 1.0 if maximize else -1.0
        self._best: tuple[float, ...] = ()
        self._kept: KeptMembers | None = None

    def after(self, trial: SearchTrial, kept: KeptMembers | None, in_use: Collection[str]) -> None:
        """Delete what the end of a trial has made useless: its own members, or those of the best one before it.

        Parameters
        ----------
        kept
            Its members, None for those of a trial that an earlier process ended: they stay.
        in_use
            Keys of the members of trials that are under way.
        """
        if not self._applies or trial.state == "stopped":
            return
        useless = kept
        # Among equals the one begun first is best, whichever ended first.
        reached = (trial.n_partitions, self._sign * (trial.score or 0.0), -trial.number) if trial.is_judged else ()
        if reached > self._best:
            useless, self._best, self._kept = self._kept, reached, kept
        wanted = {*in_use} if self._kept is None else {*in_use, self._kept.key}
        if useless is not None and useless.key not in wanted:
            useless.discard()
