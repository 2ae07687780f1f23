"""The frame of every recorded run: a directory, a tracker, and how it ended, whatever happens in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from partwise.config import FitConfig
from partwise.experiment.recording import Recorder
from partwise.runs import RunDirectory, default_run_directory
from partwise.trackers import make_tracker

__all__ = ["recorded"]


@contextmanager
def recorded(config: FitConfig) -> Iterator[Recorder]:
    """Yield the recorder of a new run; both places that it writes to are tried before anything is fitted.

    Raises
    ------
    InputError
        If the run directory cannot be written to, or the tracker not be reached.
    """
    directory = RunDirectory.create(config.output or default_run_directory(datetime.now(UTC)))
    tracker = make_tracker(config.tracking_uri, config.experiment)
    tracker.open(directory.path)
    recorder = Recorder(directory, tracker)
    status = "failed"
    try:
        yield recorder
        status = "finished"
    except Exception as error:
        recorder.failed(error)
        raise
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        recorder.finish(status)
