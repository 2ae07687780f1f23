"""Facts about the keyed permutation."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from partwise.permutation import KeyedPermutation

_SIZES = st.integers(1, 3000)
_KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 50))


@given(_SIZES, _KEYS)
def test_bijection(size, key):
    """Every place of 0..size-1 is taken exactly once."""
    assert sorted(KeyedPermutation(size, key)(np.arange(size))) == list(range(size))


@given(_SIZES, _KEYS, st.data())
def test_a_block_gets_the_answer_of_the_whole(size, key, data):
    """The image of a position depends on no other position."""
    whole = KeyedPermutation(size, key)(np.arange(size))
    positions = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=30)), dtype=np.int64)
    np.testing.assert_array_equal(KeyedPermutation(size, key)(positions), whole[positions])


def test_images_are_uniform():
    """Over many keys each position goes everywhere equally often."""
    images = np.stack([KeyedPermutation(37, (key,))(np.arange(37)) for key in range(2000)])
    p_values = [chisquare(np.bincount(images[:, position], minlength=37)).pvalue for position in range(37)]
    assert min(p_values) > 1e-4
    assert np.mean(p_values) > 0.3


def test_orders_of_three_are_uniform():
    """In the smallest tables, where a Feistel network is weakest, each order is equally likely."""
    seen = [tuple(KeyedPermutation(3, (key,))(np.arange(3)).tolist()) for key in range(3000)]
    assert chisquare([seen.count(order) for order in permutations(range(3))]).pvalue > 1e-4


def test_neighbours_are_independent():
    """Two adjacent rows share one of four partitions in a quarter of the cases, whatever the distance."""
    image = KeyedPermutation(100_000, (7,))(np.arange(100_000)) % 4
    for distance in (1, 2, 4, 64, 1000):
        together = (image[distance:] == image[:-distance]).mean()
        assert abs(together - 0.25) < 0.01


def test_large_tables():
    """Positions past 32 bits are in range and distinct."""
    size = 2**40 + 12_345
    images = KeyedPermutation(size, (1,))(np.arange(size - 5000, size))
    assert len(np.unique(images)) == 5000
    assert images.min() >= 0
    assert images.max() < size


def test_stays_as_it_is():
    """The permutation is part of what a stored run means: it may not change between versions."""
    assert KeyedPermutation(10, (42, 1))(np.arange(10)).tolist() == [0, 9, 6, 4, 8, 7, 2, 5, 3, 1]


@pytest.mark.parametrize("position", [-1, 10])
def test_positions_outside_are_refused(position):
    """A position that the table lacks is an error, not another row's place."""
    with pytest.raises(ValueError, match=r"0\.\.9"):
        KeyedPermutation(10, (0,))(np.array([position]))
