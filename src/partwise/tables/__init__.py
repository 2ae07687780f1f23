"""Tables: the training rows of one fit, in memory or in a partition store, and how workers get at them."""

from partwise.tables.given import GivenRows, as_frame
from partwise.tables.memory import MemoryTable
from partwise.tables.predicting import predict_scan
from partwise.tables.stored import ScannedRows, StoredTable

__all__ = ["GivenRows", "MemoryTable", "ScannedRows", "StoredTable", "as_frame", "predict_scan"]
