"""Predict a table of any size with a stored model: piece by piece in the workers, resumable, in row order."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet
from pydantic import BaseModel, ConfigDict

from partwise.errors import InputError, unknown_choice
from partwise.executors.ray_tasks import RayExecutor
from partwise.model_store import MANIFEST, StoredModel, load_model
from partwise.progress import piece_progress
from partwise.protocols import Executor, Piece
from partwise.provenance import digest_of
from partwise.records import Task
from partwise.sources import Scan, open_source
from partwise.tables import in_order, matched, outputs_of

__all__ = ["PredictConfig", "Predicted", "predict"]

_WRITERS = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}
_PLAN = "plan.json"
_PREDICTION = "prediction"


class PredictConfig(BaseModel):
    """What ``partwise predict`` is asked to do; the field names are those of the options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    data: str
    output: Path
    keep: tuple[str, ...] = ()
    probabilities: bool = False
    trust: bool = False
    overwrite: bool = False
    address: str | None = None
    ship: tuple[str, ...] = ()


class Predicted(BaseModel):
    """What was written; ``resumed`` of the ``pieces`` were there from an earlier run that was stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path
    n_rows: int
    seconds: float
    pieces: int
    resumed: int


def predict(
    config: PredictConfig,
    say: Callable[[str], None] = lambda _: None,
    *,
    executor: Executor | None = None,
    show_progress: bool = False,
) -> Predicted:
    """Write the predictions for a table, one row each, in its order, with the columns to keep before them.

    Workers predict the pieces that they read, each into a file beside the output, from which the output is put
    together at the end. A run that was stopped leaves these files, and the next run with the same model, table and
    settings makes only what is missing.

    Parameters
    ----------
    executor
        Where the pieces are predicted; None is Ray at the configuration's address.

    Raises
    ------
    InputError
        If the output exists or is of an unknown kind, or the table lacks columns.
    ModelStoreError
        If the model cannot be read.
    TableError
        If a piece could not be predicted.
    """
    _check_output(config)
    directory = config.model / "model" if (config.model / "model" / MANIFEST).exists() else config.model
    model = load_model(directory, trust=config.trust)
    source = open_source(config.data)
    scan = Scan.of(source, None)
    for name in config.keep:
        if name not in scan.features:
            raise unknown_choice("column", name, scan.features, hint="It is named by --keep.")
    matched(model, scan)
    question = _Question(model, config.keep, config.probabilities)
    question.check()
    pieces = list(source.pieces())
    parts = config.output.with_name(f"{config.output.name}.parts")
    done = _begin(parts, _plan(config, directory, pieces))
    say(f"Predicting {len(pieces) - len(done):,} of {len(pieces):,} pieces of {source.name}")
    executor = RayExecutor(address=config.address, ship=config.ship) if executor is None else executor
    started = time.perf_counter()
    tasks = (
        Task(index, (piece, _part(parts, index)), piece.n_rows or 0)
        for index, piece in enumerate(pieces)
        if index not in done
    )
    with piece_progress(len(pieces), len(done), shown=show_progress) as observed:
        in_order(observed(executor.run(_predict, question, tasks)))
    n_rows = _join(config.output, [_part(parts, index) for index in range(len(pieces))])
    shutil.rmtree(parts)
    return Predicted(
        output=config.output.absolute(),
        n_rows=n_rows,
        seconds=time.perf_counter() - started,
        pieces=len(pieces),
        resumed=len(done),
    )


def _check_output(config: PredictConfig) -> None:
    if config.output.suffix not in _WRITERS:
        raise InputError(
            f"--output {str(config.output)!r} is of an unknown kind. Valid endings: {', '.join(_WRITERS)}."
        )
    if config.output.exists() and not config.overwrite:
        raise InputError(f"--output {str(config.output)!r} exists. Give another file, or add --overwrite.")
    if not config.output.absolute().parent.is_dir():
        raise InputError(f"There is no folder {str(config.output.absolute().parent)!r} to write to. Make it first.")


@dataclass(frozen=True, slots=True)
class _Question:
    """What every worker is told."""

    model: StoredModel
    keep: tuple[str, ...]
    probabilities: bool

    def check(self) -> None:
        """Refuse columns of one name, and probabilities where there are none."""
        if self.probabilities and self.model.predictor.kind != "probability":
            raise InputError(
                f"--probabilities: the model gives {self.model.predictor.kind}s, no probabilities. Leave the option "
                "out, or train with a learner and a combination that have them."
            )
        clash = {_PREDICTION, *self._names()} & set(self.keep)
        if clash:
            raise InputError(f"--keep {min(clash)} has the name of a column of predictions. Rename it first.")

    def _names(self) -> list[str]:
        classes = self.model.classes
        return [f"probability_{label}" for label in classes] if self.probabilities and classes is not None else []

    def table(self, block: pa.Table, outputs: NDArray[Any]) -> pa.Table:
        """Return the rows to write."""
        table = block.select(list(self.keep))
        labels = self.model.decide(outputs)
        if labels.ndim == 1:
            table = table.append_column(_PREDICTION, pa.array(labels))
        else:
            for place in range(labels.shape[1]):
                table = table.append_column(f"{_PREDICTION}_{place}", pa.array(labels[:, place]))
        for place, name in enumerate(self._names()):
            table = table.append_column(name, pa.array(outputs[:, place]))
        return table


def _plan(config: PredictConfig, directory: Path, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return what the files of pieces follow from."""
    return {
        "model": digest_of([(directory / MANIFEST).read_text()]),
        "table": digest_of(piece.fingerprint for piece in pieces),
        "keep": list(config.keep),
        "probabilities": config.probabilities,
    }


def _begin(parts: Path, plan: dict[str, Any]) -> set[int]:
    """Return the pieces that are there already; what another plan left, or no plan, is deleted."""
    path, text = parts / _PLAN, json.dumps(plan)
    if not path.exists() or path.read_text() != text:
        if parts.exists():
            shutil.rmtree(parts)
        parts.mkdir()
        path.with_suffix(".tmp").write_text(text)
        path.with_suffix(".tmp").replace(path)
    return {int(each.stem) for each in parts.glob("[0-9]*.parquet")}


def _part(parts: Path, index: int) -> str:
    return str((parts / f"{index:06d}.parquet").absolute())


def _predict(question: _Question, payload: tuple[Piece, str]) -> int:
    """Predict a piece into a file, which appears when it is whole; return the number of rows."""
    piece, path = payload
    temporary = Path(f"{path}.tmp")
    n_rows, writer = 0, None
    try:
        for block, outputs in outputs_of(question.model, piece, question.keep):
            table = question.table(block, outputs)
            writer = parquet.ParquetWriter(temporary, table.schema) if writer is None else writer
            writer.write_table(table)
            n_rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        parquet.write_table(pa.table({}), temporary)
    temporary.replace(path)
    return n_rows


def _join(output: Path, parts: Sequence[str]) -> int:
    """Put the pieces together, row group by row group, and return the number of rows."""
    temporary = output.with_name(f"{output.name}.tmp")
    n_rows, writer = 0, None
    try:
        for batch in _batches(parts):
            if writer is None:
                writer = _WRITERS[output.suffix](temporary, batch.schema)
            writer.write_batch(batch)
            n_rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError("The table has no rows, so there is nothing to predict. Give a table with some.")
    temporary.replace(output)
    return n_rows


def _batches(parts: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in parts:
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows:
                yield from file.iter_batches()
