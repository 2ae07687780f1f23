"""Predict a table of any size with a stored model: piece by piece in the workers, resumable, in row order."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from partwise import __version__
from partwise.errors import InputError, unknown_choice
from partwise.executors.ray_tasks import RayExecutor
from partwise.executors.timeouts import within
from partwise.experiment.prediction_file import PieceFiles, PredictionFile
from partwise.filesystems import Folder, below
from partwise.model_store import MANIFEST, StoredModel, load_model
from partwise.progress import piece_progress
from partwise.protocols import Executor, Piece, Source
from partwise.provenance import digest_of
from partwise.records import Task
from partwise.sources import Scan, open_source
from partwise.tables import as_known, in_order, matched, outputs_of
from partwise.trackers.uris import without_credentials

__all__ = ["PredictConfig", "Predicted", "predict"]

_PREDICTION = "prediction"


class PredictConfig(BaseModel):
    """What ``partwise predict`` is asked to do; the field names are those of the options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | Path
    data: str
    output: str | Path
    keep: tuple[str, ...] = ()
    probabilities: bool = False
    trust: bool = False
    overwrite: bool = False
    address: str | None = None
    step_timeout: float | None = None
    ship: tuple[str, ...] = ()


class Predicted(BaseModel):
    """What was written; ``resumed`` of the ``pieces`` were there from an earlier run that was stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str
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

    Workers predict the pieces that they read, each into a file of a hidden folder beside the output, from which the
    output is put together at the end. A run that was stopped leaves these files, and the next run with the same model,
    table and settings makes only what is missing.

    Parameters
    ----------
    executor
        Where the pieces are predicted; None is Ray at the configuration's address.

    Raises
    ------
    InputError
        If the output exists, is of an unknown kind or cannot be written, the table lacks columns, or has them of
        another kind than the model was fitted on; no row has been predicted then.
    ModelStoreError
        If the model cannot be read.
    TableError
        If a piece could not be predicted.
    """
    output = PredictionFile.at(str(config.output), overwrite=config.overwrite)
    folder = _model_folder(str(config.model))
    model = load_model(folder.place, trust=config.trust)
    source = within(
        config.step_timeout, f"Opening {without_credentials(config.data)}", lambda: _opened(config.data, model, output)
    )
    question = _Question.of(model, source, config, output)
    pieces = list(source.pieces())
    if all(piece.n_rows == 0 for piece in pieces):
        raise _no_rows(source)
    files = output.pieces(_plan(question, folder, pieces))
    started = time.perf_counter()
    with output.locked(), _kept_for_later(files, len(pieces)):
        done = files.begin()
        say(f"Predicting {len(pieces) - len(done):,} of {len(pieces):,} pieces of {source.name}")
        executor = _executor(config) if executor is None else executor
        tasks = (
            Task(index, (piece, files, index), piece.n_rows or 0)
            for index, piece in enumerate(pieces)
            if index not in done
        )
        with piece_progress(len(pieces), len(done), shown=show_progress) as observed:
            in_order(observed(executor.run(_predict, question, tasks)))
        n_rows = output.write(files.batches(len(pieces)))
    files.delete()
    if not n_rows:
        raise _no_rows(source)
    return Predicted(
        output=output.place,
        n_rows=n_rows,
        seconds=time.perf_counter() - started,
        pieces=len(pieces),
        resumed=len(done),
    )


def _executor(config: PredictConfig) -> RayExecutor:
    return RayExecutor(address=config.address, step_timeout=config.step_timeout, ship=config.ship)


def _opened(data: str, model: StoredModel, output: PredictionFile) -> Source:
    """Return the table, which the output must not be part of."""
    source = as_known(open_source(data), model.feature_names or (), model.feature_kinds or {})
    located = getattr(source, "located", None)  # what sources of files have
    if located is not None and output.is_among(located.filesystem, (file.path for file in located.files)):
        raise InputError(
            f"--output {output.place!r} is one of the files to predict, which it would replace. Give another file."
        )
    return source


def _no_rows(source: Source) -> InputError:
    return InputError(f"{source.name!r} has no rows, so there is nothing to predict. Give a table with some.")


@contextmanager
def _kept_for_later(files: PieceFiles, n_pieces: int) -> Iterator[None]:
    """Whatever ends the work, keep the pieces that are done, and say how to go on; without any, leave nothing."""
    try:
        yield
    except BaseException as stop:
        with suppress(OSError):  # a place that is out of reach: what has failed is told
            n_done = len(files.done())
            if not n_done:
                files.delete()
            stop.add_note(f"Go on with the same command: {n_done:,} of {n_pieces:,} pieces are done.")
        raise


@dataclass(frozen=True, slots=True)
class _Question:
    """What every worker is told."""

    model: StoredModel
    keep: tuple[str, ...]
    probabilities: bool

    @classmethod
    def of(cls, model: StoredModel, source: Source, config: PredictConfig, output: PredictionFile) -> "_Question":
        """Return the question, checked against model, table and output."""
        schema = source.schema()
        for name in config.keep:
            if name not in schema.names:
                raise unknown_choice("column", name, schema.names, hint="It is named by --keep.")
        matched(model, Scan.of(source, None))
        question = cls(model, tuple(dict.fromkeys(config.keep)), config.probabilities)
        question.check_names()
        output.check_columns(pa.schema([schema.field(name) for name in question.keep]))
        return question

    def check_names(self) -> None:
        """Refuse columns of one name, and probabilities where there are none."""
        if self.probabilities and self.model.predictor.kind != "probability":
            raise InputError(
                f"--probabilities: the model gives {self.model.predictor.kind}s, no probabilities. Leave the option "
                "out, or train with a learner and a combination that have them."
            )
        names = set(self._names())
        for name in self.keep:
            if name in names or re.fullmatch(rf"{_PREDICTION}(_\d+)?", name):
                raise InputError(f"--keep {name} has the name of a column of predictions. Rename it first.")

    def _names(self) -> list[str]:
        classes = self.model.classes
        return [f"probability_{label}" for label in classes] if self.probabilities and classes is not None else []

    def table(self, block: pa.Table, outputs: NDArray[Any]) -> pa.Table:
        """Return the rows to write."""
        # Made anew, without what pandas noted of the table that was read: there a column may have been its index.
        columns = {name: block.column(name) for name in self.keep}
        labels = self.model.decide(outputs)
        if labels.ndim == 1:
            columns[_PREDICTION] = pa.array(labels)
        else:
            columns |= {f"{_PREDICTION}_{place}": pa.array(each) for place, each in enumerate(labels.T)}
        return pa.table(columns | {name: pa.array(each) for name, each in zip(self._names(), outputs.T, strict=False)})


def _model_folder(given: str) -> Folder:
    """Return the folder of a model, which may be below that of its run."""
    inside = Folder.at(below(given, "model"))
    return inside if inside.has(MANIFEST) else Folder.at(given)


def _plan(question: _Question, folder: Folder, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return what the files of pieces follow from."""
    return {
        "partwise": __version__,
        "model": digest_of([folder.read(MANIFEST).decode()]),
        "table": digest_of(piece.fingerprint for piece in pieces),
        "keep": list(question.keep),
        "probabilities": question.probabilities,
    }


def _predict(question: _Question, payload: tuple[Piece, PieceFiles, int]) -> int:
    """Predict a piece into its file, and return the number of rows."""
    piece, files, index = payload
    blocks = outputs_of(question.model, piece, question.keep)
    return files.write(index, (question.table(block, outputs) for block, outputs in blocks))
