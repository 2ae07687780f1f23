"""Members that are dropped and added: the others stay as they are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from partwise import Addition, Checkpoint, PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4))
Y = np.where(X[:, 0] + X[:, 1] > 0, "late", "early")
LATER = RNG.normal(size=(100, 4))
LATER_Y = np.where(LATER[:, 0] + LATER[:, 1] > 0, "late", "early")
FITS = []


class Counted(DecisionTreeClassifier):
    """Counts its fits."""

    def fit(self, X, y):
        FITS.append(len(y))
        return super().fit(X, y)


def _model(place=None, learner=None, **settings):
    return PartitionedClassifier(
        Counted(max_depth=3) if learner is None else learner,
        **{"n_partitions": 4, "executor": "inline", "random_state": 0, "quorum": 0.5} | settings,
        checkpoint=None if place is None else Checkpoint(str(place), trust=True),
    )


def _digests(model):
    return {member.partition: member.content_digest for member in model.members_}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the members of a fit of four partitions are kept."""
    found = tmp_path_factory.mktemp("kept")
    _model(found).fit(X, Y)
    return found


@pytest.fixture(scope="module")
def whole(place):
    """That fit."""
    return _model(place).fit(X, Y)


@pytest.fixture(autouse=True)
def _no_fits():
    FITS.clear()


def test_a_dropped_member_costs_no_fit_and_is_stated(place, whole):
    """The others are the same, by digest; the model says what it lacks."""
    model = _model(place).fit(X, Y, dropped=[2])
    assert FITS == []
    assert _digests(model) == {number: each for number, each in _digests(whole).items() if number != 2}
    assert [(failure.partition, failure.reason) for failure in model.failures_] == [(2, "dropped")]
    assert "Partition 2 (150 rows) has no member [dropped]" in model.stored().missing[0]


def test_a_dropped_member_has_no_say(place, whole):
    """The ensemble says what the mean of the others is."""
    model = _model(place).fit(X, Y, dropped=[2])
    others = [member.estimator.predict_proba(LATER) for member in whole.members_ if member.partition != 2]
    assert np.allclose(model.predict_proba(LATER), np.mean(others, axis=0))


def test_a_partition_that_is_dropped_is_not_fitted():
    """Also where nothing is kept."""
    assert len(_model().fit(X, Y, dropped=[0]).members_) == len(FITS) == 3


def test_an_added_member_alone_is_fitted(place, whole):
    """On the added rows, with the seed of its number; the others are the same, by digest."""
    model = _model(place).fit(X, Y, added=[Addition(X=LATER, y=LATER_Y)])
    assert FITS == [100]
    assert {number: each for number, each in _digests(model).items() if number < 4} == _digests(whole)
    assert [model.members_[4].partition, model.members_[4].n_rows, model.n_rows_] == [4, 100, 700]
    assert len({member.seed for member in model.members_}) == 5
    assert model.partitions_.sizes.tolist() == [150, 150, 150, 150, 100]
    assert model.partitions_.class_counts.sum() == 700


def test_what_was_added_before_is_not_fitted_again(place):
    """Tables are numbered on, each with members that are kept by themselves."""
    first = Addition(X=LATER[:50], y=LATER_Y[:50], n_partitions=2)
    once = _model(place).fit(X, Y, added=[first])
    FITS.clear()
    twice = _model(place).fit(X, Y, added=[first, Addition(X=LATER[50:], y=LATER_Y[50:])], dropped=[4])
    assert FITS == [50]
    assert [member.partition for member in twice.members_] == [0, 1, 2, 3, 5, 6]
    assert _digests(twice)[5] == _digests(once)[5]


@pytest.mark.parametrize(("label", "code"), [("early", 0), ("late", 1)])
def test_added_rows_may_be_of_one_class(place, label, code):
    """They add to what is known of it."""
    rows = np.flatnonzero(np.isin(LATER_Y, label))
    model = _model(place).fit(X, Y, added=[Addition(X=LATER[rows], y=LATER_Y[rows])])
    assert model.members_[4].classes.tolist() == [code]
    assert model.partitions_.class_counts[4, code] == model.members_[4].class_counts[code] == len(rows)


def test_added_columns_pass_the_same_encoder():
    """It is fitted on the first table alone, and added texts have the codes that they have there."""
    rows = pd.DataFrame({"town": np.where(X[:, 0] > 0, "Alba", "Asti"), "size": X[:, 1]})
    later = pd.DataFrame({"town": np.where(LATER[:, 0] > 0, "Alba", "Asti"), "size": LATER[:, 1] * 1_000})
    settings = {"learner": LogisticRegression(), "encoder": "table", "n_partitions": 2}
    plain = _model(**settings).fit(rows, Y)
    model = _model(**settings).fit(rows, Y, added=[Addition(X=later, y=LATER_Y)])
    assert _digests(plain) == {number: each for number, each in _digests(model).items() if number < 2}
    assert model.members_[2].estimator.n_features_in_ == plain.members_[0].estimator.n_features_in_


@pytest.mark.parametrize("combine", ["stack", "weighted", "weighted:score", "greedy"])
def test_combinations_that_learn_know_of_the_changes(place, combine):
    """What a combiner learns from the first table's rows counts added members, and those that are left."""
    model = _model(place, combine=combine, out_of_partition=True)
    model.fit(X, Y, added=[Addition(X=LATER, y=LATER_Y)], dropped=[1])
    assert len(model.out_of_partition_member_scores_) == 4
    assert model.out_of_partition_score_ > 0.8
    assert (model.predict(LATER) == LATER_Y).mean() > 0.8


def test_numbers_are_added_too():
    """In regression as in classification."""
    y = X @ [1.0, 2.0, 3.0, 4.0]
    model = PartitionedRegressor(Ridge(), n_partitions=2, executor="inline", random_state=0)
    model.fit(X, y, added=[Addition(X=LATER, y=LATER @ [1.0, 2.0, 3.0, 4.0])])
    assert len(model.members_) == 3
    assert model.score(LATER, LATER @ [1.0, 2.0, 3.0, 4.0]) > 0.99


@pytest.mark.parametrize(
    ("settings", "changes", "said"),
    [
        ({}, {"dropped": [7]}, r"no partitions \[7\] to be dropped. Valid: 0 to 3"),
        ({"quorum": 0.9}, {"dropped": [1]}, "3 of 4 members would be left, and the quorum is 90%"),
        ({"quorum": 0.01}, {"dropped": [0, 1, 2, 3]}, "0 of 4 members would be left"),
        ({"partitioner": "clustered"}, {"added": 1}, "the expert of a cell"),
        ({"partitioner": "grouped"}, {"added": 1}, "groups are never cut"),
        ({"replication": 2}, {"added": 1}, "each row goes to several members"),
        ({"n_partitions": 1}, {"added": 1}, "One model has no members"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(settings, changes, said):
    """Before anything is fitted, with what to do instead."""
    given = {"added": [Addition(X=LATER, y=LATER_Y)]} if "added" in changes else changes
    with pytest.raises(InputError, match=said):
        _model(**settings).fit(X, Y, groups=np.arange(600), **given)
    assert FITS == []


def test_an_exact_model_has_no_members_to_be_changed():
    """It is that of all rows, and would be another one."""
    model = PartitionedRegressor(Ridge(), n_partitions=2, combine="pool", executor="inline", quorum=0.1)
    for changes in ({"dropped": [0]}, {"added": [Addition(X=LATER, y=LATER[:, 0])]}):
        with pytest.raises(InputError, match="merges all parts into the one model of all rows"):
            model.fit(X, X[:, 0], **changes)


def test_added_rows_of_an_unknown_class_are_refused():
    """No member of the others could speak for it."""
    with pytest.raises(InputError, match=r"classes \['never'\], which the first table lacks"):
        _model().fit(X, Y, added=[Addition(X=LATER, y=np.where(LATER[:, 0] > 1, "never", LATER_Y))])


def test_added_rows_with_other_columns_are_refused():
    """As in a prediction."""
    with pytest.raises(ValueError, match="expecting 4 features"):
        _model().fit(X, Y, added=[Addition(X=LATER[:, :3], y=LATER_Y)])
