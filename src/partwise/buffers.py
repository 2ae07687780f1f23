"""Arrays from an object store are read-only: copy them for the code that wants to write, and only for that."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["call_writable"]

T = TypeVar("T")


def call_writable(function: Callable[..., T], *tables: Any) -> T:
    """Return ``function(*tables)``, called again with copies where it refuses read-only memory.

    Most learners only read what they are fitted on, and then no copy is made; some compiled code asks for a writable
    buffer even to read.
    """
    try:
        return function(*tables)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
    return function(*(table.copy() if hasattr(table, "copy") else table for table in tables))
