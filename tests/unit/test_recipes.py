"""Facts about cuts and combinations that go together."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPRegressor
from sklearn.tree import DecisionTreeRegressor

from fakes import Centre
from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.combiners import COMBINERS
from partwise.errors import InputError
from partwise.partitioners import PARTITIONERS
from partwise.recipes import make_recipe, recipes_for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")


def _recipe(partitioner, combine, estimator=None, task="classification"):
    estimator = (GaussianNB() if task == "classification" else Ridge()) if estimator is None else estimator
    return make_recipe(partitioner, combine, task, estimator, n_partitions=4)


@pytest.mark.parametrize(
    ("partitioner", "combine", "estimator", "expected"),
    [
        (None, None, LogisticRegression(), ("stratified", "soft")),
        ("shuffled", None, LogisticRegression(), ("shuffled", "soft")),
        ("grouped", None, LogisticRegression(), ("grouped", "soft")),
        (None, "vote", LogisticRegression(), ("stratified", "vote")),
        ("clustered", None, LogisticRegression(), ("clustered", "route")),
        ("clustered:0.1", None, LogisticRegression(), ("clustered", "route")),
        (None, "route", LogisticRegression(), ("clustered", "route")),
        (None, "route:3", LogisticRegression(), ("clustered", "route")),
        ("replicated", None, RandomForestClassifier(), ("replicated", "pool")),
        (None, "pool", RandomForestClassifier(), ("replicated", "pool")),
        (None, "pool", GaussianNB(), ("stratified", "pool")),
        ("ordered", "pool", GaussianNB(), ("ordered", "pool")),
    ],
)
def test_what_is_left_open_suits_what_was_given(partitioner, combine, estimator, expected):
    """A cut brings the combination that takes its members, a combination the cut that gives them."""
    recipe = _recipe(partitioner, combine, estimator)
    assert (recipe.partitioner.name, recipe.combiner.name) == expected


@pytest.mark.parametrize(
    ("partitioner", "combine", "estimator", "expected"),
    [
        (None, None, Ridge(), ("shuffled", "mean")),
        ("clustered", None, Ridge(), ("clustered", "route")),
        (None, "pool", Ridge(), ("shuffled", "pool")),
        (None, "pool", RandomForestRegressor(), ("replicated", "pool")),
    ],
)
def test_what_is_left_open_in_regression(partitioner, combine, estimator, expected):
    """Regression has no classes to stratify by, and takes means."""
    recipe = _recipe(partitioner, combine, estimator, "regression")
    assert (recipe.partitioner.name, recipe.combiner.name) == expected


@pytest.mark.parametrize(
    ("combine", "task"),
    [
        (name, task)
        for name, kind in sorted(COMBINERS.items())
        for task in ("classification", "regression")
        if kind().task in {task, "any"}
    ],
)
@pytest.mark.parametrize("partitioner", sorted(PARTITIONERS))
def test_every_pair_goes_together_or_is_refused_with_the_next_step(partitioner, combine, task):
    """A pair is a recipe where the combination takes what the cut gives, else an error that names both."""
    forests = {"classification": RandomForestClassifier(), "regression": RandomForestRegressor()}
    estimator = forests[task] if partitioner == "replicated" else Centre() if combine == "average_weights" else None
    if PARTITIONERS[partitioner]().gives in COMBINERS[combine]().takes:
        assert _recipe(partitioner, combine, estimator, task).combiner.name == combine
    else:
        with pytest.raises(InputError, match=rf"'{partitioner}' does not go with combine='{combine}'(.|\n)*Leave one"):
            _recipe(partitioner, combine, estimator, task)


@pytest.mark.parametrize(
    ("partitioner", "combine", "what"),
    [
        ("clustered", "soft", "it gives cells, and 'soft' takes samples"),
        ("clustered", "stack", "it gives cells, and 'stack' takes samples"),
        ("stratified", "route", "it gives samples, and 'route' takes cells"),
        ("replicated", "soft", "it gives copies, and 'soft' takes samples"),
        ("replicated", "route", "it gives copies, and 'route' takes cells"),
        ("replicated", "pool", "for GaussianNB: it gives copies, and 'pool' takes samples"),
    ],
)
def test_what_does_not_go_together_is_refused_by_fit(partitioner, combine, what):
    """Before anything is fitted the error says what was given, what would be taken, and the next step."""
    model = PartitionedClassifier(GaussianNB(), partitioner=partitioner, combine=combine, executor="inline")
    with pytest.raises(InputError, match=rf"{what}(.|\n)*Leave one of them out"):
        model.fit(X, Y)


def test_a_forest_in_disjoint_parts_is_refused():
    """Trees are shared out on all rows: the error says so for that learner."""
    with pytest.raises(InputError, match=r"'stratified' does not go with combine='pool' for RandomForest(.|\n)*copies"):
        _recipe("stratified", "pool", RandomForestClassifier())


@pytest.mark.parametrize(
    ("combine", "advice"),
    [
        ("route", r"no partitions(.|\n)*'soft'"),
        ("pool", r"not merged(.|\n)*'soft'"),
        ("stack", r"no training rows(.|\n)*'soft'"),
        ("greedy", r"no training rows(.|\n)*'soft'"),
    ],
)
def test_models_from_elsewhere_are_neither_routed_nor_merged_nor_stacked(combine, advice):
    """The error says what such models lack, and which combinations they can have."""
    with pytest.raises(InputError, match=advice):
        PartitionedClassifier.from_members([GaussianNB().fit(X, Y), GaussianNB().fit(X, Y)], combine=combine)
    with pytest.raises(InputError, match=advice):
        PartitionedRegressor.from_members([Ridge().fit(X, X[:, 0])] * 2, combine=combine)


@pytest.mark.parametrize("settings", [{}, {"partitioner": "clustered"}, {"combine": "pool"}, {"replication": 2}])
def test_settings_are_readable_before_the_fit(settings):
    """What was left open stays open in the parameters: a clone has what the user gave."""
    model = PartitionedClassifier(GaussianNB(), executor="inline", n_partitions=3, random_state=0, **settings)
    before = model.get_params()
    model.fit(X, Y)
    assert model.get_params() == before


@pytest.mark.parametrize(
    ("learner", "name"),
    [
        (MLPRegressor(), "shuffled, mean:bounded"),
        (DecisionTreeRegressor(), "shuffled, mean:bounded"),
        (Ridge(), "shuffled, mean"),
    ],
)
def test_trials_bound_the_mean_of_what_has_no_exact_merge(learner, name):
    """Nets far from their rows say anything; lines may well go on beyond."""
    names = [each.name for each in recipes_for(None, "regression", learner, n_partitions=4, match_updates=False)]
    assert name in names
    assert sum("mean" in each for each in names) == 1


def test_periods_do_not_share_rows():
    """Rows at random in several partitions would make partitions of an ordered cut no periods."""
    recipe = make_recipe("ordered", "soft", "classification", LogisticRegression(), n_partitions=4, replication=2)
    with pytest.raises(InputError, match=r"replication=2 does not go with partitioner='ordered'(.|\n)*'shuffled'"):
        recipe.check(out_of_partition=False)


def test_weights_are_averaged_by_the_weights_of_the_rows():
    """The one model is the weighted mean of the members, and stands alone."""
    y = np.arange(len(X), dtype=float)
    model = PartitionedRegressor(Centre(), n_partitions=4, combine="average_weights", executor="inline").fit(X, y)
    assert len(model.members_) == 4
    assert [member.estimator.mean_ for member in model.predictor_.pool.members] == [pytest.approx(y.mean())]


def test_a_learner_without_weights_to_average_is_refused_before_a_fit():
    """The error says what can be averaged, and what suits every learner."""
    with pytest.raises(InputError, match=r"GaussianNB has no weights(.|\n)*torch_mlp with init_seed(.|\n)*'soft'"):
        _recipe(None, "average_weights", GaussianNB())


def test_one_averaged_model_has_no_members_that_did_not_see_a_row():
    """Out-of-partition evidence is refused, as for merges."""
    recipe = _recipe(None, "average_weights", Centre(), "regression")
    assert not recipe.judged_out_of_partition
    with pytest.raises(InputError, match="cannot judge combine='average_weights'"):
        recipe.check(out_of_partition=True)
