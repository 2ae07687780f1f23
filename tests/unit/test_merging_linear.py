"""Facts about linear models in partitions."""

import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression, Ridge, RidgeClassifier

from partwise.errors import InputError
from partwise.merging import merge_for, triangles

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)) @ RNG.normal(size=(5, 5)) + [0, 5, -3, 0, 1]
TWO = X @ RNG.normal(size=(5, 2)) + RNG.normal(size=(300, 2)) + 10
Y = TWO[:, 0]
CODES = np.digitize(Y, np.quantile(Y, [0.3, 0.8]))
QUERIES = RNG.normal(size=(100, 5)) * 3
WEIGHTS = np.where(RNG.uniform(size=300) < 0.2, 0.0, RNG.exponential(size=300))
SIZES = [1, 3, 120, 26, 150]  # the first two have fewer rows than columns
CUTS = pytest.mark.parametrize("sizes", [[300], SIZES, [18] * 15 + [30]], ids=["one part", "uneven parts", "16 parts"])


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
    n_classes = int(y.max()) + 1 if is_classifier(template) else None
    return merge.merge(template, pickle.loads(pickle.dumps(parts)), rows, n_classes)  # noqa: S301 - our own


def _conditioned(condition, n_rows=300, n_columns=6, seed=1):
    """Return centred columns whose singular values fall evenly from 1 to 1 / condition."""
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(n_rows, n_columns))
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    right = np.linalg.qr(rng.normal(size=(n_columns, n_columns)))[0]
    return left * np.geomspace(1, 1 / condition, n_columns) @ right


def _exact_solution(table, y):
    """Solve least squares with an intercept in rational arithmetic."""
    rows = [[Fraction(1), *map(Fraction, row), Fraction(value)] for row, value in zip(table.tolist(), y, strict=True)]
    size = len(rows[0]) - 1
    system = [[sum(row[i] * row[j] for row in rows) for j in range(size + 1)] for i in range(size)]
    for i in range(size):
        system[i] = [value / system[i][i] for value in system[i]]
        for j in set(range(size)) - {i}:
            system[j] = [a - system[j][i] * b for a, b in zip(system[j], system[i], strict=True)]
    return np.array([float(row[-1]) for row in system])[1:]


def _assert_same(merged, single, rtol=1e-10, atol=1e-12):
    for name in ("coef_", "intercept_", "rank_", "singular_"):
        if hasattr(single, name):
            assert np.shape(getattr(merged, name)) == np.shape(getattr(single, name)), name
            np.testing.assert_allclose(getattr(merged, name), getattr(single, name), rtol, atol, err_msg=name)
    assert sorted(vars(merged)) == sorted(vars(single))
    assert merged.get_params() == single.get_params()


@CUTS
@pytest.mark.parametrize("y", [Y, TWO, TWO[:, :1]], ids=["flat", "two targets", "one column"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("kind", [LinearRegression, Ridge])
def test_coefficients_are_those_of_a_single_fit(kind, intercept, y, sizes):
    """Coefficients, intercept, rank and singular values agree to 10 digits, in the same shapes."""
    template = kind(fit_intercept=intercept)
    single = clone(template).fit(X, y)
    merged = _merged(template, X, y, sizes)
    _assert_same(merged, single)
    np.testing.assert_allclose(merged.predict(QUERIES), single.predict(QUERIES), rtol=1e-10)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("kind", [LinearRegression, Ridge])
def test_weights_count_and_zero_weights_do_not(kind, intercept):
    """Rows count by their weight; one of weight zero may say anything."""
    template = kind(fit_intercept=intercept)
    table = X.copy()
    table[WEIGHTS == 0] *= 1e3
    merged = _merged(template, table, TWO, weights=WEIGHTS)
    _assert_same(merged, clone(template).fit(table, TWO, WEIGHTS))


def test_a_part_without_weight_says_nothing():
    """A part whose rows all weigh nothing merges like any other."""
    weights = np.where(np.arange(300) < 100, 0.0, 1.0)
    rows = np.split(np.arange(300), [100, 200])
    _assert_same(_merge_rows(Ridge(), X, Y, rows, weights), Ridge().fit(X, Y, weights))


@pytest.mark.parametrize("kind", [LinearRegression, Ridge, RidgeClassifier])
def test_no_weight_at_all_is_refused(kind):
    """Where every row has weight zero there is nothing to fit."""
    with pytest.raises(InputError, match="every row has weight 0"):
        _merged(kind(), X, CODES, weights=np.zeros(300))


@pytest.mark.parametrize("weights", [np.ones(4), -np.ones(300), np.full(300, np.nan)], ids=["few", "negative", "NaN"])
def test_wrong_weights_are_refused(weights):
    """A weight is a number from zero, and there is one for each row."""
    part = merge_for(Ridge()).part(Ridge(), 0, 1)
    with pytest.raises(InputError, match="sample_weight"):
        part.fit(X, Y, weights)


def test_a_far_zero_costs_no_digits():
    """With columns at a million and deviations of one, the slopes agree with those about zero to 8 digits."""
    centred = np.round(X * 2**20) / 2**20  # exact when moved by a million
    single = LinearRegression().fit(centred, Y)
    for template in (LinearRegression(), Ridge(alpha=1e-9)):
        merged = _merged(template, centred + 1e6, Y + 1e6, [18] * 15 + [30])
        np.testing.assert_allclose(merged.coef_, single.coef_, rtol=1e-8)


@pytest.mark.parametrize("exponent", [4, 8])
def test_slopes_are_the_exact_ones_up_to_the_condition_of_the_columns(exponent):
    """Against rational arithmetic the error is below the condition number times the rounding unit, not its square."""
    condition = 10.0**exponent
    table = _conditioned(condition, n_rows=60, n_columns=4)
    y = table @ np.ones(4) + 1.0
    exact = _exact_solution(table, y)
    merged = _merged(Ridge(alpha=0.0), table, y, [1, 2, 20, 37])
    error = np.linalg.norm(merged.coef_ - exact) / np.linalg.norm(exact)
    assert error < 10 * condition * np.finfo(float).eps


@pytest.mark.parametrize("exponent", [8, 10, 12])
def test_ill_conditioned_columns_are_cut_where_a_single_fit_cuts_them(exponent):
    """With a condition of 1e8 to 1e12, rank and minimal-norm solution agree to 8 digits with a single fit's."""
    table = _conditioned(10.0**exponent)
    y = np.vstack([Y, RNG.normal(size=300)]).T
    _assert_same(_merged(LinearRegression(), table, y), LinearRegression().fit(table, y), rtol=1e-8)


@pytest.mark.parametrize("exponent", [8, 10, 12])
def test_a_small_penalty_works_on_ill_conditioned_columns(exponent):
    """A penalty far below the squared rounding of normal equations still gives the minimiser, to 7 digits."""
    table = _conditioned(10.0**exponent)
    template = Ridge(alpha=1e-14, solver="svd")
    _assert_same(_merged(template, table, Y), clone(template).fit(table, Y), rtol=1e-7)


@pytest.mark.parametrize("intercept", [True, False])
def test_dependent_columns_give_the_solution_of_least_norm(intercept):
    """A column that repeats others lowers the rank, and the norm of the solution is the least."""
    table = np.hstack([X, X[:, :2] @ [[1.0], [2.0]], np.full((300, 1), 0.1)])
    single = LinearRegression(fit_intercept=intercept).fit(table, TWO)
    merged = _merged(LinearRegression(fit_intercept=intercept), table, TWO)
    _assert_same(merged, single, rtol=1e-9, atol=1e-10)
    bare = _merged(Ridge(alpha=0.0, fit_intercept=intercept), table, TWO)
    np.testing.assert_allclose(bare.coef_, single.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [LinearRegression, Ridge])
def test_fewer_rows_than_columns_can_be_cut_too(kind):
    """Eight rows of 20 columns, in four parts, give the single fit's solution of least norm."""
    table = RNG.normal(size=(8, 20))
    rows = [np.array([0]), np.array([1, 2]), np.array([3]), np.arange(4, 8)]
    _assert_same(_merge_rows(kind(), table, Y[:8], rows), kind().fit(table, Y[:8]))


def test_each_target_has_its_penalty():
    """A penalty for each target is kept, zero among them."""
    template = Ridge(alpha=[3.0, 0.0])
    _assert_same(_merged(template, X, TWO), clone(template).fit(X, TWO))


def test_penalties_that_are_too_many_are_refused():
    """scikit-learn's own check of the number of penalties holds."""
    with pytest.raises(ValueError, match="penalties"):
        _merged(Ridge(alpha=[1.0, 2.0, 3.0]), X, TWO)


@pytest.mark.parametrize("solver", ["auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"])
def test_every_solver_gives_the_minimiser(solver):
    """The merged model is the exact minimiser, which an iterative solver comes near to."""
    template = Ridge(alpha=2.0, solver=solver, tol=1e-12, max_iter=10_000, random_state=0)
    single = clone(template).fit(X, Y)
    merged = _merged(template, X, Y)
    np.testing.assert_allclose(merged.coef_, single.coef_, rtol=1e-6)
    assert merged.solver == solver
    assert merged.solver_ == "svd"


@pytest.mark.parametrize("kind", [LinearRegression, Ridge])
def test_sparse_columns_are_solved_as_dense_ones(kind):
    """Sparse rows give the model of dense rows."""
    table = np.where(X > 0, X, 0.0)
    _assert_same(_merged(kind(), sparse.csr_matrix(table), Y), kind().fit(table, Y))


def test_sparse_columns_too_many_for_a_triangle_are_refused():
    """The message has the limit and what to do instead."""
    part = merge_for(Ridge()).part(Ridge(), 0, 1)
    with pytest.raises(InputError, match=r"10001 columns.*TruncatedSVD"):
        part.fit(sparse.csr_matrix((3, 10_001)), Y[:3])


@pytest.mark.parametrize("kind", [LinearRegression, Ridge])
def test_single_precision_columns_are_solved_in_double_precision(kind):
    """Float32 columns give what a single fit gives on the same numbers in double precision."""
    narrow = X.astype(np.float32)
    merged = _merged(kind(), narrow, Y)
    assert merged.coef_.dtype == np.float64
    _assert_same(merged, kind().fit(narrow.astype(float), Y))


def test_blocks_of_rows_make_no_difference(monkeypatch):
    """A part is read block by block, and the blocks merge as parts do."""
    whole = _merged(Ridge(), X, TWO, [300], WEIGHTS)
    monkeypatch.setattr(triangles, "_BLOCK_NUMBERS", 1)  # blocks of 32 rows
    _assert_same(_merged(Ridge(), X, TWO, [300], WEIGHTS), whole)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans(), st.floats(-1e4, 1e4))
def test_any_cut_gives_the_same_line(seed, n_parts, intercept, offset):
    """Wherever the rows are cut, weighted or not, the predictions agree to 8 digits."""
    rng = np.random.default_rng(seed)
    n_rows = n_parts + int(rng.integers(6, 40))
    table = rng.normal(size=(n_rows, 3)) + offset
    y = rng.normal(size=n_rows)
    weights = rng.integers(0, 4, n_rows) + np.r_[np.ones(6), np.zeros(n_rows - 6)]
    place = np.r_[np.arange(n_parts), rng.integers(0, n_parts, n_rows - n_parts)]
    rows = [np.flatnonzero(place == part) for part in range(n_parts)]
    template = Ridge(alpha=0.5, fit_intercept=intercept, solver="svd")
    merged = _merge_rows(template, table, y, rows, weights)
    single = clone(template).fit(table, y, weights)
    np.testing.assert_allclose(merged.predict(table), single.predict(table), rtol=1e-8, atol=1e-8)


@CUTS
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.2}], ids=str)
def test_the_classifier_is_that_of_a_single_fit(class_weight, intercept, n_classes, sizes):
    """Coefficients agree to 10 digits and classes exactly, whatever the classes weigh."""
    codes = np.minimum(CODES, n_classes - 1)
    template = RidgeClassifier(class_weight=class_weight, fit_intercept=intercept)
    single = clone(template).fit(X, codes, WEIGHTS)
    merged = _merged(template, X, codes, sizes, WEIGHTS)
    _assert_same(merged, single)
    np.testing.assert_array_equal(merged.predict(QUERIES), single.predict(QUERIES))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_parts_of_one_class_each_make_a_classifier(class_weight):
    """A part may lack all classes but one."""
    rows = [np.flatnonzero(code == CODES) for code in (2, 0, 1)]
    template = RidgeClassifier(class_weight=class_weight)
    _assert_same(_merge_rows(template, X, CODES, rows), clone(template).fit(X, CODES))


@pytest.mark.parametrize("kind", [LinearRegression, Ridge, RidgeClassifier])
def test_a_merged_model_is_scikit_learns_own(kind):
    """It knows its columns, can be pickled and cloned, and predicts with nothing of ours."""
    table = pd.DataFrame(X, columns=list("abcde"))
    merged = _merged(kind(), table, CODES)
    single = kind().fit(table, CODES)
    assert type(merged) is kind
    assert sorted(vars(merged)) == sorted(vars(single))
    assert merged.feature_names_in_.tolist() == list("abcde")
    assert b"partwise" not in pickle.dumps(merged)
    again = pickle.loads(pickle.dumps(merged))  # noqa: S301 - our own
    np.testing.assert_allclose(again.predict(table), single.predict(table), rtol=1e-8, atol=1e-10)
    assert clone(merged).get_params() == kind().get_params()


def test_the_template_stays_unfitted():
    """A merge copies the template."""
    template = Ridge()
    _merged(template, X, Y)
    assert vars(template) == vars(Ridge())


@pytest.mark.parametrize("kind", [Ridge, RidgeClassifier])
def test_the_summary_of_a_part_is_small(kind):
    """A part keeps a triangle, not rows."""
    part = merge_for(kind()).part(kind(), 0, 1).fit(np.tile(X, (50, 1)), np.tile(CODES, 50))
    assert len(pickle.dumps(part)) < 3000


@pytest.mark.parametrize(
    "template",
    [
        LinearRegression(positive=True),
        Ridge(positive=True),
        Ridge(solver="lbfgs"),
        RidgeClassifier(positive=True),
    ],
    ids=str,
)
def test_bounded_coefficients_are_refused(template):
    """The message says what to set and how else to combine."""
    with pytest.raises(InputError, match=r"Set positive=False.* combine the members by"):
        merge_for(template)
