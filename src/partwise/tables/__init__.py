"""Tables: the training rows of one fit, in memory or in a partition store, and how workers get at them."""

from partwise.tables.given import GivenRows, as_frame
from partwise.tables.holding import Divided, divide, task_of
from partwise.tables.kinds import as_fitted, as_known, holds, kinds_of_schema
from partwise.tables.memory import MemoryTable, SentRows
from partwise.tables.predicting import judge_scan, matched, outputs_of, predict_scan
from partwise.tables.stored import ScannedRows, StoredTable
from partwise.tables.taking import TakenRows, head, take
from partwise.tables.work import in_order

__all__ = [
    "Divided",
    "GivenRows",
    "MemoryTable",
    "ScannedRows",
    "SentRows",
    "StoredTable",
    "TakenRows",
    "as_fitted",
    "as_frame",
    "as_known",
    "divide",
    "head",
    "holds",
    "in_order",
    "judge_scan",
    "kinds_of_schema",
    "matched",
    "outputs_of",
    "predict_scan",
    "take",
    "task_of",
]
