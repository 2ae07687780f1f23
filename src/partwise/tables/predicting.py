"""Predictions for a table that is read in pieces, by the workers that read them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.evaluation import ClassSums, Outputs, Sums, Truth, ValueSums, summed, widened
from partwise.model_store import StoredModel
from partwise.prediction import blocks_of
from partwise.protocols import Executor, Piece
from partwise.rows import take_rows
from partwise.sources import Scan
from partwise.tables.columns import targets_of
from partwise.tables.frames import FrameRules
from partwise.tables.kinds import as_fitted
from partwise.tables.work import in_order, one_by_one, tasks_of

__all__ = ["judge_scan", "matched", "outputs_of", "predict_scan"]


def predict_scan(model: StoredModel, scan: Scan, executor: Executor) -> NDArray[np.float64]:
    """Return the model's outputs, shape (rows, outputs), in the order of the table; columns are matched by name.

    Raises
    ------
    InputError
        If columns are missing or hold another kind of values, or the table cannot be read.
    """
    scan = matched(model, scan)
    outputs: list[list[NDArray[np.float64]]] = in_order(executor.run(_predict, model, tasks_of(scan.source.pieces())))
    found = [block for blocks in outputs for block in blocks]
    if not found:
        raise InputError(f"{scan.source.name!r} has no rows. Give a table with some.")
    return np.concatenate(found)


def judge_scan(model: StoredModel, scan: Scan, labels: NDArray[Any] | None, executor: Executor) -> Sums | None:
    """Return what scores need of a table of test rows, summed up by the workers; None where there are no rows.

    Parameters
    ----------
    labels
        All class labels, sorted, of which the model may lack some; None in regression.

    Raises
    ------
    InputError
        If columns are missing or hold another kind of values, or the table cannot be read.
    """
    scan = matched(model, scan)
    total: list[Sums] = []
    for found in one_by_one(executor.run(_judge, (model, scan.target, labels), tasks_of(scan.source.pieces()))):
        total = [summed([*total, *found])] if found else total
    return total[0] if total else None


def matched(model: StoredModel, scan: Scan) -> Scan:
    """Return the scan with columns as the model was fitted on them.

    Raises
    ------
    InputError
        If columns are missing, or hold another kind of values.
    """
    if model.feature_names is None:
        raise InputError(
            "The model was fitted on an array without column names, so that the columns of a table cannot be matched. "
            "Give an array, or fit on a DataFrame or a scan."
        )
    return as_fitted(scan, model.feature_names, model.feature_kinds)


def outputs_of(
    model: StoredModel, piece: Piece, further: Sequence[str] = ()
) -> Iterator[tuple[pa.Table, NDArray[np.float64]]]:
    """Yield the blocks of a piece that have rows, with further columns, and the model's outputs for them."""
    rules = FrameRules(tuple(model.feature_names or ()))
    for block in piece.blocks(list(dict.fromkeys([*rules.features, *further]))):
        if block.num_rows:
            frame = rules.frame(block)
            matrix = frame if model.encoder is None else model.encoder.transform(frame)
            rows = blocks_of(len(frame), model.predictor.block_rows)
            yield block, np.concatenate([model.predictor.outputs(take_rows(matrix, each)) for each in rows])


def _predict(model: StoredModel, piece: Piece) -> list[NDArray[np.float64]]:
    return [outputs for _, outputs in outputs_of(model, piece)]


def _judge(shared: tuple[StoredModel, str, NDArray[Any] | None], piece: Piece) -> list[Sums]:
    """Return the sums of a piece, none where it has no rows."""
    model, target, labels = shared
    found: list[Sums] = []
    for block, outputs in outputs_of(model, piece, [target]):
        truth = targets_of(block, target, labels)
        if labels is None or model.classes is None:
            said = Outputs.from_array(outputs, "value")
            found.append(ValueSums.of(Truth(truth), said))
        else:
            said = Outputs.from_array(widened(outputs, model.classes, labels), model.predictor.kind)
            found.append(ClassSums.of(Truth(truth, len(labels)), said))
    return [summed(found)] if found else []
