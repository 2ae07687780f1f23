"""What every encoder promises; a new one joins by one more parameter of ``ENCODERS``."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone

from partwise.encoders import TRUSTED_TYPES, NumericEncoder, TableEncoder
from partwise.errors import InputError
from partwise.records import LearnerNeeds

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TABLES = ("adult", "bank_marketing", "california_housing", "diamonds", "nycflights13")
ENCODERS = {
    "table-string": TableEncoder(),
    "table-ordinal": TableEncoder(LearnerNeeds(scale=False, impute=False, categories="ordinal")),
    "numeric": NumericEncoder(),
}


@pytest.fixture(params=TABLES, scope="module")
def whole(request):
    path = DATA / f"{request.param}.parquet"
    if not path.exists():
        pytest.skip(f"real table {path.name} is not on this machine")
    return pd.read_parquet(path)


@pytest.fixture(params=ENCODERS, scope="module")
def case(request, whole):
    """Give an unfitted encoder, the rows it is fitted on, and later rows."""
    table = whole.select_dtypes("number") if request.param == "numeric" else whole
    return clone(ENCODERS[request.param]), table[:8000], table[-2000:]


@pytest.fixture(scope="module")
def fitted(case):
    encoder, train, test = case
    return encoder.fit(train), train, test


def test_fit_returns_the_encoder(case):
    """``fit`` can be chained."""
    encoder = clone(case[0])
    assert encoder.fit(case[1]) is encoder


def test_the_matrix_is_32_bit_row_major_and_named(fitted):
    """There is one float32 row for each row, and one name for each column."""
    encoder, _, test = fitted
    matrix = encoder.transform(test)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix.shape == (len(test), len(encoder.feature_names_out()))
    assert len(set(encoder.get_feature_names_out())) == matrix.shape[1]


def test_columns_are_matched_by_name(fitted):
    """Another order and further columns change nothing."""
    encoder, _, test = fitted
    shuffled = test.iloc[:, ::-1].assign(**{"not of the fit": 1})
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(test))


def test_missing_columns_are_listed(fitted):
    """The error has the names of all missing columns."""
    encoder, _, test = fitted
    first, second = test.columns[:2]
    with pytest.raises(InputError, match=rf"2 of .*'{first}', '{second}'"):
        encoder.transform(test.drop(columns=[first, second]))


def test_a_row_is_encoded_alone_as_among_others(fitted):
    """The code of a row does not depend on the rows around it."""
    encoder, _, test = fitted
    np.testing.assert_allclose(encoder.transform(test[7:8]), encoder.transform(test)[7:8], rtol=1e-5, atol=1e-6)


def test_no_rows_give_no_rows(fitted):
    """An empty table has the shape (0, features)."""
    encoder, _, test = fitted
    assert encoder.transform(test[:0]).shape == (0, len(encoder.feature_names_out()))


def test_fitting_again_gives_the_same_bits(case, fitted):
    """The encoder is deterministic."""
    encoder, train, test = fitted
    np.testing.assert_array_equal(clone(case[0]).fit(train).transform(test), encoder.transform(test))


def test_tables_are_left_alone(fitted):
    """Neither fit nor transform writes into what it is given."""
    encoder, _, test = fitted
    before = test.copy(deep=True)
    encoder.transform(test)
    pd.testing.assert_frame_equal(test, before)


def test_it_survives_pickle(fitted):
    """A pickled encoder gives the same matrix."""
    encoder, _, test = fitted
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(test), encoder.transform(test))  # noqa: S301 - our own bytes


def test_it_is_stored_small_and_read_with_our_own_list_alone(fitted):
    """A skops file below 5 MB comes back equal with TRUSTED_TYPES and nothing else."""
    encoder, _, test = fitted
    stored = skops.io.dumps(encoder, compression=zipfile.ZIP_DEFLATED)
    assert len(stored) < 5_000_000
    assert set(skops.io.get_untrusted_types(data=stored)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.transform(test), encoder.transform(test))


def test_imputed_tables_have_no_gaps(whole):
    """With the needs of a linear learner every output is finite."""
    assert np.isfinite(TableEncoder().fit(whole[:8000]).transform(whole[-2000:])).all()


def test_our_list_has_nothing_that_is_not_needed():
    """What real tables hold, with a named time zone, is all that is trusted."""
    if not DATA.exists():
        pytest.skip("real tables are not on this machine")
    reported = set(skops.io.get_untrusted_types(data=skops.io.dumps(NumericEncoder().fit(pd.DataFrame({"a": [1]})))))
    zoned = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="Europe/Paris")})
    tables = [zoned, *(pd.read_parquet(DATA / f"{name}.parquet")[:2000] for name in TABLES)]
    for table in tables:
        for name in ("table-string", "table-ordinal"):
            reported |= set(skops.io.get_untrusted_types(data=skops.io.dumps(clone(ENCODERS[name]).fit(table))))
    assert reported == set(TRUSTED_TYPES)
