"""Facts about the rules of a hold-out: pure, the same for a whole table and for its parts, and small."""

import pickle

import numpy as np
import pandas as pd
import pytest

from partwise.cutting import read_groups
from partwise.records import RowKeys
from partwise.splitting import GroupSplit, WordSplit

WORDS = np.array([f"customer {number}" for number in range(1_000)])
GROUPS = {
    "text": WORDS,
    "whole": np.arange(-500, 500),
    "narrow": np.arange(-100, 100, dtype=np.int8),
    "floats": np.linspace(-1, 1, 1_000),
    "times": pd.Series(pd.date_range("2026-01-01", periods=1_000, freq="h")),
}


def _keys(groups):
    return RowKeys(positions=np.arange(len(groups)), group=groups)


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("share", [0.001, 0.2, 0.255, 0.9])
def test_the_share_of_groups_is_exact(kind, share):
    """Rounded up, whatever groups are."""
    groups = read_groups(pd.Series(GROUPS[kind]))
    held = GroupSplit.of(groups, share, seed=3).is_test(_keys(groups))
    assert held.sum() == np.ceil(share * len(groups))


def test_another_seed_holds_other_groups_out():
    """About a fifth of those that the first holds out are held out again."""
    first, second = (GroupSplit.of(WORDS, 0.2, seed).is_test(_keys(WORDS)) for seed in (0, 1))
    assert 15 <= (first & second).sum() <= 70


def test_numbers_in_a_row_are_not_held_out_in_a_row():
    """The rule looks at digests: of two neighbours one tells nothing of the other."""
    numbers = np.arange(10_000)
    held = GroupSplit.of(numbers, 0.5, seed=0).is_test(_keys(numbers))
    assert 0.45 < (held[1:] == held[:-1]).mean() < 0.55


def test_a_rule_does_not_grow_with_the_groups():
    """It goes to the workers with each task."""
    assert len(pickle.dumps(GroupSplit.of(WORDS, 0.2, seed=0))) < 200


def test_rows_of_a_type_of_another_width_are_held_out_alike():
    """Files of one table may hold a column in several widths."""
    narrow = GROUPS["narrow"]
    rule = GroupSplit.of(narrow.astype(np.int64), 0.3, seed=0)
    np.testing.assert_array_equal(rule.is_test(_keys(narrow)), rule.is_test(_keys(narrow.astype(np.int64))))


def test_words_say_what_is_held_out():
    """In any case of letters."""
    words = np.array(["Test", "train", "TRAIN", "test"])
    held = WordSplit.of(np.unique(words), "part").is_test(_keys(words))
    assert held.tolist() == [True, False, False, True]
