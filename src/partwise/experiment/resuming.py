"""Go on with a run that was stopped: the same settings, the members that it has, and the rest."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.comparison.records import Comparison, Training, Tuning
from partwise.config import CompareConfig, FitConfig, TrainConfig, TuneConfig
from partwise.errors import InputError
from partwise.experiment.pipeline import ComparisonRun, compare
from partwise.experiment.recorded import GoesOn
from partwise.experiment.training import TrainingRun, train
from partwise.experiment.tuning import TuningRun, tune
from partwise.runs import RunDirectory

__all__ = ["ResumeConfig", "resume"]

Say = Callable[[str], None]
_KINDS: dict[str, type[FitConfig]] = {"compare": CompareConfig, "train": TrainConfig, "tune": TuneConfig}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConfig:
    """What ``partwise resume`` is asked to do; ``address`` and ``tracking_uri`` take the place of the run's own."""

    directory: Path
    address: str | None = None
    tracking_uri: str | None = None
    trust: bool = False


def resume(
    config: ResumeConfig, say: Say = lambda _: None, *, show_progress: bool = False
) -> ComparisonRun | TrainingRun | TuningRun:
    """Fit what a run lacks, and finish it; of a run that is finished the record is returned.

    Raises
    ------
    InputError
        If there is no such run, another process is at it, or its table has changed.
    PartwiseError
        If the run fails again.
    """
    directory = RunDirectory.reopen(config.directory)
    record = directory.record()
    kind = record.get("command")
    if kind not in _KINDS or not isinstance(record.get("config"), dict):
        raise InputError(f"{directory.path} was written by a version of partwise that could not go on with a run.")
    if record.get("state") == "finished" and not _lacks_members(directory):
        say(f"{directory.path} is finished")
        return _finished(directory, kind)
    if not config.trust and (held := next((directory.path / "members").rglob("*.cloudpickle.member"), None)):
        raise InputError(
            f"{held} holds code (cloudpickle), which taking the member over would run. If you trust where it comes "
            "from, go on with --trust; else start a new run."
        )
    settings: dict[str, Any] = record["config"] | {"output": directory.path}
    settings |= {name: given for name in ("address", "tracking_uri") if (given := getattr(config, name)) is not None}
    place = Path(record["working_directory"])
    if place.is_dir():
        os.chdir(place)  # what the run was given relative to it is found again
    goes_on = GoesOn(directory, trust=config.trust)
    if kind == "compare":
        return compare(CompareConfig.checked(**settings), say, show_progress=show_progress, goes_on=goes_on)
    if kind == "tune":
        return tune(TuneConfig.checked(**settings), say, show_progress=show_progress, goes_on=goes_on)
    return train(TrainConfig.checked(**settings), say, show_progress=show_progress, goes_on=goes_on)


def _lacks_members(directory: RunDirectory) -> bool:
    """Return whether members are missing that were skipped, and can be tried once more."""
    try:
        failures = json.loads((directory.path / "failures.json").read_bytes())
    except (OSError, ValueError):
        return False
    return any(failure["reason"] != "zero_weight" for failure in failures)


def _finished(directory: RunDirectory, kind: str) -> ComparisonRun | TrainingRun | TuningRun:
    told: dict[str, Any] = {
        "directory": directory.path,
        "tracking_uri": None,
        "tracking_fault": None,
        "ui_command": None,
    }
    if kind == "compare":
        text = (directory.path / "comparison.json").read_bytes()
        return ComparisonRun(comparison=Comparison.from_json(text), **told)
    if kind == "tune":
        return TuningRun(tuning=Tuning.model_validate_json((directory.path / "tuning.json").read_bytes()), **told)
    return TrainingRun(training=Training.model_validate_json((directory.path / "training.json").read_bytes()), **told)
