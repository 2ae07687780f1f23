"""The frame of every recorded run: a directory, a tracker, and how it ended, whatever happens in it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partwise.config import FitConfig
from partwise.errors import StepTimeoutError, TrackerUnavailableError
from partwise.experiment.changing import RunChanges
from partwise.experiment.recording import Recorder
from partwise.runs import RunDirectory, default_run_directory
from partwise.trackers import make_tracker

__all__ = ["GoesOn", "RecordedRun", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A finished run, and where everything about it lies; those of each command also hold its record."""

    directory: Path | str
    tracking_uri: str | None
    tracking_fault: str | None
    ui_command: str | None

    @staticmethod
    def places(recorder: Recorder) -> dict[str, Any]:
        """Return the fields that a recorder knows."""
        return {
            "directory": recorder.directory.called,
            "tracking_uri": recorder.tracker.uri,
            "tracking_fault": recorder.tracking_fault,
            "ui_command": recorder.tracker.ui_command,
        }


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A run that was stopped or is changed, and goes on; ``trust`` lets members be taken over that hold code."""

    directory: RunDirectory
    trust: bool = False
    changes: RunChanges = field(default_factory=RunChanges)

    @property
    def in_memory(self) -> bool | None:
        """Whether the table was read when the run began, None where its record does not say."""
        said = self.directory.record().get("dataset", {}).get("in_memory")
        return said if isinstance(said, bool) else None


@contextmanager
def recorded(config: FitConfig, goes_on: GoesOn | None = None) -> Iterator[Recorder]:
    """Yield the recorder of a run; both places that it writes to are tried before anything is fitted.

    Parameters
    ----------
    goes_on
        The run that was stopped and goes on; None begins a new one.

    Raises
    ------
    InputError
        If the run directory cannot be written to, another process has it, or the tracker's address is wrong. A tracker
        that does not answer now ends no run.
    """
    if goes_on is None:
        directory = RunDirectory.create(config.output or default_run_directory(datetime.now(UTC)))
    else:
        directory = goes_on.directory
    with directory.locked():
        tracker = make_tracker(config.tracking_uri, config.experiment)
        recorder = Recorder(directory, tracker)
        if goes_on is not None:
            recorder = Recorder(directory, tracker, goes_on=True, trust=goes_on.trust, changes=goes_on.changes)
        try:
            tracker.open(directory.path)
        except TrackerUnavailableError as error:
            recorder.give_up_tracking(error)
        status, again = "failed", f"Go on with: partwise resume {shlex.quote(str(directory.called))}"
        try:
            yield recorder
            status = "finished"
        except StepTimeoutError as error:
            recorder.failed(error)
            raise StepTimeoutError(f"{error} {again}") from error
        except Exception as error:
            recorder.failed(error)
            raise
        except KeyboardInterrupt as stop:
            status = "interrupted"
            stop.add_note(again)
            raise
        finally:
            recorder.finish(status)
            recorder.checkpoint.tidy()
