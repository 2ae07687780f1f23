"""From two models' outputs and costs to the record of a comparison."""

import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any

from partwise.comparison.dataset import Dataset
from partwise.comparison.records import (
    AlternativeReport,
    Comparison,
    Configuration,
    DifferenceReport,
    EnsembleReport,
    LeaderboardEntry,
    ModelReport,
    Training,
    TrialReport,
    Tuning,
)
from partwise.comparison.single_process import SingleResult, iterations
from partwise.comparison.verdict import seconds
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.evaluation import Metric, Outputs, Truth, difference_between, scores_of
from partwise.naming import label
from partwise.provenance import versions
from partwise.resources import ran_here
from partwise.search import PartitionedSearchCV

__all__ = ["Alternative", "Costs", "Judged", "Summary", "Trained", "make_comparison", "make_training", "make_tuning"]

_MOST_TOLD = 5
"""Failed trials whose reason stands below the table; the record has all."""
_SLOW, _SLOW_SECONDS = 3.0, 5.0
"""A member is a straggler that takes so many times as long as half of its peers, and so many seconds longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The truth about the test rows and what both models said."""

    metric: Metric
    truth: Truth
    single: Outputs
    ensemble: Outputs
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A further model: what it said about the test rows, and what it took."""

    outputs: Outputs
    encode_seconds: float
    fit_seconds: float
    predict_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None
    where: str
    exactness: str
    n_rows: int
    startup_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What an ensemble was trained for, and on which rows it is judged."""

    metric: Metric
    task: str
    n_test: int
    holdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the run saw of the ensemble's costs beyond its fit, and where it ran."""

    startup_seconds: float
    predict_seconds: float
    slots: int
    nodes: int
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The names under which the recipe is reported."""

    learner: str
    notes: list[str] = field(default_factory=list)


def make_comparison(
    dataset: Dataset,
    summary: Summary,
    judged: Judged,
    single: SingleResult,
    model: PartitionedClassifier | PartitionedRegressor,
    costs: Costs,
    alternatives: Mapping[str, Alternative],
) -> Comparison:
    """Return the comparison of a fitted ensemble with the single model's result, and with further models'."""
    scores = scores_of(judged.truth, judged.ensemble, judged.metric)
    about = Trained(
        metric=judged.metric, task=dataset.task, n_test=len(dataset.test), holdout=dataset.holdout.description
    )
    told = _told(about, summary, scores, model, costs)
    return Comparison(
        **told | {"notes": [*_rows_of(single, dataset, model), *told["notes"], *_rounds_of(single, model)]},
        single=_single_report(judged, single),
        difference=_difference(judged, judged.single, judged.ensemble),
        alternatives={name: _alternative_report(judged, each) for name, each in alternatives.items()},
    )


def _difference(judged: Judged, other: Outputs, minuend: Outputs) -> DifferenceReport | None:
    """Return one model, the minuend, minus another."""
    difference = difference_between(judged.metric, judged.truth, other, minuend, seed=judged.seed)
    return None if difference is None else DifferenceReport(**asdict(difference))


def _alternative_report(judged: Judged, found: Alternative) -> AlternativeReport:
    told = {each.name: getattr(found, each.name) for each in fields(found) if each.name != "outputs"}
    scores = scores_of(judged.truth, found.outputs, judged.metric)
    return AlternativeReport(
        **told,
        scores=scores,
        difference=_difference(judged, found.outputs, judged.ensemble),
        difference_to_single=_difference(judged, judged.single, found.outputs),
    )


def _rows_of(single: SingleResult, dataset: Dataset, model: PartitionedClassifier | PartitionedRegressor) -> list[str]:
    """Return why one model has fewer rows than the ensemble, where it has."""
    n_rows = model.n_rows_ - model.n_added_rows_
    added = f"The ensemble has {model.n_added_rows_:,} rows more, added later, which one model does not know."
    more = [added] if model.n_added_rows_ else []
    if single.n_rows == n_rows:
        return more
    held = len(dataset.train)
    why = "as many as the free memory is estimated to hold"
    if single.n_rows < held and single.whole_seconds is not None:
        why = f"a fit on {held:,} would take about {seconds(single.whole_seconds)}, beyond --baseline-budget"
    return [
        f"One model on {single.n_rows:,} of {n_rows:,} training rows, a random sample: {why}. The ensemble has all.",
        *more,
    ]


def make_training(
    about: Trained,
    summary: Summary,
    scores: dict[str, float | None],
    model: PartitionedClassifier | PartitionedRegressor,
    costs: Costs,
) -> Training:
    """Return the record of a fitted ensemble that stands alone; ``scores`` are empty where there are no test rows."""
    return Training(**_told(about, summary, scores, model, costs))


def make_tuning(
    about: Trained,
    summary: Summary,
    scores: dict[str, float | None],
    search: PartitionedSearchCV,
    search_seconds: float,
    costs: Costs,
) -> Tuning:
    """Return the record of a search and of the ensemble that it gave."""
    told = _told(about, summary, scores, search.best_estimator_, costs, of_a_search=True)
    if search.fidelity == "rows" and len(search.kept_params_) > 1:
        told["recipe"] = f"{len(search.kept_params_)} models"
    best = search.trials_[search.best_index_]
    corrected, sign = search.corrected_score_, 1.0 if search.metric_.greater_is_better else -1.0
    return Tuning(
        **told | {"notes": [*told["notes"], *_search_notes(search)]},
        sampler=search.sampler,
        fidelity=search.fidelity,
        reduction_factor=search.reduction_factor,
        best_params=dict(best.params),
        best_trial=best.number,
        best_score=best.scores[best.n_partitions],
        corrected_score=None if corrected is None else sign * corrected,
        kept=[Configuration(params=params, weight=weight) for params, weight in search.kept_params_],
        n_fits=sum(trial.n_fits for trial in search.trials_),
        search_seconds=search_seconds,
        trials=[TrialReport(**asdict(trial)) for trial in search.trials_],
        importances=search.importances(),
    )


def _search_notes(search: PartitionedSearchCV) -> list[str]:
    """Return what a reader must know of the search."""
    counts = Counter(trial.state for trial in search.trials_)
    told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    notes = [f"Trials: {told}. They were judged by training rows, each by models that never saw it."]
    if search.fidelity == "rows":
        cut = getattr(search.partitioner, "name", search.partitioner)
        how = "" if cut is None else f" ({cut})"
        notes.append(f"Trials were one model each, on the rows of some of {search.n_partitions} partitions{how}.")
        if cut == "ordered":
            notes.append("On all partitions, rows of earlier times were judged by models of later ones, too.")
    if len(search.kept_params_) > 1:
        whole = sum(weight for _, weight in search.kept_params_)
        shares = (
            f"{', '.join(f'{name}={value}' for name, value in params.items())} ({weight / whole:.0%})"
            for params, weight in search.kept_params_
        )
        notes.append(f"The ensemble has members of {len(search.kept_params_)} configurations: {'; '.join(shares)}.")
    if not search.one_by_one:
        notes.append(
            "Trials ran side by side, so which came next depended on which ended first: the same seed may give "
            "another search (--one-by-one gives the same)."
        )
    failed = [trial for trial in search.trials_ if trial.state in {"failed", "timed_out"}]
    notes += [f"Trial {trial.number} {trial.state.replace('_', ' ')}: {trial.reason}" for trial in failed[:_MOST_TOLD]]
    return notes


def _told(
    about: Trained,
    summary: Summary,
    scores: dict[str, float | None],
    model: PartitionedClassifier | PartitionedRegressor,
    costs: Costs,
    *,
    of_a_search: bool = False,
) -> dict[str, Any]:
    """Return what the record of an ensemble says, whether it stands alone or beside one model.

    ``of_a_search`` says that its members are those of trials, whose times the search has.
    """
    earlier = 0.0 if of_a_search else _earlier_seconds(model, costs.slots)
    return {
        "metric": about.metric.name,
        "greater_is_better": about.metric.greater_is_better,
        "task": about.task,
        "learner": summary.learner,
        "partitions": len(model.partitions_.sizes),
        "partitioner": label(model.recipe_.partitioner),
        "combine": label(model.recipe_.combiner),
        "replication": model.recipe_.replication,
        "match_updates": model.recipe_.match_updates,
        "recipe": model.recipe_.name,
        "selection_reason": getattr(model, "selection_reason_", None),
        "n_train": model.n_rows_,
        "n_test": about.n_test,
        "ensemble": _ensemble_report(scores, model, costs, earlier),
        "startup_seconds": costs.startup_seconds,
        "leaderboard": _leaderboard(model),
        "notes": [*summary.notes, *_notes(about, model), *([] if of_a_search else _recalled(model))],
        "versions": versions(),
    }


def _leaderboard(model: PartitionedClassifier | PartitionedRegressor) -> list[LeaderboardEntry] | None:
    if not hasattr(model, "leaderboard_"):
        return None
    board = model.leaderboard_.astype(object)
    return [LeaderboardEntry(**entry) for entry in board.where(board.notna(), None).to_dict("records")]


def _single_report(judged: Judged, single: SingleResult) -> ModelReport:
    steps = (single.encoding, single.fitting)
    peaks = [step.peak_memory_bytes for step in steps if step.peak_memory_bytes is not None]
    return ModelReport(
        scores=scores_of(judged.truth, judged.single, judged.metric),
        fit_seconds=sum(step.seconds for step in steps),
        predict_seconds=single.predict_seconds,
        cpu_seconds=sum(step.cpu_seconds for step in steps),
        peak_memory_bytes=max(peaks, default=None),
        encode_seconds=single.encoding.seconds,
        where=single.where,
        n_rows=single.n_rows,
    )


def _ensemble_report(
    scores: dict[str, float | None], model: PartitionedClassifier | PartitionedRegressor, costs: Costs, earlier: float
) -> EnsembleReport:
    steps, driver, members = model.timings_, model.fit_usage_, model.members_
    peaks = [driver.peak_memory_bytes, *(member.peak_memory_bytes for member in members)]
    place = f"the Ray cluster at {costs.address}" if costs.address else f"a local Ray on {socket.gethostname()}"
    is_one_model = len(model.partitions_.sizes) == 1 == len(members)  # a search may keep several of all rows
    evidence: dict[str, Any] = {}
    if hasattr(model, "out_of_partition_score_"):
        evidence = {"evidence_seconds": steps["evidence"], "out_of_partition_score": model.out_of_partition_score_}
    return EnsembleReport(
        scores=scores,
        fit_seconds=earlier + sum(took for step, took in steps.items() if step != "evidence"),
        predict_seconds=costs.predict_seconds,
        cpu_seconds=driver.cpu_seconds
        + sum(member.cpu_seconds for member in members if not ran_here(member.node, member.process))
        + model.combine_cpu_seconds_
        + getattr(model, "selection_cpu_seconds_", 0.0),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        encode_seconds=steps["encode"],
        where=place,
        n_rows=model.n_rows_,
        partition_seconds=steps["partition"],
        members_seconds=earlier + steps["members"],
        member_fit_seconds=sum(member.fit_seconds for member in members),
        combine_seconds=steps["combine"],
        select_seconds=steps.get("select"),
        driver_cpu_seconds=driver.cpu_seconds,
        driver_peak_memory_bytes=driver.peak_memory_bytes,
        n_members=len(members),
        n_failed=sum(failure.reason != "dropped" for failure in model.failures_),
        n_dropped=sum(failure.reason == "dropped" for failure in model.failures_),
        exactness="exact" if is_one_model else model.predictor_.exactness,
        n_nodes=costs.nodes,
        n_workers=costs.slots,
        **evidence,
    )


def _earlier_seconds(model: PartitionedClassifier | PartitionedRegressor, slots: int) -> float:
    """Return about how long the fits took, all workers busy, that an earlier process of the run has made."""
    return sum(member.fit_seconds for member in model.members_ if member.recalled) / slots


def _notes(about: Trained, model: PartitionedClassifier | PartitionedRegressor) -> list[str]:
    """Return what a reader must know to read the table rightly."""
    notes = [f"Test rows: {about.holdout}."]
    if hasattr(model, "selection_reason_"):
        notes.append(f"Chosen from the training rows: {model.selection_reason_}")
    notes += [failure.describe() for failure in model.failures_]
    notes += _stragglers(model)
    counts = model.partitions_.class_counts
    if counts is not None and (lacking := int((counts == 0).any(axis=1).sum())):
        notes.append(f"{lacking} of {len(counts)} partitions lack at least one class.")
    if doubled := sum(member.doubled_rows for member in model.members_):
        notes.append(
            f"{doubled} rows, the only ones of their class in a partition, were doubled: the learner needs two."
        )
    if hasattr(model, "out_of_partition_score_"):
        notes.append("The out-of-partition score is about training rows, each without the members that saw it.")
        if model.recipe_.partitioner.name == "ordered":
            notes.append("Partitions are ordered: the out-of-partition score looks into the future.")
    return notes


def _recalled(model: PartitionedClassifier | PartitionedRegressor) -> list[str]:
    """Return how many members an earlier process has fitted, whose time the table estimates."""
    recalled = sum(member.recalled for member in model.members_)
    note = (
        f"{recalled} of {len(model.members_)} members were fitted before the run went on: of their wall time the table "
        "has an estimate, their own fit times shared among the workers."
    )
    return [note] if recalled else []


def _stragglers(model: PartitionedClassifier | PartitionedRegressor) -> list[str]:
    """Return which members took far longer than their peers, and whose second fit learned something else."""
    notes, usual = [], median(member.fit_seconds for member in model.members_)
    for member in model.members_:
        if member.fit_seconds > max(_SLOW * usual, usual + _SLOW_SECONDS):
            notes.append(
                f"Partition {member.partition} took {seconds(member.fit_seconds)} on {member.node}, "
                f"{member.fit_seconds / max(usual, 1e-9):,.0f} times as long as half of its peers."
            )
        if member.copy_agrees is False:
            notes.append(
                f"Partition {member.partition} was fitted twice, and the two models differ: other CPUs, or a learner "
                "that is not repeatable. The first to finish is the member."
            )
    return notes


def _rounds_of(single: SingleResult, model: PartitionedClassifier | PartitionedRegressor) -> list[str]:
    rounds = [count for member in model.members_ if (count := iterations(member.estimator)) is not None]
    if single.iterations is None or not rounds or {single.iterations} == set(rounds):
        return []
    spread = f"{min(rounds)}" if min(rounds) == max(rounds) else f"{min(rounds)} to {max(rounds)}"
    return [f"The single model ran {single.iterations:,} iterations, the members {spread}."]
