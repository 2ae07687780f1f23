"""Facts about the record of a comparison."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from partwise.comparison import Comparison, json_schema
from partwise.errors import InputError


def _values():
    single = {
        "scores": {"accuracy": 0.9, "log_loss": None},
        "fit_seconds": 20.0,
        "predict_seconds": 0.2,
        "cpu_seconds": 38.0,
        "peak_memory_bytes": None,
        "encode_seconds": 1.0,
        "where": "a fresh process on host alpha, 2 cores",
        "n_rows": 1_000,
    }
    ensemble = single | {
        "fit_seconds": 10.0,
        "partition_seconds": 0.1,
        "members_seconds": 8.0,
        "member_fit_seconds": 12.0,
        "combine_seconds": 0.1,
        "n_members": 4,
        "n_failed": 0,
        "exactness": "approximate",
        "n_nodes": 1,
        "n_workers": 2,
    }
    difference = {
        "estimate": 0.0,
        "low": -0.1,
        "high": 0.1,
        "level": 0.95,
        "p_value": 0.9,
        "test": "t",
        "n_resamples": 9,
    }
    return {
        "metric": "accuracy",
        "greater_is_better": True,
        "task": "classification",
        "learner": "hist_gradient_boosting",
        "partitions": 4,
        "partitioner": "shuffled",
        "combine": "mean",
        "recipe": "shuffled, mean",
        "n_train": 1_000,
        "n_test": 200,
        "single": single,
        "ensemble": ensemble,
        "startup_seconds": 6.0,
        "difference": difference | {"n_resamples": 9},
        "notes": ["one note"],
        "versions": {"python": "3.11"},
    }


def test_what_is_written_is_read_again():
    """A comparison survives its JSON text."""
    comparison = Comparison.model_validate(_values())
    assert Comparison.from_json(comparison.to_json()) == comparison


def test_the_written_text_has_the_derived_values():
    """Speedup, efficiency and verdict are in the file, computed from the rest."""
    written = json.loads(Comparison.model_validate(_values()).to_json())
    assert written["speedup"] == 2.0
    assert written["efficiency"] == 12.0 / (2 * 8.0)
    assert written["verdict"].startswith("4 members fitted 2.0 times faster")


def test_derived_values_cannot_be_set():
    """A speedup that was edited into a file is derived again, and cannot be given."""
    text = Comparison.model_validate(_values()).to_json().replace('"speedup": 2.0', '"speedup": 9.0')
    assert Comparison.from_json(text).speedup == 2.0
    with pytest.raises(ValidationError, match="speedup"):
        Comparison.model_validate(_values() | {"speedup": 9.0})


def test_times_of_zero_have_no_ratio():
    """Without measured time there is neither speedup nor efficiency."""
    values = _values()
    values["ensemble"] |= {"fit_seconds": 0.0, "members_seconds": 0.0}
    comparison = Comparison.model_validate(values)
    assert comparison.speedup is None
    assert comparison.efficiency is None


def test_scores_that_are_not_defined_are_null():
    """An undefined score is null in the file, and NaN is refused, because JSON has none."""
    values = _values()
    assert json.loads(Comparison.model_validate(values).to_json())["single"]["scores"]["log_loss"] is None
    values["single"]["scores"]["log_loss"] = float("nan")
    with pytest.raises(ValidationError, match="finite"):
        Comparison.model_validate(values)


def test_a_comparison_without_difference_is_valid():
    """Where the metric is not defined for both, the difference is null."""
    assert Comparison.model_validate(_values() | {"difference": None}).difference is None


def test_unknown_and_wrong_fields_are_listed_together():
    """A file of another shape is refused with all its mistakes at once."""
    values = _values() | {"surprise": 1, "n_test": 0}
    with pytest.raises(InputError, match=r"(?s)surprise.*n_test|n_test.*surprise"):
        Comparison.from_json(json.dumps(values))


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "got list")])
def test_text_that_is_no_comparison_is_refused(text, message):
    """What is no JSON object is refused with what was expected."""
    with pytest.raises(InputError, match=message):
        Comparison.from_json(text)


def test_records_are_frozen():
    """A comparison cannot be changed after the fact."""
    with pytest.raises(ValidationError, match="frozen"):
        Comparison.model_validate(_values()).n_test = 5


def test_the_schema_describes_what_is_written():
    """Every field of the file, derived ones included, is in the schema, which allows no others."""
    written = json.loads(Comparison.model_validate(_values()).to_json())
    schema = json_schema()
    assert set(schema["properties"]) == set(written)
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]["EnsembleReport"]["properties"]) == set(written["ensemble"])


def test_records_load_neither_ray_nor_mlflow_nor_matplotlib():
    """Importing evaluation and comparison is light."""
    code = (
        "import sys, partwise.evaluation, partwise.comparison, partwise.comparison.table;"
        "print({'ray', 'mlflow', 'matplotlib'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
