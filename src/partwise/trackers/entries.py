"""Events of the journal as flat parameters, metrics and tags: plain values, no tracking library."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from partwise.credentials import without_credentials

__all__ = [
    "clipped",
    "comparison_metrics",
    "dataset_fields",
    "known",
    "last_score",
    "member_metrics",
    "member_params",
    "member_table",
    "numbers",
    "partition_metrics",
    "training_metrics",
    "trial_table",
    "tuning_metrics",
    "tuning_tags",
]

_MEMBER_METRICS = ("n_rows", "fit_seconds", "cpu_seconds", "peak_memory_bytes", "out_of_partition_score")
_MEMBER_PARAMS = ("partition", "class_counts", "seed", "attempts", "node", "process")
_COLUMNS = ("partition", "event", *_MEMBER_METRICS, *_MEMBER_PARAMS[1:], "started", "content_digest")
_FAILURE_COLUMNS = ("reason", "message")


def clipped(value: Any, limit: int) -> str:
    """Return a value as text of at most ``limit`` characters that says when it was cut, without credentials."""
    text = without_credentials(value if isinstance(value, str) else _text(value))
    if len(text) <= limit:
        return text
    mark = f"... [cut from {len(text):,} characters]"
    return text[: limit - len(mark)] + mark


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (Mapping, list, tuple)) else str(value)


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not null."""
    return {name: value for name, value in values.items() if value is not None}


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the values."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def comparison_metrics(comparison: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores, costs and differences of a comparison by name; what is null is left out."""
    further: dict[str, Any] = {}
    for role, report in (comparison.get("alternatives") or {}).items():
        further |= dict(_model_metrics(role, report))
        further |= dict(_differences(f"difference_to_{role}", report["difference"]))
        further |= dict(_differences(f"{role}_difference", report.get("difference_to_single")))
    return training_metrics(comparison) | numbers(
        {
            **dict(_model_metrics("single", comparison["single"])),
            **dict(_differences("difference", comparison["difference"])),
            **{name: comparison.get(name) for name in ("speedup", "efficiency")},
            **further,
        }
    )


def _differences(prefix: str, difference: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    for name in ("estimate", "low", "high", "p_value"):
        yield f"{prefix}_{name}", (difference or {}).get(name)


def training_metrics(training: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores and costs of an ensemble by name; what is null is left out."""
    ensemble = training["ensemble"]
    return numbers(
        {
            **dict(_model_metrics("ensemble", ensemble)),
            "startup_seconds": training.get("startup_seconds"),
            **{name: ensemble.get(name) for name in ("n_members", "n_failed", "n_dropped", "n_workers", "n_nodes")},
        }
    )


def tuning_metrics(tuning: Mapping[str, Any]) -> dict[str, float]:
    """Return what a search found, and the ensemble's scores and costs, by name."""
    states = Counter(trial["state"] for trial in tuning["trials"])
    return training_metrics(tuning) | numbers(
        {
            **{name: tuning.get(name) for name in ("best_score", "corrected_score", "n_fits", "search_seconds")},
            "n_trials": len(tuning["trials"]),
            **{f"n_trials_{state}": count for state, count in states.items()},
            **{f"importance.{name}": share for name, share in tuning["importances"].items()},
        }
    )


def tuning_tags(tuning: Mapping[str, Any]) -> dict[str, str]:
    """Return the best configuration, a tag for each parameter: it is known only when the search ends."""
    return {f"partwise.best.{name}": str(value) for name, value in tuning["best_params"].items()}


def trial_table(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return trials as columns, one value a trial."""
    names = sorted({name for event in events for name in event["params"]})
    columns = {name: [event.get(name) for event in events] for name in ("number", "state", "cpu_seconds", "reason")}
    columns["score"] = [last_score(event) for event in events]
    columns["n_partitions"] = [max(map(int, event["scores"]), default=0) for event in events]
    return columns | {f"param.{name}": [str(event["params"].get(name)) for event in events] for name in names}


def last_score(event: Mapping[str, Any]) -> float | None:
    """Return a trial's score on most of its partitions, None where it has none."""
    scores = {int(rung): score for rung, score in event["scores"].items()}
    return scores[max(scores)] if scores else None


def _model_metrics(role: str, report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, score in report["scores"].items():
        yield f"{role}_{name}", score
    for name, value in report.items():
        if name.endswith(("_seconds", "_bytes", "_score")) or name == "n_rows":
            yield f"{role}_{name}", value


def partition_metrics(event: Mapping[str, Any]) -> dict[str, float]:
    """Return how many partitions there are, and the rows of the smallest and the largest."""
    rows = [partition["n_rows"] for partition in event["partitions"]]
    return numbers({"n_partitions": len(rows), "partition_rows_min": min(rows), "partition_rows_max": max(rows)})


def member_metrics(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the measurements of a member."""
    return numbers({name: event.get(name) for name in _MEMBER_METRICS})


def member_params(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a member and where it was fitted."""
    return known({name: event.get(name) for name in _MEMBER_PARAMS})


def member_table(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return members and failures as columns, one value a member; failures' columns only where there are any."""
    failed = any(name in event for event in events for name in _FAILURE_COLUMNS)
    columns = _COLUMNS + (_FAILURE_COLUMNS if failed else ())
    return {name: [event.get(name) for event in events] for name in columns}


def dataset_fields(dataset: Mapping[str, Any], limit: int) -> dict[str, str]:
    """Return a dataset's source, schema and profile as MLflow writes them: JSON texts, by field name.

    ``limit`` is the longest digest that is taken.
    """
    source = without_credentials(str(dataset.get("source") or dataset["name"]))
    online = source.startswith(("http://", "https://"))
    columns = (dataset.get("schema") or {}).items()
    schema = [{"type": _column_type(str(dtype)), "name": str(name), "required": False} for name, dtype in columns]
    profile = {"num_rows": dataset.get("n_rows"), "num_columns": dataset.get("n_columns")}
    profile |= {name: dataset.get(name) for name in ("n_train", "n_test", "target")}
    return {
        "name": str(dataset["name"])[:500],
        "digest": str(dataset["digest"])[:limit],
        "source_type": "http" if online else "local",
        "source": json.dumps({"url" if online else "uri": source}),
        "schema": json.dumps({"mlflow_colspec": schema}),
        "profile": json.dumps(profile),
    }


def _column_type(dtype: str) -> str:
    lower = dtype.lower()
    for stem, name in (("bool", "boolean"), ("int", "long"), ("float", "double"), ("double", "double")):
        if stem in lower:
            return name
    return "datetime" if lower.startswith(("datetime", "timestamp", "date")) else "string"
