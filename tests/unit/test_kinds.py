"""Facts about what kind of values columns hold."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import partwise
from partwise.tables.kinds import kinds_of_frame, kinds_of_scan

DAY = dt.date(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "numbers"),
        ([1.5, None], "numbers"),
        ([Decimal("1.5"), None], "numbers"),
        (pd.Categorical([3, 4]), "numbers"),
        (pd.array([1, None], dtype="Int64"), "numbers"),
        ([True, False], "booleans"),
        (pd.Series([True, None], dtype=object), "booleans"),
        (["a", None], "texts"),
        (pd.Series([None, "a"], dtype=object), "texts"),
        (pd.Categorical(["a", "b"]), "texts"),
        ([DAY, DAY], "times"),
        (pd.to_datetime([DAY, DAY]), "times"),
        (pd.to_datetime([DAY, DAY]).tz_localize("UTC"), "times"),
        ([dt.time(3), dt.time(4)], "times of day"),
        (pd.to_timedelta([1, 2], unit="s"), "durations"),
        ([b"a", b"b"], "bytes"),
        (pd.Series([None, None], dtype=object), "nothing but missing values"),
    ],
    ids=str,
)
def test_a_column_is_of_one_kind_in_a_frame_and_in_a_scan(values, kind):
    """The types of pandas and of Arrow say the same."""
    frame = pd.DataFrame({"column": values})
    assert kinds_of_frame(frame) == kinds_of_scan(partwise.scan(frame)) == {"column": kind}


@pytest.mark.parametrize("values", [[1, "a"], [1j, 2j], pd.arrays.SparseArray([0.0, 1.0]), [10**30, 2]], ids=str)
def test_what_arrow_does_not_hold_has_no_kind(values):
    """It is not checked then."""
    assert kinds_of_frame(pd.DataFrame({"column": values})) == {}


def test_an_array_has_no_columns():
    """There are no names either."""
    assert kinds_of_frame(np.zeros((2, 2))) is None


def test_another_type_is_its_own_kind():
    """Lists hold lists."""
    scan = partwise.scan(pa.table({"column": [[1.0]]}))
    assert kinds_of_scan(scan) == {"column": str(pa.list_(pa.float64()))}
