"""Tables in files: Parquet, Feather, CSV."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import csv, ipc, parquet

from partwise.errors import InputError, unknown_choice

__all__ = ["FORMATS", "FileSource"]

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".csv": "csv",
    ".csv.gz": "csv",
}
"""Ending of a file's name to its format."""

# An empty field is a missing value in a column of text too, not a text of its own.
_CSV = ds.CsvFileFormat(convert_options=csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False))


@dataclass(frozen=True, slots=True)
class FileSource:
    """One file whose format its name tells.

    Raises
    ------
    InputError
        If the file is absent, of an unknown format, or cannot be read.
    """

    path: Path

    notes = ()

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise InputError(f"There is no file {str(self.path)!r}.{_nearby(self.path)}")
        self._format()

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return self.path.name.split(".")[0]

    @property
    def uri(self) -> str:
        """The file's absolute URI."""
        return self.path.resolve().as_uri()

    def scan(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows block by block, in the order of the file.

        Raises
        ------
        InputError
            If two columns have one name, a column is unknown, or the file cannot be read.
        """
        try:
            self._check(columns or ())
            data = ds.dataset(self.path, format=_CSV if self._format() == "csv" else self._format())
            for batch in data.to_batches(columns=None if columns is None else list(columns)):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{str(self.path)!r} cannot be read as {self._format()}: {error} "
                "Check that the file is whole and that its name ends as its format does."
            ) from error

    def _check(self, columns: Sequence[str]) -> None:
        names = self._column_names()
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise InputError(f"{str(self.path)!r} has duplicate columns: {', '.join(twice)}. Rename them.")
        for name in columns:
            if name not in names:
                raise unknown_choice("column", name, names)

    def _column_names(self) -> list[str]:
        """Return the names of the columns, also where they repeat: a dataset of Arrow would not open then."""
        if self._format() == "parquet":
            return list(parquet.read_schema(self.path).names)
        if self._format() == "feather":
            with pa.memory_map(str(self.path)) as file:
                return list(ipc.open_file(file).schema.names)
        with csv.open_csv(self.path) as reader:
            return list(reader.schema.names)

    def _format(self) -> str:
        lower = self.path.name.lower()
        for ending, format_name in FORMATS.items():
            if lower.endswith(ending):
                return format_name
        raise InputError(f"{str(self.path)!r} is of an unknown format. Valid endings: {', '.join(FORMATS)}.")


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {str(path.parent)!r} either."
    near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    return f" Did you mean {str(path.parent / near[0])!r}?" if near else " Check the path."
