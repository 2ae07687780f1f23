"""Predictions for a table that is read in pieces, by the workers that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.prediction import blocks_of
from partwise.protocols import Executor, Piece, Predictor
from partwise.records import Task
from partwise.rows import take_rows
from partwise.sources import Scan
from partwise.tables.frames import FrameRules
from partwise.tables.work import in_order

__all__ = ["predict_scan"]


@dataclass(frozen=True, slots=True)
class _Question:
    """What every worker is told."""

    predictor: Predictor
    encoder: Any
    rules: FrameRules


def predict_scan(
    predictor: Predictor, encoder: Any, scan: Scan, features: Sequence[str], executor: Executor
) -> NDArray[np.float64]:
    """Return the predictor's outputs, shape (rows, outputs), in the order of the table; columns are matched by name.

    Raises
    ------
    InputError
        If columns are missing, or the table cannot be read.
    """
    lacking = [name for name in features if name not in scan.features]
    if lacking:
        raise InputError(
            f"{scan.source.name!r} lacks {len(lacking)} of the {len(features)} columns that were fitted on: "
            f"{', '.join(lacking[:10])}. It has: {', '.join(scan.features[:30])}."
        )
    question = _Question(predictor, encoder, FrameRules(tuple(features)))
    tasks = (Task(index, piece, piece.n_rows or 0) for index, piece in enumerate(scan.source.pieces()))
    outputs: list[NDArray[np.float64]] = in_order(executor.run(_predict, question, tasks))
    if not outputs:
        raise InputError(f"{scan.source.name!r} has no rows. Give a table with some.")
    return np.concatenate(outputs)


def _predict(question: _Question, piece: Piece) -> NDArray[np.float64]:
    outputs = []
    for block in piece.blocks(question.rules.features):
        frame = question.rules.frame(block)
        matrix = frame if question.encoder is None else question.encoder.transform(frame)
        rows = blocks_of(len(frame), question.predictor.block_rows)
        outputs += [question.predictor.outputs(take_rows(matrix, each)) for each in rows]
    return np.concatenate(outputs)
