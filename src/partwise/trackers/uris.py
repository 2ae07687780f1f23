"""Tracking URIs: made absolute, kept free of passwords, and checked before MLflow waits on them for minutes."""

import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from partwise.credentials import without_credentials

__all__ = [
    "absolute_uri",
    "artifact_folder",
    "fault_of_database",
    "is_remote",
    "sqlite_file",
    "ui_command",
    "without_credentials",
]

_SQLITE = "sqlite:///"
_PORTS = {"mssql": 1433, "mysql": 3306, "postgresql": 5432}
_SECONDS = 5.0


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite URI, None for other URIs and for databases in memory."""
    name = uri.removeprefix(_SQLITE)
    return None if name == uri or name in {"", ":memory:"} else Path(name)


def absolute_uri(uri: str) -> str:
    """Return the URI; a SQLite file relative to the working directory becomes absolute, to outlive a change of it."""
    file = sqlite_file(uri)
    return uri if file is None else f"{_SQLITE}{file.absolute()}"


def artifact_folder(uri: str, experiment: str) -> str | None:
    """Return where an experiment's files go: beside a SQLite file; None where the server decides.

    MLflow would put them below whatever the working directory is.
    """
    file = sqlite_file(uri)
    name = re.sub(r"[^\w-]+", "-", experiment)  # MLflow reads a percent sign in a path as an escape
    return None if file is None else str(file.parent / "mlruns" / name)


def ui_command(uri: str) -> str | None:
    """Return the command that shows the runs in a database; None for a server, which shows them itself."""
    known = uri.partition("+")[0].partition(":")[0] in {"sqlite", *_PORTS}
    return f"mlflow ui --backend-store-uri {quote(without_credentials(uri))} --host 127.0.0.1" if known else None


def is_remote(uri: str) -> bool:
    """Return whether a URI is that of a server, which may answer again later."""
    kind = uri.partition("://")[0].partition("+")[0]
    return kind in {"http", "https", *_PORTS}


def fault_of_database(uri: str) -> str | None:
    """Return why the database of a URI cannot be used, None where it can, or where it is no database.

    MLflow itself tries ten times, with growing pauses, before it says so.
    """
    file = sqlite_file(uri)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(file, timeout=_SECONDS)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            return None
        parts = urlsplit(uri)
        kind = parts.scheme.partition("+")[0]
        if kind in _PORTS and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or _PORTS[kind]), timeout=_SECONDS).close()
    except (OSError, sqlite3.Error, ValueError) as error:
        return str(error)
    return None
