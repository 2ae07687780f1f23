"""One process at a time carries a search on: another would take its trials for those of one that was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from partwise.credentials import without_credentials
from partwise.errors import InputError
from partwise.search.sampling import opening

__all__ = ["claimed"]

_POSTGRESQL_KEY = 0x70617274_77697365
"""The number of the advisory lock, which is one for each database: "partwise" in ASCII."""


@contextmanager
def claimed(study: str | None) -> Iterator[None]:
    """Hold a study's database against other searches, in a file or in PostgreSQL; readers are not kept out.

    However the process ends, it is free then.

    Raises
    ------
    InputError
        If another process searches there, or the database cannot be used.
    """
    if study is None:
        yield
        return
    with opening(study):
        url = make_url(study)
    database = Path(url.database or "")
    if url.get_backend_name() == "sqlite" and database.parent.is_dir() and database.name not in {"", ":memory:"}:
        with _held_file(study, database):
            yield
    elif url.get_backend_name() == "postgresql":
        with opening(study):
            connection = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        with connection:
            _hold(study, connection)
            yield
    else:
        yield


@contextmanager
def _held_file(study: str, database: Path) -> Iterator[None]:
    path = database.with_name(f"{database.name}.lock")
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise _is_searched(study) from error
    except (NotImplementedError, OSError):
        pass  # some file systems have no such locks; what cannot be written to is told when the study is opened
    try:
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)
            lock.release()


def _hold(study: str, connection: Connection) -> None:
    """Take the lock that PostgreSQL frees when the connection ends."""
    if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _POSTGRESQL_KEY}).scalar():
        raise _is_searched(study)


def _is_searched(study: str) -> InputError:
    return InputError(
        f"Another process searches in the study {without_credentials(study)!r}. Wait for it to end, or give another "
        "database."
    )
