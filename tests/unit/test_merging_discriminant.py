"""Facts about discriminant analysis in partitions."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis as Linear
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis as Quadratic

from partwise.errors import InputError
from partwise.merging import merge_for, triangles

RNG = np.random.default_rng(0)
CODES = np.r_[np.arange(4), RNG.integers(0, 4, 396)]
X = (RNG.normal(size=(400, 6)) + RNG.normal(size=(4, 6))[CODES]) @ RNG.normal(size=(6, 6)) + [0, 0, 5, 0, -9, 2]
QUERIES = RNG.permutation(X)[:150] + 0.5 * RNG.normal(size=(150, 6))
SIZES = [1, 3, 150, 46, 200]
PRIORS = [0.1, 0.2, 0.3, 0.4]
CUTS = pytest.mark.parametrize("sizes", [[400], SIZES, [25] * 16], ids=["one part", "uneven parts", "16 parts"])
LINEAR = [
    Linear(),
    Linear(priors=PRIORS),
    Linear(n_components=2),
    Linear(store_covariance=True),
    Linear(store_covariance=True, priors=PRIORS),
    Linear(tol=0.5),
    Linear(solver="lsqr"),
    Linear(solver="lsqr", shrinkage=0.3, priors=PRIORS),
    Linear(solver="eigen"),
    Linear(solver="eigen", shrinkage=0.3),
    Linear(solver="eigen", shrinkage=0.3, priors=PRIORS, n_components=1),
]
QUADRATIC = [
    Quadratic(),
    Quadratic(priors=PRIORS),
    Quadratic(reg_param=0.2, store_covariance=True),
    Quadratic(solver="eigen", store_covariance=True),
    Quadratic(solver="eigen", shrinkage=0.4),
]


def _merged(template, table, y, sizes=SIZES):
    """Fit the parts on shuffled rows and merge them."""
    shuffled = np.random.default_rng(3).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return _merge_rows(template, table, y, [np.flatnonzero(shuffled == index) for index in range(len(sizes))])


def _merge_rows(template, table, y, rows):
    merge = merge_for(template)
    take = table.iloc if isinstance(table, pd.DataFrame) else table
    parts = [merge.part(template, index, len(rows)).fit(take[own], y[own]) for index, own in enumerate(rows)]
    return merge.merge(template, pickle.loads(pickle.dumps(parts)), rows, int(y.max()) + 1)  # noqa: S301 - our own


def _assert_same_linear(merged, single, rtol=1e-8, atol=1e-9):
    assert sorted(vars(merged)) == sorted(vars(single))
    assert merged.get_params() == single.get_params()
    for name in vars(single):
        if name.endswith("_") and name != "scalings_":
            left, right = getattr(merged, name), getattr(single, name)
            assert np.shape(left) == np.shape(right), name
            if np.asarray(right).dtype.kind == "f":
                np.testing.assert_allclose(left, right, rtol, atol, err_msg=name)


def _assert_same_quadratic(merged, single, rtol=1e-10):
    assert sorted(vars(merged)) == sorted(vars(single))
    np.testing.assert_allclose(merged.means_, single.means_, rtol)
    np.testing.assert_allclose(merged.priors_, single.priors_, rtol)
    np.testing.assert_allclose(merged.scalings_, single.scalings_, rtol)
    np.testing.assert_allclose(np.abs(merged.rotations_), np.abs(single.rotations_), rtol=1e-7, atol=1e-9)
    if single.store_covariance:
        np.testing.assert_allclose(merged.covariance_, single.covariance_, rtol=1e-9)


@CUTS
@pytest.mark.parametrize("template", LINEAR, ids=str)
def test_linear_parameters_are_those_of_a_single_fit(template, sizes):
    """Every fitted number agrees to 8 digits, for each solver, prior and shrinkage."""
    single = clone(template).fit(X, CODES)
    merged = _merged(template, X, CODES, sizes)
    _assert_same_linear(merged, single)
    np.testing.assert_array_equal(merged.predict(QUERIES), single.predict(QUERIES))
    np.testing.assert_allclose(merged.predict_proba(QUERIES), single.predict_proba(QUERIES), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("template", [one for one in LINEAR if one.solver != "lsqr"], ids=str)
def test_components_are_those_of_a_single_fit_up_to_their_sign(template):
    """Transformed rows agree to 8 digits once each component has the same sign."""
    single = clone(template).fit(X, CODES)
    left, right = _merged(template, X, CODES).transform(QUERIES), single.transform(QUERIES)
    np.testing.assert_allclose(left * np.sign((left * right).sum(axis=0)), right, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", ["svd", "lsqr", "eigen"])
def test_two_classes_have_one_row_of_coefficients(solver):
    """Binary models are squeezed as scikit-learn squeezes them."""
    codes = np.minimum(CODES, 1)
    _assert_same_linear(_merged(Linear(solver=solver), X, codes), Linear(solver=solver).fit(X, codes))


@pytest.mark.parametrize("template", [Linear(), Linear("eigen", priors=PRIORS), Quadratic()], ids=str)
def test_parts_of_one_class_each_make_the_whole(template):
    """A part may lack all classes but one."""
    rows = [np.flatnonzero(code == CODES) for code in (2, 0, 3, 1)]
    merged, single = _merge_rows(template, X, CODES, rows), clone(template).fit(X, CODES)
    np.testing.assert_allclose(merged.decision_function(QUERIES), single.decision_function(QUERIES), rtol=1e-7)


def test_a_far_zero_costs_no_digits():
    """With columns at a million and deviations of one, the decisions agree with those about zero to 7 digits."""
    centred = np.round(X * 2**20) / 2**20  # exact when moved by a million
    for template in (Linear(), Quadratic()):
        single = clone(template).fit(centred, CODES)
        moved = _merged(template, centred + 1e6, CODES, [25] * 16).decision_function(centred + 1e6)
        np.testing.assert_allclose(moved, single.decision_function(centred), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("size", [1e-8, 1e-12])
def test_scales_far_apart_are_no_matter(size):
    """Columns whose scales differ by twelve orders are standardised before the rank is judged."""
    table = X * [1, size, 1 / size, 1, 1, 1]
    single = Linear().fit(table, CODES)
    merged = _merged(Linear(), table, CODES)
    np.testing.assert_allclose(merged.decision_function(table), single.decision_function(table), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("size", [1e-3, 1e-8, 1e-12])
def test_nearly_dependent_columns_are_judged_as_in_a_single_fit(size):
    """A column that repeats others up to a thousandth is used, up to less than tol is not."""
    table = np.hstack([X, X[:, :1] + size * RNG.normal(size=(400, 1))])
    single = Linear().fit(table, CODES)
    merged = _merged(Linear(), table, CODES)
    assert merged.scalings_.shape == single.scalings_.shape
    np.testing.assert_allclose(merged.decision_function(table), single.decision_function(table), rtol=1e-6, atol=1e-6)


def test_dependent_and_constant_columns_are_dropped():
    """Columns that add nothing leave the decisions as they are."""
    table = np.hstack([X, X[:, :2] @ [[1.0], [2.0]], np.full((400, 1), 0.1)])
    single = Linear().fit(np.hstack([table[:, :7], np.zeros((400, 1))]), CODES)
    merged = _merged(Linear(), table, CODES)
    np.testing.assert_allclose(merged.decision_function(table), single.decision_function(table), rtol=1e-8, atol=1e-9)


def test_fewer_rows_than_columns_can_be_cut_too():
    """Twelve rows of 20 columns, in four parts, give the single fit's decisions."""
    table, codes = RNG.normal(size=(12, 20)), np.arange(12) % 3
    rows = [np.array([0]), np.array([1, 2, 3]), np.arange(4, 8), np.arange(8, 12)]
    merged, single = _merge_rows(Linear(), table, codes, rows), Linear().fit(table, codes)
    np.testing.assert_allclose(merged.decision_function(table), single.decision_function(table), rtol=1e-8)


def test_blocks_of_rows_make_no_difference(monkeypatch):
    """A part is read block by block, and the blocks merge as parts do."""
    monkeypatch.setattr(triangles, "_BLOCK_NUMBERS", 1)
    _assert_same_linear(_merged(Linear(), X, CODES, [400]), Linear().fit(X, CODES))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(-1e4, 1e4))
def test_any_cut_gives_the_same_decisions(seed, n_parts, offset):
    """Wherever the rows are cut, and wherever zero is, the decisions agree to 7 digits."""
    rng = np.random.default_rng(seed)
    n_rows = n_parts + int(rng.integers(20, 60))
    codes = np.arange(n_rows) % 3
    table = rng.normal(size=(n_rows, 2)) + codes[:, None] + offset
    place = np.r_[np.arange(n_parts), rng.integers(0, n_parts, n_rows - n_parts)]
    rows = [np.flatnonzero(place == part) for part in range(n_parts)]
    for template in (Linear(), Quadratic(reg_param=0.1)):
        merged, single = _merge_rows(template, table, codes, rows), clone(template).fit(table, codes)
        left, right = merged.decision_function(table), single.decision_function(table)
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-6)


@CUTS
@pytest.mark.parametrize("template", QUADRATIC, ids=str)
def test_quadratic_parameters_are_those_of_a_single_fit(template, sizes):
    """Means, priors, variances and covariances agree to 9 digits, axes to 7 up to their sign."""
    single = clone(template).fit(X, CODES)
    merged = _merged(template, X, CODES, sizes)
    _assert_same_quadratic(merged, single)
    np.testing.assert_array_equal(merged.predict(QUERIES), single.predict(QUERIES))
    np.testing.assert_allclose(merged.predict_proba(QUERIES), single.predict_proba(QUERIES), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("template", [Quadratic(), Quadratic(solver="eigen")], ids=str)
def test_a_class_without_full_rank_is_refused(template):
    """Where a single fit fails, so does the merge, and says what to set."""
    table = np.hstack([X, X[:, :1]])
    with pytest.raises(InputError, match=r"full rank\. Set reg_param"):
        _merged(template, table, CODES)


@pytest.mark.parametrize("n_rows", [1, 5])
def test_a_class_of_few_rows_is_refused(n_rows):
    """One row has no variance, and five rows do not span six columns."""
    few = np.r_[np.flatnonzero(CODES != 3), np.flatnonzero(CODES == 3)[:n_rows]]
    with pytest.raises(InputError, match=f"class 3 has {n_rows} rows and 6 features"):
        _merge_rows(Quadratic(), X[few], CODES[few], np.array_split(np.arange(len(few)), 3))


def test_a_singular_covariance_is_refused_by_eigen():
    """The message names the solver and the setting that can do."""
    with pytest.raises(InputError, match=r"Set solver='svd', or shrinkage"):
        _merged(Linear(solver="eigen"), np.hstack([X, np.zeros((400, 1))]), CODES)


def test_columns_that_never_vary_are_refused():
    """Where nothing varies within a class there is nothing to learn."""
    with pytest.raises(InputError, match="no feature varies"):
        _merged(Linear(), np.eye(4)[CODES], CODES)


def test_as_many_classes_as_rows_are_refused():
    """There must be more rows than classes."""
    with pytest.raises(InputError, match="more rows than classes"):
        _merge_rows(Linear(), X[:4], np.arange(4), [np.array([0, 1]), np.array([2, 3])])


def test_a_class_without_rows_is_refused():
    """Codes with a gap that no part fills are a mistake."""
    codes = np.where(CODES == 1, 2, CODES)
    with pytest.raises(InputError, match=r"classes \[1\] of 4"):
        _merged(Linear(), X, codes)


def test_priors_that_do_not_sum_to_one_are_scaled_as_in_a_single_fit():
    """The warning and the scaling are scikit-learn's."""
    template = Linear(priors=[1, 2, 3, 4])
    with pytest.warns(UserWarning, match="priors do not sum to 1"):
        merged = _merged(template, X, CODES)
    np.testing.assert_allclose(merged.priors_, PRIORS)


def test_components_that_are_too_many_are_refused():
    """scikit-learn's own check of n_components holds."""
    with pytest.raises(ValueError, match="n_components"):
        _merged(Linear(n_components=4), X, CODES)


@pytest.mark.parametrize("template", [Linear(), Quadratic()], ids=str)
def test_weights_are_refused(template):
    """A discriminant takes no weights, and the message names learners that do."""
    part = merge_for(template).part(template, 0, 1)
    with pytest.raises(InputError, match=r"no row weights.*RidgeClassifier"):
        part.fit(X, CODES, np.ones(400))


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        (Linear(solver="lsqr", shrinkage="auto"), "number from 0 to 1"),
        (Quadratic(solver="eigen", shrinkage="auto"), "number from 0 to 1"),
        (Linear(solver="lsqr", covariance_estimator=OAS()), "Leave it out"),
        (Quadratic(solver="eigen", covariance_estimator=OAS()), "Leave it out"),
        (Linear(shrinkage=0.5), "Set solver='eigen'"),
    ],
    ids=str,
)
def test_settings_that_need_all_rows_are_refused(template, advice):
    """The message says what to set instead."""
    with pytest.raises(InputError, match=advice):
        merge_for(template)


@pytest.mark.parametrize("template", [Linear(), Linear("eigen"), Linear("lsqr"), Quadratic()], ids=str)
def test_a_merged_model_is_scikit_learns_own(template):
    """It knows its columns, can be pickled and cloned, and predicts with nothing of ours."""
    table = pd.DataFrame(X, columns=list("abcdef"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        merged = _merged(template, table, CODES)
        single = clone(template).fit(table, CODES)
        assert type(merged) is type(single)
        assert sorted(vars(merged)) == sorted(vars(single))
        assert merged.feature_names_in_.tolist() == list("abcdef")
        assert b"partwise" not in pickle.dumps(merged)
        again = pickle.loads(pickle.dumps(merged))  # noqa: S301 - our own
        np.testing.assert_array_equal(again.predict(table), single.predict(table))
    assert clone(merged).get_params() == template.get_params()


def test_single_precision_columns_are_analysed_in_double_precision():
    """Float32 columns give what a single fit gives on the same numbers in double precision."""
    narrow = X.astype(np.float32)
    _assert_same_linear(_merged(Linear(), narrow, CODES), Linear().fit(narrow.astype(float), CODES))
    _assert_same_quadratic(_merged(Quadratic(), narrow, CODES), Quadratic().fit(narrow.astype(float), CODES))


@pytest.mark.parametrize("template", [Linear(), Quadratic()], ids=str)
def test_the_summary_of_a_part_is_small(template):
    """A part keeps triangles, not rows."""
    part = merge_for(template).part(template, 0, 1).fit(np.tile(X, (50, 1)), np.tile(CODES, 50))
    assert len(pickle.dumps(part)) < 4000
