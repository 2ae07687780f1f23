"""Facts about means and variances that are merged."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from partwise.moments import Moments


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 99))
def test_merged_moments_are_those_of_all_rows(sizes, seed):
    """Whatever the parts, mean and variance are those of the whole, although both are far from zero."""
    rng = np.random.default_rng(seed)
    values, weights = 1e6 + rng.normal(size=(sum(sizes), 2)), rng.random(sum(sizes)) + 0.1
    merged = None
    for rows in np.split(np.arange(len(values)), np.cumsum(sizes)[:-1]):
        part = Moments.of(values[rows], weights[rows])
        merged = part if merged is None else merged.merged(part)
    mean = np.average(values, axis=0, weights=weights)
    np.testing.assert_allclose(merged.means, mean)
    spread = np.average((values - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(merged.variances, np.maximum(spread, 1e-300), rtol=1e-6, atol=1e-12)


def test_rows_without_weight_add_nothing():
    """A part whose rows all have weight zero leaves the moments as they are."""
    part = Moments.of(np.array([[1.0], [3.0]]), np.ones(2))
    assert part.merged(Moments.of(np.array([[9.0]]), np.zeros(1))) == part
