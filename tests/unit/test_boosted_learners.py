"""Facts about boosted trees: early stopping, categories as such, storage."""

import pickle

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from xgboost import XGBClassifier

from partwise import PartitionedClassifier
from partwise.digests import content_digest
from partwise.encoders import TableEncoder
from partwise.learners import make_learner
from partwise.model_store import deserialise, serialise
from partwise.records import LearnerNeeds
from partwise.templates import configured, with_categories

NAMES = ("xgboost", "lightgbm", "catboost")
_ROUNDS = {"xgboost": "n_estimators", "lightgbm": "n_estimators", "catboost": "iterations"}
every_library = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def rows():
    """Return a number and the code of a category of 20 levels, with gaps; the code decides in no order."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=800), rng.integers(0, 20, 800)]).astype(np.float32)
    y = np.isin(X[:, 1], [0, 3, 4, 9, 11, 13, 16, 18]).astype(np.int64)
    X[::10, 0], X[::50, 1] = np.nan, np.nan
    return X, y


def _made(name, task="classification", rounds=30, **params):
    return configured(make_learner(name, task, {_ROUNDS[name]: rounds} | params).estimator, 0, 1)


def _rounds_kept(model):
    kept = getattr(model, "best_iteration_", getattr(model, "best_iteration", None))
    return kept if kept is not None else model.model_.tree_count_


@every_library
def test_rounds_end_when_the_rows_held_back_say_so(name, rows):
    """On noise 300 rounds end early by one parameter, and the best of them are kept."""
    X, _ = rows
    noise = np.random.default_rng(1).integers(0, 2, len(X))
    model = _made(name, rounds=300, early_stopping_rounds=5).fit(X, noise)
    assert _rounds_kept(model) < 100
    assert model.predict(X).shape == (len(X),)


@every_library
def test_a_class_with_a_single_row_stops_no_fit(name, rows):
    """It is learned from, and not held back; a partition too small to hold any back is fitted whole."""
    X, y = rows
    y = np.where(np.arange(len(y)) == 7, 2, y)
    assert _made(name, early_stopping_rounds=5).fit(X, y).predict_proba(X).shape == (len(X), 3)
    assert _made(name, early_stopping_rounds=5).fit(X[:4], [0, 1, 0, 1]).predict(X).shape == (len(X),)


@every_library
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_weights_and_early_stopping_go_together(name, task, rows):
    """Rows held back are weighed too; both tasks."""
    X, y = rows
    weights = np.random.default_rng(0).random(len(y))
    assert _made(name, task, early_stopping_rounds=5).fit(X, y, sample_weight=weights).predict(X).shape == (len(X),)


@every_library
def test_categories_are_split_as_sets(name, rows):
    """Codes that decide in no order are learned by few shallow trees as categories, and not as numbers."""
    X, y = rows
    depth = {"max_depth": 2} | ({"one_hot_max_size": 30} if name == "catboost" else {})
    depth |= {"num_leaves": 4, "min_data_per_group": 1, "cat_smooth": 1} if name == "lightgbm" else {}
    plain, native = (
        _made(name, rounds=8, categorical_features=which).set_params(**depth).fit(X, y).score(X, y)
        for which in (None, [1])
    )
    assert native > plain + 0.03


@every_library
def test_levels_that_were_not_seen_are_predicted(name, rows):
    """Code -1 of the encoder, and a level that only other partitions have, are answered."""
    X, y = rows
    model = _made(name, categorical_features=[1]).fit(X, y)
    assert np.isfinite(
        model.predict_proba(np.array([[0.0, -1.0], [0.0, 40.0], [np.nan, np.nan]], dtype=np.float32))
    ).all()


@every_library
def test_members_have_digests_and_are_stored_without_pickle(name, rows):
    """Two fits agree by digest, and the libraries' own formats bring back the same predictions."""
    X, y = rows
    first, second = (_made(name, categorical_features=[1], early_stopping_rounds=5).fit(X, y) for _ in range(2))
    digests = {content_digest(pickle.loads(pickle.dumps(each))) for each in (first, second)}  # noqa: S301 - our own
    assert len(digests) == 1
    file_format, data = serialise(first)
    assert file_format == "skops"
    assert (deserialise(data, file_format, "here").predict_proba(X) == first.predict_proba(X)).all()


@pytest.mark.parametrize(("name", "kind"), [("xgboost", XGBClassifier), ("lightgbm", LGBMClassifier)])
def test_without_our_settings_a_fit_is_the_librarys_own(name, kind, rows):
    """The estimators are the library's, and predict what it predicts."""
    X, y = rows
    ours = _made(name).fit(X, y)
    assert isinstance(ours, kind)
    theirs = kind(
        n_estimators=30, random_state=ours.random_state, n_jobs=1, **{"verbosity": -1} if name == "lightgbm" else {}
    )
    assert (ours.predict_proba(X) == theirs.fit(X, y).predict_proba(X)).all()


@every_library
def test_a_clone_has_the_same_settings(name):
    """All parameters are told, ours and the library's, and survive a clone."""
    model = _made(name, early_stopping_rounds=7, validation_fraction=0.2)
    assert clone(model).get_params() == pytest.approx(model.get_params(), nan_ok=True)
    assert {"early_stopping_rounds", "categorical_features", "validation_fraction"} <= model.get_params().keys()


def test_the_encoder_tells_which_columns_are_categories():
    """Their positions and levels reach an estimator that leaves it open, those within its bins."""
    table = pd.DataFrame(
        {"town": [f"t{i % 300}" for i in range(900)], "size": range(900), "colour": ["r", "g", "b"] * 300}
    )
    encoder = TableEncoder(LearnerNeeds(scale=False, impute=False, categories="ordinal")).fit(table)
    assert encoder.category_levels_ == {1: 300, 2: 3}
    boosting = with_categories(HistGradientBoostingClassifier(), encoder.category_levels_)
    assert boosting.categorical_features == [2]
    asked = HistGradientBoostingClassifier(categorical_features=None)
    assert with_categories(asked, encoder.category_levels_) is asked
    masked = HistGradientBoostingClassifier(categorical_features=np.array([True, False]))
    assert with_categories(masked, encoder.category_levels_) is masked


def test_members_know_their_categories():
    """An ensemble with an encoder of codes fits its members with them."""
    table = pd.DataFrame({"colour": list("rgbk") * 60, "size": range(240)})
    encoder = TableEncoder(LearnerNeeds(scale=False, impute=False, categories="ordinal"))
    model = PartitionedClassifier(
        HistGradientBoostingClassifier(max_iter=2), n_partitions=2, encoder=encoder, executor="inline"
    ).fit(table, [colour in "rb" for colour in table["colour"]])
    assert [member.estimator.is_categorical_.tolist() for member in model.members_] == [[False, True]] * 2


def test_class_weights_of_catboost_keep_their_labels():
    """A dictionary of string labels counts in the members: a class that weighs a thousand times more is predicted."""
    X = np.random.default_rng(0).normal(size=(80, 2))
    y = np.array(["no", "yes"])[(X[:, 0] > 0.5).astype(int)]
    learner = make_learner("catboost", "classification", {"iterations": 5, "class_weights": {"yes": 1000.0, "no": 1.0}})
    model = PartitionedClassifier(learner.estimator, n_partitions=2, executor="inline", random_state=0).fit(X, y)
    assert (model.predict(X) == "yes").mean() > (y == "yes").mean() + 0.1
