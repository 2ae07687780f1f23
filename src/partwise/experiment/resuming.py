"""Go on with a run that was stopped: the same settings, the members that it has, and the rest."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.checkpoints import Checkpoint
from partwise.comparison.records import Comparison, Training, Tuning
from partwise.config import CompareConfig, FitConfig, TrainConfig, TuneConfig
from partwise.errors import InputError
from partwise.experiment.changing import AddedRows, Change, RunChanges
from partwise.experiment.pipeline import ComparisonRun, compare
from partwise.experiment.preparing import with_defaults
from partwise.experiment.recorded import GoesOn
from partwise.experiment.training import TrainingRun, train
from partwise.experiment.tuning import TuningRun, tune
from partwise.runs import RunDirectory
from partwise.sources import open_source
from partwise.trackers.uris import without_credentials

__all__ = ["ResumeConfig", "resume"]

Say = Callable[[str], None]
_KINDS: dict[str, type[FitConfig]] = {"compare": CompareConfig, "train": TrainConfig, "tune": TuneConfig}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConfig:
    """What ``partwise resume`` is asked to do.

    ``address``, ``tracking_uri`` and ``step_timeout`` take the place of the run's own.

    Parameters
    ----------
    drop, restore
        Partitions whose members shall be left out of the predictor, and those that shall be there again.
    add, add_partitions
        Tables of further training rows, and how many members each of them gives.
    quorum
        The share of the members that must be left, in place of the run's own.
    """

    directory: Path | str
    address: str | None = None
    tracking_uri: str | None = None
    trust: bool = False
    drop: tuple[int, ...] = ()
    restore: tuple[int, ...] = ()
    add: tuple[str, ...] = ()
    add_partitions: int = 1
    quorum: float | None = None
    step_timeout: str | float | None = None

    def change(self) -> Change | None:
        """Return what is asked to be changed of the run, None where nothing is; paths are made absolute.

        Raises
        ------
        InputError
            If a number is wrong.
        """
        if not (self.drop or self.restore or self.add) and self.quorum is None:
            return None
        if self.add_partitions < 1:
            raise InputError(f"--add-partitions {self.add_partitions} is wrong. Valid: 1 or more.")
        if self.quorum is not None and not 0 < self.quorum <= 1:
            raise InputError(f"--quorum {self.quorum} is wrong. Valid: a share of the members, above 0 and up to 1.")
        places = [without_credentials(each) if "://" in each else str(Path(each).absolute()) for each in self.add]
        added = tuple(AddedRows(data=place, partitions=self.add_partitions) for place in places)
        return Change.now(dropped=self.drop, restored=self.restore, added=added, quorum=self.quorum)


def resume(
    config: ResumeConfig, say: Say = lambda _: None, *, show_progress: bool = False
) -> ComparisonRun | TrainingRun | TuningRun:
    """Fit what a run lacks, change its members if asked to, and finish it; of a finished run the record is returned.

    Raises
    ------
    InputError
        If there is no such run, another process is at it, its table has changed, or it cannot be changed so.
    PartwiseError
        If the run fails again.
    """
    directory = RunDirectory.reopen(config.directory)
    record = directory.record()
    kind, change = record.get("command"), config.change()
    if kind not in _KINDS or not isinstance(record.get("config"), dict):
        raise InputError(f"{directory.called} was written by a version of partwise that could not go on with a run.")
    if change is None and record.get("state") == "finished" and not _lacks_members(directory):
        say(f"{directory.called} is finished")
        return _finished(directory, kind)
    if not config.trust and (held := Checkpoint(directory.members).code()):
        raise InputError(
            f"{held} holds code (cloudpickle), which taking the member over would run. If you trust where it comes "
            "from, go on with --trust; else start a new run."
        )
    settings: dict[str, Any] = record["config"] | {"output": directory.place}
    own = ("address", "tracking_uri", "step_timeout")
    settings |= {name: given for name in own if (given := getattr(config, name)) is not None}
    place = Path(record["working_directory"])
    if place.is_dir():
        os.chdir(place)  # what the run was given relative to it is found again
    if kind == "tune":
        if change is not None:
            raise InputError(
                f"{directory.path} is a search, which has no members that could be changed. Train with what it found, "
                "and change that run."
            )
        tuning = TuneConfig.checked(**settings)
        return tune(tuning, say, show_progress=show_progress, goes_on=GoesOn(directory, trust=config.trust))
    fitting: CompareConfig | TrainConfig = (CompareConfig if kind == "compare" else TrainConfig).checked(**settings)
    fitting, changes = _changed(fitting, record, change)
    goes_on = GoesOn(directory, trust=config.trust, changes=changes)
    if isinstance(fitting, CompareConfig):
        return compare(fitting, say, show_progress=show_progress, goes_on=goes_on)
    return train(fitting, say, show_progress=show_progress, goes_on=goes_on)


def _changed(
    config: CompareConfig | TrainConfig, record: dict[str, Any], change: Change | None
) -> tuple[CompareConfig | TrainConfig, RunChanges]:
    """Return the settings, and all changes of the run with the rows of the tables that were added."""
    if change is None and not record.get("changes"):
        return config, RunChanges()
    source = open_source(config.data)
    changes = RunChanges.of(record, change, with_defaults(config, source), source)
    return config.model_copy(update={"quorum": changes.quorum or config.quorum}), changes


def _lacks_members(directory: RunDirectory) -> bool:
    """Return whether members are missing that were skipped, and can be tried once more."""
    try:
        failures = json.loads(directory.read("failures.json") or b"[]")
    except ValueError:
        return False
    return any(failure["reason"] not in {"zero_weight", "dropped"} for failure in failures)


def _finished(directory: RunDirectory, kind: str) -> ComparisonRun | TrainingRun | TuningRun:
    told: dict[str, Any] = {
        "directory": directory.called,
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
