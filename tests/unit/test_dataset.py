"""From a table to training and test rows: which rows, which columns, which task."""

import numpy as np
import pandas as pd
import pytest

from partwise.comparison.dataset import Roles, make_dataset
from partwise.comparison.holdout import hold_out_at_random, hold_out_by_column, hold_out_latest
from partwise.errors import ConfigurationError, InputError
from partwise.evaluation import widened


def table_of(target, **columns):
    """A table with a feature that counts the rows, a target, and further columns."""
    return pd.DataFrame({"row": np.arange(len(target)), **columns, "target": target})


def halves(n_rows=40):
    """A target of two classes, turn by turn."""
    return np.where(np.arange(n_rows) % 2 == 0, "no", "yes")


# --- at random


def test_random_share_keeps_the_shares_of_the_classes():
    """Of 900 and 100 rows, a fifth of each is held out."""
    codes = np.repeat([0, 1], [900, 100])
    held = hold_out_at_random(1000, 0.2, 0, codes=codes)
    assert np.bincount(codes[held.test]).tolist() == [180, 20]


def test_every_row_is_either_training_or_test():
    """The positions of both, sorted, are all rows once."""
    held = hold_out_at_random(101, 0.3, 5, codes=np.arange(101) % 3)
    assert sorted([*held.train, *held.test]) == list(range(101))
    assert (np.diff(held.train) > 0).all()
    assert (np.diff(held.test) > 0).all()


def test_seed_decides_the_rows():
    """One seed gives one hold-out, another seed another."""
    first, again, other = (hold_out_at_random(200, 0.2, seed).test.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(10))
def test_class_of_one_row_stays_in_training(seed):
    """The only row of a class is never a test row, whatever the seed, nor does it stop the stratification."""
    codes = np.array([0] * 50 + [1] * 50 + [2])
    held = hold_out_at_random(101, 0.2, seed, codes=codes)
    assert 100 in held.train
    assert np.bincount(codes[held.test]).tolist() == [10, 10]


def test_fewer_test_rows_than_classes_are_drawn_all_the_same():
    """Ten classes and four test rows: not every class can be there, and the share is still held out."""
    held = hold_out_at_random(20, 0.2, 0, codes=np.arange(20) % 10)
    assert len(held.test) == 4


def test_groups_are_never_in_both():
    """No group has rows in training and in the test."""
    groups = np.random.default_rng(0).integers(0, 30, 500)
    held = hold_out_at_random(500, 0.2, 0, groups=groups)
    assert set(groups[held.train]).isdisjoint(groups[held.test])
    assert {*groups[held.train], *groups[held.test]} == set(groups)


def test_dataset_holds_whole_groups_out():
    """With a group column the groups of training and test rows have nothing in common."""
    names = [f"group {number % 10}" for number in range(40)]
    data = make_dataset(table_of(halves(), name=names), Roles(target="target", group="name"), "auto")
    assert set(data.groups).isdisjoint(data.test_groups)


def test_one_group_cannot_be_divided():
    """All rows in one group leave nothing to hold out: an InputError, no traceback of scikit-learn's."""
    with pytest.raises(InputError):
        make_dataset(table_of(halves(), name="only"), Roles(target="target", group="name"), "auto")


def test_gaps_in_groups_are_refused():
    """Rows without a group are an InputError that names the column."""
    table = table_of(halves(), name=[None, "a", "b", "c"] * 10)
    with pytest.raises(InputError, match="name"):
        make_dataset(table, Roles(target="target", group="name"), "auto")


@pytest.mark.parametrize(("target", "share"), [(["a", "b", "c"], 0.2), (halves(), 0.999)])
def test_share_that_leaves_no_training_rows_is_refused(target, share):
    """Classes of one row each, or too large a share, are an InputError with the next step."""
    with pytest.raises(InputError):
        make_dataset(table_of(target), Roles(target="target"), "auto", test_size=share)


# --- by time

DAYS = pd.date_range("2012-09-20", periods=40, freq="D")  # 29 September to 29 October: text order is another
TIMES = {
    "numbers": pd.Series(np.arange(40) * 3.5 - 20),
    "ISO text": pd.Series(DAYS.strftime("%Y-%m-%d")),
    "datetime": pd.Series(DAYS),
    "datetime with zone": pd.Series(DAYS.tz_localize("America/New_York")),
    "US text": pd.Series(DAYS.strftime("%m/%d/%Y")),
    "US text over a new year": pd.Series(pd.date_range("2012-12-01", periods=40).strftime("%m/%d/%Y")),
    "US text without zeros": pd.Series([f"{day.month}/{day.day}/{day.year}" for day in DAYS]),
}


@pytest.mark.parametrize("kind", TIMES)
def test_latest_in_time_are_held_out(kind):
    """The last fifth in time is the test, however the rows lie: dates in text are ordered as dates."""
    order = np.random.default_rng(0).permutation(40)
    time = TIMES[kind].iloc[order].reset_index(drop=True).rename("when")
    held = hold_out_latest(time, 0.2)
    assert sorted(order[held.test]) == list(range(32, 40))
    assert sorted(order[held.train]) == list(range(32))


def test_text_that_is_no_date_is_refused():
    """Words have no order in time: the message shows one of them."""
    with pytest.raises(InputError, match="soon"):
        hold_out_latest(pd.Series(["soon", "late", "never", "now"] * 5, name="when"), 0.2)


def test_single_text_that_is_no_date_is_refused():
    """One word among dates is refused too, not dropped in silence."""
    with pytest.raises(InputError, match="unknown"):
        hold_out_latest(pd.Series([*DAYS.strftime("%Y-%m-%d"), "unknown"], name="when"), 0.2)


def test_rows_of_one_time_are_never_divided():
    """Where the share would cut through rows of one time, all of them are test rows."""
    time = pd.Series([1] * 6 + [2] * 3 + [3], name="when")
    held = hold_out_latest(time, 0.2)
    assert held.test.tolist() == [6, 7, 8, 9]


def test_equal_instants_written_in_text_are_never_divided():
    """Days in text that have many rows each lie whole on one side."""
    time = pd.Series(np.repeat(DAYS.strftime("%m/%d/%Y"), 7), name="when").sample(frac=1, random_state=0)
    time = time.reset_index(drop=True)
    held = hold_out_latest(time, 0.33)
    assert set(time[held.train]).isdisjoint(time[held.test])


def test_all_rows_at_one_time_are_refused():
    """One time for all rows leaves no training rows."""
    with pytest.raises(InputError, match="0 training"):
        hold_out_latest(pd.Series([7] * 20, name="when"), 0.2)


def test_missing_times_are_counted():
    """Rows without a time are refused with their number."""
    with pytest.raises(InputError, match=r"when.* 3 missing"):
        hold_out_latest(pd.Series([1.0, None, 2.0, None, None], name="when"), 0.2)


def test_description_says_from_when():
    """A reader learns at which time the test rows begin."""
    assert "2012-10-22" in hold_out_latest(TIMES["ISO text"].rename("when"), 0.2).description


def test_dates_far_ahead_are_the_latest():
    """The placeholder 9999-12-31 is later than this year."""
    held = hold_out_latest(pd.Series(["2012-01-01", "2012-01-02", "9999-12-31"], name="when"), 0.2)
    assert held.test.tolist() == [2]


def test_refused_times_name_their_column():
    """Who gave --time when is told that it is this column that has no times."""
    with pytest.raises(InputError, match="when"):
        hold_out_latest(pd.Series(["soon", "late", "never", "now"] * 5, name="when"), 0.2)


# --- by a column, by a table


def test_split_column_decides():
    """Rows called test are the test, in whatever case the words are written."""
    held = hold_out_by_column(pd.Series(["train", "TEST", "Train", "test"], name="part"))
    assert (held.train.tolist(), held.test.tolist()) == ([0, 2], [1, 3])


def test_split_column_with_another_word_is_refused():
    """A third word is named, with the column and the valid words."""
    with pytest.raises(InputError, match=r"part.*valid.*train, test"):
        hold_out_by_column(pd.Series(["train", "test", "valid"], name="part"))


def test_gaps_in_a_split_column_are_refused():
    """A row that is called neither is an InputError that names the column."""
    with pytest.raises(InputError, match="part"):
        hold_out_by_column(pd.Series(["train", "test", None], name="part"))


@pytest.mark.parametrize("word", ["train", "test"])
def test_split_column_with_one_word_is_refused(word):
    """Only training rows, or only test rows, are refused."""
    with pytest.raises(InputError, match="Both are needed"):
        hold_out_by_column(pd.Series([word] * 5, name="part"))


def test_test_table_with_reordered_columns_is_matched_by_name():
    """Columns of a test table are taken by name, not by place."""
    table = table_of(halves(), other=np.arange(40) + 0.5)
    test_table = table_of(halves(4), other=np.arange(4) + 100.5)[["target", "other", "row"]]
    data = make_dataset(table, Roles(target="target"), "auto", test_table=test_table)
    assert list(data.test.columns) == list(data.train.columns) == ["row", "other"]
    assert data.test["other"].tolist() == [100.5, 101.5, 102.5, 103.5]
    assert (len(data.train), data.labels[data.y_test].tolist()) == (40, ["no", "yes", "no", "yes"])


def test_test_table_without_a_feature_is_refused():
    """Features that the test table lacks are named."""
    with pytest.raises(InputError, match="lacks the columns row"):
        make_dataset(
            table_of(halves()), Roles(target="target"), "auto", test_table=table_of(halves()).drop(columns="row")
        )


def test_test_table_may_have_further_columns():
    """What the training table lacks is left out of the test table."""
    test_table = table_of(halves(4), extra=[1, 2, 3, 4])
    data = make_dataset(table_of(halves()), Roles(target="target"), "auto", test_table=test_table)
    assert list(data.test.columns) == ["row"]


def test_time_column_beside_a_test_table_does_not_move_rows():
    """With a test table of its own the time only orders the training rows."""
    table = table_of(halves(), when=np.arange(40))
    data = make_dataset(table, Roles(target="target", time="when"), "auto", test_table=table.head(4))
    assert (len(data.train), len(data.test), data.times.tolist()) == (40, 4, list(range(40)))


# --- columns


def test_missing_columns_come_all_at_once_with_the_near_ones():
    """Every wrong name is listed with its option and the column that may have been meant."""
    roles = Roles(target="tarqet", time="wen", group="squad", weight="wieght", split="prat", drop=("rwo",))
    table = table_of(halves(), when=0, weight=1.0, part="train")
    with pytest.raises(ConfigurationError) as caught:
        make_dataset(table, roles, "auto")
    message = str(caught.value)
    for option in (
        "--target 'tarqet'",
        "--time 'wen'",
        "--group 'squad'",
        "--weight 'wieght'",
        "--split-column 'prat'",
    ):
        assert option in message
    for near in ("target", "when", "weight", "part", "row"):
        assert f"Did you mean {near!r}?" in message


def test_columns_with_a_part_to_play_are_no_features():
    """Target, time, group, weight, split and dropped columns are not among the features."""
    table = table_of(
        halves(), when=np.arange(40), name="n", heft=1.5, part=["train"] * 30 + ["test"] * 10, junk=0, other=1.0
    )
    roles = Roles(target="target", time="when", group="name", weight="heft", split="part", drop=("junk",))
    data = make_dataset(table, roles, "auto")
    assert list(data.train.columns) == list(data.test.columns) == ["row", "other"]


def test_roles_follow_their_rows():
    """Times, groups, weights and targets are those of the training rows, in their order."""
    when = np.random.default_rng(0).permutation(40)
    table = table_of(halves(), when=when, name=[f"g{w}" for w in when], heft=when / 2)
    data = make_dataset(table, Roles(target="target", time="when", group="name", weight="heft"), "auto")
    rows = data.train["row"].to_numpy()
    assert data.times.tolist() == when[rows].tolist() == (data.weights * 2).tolist()
    assert data.groups.tolist() == [f"g{w}" for w in when[rows]]
    assert data.labels[data.y_train].tolist() == halves()[rows].tolist()
    assert data.labels[data.y_test].tolist() == halves()[data.test["row"]].tolist()


def test_table_without_features_is_refused():
    """A table of a target alone has nothing to learn from."""
    with pytest.raises(InputError, match="feature"):
        make_dataset(table_of(halves()), Roles(target="target", drop=("row",)), "auto")


# --- targets and tasks


def test_missing_targets_are_refused_with_their_number():
    """Three rows of 40 have no target: both numbers are said."""
    target = pd.Series(halves(), dtype=object)
    target.iloc[[1, 5, 9]] = None
    with pytest.raises(InputError, match=r"3 missing.*40 rows"):
        make_dataset(table_of(target), Roles(target="target"), "auto")


def test_missing_numbers_are_refused_with_their_number():
    """NaN in a target of numbers is refused as well, in a test table too."""
    table, test_table = table_of(np.arange(40) / 3), table_of([1.5, np.nan])
    with pytest.raises(InputError, match="1 missing"):
        make_dataset(table, Roles(target="target"), "auto", test_table=test_table)


def test_one_class_is_refused():
    """With one class there is nothing to tell apart."""
    with pytest.raises(InputError, match=r"target.*1 class"):
        make_dataset(table_of(["same"] * 40), Roles(target="target"), "auto")


def test_one_class_among_the_training_rows_is_refused():
    """A class that only test rows have cannot be learnt: one class in training is refused too."""
    table = table_of(["a"] * 30 + ["b"] * 10, part=["train"] * 30 + ["test"] * 10)
    with pytest.raises(InputError, match="class"):
        make_dataset(table, Roles(target="target", split="part"), "auto")


def test_regression_of_text_is_refused():
    """Text is no number to regress on; a value is shown."""
    with pytest.raises(InputError, match=r"'no'.*--task classification"):
        make_dataset(table_of(halves()), Roles(target="target"), "regression")


def test_infinite_targets_are_refused():
    """Infinite numbers cannot be regressed on; they are counted."""
    target = np.arange(40) / 3
    target[:2] = [np.inf, -np.inf]
    with pytest.raises(InputError, match="2 infinite"):
        make_dataset(table_of(target), Roles(target="target"), "regression")


def test_classes_as_many_as_rows_are_refused():
    """A name of its own for each row is no class."""
    with pytest.raises(InputError, match="too many"):
        make_dataset(table_of([f"n{row}" for row in range(60)]), Roles(target="target"), "auto")


TARGETS = {
    "bool": (np.arange(100) % 2 == 0, "classification"),
    "nullable bool": (pd.array([True, False] * 50, dtype="boolean"), "classification"),
    "text": (np.array([f"class {row % 30}" for row in range(100)]), "classification"),
    "categories": (pd.Categorical(halves(100)), "classification"),
    "20 whole numbers": (np.arange(100) % 20, "classification"),
    "21 whole numbers": (np.arange(100) % 21, "regression"),
    "20 whole numbers as floats": (np.arange(100) % 20 * 1.0, "classification"),
    "21 whole numbers as floats": (np.arange(100) % 21 * 1.0, "regression"),
    "two fractions": (np.arange(100) % 2 + 0.5, "regression"),
    "floats": (np.arange(100) / 7, "regression"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_task_follows_from_the_target(kind):
    """Truth values, text and up to 20 whole numbers are classes; more numbers, and fractions, are numbers."""
    target, task = TARGETS[kind]
    assert make_dataset(table_of(target), Roles(target="target"), "auto").task == task


def test_task_asked_for_goes_before_the_rule():
    """Few whole numbers are regressed on when asked, many are classes when asked."""
    few, many = table_of(np.arange(100) % 3), table_of(np.arange(100) % 25)
    assert make_dataset(few, Roles(target="target"), "regression").labels is None
    assert make_dataset(many, Roles(target="target"), "classification").labels.tolist() == list(range(25))


def test_labels_keep_their_type_and_order():
    """Whole numbers stay numbers, sorted as numbers: 2 before 10."""
    data = make_dataset(table_of([10, 2, 10, 2] * 10), Roles(target="target"), "auto")
    assert data.labels.tolist() == [2, 10]


def unseen():
    """Three classes, of which the middle one has test rows only."""
    table = table_of(["a", "c"] * 10 + ["b", "a", "c"], part=["train"] * 20 + ["test"] * 3)
    return make_dataset(table, Roles(target="target", split="part"), "auto")


def test_class_of_test_rows_alone_is_a_label():
    """The labels are those of training and test rows together."""
    data = unseen()
    assert data.labels.tolist() == ["a", "b", "c"]
    assert data.labels[data.y_test].tolist() == ["b", "a", "c"]


def test_columns_are_put_where_their_labels_are():
    """Outputs of a model that never saw the middle class get a column for it, which never wins."""
    wider = widened(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array(["a", "c"]), unseen().labels)
    assert wider.tolist() == [[0.9, 0.0, 0.1], [0.3, 0.0, 0.7]]


def test_scores_below_zero_never_let_the_unseen_class_win():
    """Decision values may all be negative: the unseen class gets the smallest of the row, not 0."""
    wider = widened(np.array([[-3.0, -1.0]]), np.array(["a", "c"]), unseen().labels)
    assert wider.tolist() == [[-3.0, -3.0, -1.0]]


def test_complete_outputs_are_left_alone():
    """Outputs that have all classes come back as they are."""
    outputs = np.array([[0.2, 0.3, 0.5]])
    assert widened(outputs, np.array(["a", "b", "c"]), unseen().labels) is outputs


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, r"1 missing \(NaN\) or infinite values in 40 rows"), (-1.0, "1 negative values")]
)
@pytest.mark.parametrize("word", ["train", "test"])
def test_wrong_weights_are_refused_on_whatever_row(word, value, said):
    """A weight that cannot be one is told also where it is that of a test row, as `train` does."""
    table = table_of(halves(), weight=np.ones(40), side=["train"] * 20 + ["test"] * 20)
    table.loc[5 if word == "train" else 25, "weight"] = value
    with pytest.raises(InputError, match=rf"--weight 'weight' has {said}"):
        make_dataset(table, Roles(target="target", weight="weight", split="side"), "auto")
