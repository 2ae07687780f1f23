"""Facts about the terminal's table."""

import pytest
from rich.console import Console

from partwise.comparison import SCOPE, Comparison
from partwise.comparison.table import comparison_table


def _comparison(**changes):
    model = {
        "scores": {"accuracy": 0.9131, "balanced_accuracy": 0.9, "log_loss": None},
        "fit_seconds": 27.9,
        "predict_seconds": 0.2,
        "cpu_seconds": 55.0,
        "peak_memory_bytes": 3 * 1024**3,
        "encode_seconds": 1.25,
        "where": "a fresh process on host alpha, 2 cores",
        "n_rows": 250_000,
    }
    ensemble = model | {
        "scores": model["scores"] | {"accuracy": 0.9091},
        "fit_seconds": 12.1,
        "where": "2 Ray workers on host beta, 1 core each",
        "peak_memory_bytes": None,
        "partition_seconds": 0.05,
        "members_seconds": 10.3,
        "member_fit_seconds": 18.0,
        "combine_seconds": 0.01,
        "n_members": 7,
        "n_failed": 1,
        "exactness": "approximate",
        "n_nodes": 1,
        "n_workers": 2,
    }
    difference = {"estimate": -0.004, "low": -0.006, "high": -0.002, "level": 0.95, "p_value": 1e-4, "test": "t"}
    values = {
        "metric": "accuracy",
        "greater_is_better": True,
        "task": "classification",
        "learner": "hist_gradient_boosting",
        "partitions": 8,
        "partitioner": "stratified",
        "combine": "mean",
        "recipe": "stratified, mean",
        "n_train": 250_000,
        "n_test": 67_000,
        "single": model,
        "ensemble": ensemble,
        "startup_seconds": 6.3,
        "difference": difference | {"n_resamples": 2_000},
        "notes": ["Three constant columns were left out."],
    }
    return Comparison.model_validate(values | changes)


def _lines(comparison):
    console = Console(width=80, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_table(comparison))
    return capture.get().splitlines()


def _row(lines, label):
    return next(line for line in lines if label in line)


def test_it_fits_a_terminal_of_80_columns():
    """No line is longer than 80 columns, and no row of the table is broken in two."""
    lines = _lines(_comparison())
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.startswith("│")]
    assert all(line.split("│")[1].strip() for line in rows)


def test_scores_stand_side_by_side_with_their_difference():
    """The main metric is marked; its row has both scores and the signed difference, its interval below."""
    lines = _lines(_comparison())
    assert [cell.strip() for cell in _row(lines, "accuracy *").split("│")[2:5]] == ["0.9131", "0.9091", "-0.004"]
    assert "-0.006 to -0.002" in _row(lines, "95 % interval")


def test_null_is_not_defined():
    """A score that is null in the record is "not defined" for both models."""
    assert _row(_lines(_comparison()), "log_loss").count("not defined") == 2


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("encoding", "1.2 s"),
        ("partitioning", "50 ms"),
        ("fitting members", "10.3 s"),
        ("combining", "10 ms"),
        ("fit, in total", "12.1 s"),
        ("predict", "200 ms"),
        ("start-up", "6.3 s"),
        ("CPU time", "55.0 s"),
        ("peak memory", "3.0 GiB"),
        ("models", "7 (1 failed)"),
        ("time spent fitting", "87 %"),
    ],
)
def test_times_and_resources_stand_apart(label, text):
    """Each step's time, and each resource, has a row of its own."""
    assert text in _row(_lines(_comparison()), label)


def test_ratios_are_ensemble_over_single():
    """A fit that took less time than one model's has a ratio below one."""
    assert "0.43 times" in _row(_lines(_comparison()), "fit, in total")


def test_evidence_has_a_row_only_where_there_was_some():
    """Out-of-partition evidence is listed when it was paid for."""
    with_evidence = _comparison()
    ensemble = with_evidence.ensemble.model_copy(update={"evidence_seconds": 2.5})
    assert "2.5 s" in _row(_lines(with_evidence.model_copy(update={"ensemble": ensemble})), "evidence")
    assert not [line for line in _lines(with_evidence) if "evidence" in line]


def test_verdict_scope_places_and_notes_stand_below():
    """Under the table are the verdict, what the interval is about, where each ran, and the notes."""
    text = " ".join(" ".join(_lines(_comparison())).split())
    assert _comparison().verdict in text
    assert SCOPE in text
    assert "host alpha" in text
    assert "host beta" in text
    assert "Three constant columns" in text


def test_large_errors_have_no_exponents():
    """Scores in large units are written out."""
    single = _comparison().single.model_copy(update={"scores": {"rmse": 123456.7}})
    ensemble = _comparison().ensemble.model_copy(update={"scores": {"rmse": 120000.2}})
    row = _row(_lines(_comparison(metric="rmse", single=single, ensemble=ensemble, difference=None)), "rmse *")
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["123,457", "120,000", "-3,456"]
