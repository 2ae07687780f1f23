"""Recipes: a cut and a combination that fit together. What was left open is chosen, what clashes is refused."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from partwise.combiners import make_combiner
from partwise.errors import InputError
from partwise.merging import merge_for
from partwise.naming import label
from partwise.partitioners import make_partitioner
from partwise.protocols import Combiner, Merge, Partitioner, WeightCombiner

__all__ = ["Recipe", "make_recipe", "one_model", "recipes_for"]

_SUITS = {"cells": "route", "copies": "pool"}
_SUITS_SAMPLES = {"classification": "soft", "regression": "mean"}
_BOUNDED = "mean:bounded"
"""What is tried of regressors without an exact merge, of which the linear ones are those that may well extrapolate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How rows are cut, how members are fitted and how they are combined.

    Parameters
    ----------
    merge
        Where members are parts of one model: how they are merged.
    replication
        To how many partitions each row goes.
    match_updates
        Whether members make as many updates as one model on all rows.
    """

    partitioner: Partitioner
    combiner: Combiner
    merge: Merge | None
    n_partitions: int
    replication: int = 1
    match_updates: bool = False

    @property
    def name(self) -> str:
        """How tables call it."""
        if self.n_partitions == 1:
            return "one model"
        return f"{label(self.partitioner)}, {label(self.combiner)}"

    @property
    def is_exact(self) -> bool:
        """Whether it gives the very model that one fit on all rows gives."""
        return self.merge is not None

    @property
    def judged_out_of_partition(self) -> bool:
        """Whether members can be asked about rows that they never saw: not where each has a region, or merges."""
        kept = self.merge is None and not isinstance(self.combiner, WeightCombiner)
        return self.partitioner.gives == "samples" and kept and self.n_partitions > 1

    def check(self, *, out_of_partition: bool) -> None:
        """Refuse what the parts of the recipe cannot do together.

        Raises
        ------
        InputError
            If cells, copies or parts shall share rows, or evidence is wanted that cannot be had.
        """
        if self.n_partitions < 2 and (out_of_partition or self.combiner.needs_evidence):
            raise InputError(
                f"n_partitions={self.n_partitions} leaves no member that has not seen a row, so there is no "
                "out-of-partition evidence. Valid: 2 or more; or leave out_of_partition off and combine without scores."
            )
        if self.replication > 1 and not (self.partitioner.replicable and self.merge is None):
            raise InputError(
                f"replication={self.replication} does not go with partitioner={self.partitioner.name!r} and "
                f"combine={self.combiner.name!r}. Valid: 1; or a partitioner that deals rows at random, such as "
                "'shuffled'. Cells are shared by clustered:OVERLAP, such as clustered:0.1."
            )
        if out_of_partition and not self.judged_out_of_partition:
            raise InputError(
                f"out_of_partition=True cannot judge combine={self.combiner.name!r}: a row's own member is the one "
                "that it is asked about. Leave it off, and judge on rows that were held back."
            )


def make_recipe(
    partitioner: str | Partitioner | None,
    combine: str | Combiner | None,
    task: str,
    estimator: Any,
    *,
    n_partitions: int,
    replication: int = 1,
    match_updates: bool = False,
) -> Recipe:
    """Return the recipe of a cut and a combination.

    Parameters
    ----------
    partitioner, combine
        Names or settings objects; None takes what suits the other, and for both the plain cut and the plain vote.

    Raises
    ------
    InputError
        If a name is unknown, the two do not fit together, or the learner cannot be merged.
    """
    cut = None if partitioner is None else make_partitioner(partitioner)
    combiner = make_combiner(_suiting(cut, task) if combine is None else combine, task)
    merge = merge_for(estimator) if combiner.merges else None
    if cut is None:
        cut = make_partitioner(_cut_for(combiner, merge, task))
    _check_pair(cut, combiner, merge, estimator)
    refusal = combiner.refusal(estimator) if isinstance(combiner, WeightCombiner) else None
    if refusal is not None:
        raise InputError(f"combine={combiner.name!r}: {refusal}")
    return Recipe(
        partitioner=cut,
        combiner=combiner,
        merge=merge,
        n_partitions=n_partitions,
        replication=replication,
        match_updates=match_updates,
    )


def one_model(task: str) -> Recipe:
    """Return the recipe of one model on all rows, not distributed."""
    combiner = make_combiner(_SUITS_SAMPLES[task], task)
    return Recipe(partitioner=make_partitioner("shuffled"), combiner=combiner, merge=None, n_partitions=1)


def recipes_for(
    partitioner: str | Partitioner | None, task: str, estimator: Any, *, n_partitions: int, match_updates: bool
) -> list[Recipe]:
    """Return the recipes that are worth a trial for this learner; with a partitioner those that go with it.

    One model on all rows is the first. Merges come next: they need no trial, as they are exact.

    Raises
    ------
    InputError
        If nothing but one model goes with the partitioner.
    """
    merged: list[Recipe] = []
    with suppress(InputError):  # no exact merge for this learner, or not on this cut
        merged.append(make_recipe(partitioner, "pool", task, estimator, n_partitions=n_partitions))
    vote = _SUITS_SAMPLES[task] if task == "classification" or merged else _BOUNDED
    # The plain vote before the stack: both take the same members, and the stack's learning comes on top.
    wanted: list[tuple[str | Partitioner | None, str]] = [("clustered", "route"), (None, vote)]
    wanted.append((None, "stack"))
    if partitioner is not None:
        gives = make_partitioner(partitioner).gives
        wanted = [(partitioner, name) for _, name in wanted if gives in make_combiner(name, task).takes]
    recipes = [one_model(task), *merged]
    for cut, name in wanted:
        recipe = make_recipe(cut, name, task, estimator, n_partitions=n_partitions)
        recipes.append(replace(recipe, match_updates=match_updates))
    if len(recipes) == 1:
        raise InputError(
            f"combine='auto' has nothing to try: {type(estimator).__name__} cannot be combined on "
            f"partitioner={partitioner!r}. Leave the partitioner out, or take another."
        )
    return recipes


def _check_pair(cut: Partitioner, combiner: Combiner, merge: Merge | None, estimator: Any) -> None:
    takes = combiner.takes
    if merge is not None:
        takes = frozenset({"copies"}) if merge.copies else takes - {"copies"}
    if cut.gives not in takes:
        learner = f" for {type(estimator).__name__}" if merge is not None else ""
        raise InputError(
            f"partitioner={cut.name!r} does not go with combine={combiner.name!r}{learner}: it gives {cut.gives}, and "
            f"{combiner.name!r} takes {' or '.join(sorted(takes))}. Leave one of them out, and what suits the other is "
            "taken."
        )


def _suiting(cut: Partitioner | None, task: str) -> str:
    return _SUITS_SAMPLES[task] if cut is None or cut.gives not in _SUITS else _SUITS[cut.gives]


def _cut_for(combiner: Combiner, merge: Merge | None, task: str) -> str:
    if "cells" in combiner.takes:
        return "clustered"
    if merge is not None and merge.copies:
        return "replicated"
    return "stratified" if task == "classification" else "shuffled"
