"""Send what a tracker lacks of a run, from the run's journal."""

from dataclasses import dataclass
from pathlib import Path

from partwise.errors import InputError
from partwise.runs import RunDirectory
from partwise.trackers import make_tracker

__all__ = ["Synced", "sync"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What was sent, and where it is."""

    n_events: int
    tracking_uri: str | None
    ui_command: str | None


def sync(path: Path | str, tracking_uri: str | None = None) -> Synced:
    """Send the events of a run to its tracker once more; what is there already is left as it is.

    Parameters
    ----------
    tracking_uri
        Another tracker than the one that the run was given.

    Raises
    ------
    InputError
        If there is no such run, it still goes on, was not tracked, or the tracker cannot be reached.
    PartwiseError
        If the tracker fails.
    """
    directory = RunDirectory.reopen(path)
    with directory.locked():
        record = directory.record()
        settings = record.get("config", {})
        uri = tracking_uri or settings.get("tracking_uri")
        if uri == "off":
            raise InputError(
                f"The run in {directory.called} was not tracked (--tracking-uri off). Say where to: --tracking-uri."
            )
        tracker = make_tracker(_absolute(uri, record), settings.get("experiment", "partwise"))
        tracker.open(directory.path)
        if tracking_uri is None:
            tracker.resume(record.get("tracked"))
        directory.mirror.fetch("model")
        events = list(directory.events())
        tracker.write(events)
        ends = [event["status"] for event in events if event["event"] == "run_finished"]
        tracker.close(ends[-1] if ends else "interrupted")
        if tracking_uri is None:
            directory.write_json("run.json", record | {"tracked": tracker.run_id})
        return Synced(n_events=len(events), tracking_uri=tracker.uri, ui_command=tracker.ui_command)


def _absolute(uri: str | None, record: dict[str, str]) -> str | None:
    """Return the URI as the run meant it: a relative database is below the run's working directory."""
    place = Path(record.get("working_directory", "."))
    if uri is None:
        return f"sqlite:///{place / 'mlflow.db'}"
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{place / uri.removeprefix('sqlite:///')}"
    return uri
