"""Facts about rows that are found by their rank in time, without sorting the table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.errors import InputError
from partwise.executors import InlineExecutor
from partwise.sources import ArrowSource, arrow
from partwise.tables import order


def _found(times, ranks, size):
    """Return the positions at these ranks of a table that is read in pieces of this size."""
    table = pa.table({"time": times})
    pieces = [ArrowSource(table.slice(start, size)).pieces()[0] for start in range(0, len(times), size)]
    starts = np.arange(0, len(times), size)
    return order.first_rows(pieces, "time", np.array(ranks), starts, InlineExecutor())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(1, 40), st.integers(1, 60), st.integers(0, 9), st.integers(2, 9))
def test_rows_are_those_of_the_sorted_table(n_rows, n_times, size, seed, grid):
    """By time and then position, for any ties, pieces and coarseness of the grid."""
    times = np.random.default_rng(seed).integers(0, n_times, n_rows)
    ranks = np.unique(np.random.default_rng(seed).integers(0, n_rows, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_GRID", grid)
        keys = _found(times, ranks, size)
    expected = np.lexsort((np.arange(n_rows), times))[ranks]
    assert keys.positions.tolist() == expected.tolist()
    assert keys.time.tolist() == times[expected].tolist()


def test_dates_are_ranked():
    """Times may be dates, whose keys are microseconds."""
    days = pd.date_range("2020-01-01", periods=10)[::-1]
    assert _found(days.to_pydatetime().tolist(), [0, 3], 4).positions.tolist() == [9, 6]


def test_pieces_without_rows_are_passed_over():
    """A file may be empty; the rows of the others have their ranks."""
    table = pa.table({"time": [3, 1, 2]})
    pieces = [ArrowSource(part).pieces()[0] for part in (table.slice(0, 2), table.slice(2))]
    empty = arrow.ArrowPiece(table.slice(0, 0), 2)
    starts = np.array([0, 2, 2])
    keys = order.first_rows([pieces[0], empty, pieces[1]], "time", np.array([0, 2]), starts, InlineExecutor())
    assert keys.positions.tolist() == [1, 0]


def test_texts_that_only_a_whole_table_explains_are_refused():
    """Whether 01/02 is a day in January or February must not depend on where the table was divided."""
    with pytest.raises(InputError, match=r"2026-01-31T12:00(.|\n)*'13/02/2020'"):
        _found(["13/02/2020", "01/02/2020"], [0], 1)
