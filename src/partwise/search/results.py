"""What a search found: the best trial, the leaderboard, and ensembles of several configurations."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from partwise.combiners import Greedy
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import SearchError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.records import Member, MemberEvidence, OutputKind
from partwise.search.judging import Judge
from partwise.search.records import SearchTrial
from partwise.search.sampling import silent

__all__ = ["best_of", "cv_results", "finalists_of", "importances_of", "joined", "kept_of"]

_FEWEST_FOR_IMPORTANCE = 4

Model = PartitionedClassifier | PartitionedRegressor


def finalists_of(trials: Sequence[SearchTrial], *, maximize: bool) -> list[SearchTrial]:
    """Return the trials that were judged on most partitions, the best first.

    Raises
    ------
    SearchError
        If none was judged.
    """
    judged = [trial for trial in trials if trial.is_judged]
    if not judged:
        said = next((trial.reason for trial in trials if trial.reason), "the budget was at its end before any")
        raise SearchError(
            f"None of {len(trials)} trials gave a score. The first said: {said}. Look at the search space, give a "
            "larger budget, or another metric."
        )
    most = max(trial.n_partitions for trial in judged)
    sign = -1.0 if maximize else 1.0
    last = [trial for trial in judged if trial.n_partitions == most]
    return sorted(last, key=lambda trial: (sign * (trial.score or 0.0), trial.number))


def best_of(trials: Sequence[SearchTrial], *, maximize: bool) -> SearchTrial:
    """Return the best of the trials that were judged on most partitions.

    Raises
    ------
    SearchError
        If none was judged.
    """
    return finalists_of(trials, maximize=maximize)[0]


def cv_results(trials: Sequence[SearchTrial], *, maximize: bool) -> dict[str, Any]:
    """Return the trials as columns, as scikit-learn's searches do.

    ``mean_test_score`` is the score on most partitions, greater is better (losses are negated); ``rank_test_score``
    ranks trials of more partitions before those of fewer; ``n_partitions`` says how many; ``state`` what became of it.
    Trials that failed have no score, and come last.
    """
    sign = 1.0 if maximize else -1.0
    scores = np.array([sign * (trial.score or 0.0) if trial.is_judged else np.nan for trial in trials])
    reached = np.array([trial.n_partitions for trial in trials])
    order = np.lexsort((-scores, np.where(np.isnan(scores), 0, -reached)))
    ranks = np.empty(len(trials), dtype=np.int32)
    ranks[order] = np.arange(1, len(trials) + 1)
    columns: dict[str, Any] = {"params": [dict(trial.params) for trial in trials]}
    for name in sorted({name for trial in trials for name in trial.params}):
        values = np.ma.MaskedArray(np.empty(len(trials), dtype=object), mask=True)
        for place, trial in enumerate(trials):
            if name in trial.params:
                values[place] = trial.params[name]
        columns[f"param_{name}"] = values
    return columns | {
        "mean_test_score": scores,
        "rank_test_score": ranks,
        "n_partitions": reached,
        "state": np.array([trial.state for trial in trials], dtype=object),
        "cpu_seconds": np.array([trial.cpu_seconds for trial in trials]),
    }


def importances_of(study: Study, trials: Sequence[SearchTrial]) -> dict[str, float]:
    """Return the share of the scores' variance that each parameter explains, the largest first.

    By fANOVA (Hutter, Hoos, Leyton-Brown, ICML 2014) on the finished trials; empty where they are too few, or all
    score alike.
    """
    finished = [trial for trial in trials if trial.state == "finished"]
    if len(finished) < _FEWEST_FOR_IMPORTANCE or len({trial.score for trial in finished}) == 1:
        return {}
    with silent():
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in shares.items()}


def kept_of(
    finalists: Sequence[SearchTrial],
    outputs: Mapping[int, NDArray[np.float64]],
    kinds: Mapping[int, OutputKind],
    judge: Judge,
    keep: int,
) -> list[tuple[SearchTrial, float]]:
    """Return at most so many configurations, and the weight of each, by greedy selection on the judged rows.

    Those that say something of another kind than the best one take no part, and of those with the same parameters one
    does. Where no weights do better than equal ones on rows held out, the best configurations count alike.
    """
    kind = kinds[finalists[0].number]
    by_params: dict[Any, SearchTrial] = {}
    for trial in finalists:
        if kinds[trial.number] == kind:
            by_params.setdefault(_told_apart(trial.params), trial)
    alike = list(by_params.values())
    if len(alike) == 1:
        return [(alike[0], 1.0)]
    evidence = MemberEvidence(
        rows=np.arange(len(judge.rows.y)),
        outputs=np.stack([outputs[trial.number] for trial in alike]),
        y=judge.rows.y,
        weights=judge.rows.weights,
        folds=judge.rows.folds,
    )
    configurations = tuple(
        Member(partition=place, estimator=None, classes=None, content_digest="") for place in range(len(alike))
    )
    pool = MemberPool(configurations, judge.n_classes, judge.kind_of_combined(kind))
    weights = Greedy().learn(pool, evidence).weights
    if np.ptp(weights) == 0:
        return [(trial, 1.0) for trial in alike[:keep]]
    chosen = [place for place in np.argsort(-weights, kind="stable")[:keep] if weights[place] > 0]
    return [(alike[place], float(weights[place])) for place in chosen]


def _told_apart(params: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what two configurations have in common where they are one: values such as arrays cannot be compared."""
    return tuple(sorted((name, type(value).__name__, str(value)) for name, value in params.items()))


def joined(models: Sequence[Model], weights: Sequence[float]) -> Model:
    """Return one ensemble of the members of all: those of a model share its weight as they did in it."""
    if len(models) == 1:
        return models[0]
    model = copy(models[0])
    members: list[Member] = []
    shares: list[float] = []
    for each, weight in zip(models, weights, strict=True):
        predictor = cast("AggregatedPredictor", each.predictor_)
        members += [replace(member, partition=len(members) + place) for place, member in enumerate(each.members_)]
        shares += list(weight * predictor.weights / predictor.weights.sum())
    first = cast("AggregatedPredictor", models[0].predictor_)
    pool = MemberPool.of(tuple(members), first.pool.n_classes)
    model.members_ = members
    model.predictor_ = replace(first, pool=pool, weights=np.array(shares))
    return model
