"""What the encoders make of each kind of column."""

import datetime as dt
import subprocess
import sys
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from partwise.encoders import TRUSTED_TYPES, NumericEncoder, TableEncoder, make_encoder
from partwise.errors import InputError
from partwise.records import LearnerNeeds

PLAIN = LearnerNeeds(scale=False, impute=False, categories="ordinal")
ONE_HOT = LearnerNeeds(scale=False, impute=False, categories="string")
NAN = np.nan


def encode(values, needs=PLAIN, new=None, dtype=None):
    """Fit on one column and encode it, or other values."""
    table = pd.DataFrame({"c": pd.Series(values, dtype=dtype)})
    encoder = TableEncoder(needs).fit(table)
    return encoder.transform(table if new is None else pd.DataFrame({"c": new}))


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([True, False], None, [1, 0]),
        ([True, None], "boolean", [1, NAN]),
        ([True, None], object, [1, NAN]),
        ([1, None], "Int64", [1, NAN]),
        ([1.5, None], "Float32", [1.5, NAN]),
        ([1, None], "int64[pyarrow]", [1, NAN]),
        ([dt.timedelta(minutes=1), None], "duration[us][pyarrow]", [60, NAN]),
        ([Decimal("1.5"), None], pd.ArrowDtype(pa.decimal128(5, 2)), [1.5, NAN]),
        (["b", "a", None], "string[pyarrow]", [1, 0, NAN]),
        ([Decimal("1.5"), None], object, [1.5, NAN]),
        (["1.5", "N/A", "2"], None, [1.5, NAN, 2]),
        ([dt.timedelta(minutes=1), None], "timedelta64[ns]", [60, NAN]),
        ([4, 4], None, [4, 4]),
        (["b", "a", None, " "], None, [1, 0, NAN, NAN]),
        (["b", "a", None], "category", [1, 0, NAN]),
        (["b", "a", None], "string", [1, 0, NAN]),
        ([1, True, "1", None, 2.5], object, [1, 1, 1, NAN, 2.5]),
        ([1, "x", None, 2.5], object, [0, 2, NAN, 1]),
        ([{"b": 1}, {"a": 1}], object, [1, 0]),
    ],
)
def test_each_type_of_column_is_read_by_its_rule(values, dtype, expected):
    """Numbers in any type stay numbers; all else is the sorted place of its text; gaps are NaN."""
    np.testing.assert_array_equal(encode(values, dtype=dtype)[:, 0], np.array(expected, dtype=np.float32))


def test_an_ordered_categorical_keeps_its_order():
    """Codes follow the declared order, not the alphabet; later the levels may come as texts."""
    sizes = pd.Categorical(["large", "small"], categories=["small", "medium", "large"], ordered=True)
    np.testing.assert_array_equal(encode(sizes)[:, 0], [1, 0])
    np.testing.assert_array_equal(encode(sizes, new=["small", "huge", "large"])[:, 0], [0, -1, 1])


def test_unseen_and_missing_categories_have_their_own_codes():
    """Unseen is -1; missing is NaN, or -2 for learners that take no NaN; missing without gaps at fit is unseen."""
    new = ["never seen", None, "b"]
    np.testing.assert_array_equal(encode(["a", "b", None], PLAIN, new)[:, 0], [-1, NAN, 1])
    imputed = LearnerNeeds(scale=False, impute=True, categories="ordinal")
    np.testing.assert_array_equal(encode(["a", "b", None], imputed, new)[:, 0], [-1, -2, 1])
    np.testing.assert_array_equal(encode(["a", "b"], PLAIN, new)[:, 0], [-1, -1, 1])


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_one_hot_has_a_column_for_each_level_and_for_gaps():
    """Three levels with gaps make four columns; an unseen level is 0 in all."""
    matrix = encode(["a", "b", "c", None], ONE_HOT, ["b", None, "d"])
    np.testing.assert_array_equal(matrix, [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])


def test_two_levels_make_one_column():
    """A binary category has one feature."""
    np.testing.assert_array_equal(encode(["no", "yes"], ONE_HOT), [[0], [1]])


def test_many_levels_are_embedded():
    """From the threshold on a category has 30 coordinates; missing is 0, and like texts lie close."""
    texts = [f"{word} street {number}" for word in ("north", "south", "east") for number in range(20)]
    north, unseen, south, missing = encode(
        texts, ONE_HOT, ["north street 3", "north street 33", "south street 17", None]
    )
    assert len(north) == 30
    assert np.linalg.norm(north - unseen) < np.linalg.norm(north - south)
    assert not missing.any()


def test_a_whole_number_with_gaps_meets_the_level_of_its_text():
    """A column of mixed texts that arrives as floats is still recognised."""
    np.testing.assert_array_equal(encode(["1", "2", "x", None], PLAIN, [1.0, NAN, 2.0])[:, 0], [0, NAN, 1])


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-05-13 12:30", "2025-01-01 23:00"]),
        ["2024-05-13 12:30:00", "2025-01-01 23:00:00"],
        pd.Series(pd.to_datetime(["2024-05-13 12:30", "2025-01-01 23:00"])).astype("timestamp[us][pyarrow]"),
    ],
)
def test_moments_become_their_parts(values):
    """Year, month, day and hour are features, from dates as from texts."""
    table = pd.DataFrame({"t": values})
    encoder = TableEncoder(PLAIN).fit(table)
    parts = dict(zip(encoder.feature_names_out(), encoder.transform(table)[0], strict=True))
    assert parts.pop("t_total_seconds") == pytest.approx(pd.Timestamp("2024-05-13 12:30").timestamp())
    assert parts == {"t_year": 2024, "t_month": 5, "t_day": 13, "t_hour": 12}


def test_dates_have_no_hour_and_gaps_stay():
    """Dates as objects give year, month, day and seconds; a missing one is NaN in all."""
    for dtype in (object, "date32[pyarrow]"):
        matrix = encode([dt.date(2024, 5, 13), None, dt.date(2024, 6, 1)], dtype=dtype)
        assert matrix.shape == (3, 4)
        assert np.isnan(matrix[1]).all()


def test_time_zones_are_those_of_the_fit():
    """The same instant in another zone is encoded the same."""
    paris = pd.Series(pd.to_datetime(["2024-05-13 12:30", "2024-07-01 01:00"]).tz_localize("Europe/Paris"))
    np.testing.assert_array_equal(encode(paris), encode(paris, new=paris.dt.tz_convert("America/Sao_Paulo")))


def test_texts_with_a_zone_are_read():
    """ISO texts in UTC are moments."""
    assert encode(["2013-01-01T10:00:00Z", "2013-01-02T11:00:00Z"])[1, 3] == 11


def test_periods_are_moments():
    """A period counts as its start."""
    assert encode(pd.period_range("2024-03", periods=2, freq="M"))[1, :2].tolist() == [2024, 4]


def test_gaps_are_filled_and_marked():
    """The median stands in for a gap, and one more feature says so."""
    needs = LearnerNeeds(scale=False)
    np.testing.assert_array_equal(encode([1.0, 2.0, 9.0, None], needs), [[1, 0], [2, 0], [9, 0], [2, 1]])


def test_scaled_features_have_mean_zero_and_deviation_one():
    """Numbers are made alike, and a constant becomes 0."""
    table = pd.DataFrame({"a": [1.0, 2.0, 6.0], "constant": [0.1] * 3})
    matrix = TableEncoder().fit(table).transform(table)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(matrix.std(axis=0), [1, 0], atol=1e-6)


def test_columns_without_values_are_left_out():
    """A column that is all missing has no feature; if all are, that is an error."""
    table = pd.DataFrame({"a": [1, 2], "none": [None, None], "nan": [NAN, NAN]})
    assert TableEncoder(PLAIN).fit(table).feature_names_out() == ["a"]
    with pytest.raises(InputError, match="None of the 1 columns"):
        TableEncoder().fit(table[["none"]])


def test_odd_names_are_kept():
    """Brackets, Unicode, the empty name and numbers are names like others."""
    table = pd.DataFrame([[1, 2, 3, 4]], columns=["a[1]", "größe", "", 7])
    encoder = TableEncoder(PLAIN).fit(table)
    assert encoder.feature_names_out() == ["a[1]", "größe", "", "7"]
    np.testing.assert_array_equal(encoder.transform(table[[7, "", "größe", "a[1]"]]), [[1, 2, 3, 4]])


def test_feature_names_never_clash():
    """A level's feature that is named as a column gets another name."""
    table = pd.DataFrame({"a_y": [1, 2, 3], "a": ["x", "y", "z"]})
    assert TableEncoder(ONE_HOT).fit(table).feature_names_out() == ["a_y", "a_x", "a_y_", "a_z"]


@pytest.mark.parametrize("encoder", [TableEncoder(), NumericEncoder()])
def test_repeated_names_are_refused(encoder):
    """The error lists the repeated names."""
    with pytest.raises(InputError, match="more than once: 'a'"):
        encoder.fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize("encoder", [TableEncoder(), NumericEncoder()])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_infinite_values_are_counted(encoder, value):
    """The error names the column and how many."""
    fitted = clone(encoder).fit(pd.DataFrame({"price": [1.0, 2.0]}))
    with pytest.raises(InputError, match="'price' has 2 infinite"):
        fitted.transform(pd.DataFrame({"price": [value, value, 1.0]}))


@pytest.mark.parametrize("values", [[1.0, 2.0], ["1", "2"], ["2024-01-31", "2024-02-01"]])
def test_texts_in_a_column_of_numbers_or_dates_count_as_missing(values):
    """What cannot be read as at fit is a gap, the same for columns of numbers and of texts."""
    later = encode(values, new=[values[0], "hello", "N/A"])
    np.testing.assert_array_equal(later[:1], encode(values)[:1])
    assert np.isnan(later[1:]).all()


MANY = [f"street {number}" for number in range(60)]
COLUMNS = {
    "number": np.arange(60.0),
    "flag": [True, False] * 30,
    "flag with gaps": pd.Series([True, None] * 30, dtype=object),
    "number as text": [str(number) for number in range(60)],
    "few": ["a", "b", "c"] * 20,
    "many": MANY,
    "categorical": pd.Categorical([1, 2, 3] * 20),
    "ordered": pd.Categorical(["lo", "hi", "mid"] * 20, categories=["lo", "mid", "hi"], ordered=True),
    "many as categorical": pd.Categorical(MANY),
    "date": [dt.date(2024, 1, 1) + dt.timedelta(days) for days in range(60)],
    "moment": pd.date_range("2024-01-01", periods=60, freq="h"),
    "moment with zone": pd.date_range("2024-01-01", periods=60, tz="Europe/Paris"),
    "moment as text": pd.date_range("2024-01-01", periods=60).astype(str),
    "duration": pd.to_timedelta(np.arange(60), unit="s"),
    "period": pd.period_range("2024-01", periods=60, freq="M"),
}


@pytest.mark.parametrize("needs", [PLAIN, ONE_HOT, LearnerNeeds()])
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_row_may_come_as_objects_or_with_nothing(needs):
    """What a web service makes of a row, objects and None, is read as the table was."""
    table = pd.DataFrame(COLUMNS)
    encoder = TableEncoder(needs).fit(table)
    np.testing.assert_array_equal(encoder.transform(table.astype(object)), encoder.transform(table))
    for nothing in (None, NAN):
        assert len(encoder.transform(pd.DataFrame([dict.fromkeys(table, nothing)]))) == 1
    stored = skops.io.dumps(encoder, compression=zipfile.ZIP_DEFLATED)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.transform(table), encoder.transform(table))


def test_a_table_of_texts_alone_is_row_major_too():
    """Learners read row after row, whichever blocks the matrix is made of."""
    assert encode(["a", "b", "c", None], ONE_HOT).flags.c_contiguous


def test_rare_levels_and_marks_are_not_scaled():
    """A level or gap of one row in a thousand is 0 or 1 as all others are."""
    table = pd.DataFrame({"a": [NAN, *range(999)], "b": ["rare", *["x", "y", "z"] * 333]})
    matrix = TableEncoder().fit(table).transform(table)
    assert TableEncoder().fit(table).feature_names_out() == ["a", "a_missing", "b_rare", "b_x", "b_y", "b_z"]
    assert set(matrix[:, 1:].ravel()) == {0.0, 1.0}


def test_other_things_than_tables_are_refused():
    """An array has no column names."""
    with pytest.raises(InputError, match="not ndarray"):
        TableEncoder().fit(np.ones((2, 2)))


def test_numeric_encoder_names_the_columns_that_are_not_numeric():
    """All of them, with their types."""
    with pytest.raises(InputError, match=r"2 columns are not numeric: 'b' .*'c' \(category\)"):
        NumericEncoder().fit(pd.DataFrame({"a": [1], "b": ["x"], "c": pd.Categorical(["y"])}))


def test_numeric_encoder_lets_gaps_through():
    """Missing values of any numeric type become NaN."""
    table = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [True, False]})
    np.testing.assert_array_equal(NumericEncoder().fit(table).transform(table), [[1, 1], [NAN, 0]])


def test_encoders_have_names():
    """A name makes the encoder, an object stays itself, another name is refused with the valid ones."""
    own = TableEncoder(PLAIN)
    assert make_encoder(own) is own
    assert make_encoder("table").get_params() == TableEncoder().get_params()
    with pytest.raises(InputError, match="Valid: numeric, table"):
        make_encoder("tabel")
    with pytest.raises(InputError, match="encoder=3 is no encoder"):
        make_encoder(3)


def test_importing_loads_neither_ray_nor_mlflow():
    """The encoders need no cluster and no tracker."""
    code = "import sys, partwise.encoders; print([m for m in ('ray', 'mlflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1).map(lambda texts: ["a level", *texts]), st.lists(st.none() | st.text()))
def test_any_text_is_encoded(fitted, new):
    """No text at fit or later is an error in a category column, and every code is a level, unseen or missing."""
    column = pd.Series(fitted, dtype=object).astype("category")
    codes = encode(column, PLAIN, pd.Series(new, dtype=object))
    assert codes.shape == (len(new), 1)
    assert set(codes[~np.isnan(codes)]) <= {-1.0, *map(float, range(len(set(fitted))))}


@settings(deadline=None)
@given(
    st.lists(st.none() | st.floats(-1e30, 1e30), min_size=1).filter(lambda values: any(v is not None for v in values))
)
def test_scaling_and_filling_leave_only_finite_numbers(values):
    """Whatever the numbers and gaps, what a linear learner gets is finite."""
    assert np.isfinite(encode(values, LearnerNeeds(), dtype="float64")).all()
