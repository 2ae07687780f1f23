"""One process at a time carries a search on: another would take its trials for those of one that was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from partwise.credentials import without_credentials
from partwise.errors import InputError
from partwise.locks import held_file
from partwise.search.sampling import opening

__all__ = ["claimed"]

_POSTGRESQL_KEY = 0x70617274_77697365
"""The number of the advisory lock, which is one for each database: "partwise" in ASCII."""
_MAY_END_IDLE = (14,)
"""The version since which a server may end a session that says nothing for long."""


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
    taken = partial(_is_searched, study)
    name = (url.database or "").removeprefix("file:")
    if url.get_backend_name() == "sqlite" and name not in {"", ":memory:"}:
        database = Path(name).resolve()  # one file may have several names
        with held_file(database.with_name(f"{database.name}.lock"), taken):
            yield
    elif url.get_backend_name() == "postgresql":
        with opening(study):
            connection = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        with connection:
            if (connection.dialect.server_version_info or ()) >= _MAY_END_IDLE:
                connection.execute(text("SET idle_session_timeout = 0"))
            # PostgreSQL frees it when the connection ends.
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _POSTGRESQL_KEY}).scalar():
                raise taken()
            yield
    else:
        yield


def _is_searched(study: str) -> InputError:
    return InputError(
        f"Another process searches in the study {without_credentials(study)!r}. Wait for it to end, or give another "
        "database."
    )
