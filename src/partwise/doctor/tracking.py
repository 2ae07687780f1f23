"""Whether the tracking server answers, or its file can be written to."""

import os
from pathlib import Path

from partwise.doctor.checks import Check, bad, good, warning
from partwise.doctor.isolation import Look
from partwise.errors import InputError
from partwise.trackers import make_tracker, without_credentials
from partwise.trackers.uris import fault_of_database, is_remote, sqlite_file

__all__ = ["look_at_tracking"]

_NAME = "tracking"
_GIVE_ANOTHER = "Give another --tracking-uri, or get the right to write there."
_SEND_LATER = "A run would go on without it: partwise sync sends its records later."


def look_at_tracking(uri: str | None) -> Look:
    """Say whether a run could be tracked; nothing is written there."""
    file = sqlite_file(uri or "sqlite:///mlflow.db")
    yield [_check_server(str(uri)) if file is None else _check_file(file.absolute())]


def _check_file(file: Path) -> Check:
    there = next(each for each in (file, *file.parents) if each.exists())
    # SQLite opens a file that is read-only, and refuses the first write; it also makes a journal beside the file.
    needed = [there, file.parent] if there == file else [there]
    refused = [str(each) for each in needed if not os.access(each, os.W_OK, effective_ids=True)]
    if refused:
        return bad(_NAME, f"{' and '.join(refused)} cannot be written to", _GIVE_ANOTHER)
    if there != file:
        return good(_NAME, f"{file} can be made")
    fault = fault_of_database(f"sqlite:///{file}")
    if fault is None:
        return good(_NAME, f"{file} can be written to")
    return bad(_NAME, f"{file} cannot be written to: {fault}", _SEND_LATER if "locked" in fault else _GIVE_ANOTHER)


def _check_server(uri: str) -> Check:
    if uri == "off":
        return good(_NAME, "off")
    shown = without_credentials(uri)
    if not is_remote(uri):
        mend = "MLflow cannot be asked there without making an experiment: see that its settings are right."
        return warning(_NAME, f"{shown} was not asked", mend)
    try:
        make_tracker(uri, "partwise").reach()
    except InputError as error:
        return bad(_NAME, str(error), _SEND_LATER)
    except ImportError as error:
        mend = "Install what MLflow needs for this kind of database; a run cannot begin without it."
        return bad(_NAME, f"{shown} cannot be reached: {error}", mend)
    return good(_NAME, f"{shown} answers")
