"""The last work of `accuracy.py`: the choice by the data, on tables of all kinds with learners of all kinds."""

from typing import Any

from accuracy_rungs import ONE, Records, Rung, Work
from accuracy_tables import TASKS, encoded

from partwise.learners import make_learner

__all__ = ["grid"]

_LEARNERS = {
    "hist_gradient_boosting": ("hist_gradient_boosting", "hist_gradient_boosting"),
    "random_forest": ("random_forest", "random_forest"),
    "svm": ("svc", "svr"),
    "mlp": ("mlp", "mlp"),
    "linear": ("logistic", "ridge"),
    "knn": ("knn", "knn"),
}


def grid() -> list[Work]:
    """Return a work for each table and learner."""
    return [_pair(table, learner) for table in TASKS for learner in _LEARNERS]


def _pair(table: str, learner: str) -> Work:
    task = TASKS[table]
    made = make_learner(_LEARNERS[learner][task == "regression"], task)
    always = {"n_partitions": 8, "match_updates": learner == "mlp"}
    plain = "soft" if task == "classification" else "mean"
    rungs = (
        Rung(name=ONE, estimator=lambda: made.estimator),
        Rung(name="auto", estimator=lambda: made.estimator, settings=always | {"combine": "auto"}),
        Rung(name="plain vote", estimator=lambda: made.estimator, settings=always | {"combine": plain}),
        Rung(
            name="best refused",
            estimator=lambda: made.estimator,
            settings=always,
            after="auto",
            plan=_best_refused,
        ),
    )
    return Work(
        name=f"auto/{table}/{learner}",
        load=lambda folder, seed, limit: encoded(folder, table, seed, made.needs, limit),
        rungs=rungs,
        task=task,
        seeded=True,
    )


def _best_refused(records: Records) -> dict[str, Any] | None:
    """Where one model was chosen: the ensemble that came nearest to it in the trials."""
    if records.get("auto", {}).get("chosen") != ONE:
        return None
    board = [trial for trial in records["auto"]["leaderboard"] if trial["recipe"] != ONE and trial["score"] is not None]
    if not board:
        return None
    best = max(board, key=lambda trial: (trial["rows"], trial["score"]))
    partitioner, _, combine = best["recipe"].partition(", ")
    return {"settings": {"partitioner": partitioner, "combine": combine}}
