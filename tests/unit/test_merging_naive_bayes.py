"""Facts about naive Bayes in partitions."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB

from partwise.errors import InputError
from partwise.merging import merge_for, triangles

RNG = np.random.default_rng(0)
CODES = np.r_[np.arange(4), RNG.integers(0, 4, 396)]
X = RNG.normal(size=(400, 6)) * [1, 1, 1, 1e-3, 1, 10] + CODES[:, None] * [1, -1, 0.5, 0, 2, 0]
COUNTS = RNG.poisson(1.0 + CODES[:, None] * RNG.uniform(size=6))
QUERIES = RNG.permutation(X + RNG.normal(size=X.shape))
QUERY_COUNTS = RNG.poisson(2.0, size=(200, 6))
WEIGHTS = np.where(RNG.uniform(size=400) < 0.2, 0.0, RNG.exponential(size=400))
SIZES = [1, 3, 150, 46, 200]
COUNTING = [MultinomialNB(), BernoulliNB(binarize=1.0), ComplementNB(), CategoricalNB(min_categories=20)]
TIGHT = {"rtol": 1e-12, "atol": 1e-14}


def _merged(template, table, y, sizes=SIZES, weights=None):
    """Fit the parts on shuffled rows and merge them."""
    shuffled = np.random.default_rng(3).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = [np.flatnonzero(shuffled == index) for index in range(len(sizes))]
    return _merge_rows(template, table, y, rows, weights)


def _merge_rows(template, table, y, rows, weights=None):
    merge = merge_for(template)
    take = table.iloc if isinstance(table, pd.DataFrame) else table
    parts = [
        merge.part(template, index, len(rows)).fit(take[own], y[own], None if weights is None else weights[own])
        for index, own in enumerate(rows)
    ]
    return merge.merge(template, pickle.loads(pickle.dumps(parts)), rows, int(y.max()) + 1)  # noqa: S301 - our own


def _assert_same_gaussian(merged, single, **tolerance):
    for name in ("theta_", "var_", "class_count_", "class_prior_", "epsilon_"):
        np.testing.assert_allclose(getattr(merged, name), getattr(single, name), err_msg=name, **(tolerance or TIGHT))


def _assert_same_counts(merged, single, **tolerance):
    names = [name for name in vars(single) if name.endswith("_")]
    assert sorted(vars(merged)) == sorted(vars(single))
    for name in names:
        pairs = [(getattr(merged, name), getattr(single, name))]
        for left, right in zip(*pairs[0], strict=True) if isinstance(pairs[0][0], list) else pairs:
            np.testing.assert_allclose(left, right, err_msg=name, **(tolerance or {"rtol": 0, "atol": 0}))


@pytest.mark.parametrize("sizes", [[400], SIZES, [25] * 16], ids=["one part", "uneven parts", "16 parts"])
def test_gaussian_parameters_are_those_of_a_single_fit(sizes):
    """Means, variances, counts, priors and smoothing agree to 12 digits, from one part or many."""
    single = GaussianNB().fit(X, CODES)
    merged = _merged(GaussianNB(), X, CODES, sizes)
    _assert_same_gaussian(merged, single)
    np.testing.assert_array_equal(merged.predict(QUERIES), single.predict(QUERIES))


@pytest.mark.parametrize("weights", [WEIGHTS, 2.5 * np.ones(400)], ids=["some zero", "constant"])
def test_gaussian_parameters_follow_the_weights(weights):
    """Rows count by their weight, but the smoothing looks at all rows alike, those of weight zero among them."""
    far = X.copy()
    far[WEIGHTS == 0] *= 100
    single = GaussianNB(var_smoothing=0.01).fit(far, CODES, weights)
    _assert_same_gaussian(_merged(GaussianNB(var_smoothing=0.01), far, CODES, weights=weights), single)


def test_gaussian_variances_keep_their_digits_far_from_zero():
    """With means of a million, variances agree with those about zero: 10 digits for deviations of one, 7 for 0.001."""
    centred = np.round(X * 2**20) / 2**20  # exact when moved by a million
    smooth = GaussianNB(var_smoothing=0.0)
    merged = _merged(smooth, centred + 1e6, CODES, [25] * 16)
    single = smooth.fit(centred, CODES)
    wide = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(merged.var_[:, wide], single.var_[:, wide], rtol=1e-10)
    np.testing.assert_allclose(merged.var_[:, 3], single.var_[:, 3], rtol=1e-7)


def test_a_constant_column_has_no_variance():
    """What does not vary gets the smoothing alone, without any rounding."""
    table = X.copy()
    table[:, 0] = 0.1
    merged = _merged(GaussianNB(), table, CODES)
    np.testing.assert_array_equal(merged.var_[:, 0], merged.epsilon_)
    np.testing.assert_array_equal(merged.theta_[:, 0], 0.1)


def test_parts_of_one_class_each_make_the_whole():
    """A part may lack all classes but one."""
    rows = [np.flatnonzero(code == CODES) for code in (2, 0, 3, 1)]
    _assert_same_gaussian(_merge_rows(GaussianNB(), X, CODES, rows), GaussianNB().fit(X, CODES))
    for template in COUNTING:
        _assert_same_counts(_merge_rows(template, COUNTS, CODES, rows), clone(template).fit(COUNTS, CODES))


def test_a_class_without_weight_has_no_mean():
    """A class whose rows all weigh nothing is as scikit-learn has it: counted as nothing, at zero."""
    weights = np.where(CODES == 3, 0.0, 1.0)
    _assert_same_gaussian(_merged(GaussianNB(), X, CODES, weights=weights), GaussianNB().fit(X, CODES, weights))


def test_given_priors_stay():
    """Priors of the user are not replaced by shares of rows."""
    template = GaussianNB(priors=[0.1, 0.2, 0.3, 0.4])
    _assert_same_gaussian(_merged(template, X, CODES), clone(template).fit(X, CODES))


@pytest.mark.parametrize("priors", [[0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [1.5, -0.5, 0.0, 0.0]])
def test_wrong_priors_are_refused(priors):
    """Priors must be one for each class, from zero, with the sum one."""
    with pytest.raises(InputError, match="4 numbers from 0"):
        _merged(GaussianNB(priors=priors), X, CODES)


def test_single_precision_columns_are_summed_in_double_precision():
    """Float32 columns give what a single fit gives on the same numbers in double precision."""
    narrow = X.astype(np.float32)
    _assert_same_gaussian(_merged(GaussianNB(), narrow, CODES), GaussianNB().fit(narrow.astype(float), CODES))


def test_blocks_of_rows_make_no_difference(monkeypatch):
    """A part is read block by block, and the blocks merge as parts do."""
    monkeypatch.setattr(triangles, "_BLOCK_NUMBERS", 1)
    _assert_same_gaussian(_merged(GaussianNB(), X, CODES, [400], WEIGHTS), GaussianNB().fit(X, CODES, WEIGHTS))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(-1e5, 1e5))
def test_any_cut_gives_the_gaussian_model(seed, n_parts, offset):
    """Wherever the rows are cut, and wherever zero is, the parameters agree to 9 digits."""
    rng = np.random.default_rng(seed)
    n_rows = int(rng.integers(n_parts, 60)) + 2
    codes = np.r_[0, 1, rng.integers(0, 3, n_rows - 2)]
    codes = np.unique(codes, return_inverse=True)[1]
    table = rng.normal(size=(n_rows, 2)) + offset
    place = np.r_[np.arange(n_parts), rng.integers(0, n_parts, n_rows - n_parts)]
    merged = _merge_rows(GaussianNB(), table, codes, [np.flatnonzero(place == part) for part in range(n_parts)])
    _assert_same_gaussian(merged, GaussianNB().fit(table, codes), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sizes", [[400], SIZES, [25] * 16], ids=["one part", "uneven parts", "16 parts"])
@pytest.mark.parametrize("template", COUNTING, ids=lambda t: type(t).__name__)
def test_counts_give_the_very_bits_of_a_single_fit(template, sizes):
    """Sums of whole numbers have no rounding: every fitted attribute is equal."""
    single = clone(template).fit(COUNTS, CODES)
    merged = _merged(template, COUNTS, CODES, sizes)
    _assert_same_counts(merged, single)
    np.testing.assert_array_equal(merged.predict_proba(QUERY_COUNTS), single.predict_proba(QUERY_COUNTS))


@pytest.mark.parametrize("template", COUNTING, ids=lambda t: type(t).__name__)
def test_counts_follow_the_weights(template):
    """Weighted counts agree to 12 digits, with rows of weight zero."""
    single = clone(template).fit(COUNTS, CODES, WEIGHTS)
    _assert_same_counts(_merged(template, COUNTS, CODES, [100] * 4, WEIGHTS), single, **TIGHT)


@pytest.mark.parametrize(
    "template",
    [
        MultinomialNB(alpha=[0.1, 1, 2, 3, 4, 5]),
        MultinomialNB(class_prior=[0.1, 0.2, 0.3, 0.4]),
        MultinomialNB(fit_prior=False),
        ComplementNB(norm=True, alpha=0.3),
        BernoulliNB(binarize=2.5),
        BernoulliNB(binarize=0.0, class_prior=[0.1, 0.2, 0.3, 0.4], alpha=7.0),
        BernoulliNB(alpha=0.0, force_alpha=False),
        CategoricalNB(min_categories=[20, 21, 22, 23, 24, 25], fit_prior=False),
        CategoricalNB(alpha=0.01),
    ],
    ids=str,
)
def test_settings_of_counting_models_are_kept(template):
    """Smoothing, priors, norms and thresholds act on the merged counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # alpha below its least value
        _assert_same_counts(_merged(template, COUNTS, CODES), clone(template).fit(COUNTS, CODES))


@pytest.mark.parametrize("template", [MultinomialNB(), BernoulliNB(), ComplementNB()], ids=str)
def test_sparse_counts_are_counted(template):
    """Sparse rows give what dense rows give."""
    merged = _merged(template, sparse.csr_matrix(COUNTS), CODES)
    _assert_same_counts(merged, clone(template).fit(COUNTS, CODES))


def test_two_classes_are_two_rows():
    """Binary models keep a row for each class."""
    codes = np.minimum(CODES, 1)
    _assert_same_gaussian(_merged(GaussianNB(), X, codes), GaussianNB().fit(X, codes))
    for template in COUNTING:
        _assert_same_counts(_merged(template, COUNTS, codes), clone(template).fit(COUNTS, codes))


@pytest.mark.parametrize("template", [GaussianNB(), *COUNTING], ids=lambda t: type(t).__name__)
def test_a_merged_model_is_scikit_learns_own(template):
    """It knows its columns, can be pickled and cloned, and has the attributes of a single fit."""
    table = pd.DataFrame(COUNTS, columns=list("abcdef"))
    merged = _merged(template, table, CODES)
    single = clone(template).fit(table, CODES)
    assert type(merged) is type(single)
    assert sorted(vars(merged)) == sorted(vars(single))
    assert merged.feature_names_in_.tolist() == list("abcdef")
    np.testing.assert_array_equal(merged.classes_, np.arange(4))
    again = pickle.loads(pickle.dumps(merged))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.predict(table), single.predict(table))
    assert clone(merged).get_params() == template.get_params()


def test_the_summary_of_a_part_is_small():
    """A part keeps sums, not rows."""
    merge = merge_for(GaussianNB())
    part = merge.part(GaussianNB(), 0, 1).fit(np.tile(X, (50, 1)), np.tile(CODES, 50))
    assert len(pickle.dumps(part)) < 3000


def test_negative_weights_are_refused():
    """A weight is a number from zero."""
    with pytest.raises(InputError, match="from 0"):
        _merged(GaussianNB(), X, CODES, weights=-np.ones(400))
