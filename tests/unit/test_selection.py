"""Facts about `auto`: recipes are tried on training rows, and the choice says why."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from partwise import Auto, PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.recipes import recipes_for
from partwise.trials import Judges, Trial, beside, choose

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, size=(4000, 4))
CHECKERBOARD = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(int)
NOISE = RNG.integers(2, size=4000)


def _auto(learner, **settings):
    return PartitionedClassifier(
        learner, **{"combine": "auto", "n_partitions": 6, "executor": "inline", "random_state": 0} | settings
    )


class _MemorisesGroups(ClassifierMixin, BaseEstimator):
    """Knows the class of each value of the first column that it saw, else says the first class."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen_ = dict(zip(X[:, 0].tolist(), y.tolist(), strict=True))
        return self

    def predict(self, X):
        return np.array([self.seen_.get(value, self.classes_[0]) for value in X[:, 0].tolist()])


def test_local_experts_are_chosen_where_the_target_is_local():
    """A linear learner on a checkerboard is routed, as its leaderboard shows it to be far better."""
    model = _auto(LogisticRegression()).fit(X, CHECKERBOARD)
    assert (model.recipe_.partitioner.name, model.recipe_.combiner.name) == ("clustered", "route")
    assert model.score(X, CHECKERBOARD) > 0.8
    assert model.leaderboard_.loc[model.leaderboard_.chosen, "low"].item() > 0.2


def test_one_model_is_chosen_where_partitions_cost_accuracy():
    """A tree on a fine pattern needs all rows; the ensemble is then one model, and says so."""
    fine = (np.floor(X[:, 0] * 4) + np.floor(X[:, 1] * 4)).astype(int) % 2
    model = _auto(DecisionTreeClassifier(min_samples_leaf=8), partitioner="stratified").fit(X[:, :2], fine)
    assert len(model.members_) == 1
    assert model.members_[0].n_rows == len(X)
    assert model.selection_reason_.startswith("One model, not distributed")


def test_one_model_is_the_model_of_a_plain_fit():
    """What auto gives as one model predicts as the learner that is fitted without partwise."""
    fine = (np.floor(X[:, 0] * 4) + np.floor(X[:, 1] * 4)).astype(int) % 2
    learner = DecisionTreeClassifier(min_samples_leaf=8, random_state=1)
    model = _auto(learner, partitioner="stratified").fit(X[:, :2], fine)
    np.testing.assert_array_equal(model.predict(X[:, :2]), learner.fit(X[:, :2], fine).predict(X[:, :2]))


def test_an_exact_merge_is_chosen_where_nothing_is_better():
    """A forest is shared out by its trees where samples and cells do worse."""
    fine = (np.floor(X[:, 0] * 8) + np.floor(X[:, 1] * 8)).astype(int) % 2
    model = _auto(RandomForestClassifier(20, random_state=0)).fit(X, fine)
    assert model.recipe_.combiner.name == "pool"
    assert model.predictor_.exactness == "exact"
    single = RandomForestClassifier(20, random_state=0).fit(X, fine)
    np.testing.assert_allclose(model.predict_proba(X), single.predict_proba(X))


def test_noise_seldom_looks_like_skill():
    """Where no recipe differs from one model, an ensemble is said to be better in at most one choice of ten."""
    recipes = recipes_for(None, "classification", RandomForestClassifier(), n_partitions=8, match_updates=False)
    one, exact, *others = recipes
    judges = Judges(np.ones(1000), np.arange(1000))
    rng = np.random.default_rng(1)

    def chosen():
        losses = (rng.random((4, 1000)) < 0.2).astype(float)
        tried = zip([one, *others], losses, strict=True)
        trials = [Trial(recipe=r, n_rows=1000, losses=each, seconds=1.0, predict_seconds=0.0) for r, each in tried]
        return choose(beside(trials, judges), [exact])[0]

    assert sum(chosen() != exact for _ in range(400)) <= 40


def test_rows_without_weight_do_not_judge():
    """Rows of weight zero with random labels change neither the scores nor the choice."""
    junk = np.arange(len(X)) % 2 == 0
    labels = np.where(junk, NOISE, (X[:, 0] > 0).astype(int))
    weighted = _auto(LogisticRegression()).fit(X, labels, sample_weight=np.where(junk, 0.0, 1.0))
    assert weighted.leaderboard_.score.max() > 0.97


def test_later_rows_judge_where_there_are_times():
    """With times, a rule that turns around late in the table is judged by the rows after the turn."""
    turned = np.arange(len(X)) >= 3000
    labels = ((X[:, 0] > 0) ^ turned).astype(int)
    board = _auto(LogisticRegression(), partitioner="ordered").fit(X, labels, time=np.arange(len(X))).leaderboard_
    assert board.score.max() < 0.2


def test_groups_that_leave_no_judges_are_refused():
    """One group alone cannot be fitted on and held back."""
    groups = np.r_[np.zeros(3990), np.arange(1, 11)]
    with pytest.raises(InputError, match="holds rows back"):
        _auto(LogisticRegression(), partitioner="grouped").fit(X, CHECKERBOARD, groups=groups)


def test_the_leaderboard_has_one_model_and_every_recipe():
    """One row a recipe, each with its score, its interval against one model, and its cost."""
    board = _auto(LogisticRegression()).fit(X, CHECKERBOARD).leaderboard_
    assert set(board.recipe) == {"one model", "clustered, route", "stratified, stack", "stratified, soft"}
    assert board.chosen.sum() == 1
    assert (board.low <= board.difference).all()
    assert board.difference.notna().all()
    assert (board.fit_seconds > 0).all()


def test_regression_is_chosen_by_r2():
    """The score of a regression trial is R² on rows held back."""
    y = X[:, 0] * X[:, 1]
    model = PartitionedRegressor(LinearRegression(), combine="auto", executor="inline", random_state=0).fit(X, y)
    assert model.recipe_.combiner.name == "route"
    assert model.leaderboard_.score.max() == pytest.approx(model.score(X, y), abs=0.1)


def test_trials_judge_on_rows_that_they_were_not_fitted_on():
    """With random labels a memorising learner scores no better than chance."""
    board = _auto(KNeighborsClassifier(1)).fit(X, NOISE).leaderboard_
    assert board.score.max() < 0.56


def test_groups_are_held_back_whole():
    """A learner that memorises groups scores no better than chance where the labels of groups are random."""
    groups = np.repeat(np.arange(400), 10)
    table = np.column_stack([groups, X[:, 0]]).astype(float)
    labels = RNG.integers(2, size=400)[groups]
    model = _auto(_MemorisesGroups(), partitioner="grouped").fit(table, labels, groups=groups)
    assert model.leaderboard_.score.max() < 0.65


def test_a_partitioner_that_was_asked_for_is_kept():
    """With a partitioner of the user's own only what goes with it is tried."""
    model = _auto(LogisticRegression(), partitioner="ordered").fit(X, CHECKERBOARD)
    assert set(model.leaderboard_.recipe) == {"one model", "ordered, stack", "ordered, soft"}


def test_no_budget_pays_for_one_round():
    """With a budget of nothing, and fits that are not cheap, the first round alone is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("partwise.selection._CHEAP_SECONDS", 0.0)
        board = _auto(LogisticRegression(), combine=Auto(budget=0)).fit(X, CHECKERBOARD).leaderboard_
    assert set(board.rows) == {2000}


def test_more_budget_tries_more_rows():
    """Cheap trials go on until three quarters of the rows."""
    assert _auto(LogisticRegression()).fit(X, CHECKERBOARD).leaderboard_.rows.max() == 3000


def test_the_choice_is_the_same_by_seed():
    """The same table and seed give the same trials and members."""
    first, second = (_auto(LogisticRegression()).fit(X, CHECKERBOARD) for _ in range(2))
    np.testing.assert_array_equal(first.leaderboard_.score, second.leaderboard_.score)
    assert [m.content_digest for m in first.members_] == [m.content_digest for m in second.members_]


def test_evidence_is_kept_where_it_can_be_had():
    """A choice that routes has no out-of-partition score; asking for it is no error, as nobody knew."""
    model = _auto(LogisticRegression(), out_of_partition=True).fit(X, CHECKERBOARD)
    assert not hasattr(model, "out_of_partition_score_")


@pytest.mark.parametrize("combine", ["auto:x", "auto:-1", "autos"])
def test_wrong_budgets_are_refused(combine):
    """The error has what was given and what is valid."""
    with pytest.raises(InputError, match=rf"{combine}(.|\n)*Valid: "):
        _auto(LogisticRegression(), combine=combine).fit(X, CHECKERBOARD)


@pytest.mark.parametrize("settings", [{"n_partitions": 1}, {"replication": 2}])
def test_nothing_to_choose_is_refused(settings):
    """Auto needs partitions to choose about, and does not share rows."""
    with pytest.raises(InputError, match="nothing to choose"):
        _auto(LogisticRegression(), **settings).fit(X, CHECKERBOARD)


def test_a_recipe_that_fails_is_on_the_leaderboard():
    """A learner that cannot be fitted on cells of one class keeps its place, with the reason, and is not chosen."""

    class NeedsThreeClasses(DecisionTreeClassifier):
        def fit(self, X, y, sample_weight=None):
            if len(np.unique(y)) < 3:
                raise ValueError("three classes are needed")
            return super().fit(X, y, sample_weight)

    corners = (X[:, 0] > 0) + (X[:, 0] > 0.5).astype(int)
    board = _auto(NeedsThreeClasses()).fit(X, corners).leaderboard_
    failed = board[board.recipe == "clustered, route"].iloc[0]
    assert "three classes are needed" in failed.failure
    assert not failed.chosen
