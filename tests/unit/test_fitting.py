"""Facts about the fit of members."""

import copy
import os
import pickle
import warnings

import cloudpickle
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fakes import FitReturnsNothing, KeepsWhatItSaw, NearestMean, RaisesOnNegative, WritesIntoItself
from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.digests import content_digest
from partwise.errors import MemberFitError
from partwise.executors import InlineExecutor
from partwise.fitting import FitJob, fit_member, fit_members
from partwise.partitioners import Ordered
from partwise.records import MemberFailure, Part
from partwise.tables import MemoryTable
from partwise.templates import configured, member_seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = np.array(["a", "b", "c"])[np.argsort(np.argsort(X[:, 0])) // 40]


def _classifier(estimator, **settings):
    return PartitionedClassifier(estimator, **{"n_partitions": 3, "executor": "inline", "random_state": 0, **settings})


def _random_states(estimator):
    return {n: v for n, v in estimator.get_params().items() if n.rpartition("__")[2] == "random_state"}


def test_every_open_random_state_is_seeded():
    """Random states in the depths of a Pipeline are set, each to a number of its own."""
    deep = make_pipeline(QuantileTransformer(), BaggingClassifier(RandomForestClassifier()))
    states = _random_states(configured(deep, seed=5, cpus=1))
    assert len(states) == 3
    assert all(isinstance(state, int) for state in states.values())
    assert len(set(states.values())) == 3


def test_a_random_state_that_the_user_set_stays():
    """A number is the user's word; what is open beside it is seeded."""
    deep = make_pipeline(QuantileTransformer(random_state=7), DecisionTreeClassifier())
    states = _random_states(configured(deep, seed=5, cpus=1))
    assert states["quantiletransformer__random_state"] == 7
    assert isinstance(states["decisiontreeclassifier__random_state"], int)


def test_the_template_stays_as_it_was():
    """What the user gave is copied, never changed."""
    template = make_pipeline(QuantileTransformer(), RandomForestClassifier(n_jobs=-1))
    before = copy.deepcopy(template.get_params())
    configured(template, seed=5, cpus=3)
    assert str(template.get_params()) == str(before)


def test_n_jobs_is_the_members_cpus():
    """However many jobs the estimator was told to use, it uses as many as the member has CPUs, in every depth."""
    deep = make_pipeline(StandardScaler(), BaggingClassifier(RandomForestClassifier(n_jobs=-1)))
    params = configured(deep, seed=5, cpus=3).get_params()
    jobs = {name: value for name, value in params.items() if name.rpartition("__")[2] == "n_jobs"}
    assert len(jobs) == 2
    assert set(jobs.values()) == {3}


def test_nothing_warns_where_the_learner_does_not():
    """A learner that is quiet by itself is quiet in a partition too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(X, Y)
        _classifier(LogisticRegression()).fit(X, Y)


def test_seeds_differ_between_partitions_and_not_between_runs():
    """A member's seed is a function of the run's seed and its partition alone."""
    seeds = [member_seed(0, partition) for partition in range(1000)]
    assert len(set(seeds)) == 1000
    assert seeds == [member_seed(0, partition) for partition in range(1000)]
    assert member_seed(1, 0) != member_seed(0, 0)


def test_two_fits_with_one_seed_give_the_same_members():
    """Random learners give equal members for equal seeds, and others for others."""
    first, again, other = (
        [m.content_digest for m in _classifier(SGDClassifier(), random_state=seed).fit(X, Y).members_]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert not set(first) & set(other)


def _mass(model, label):
    return model.predict_proba(X)[:, list(model.classes_).index(label)].mean()


@pytest.mark.parametrize("nested", [False, True])
def test_class_weights_keep_their_labels(nested):
    """A class_weight dictionary of string labels counts in the members as it counts in one model."""
    plain = LogisticRegression()
    heavy = LogisticRegression(class_weight={"c": 50.0})
    if nested:
        plain, heavy = make_pipeline(StandardScaler(), plain), make_pipeline(StandardScaler(), heavy)
    assert _mass(_classifier(heavy).fit(X, Y), "c") > _mass(_classifier(plain).fit(X, Y), "c") + 0.1
    single = clone(heavy).fit(X, Y)
    whole = _classifier(heavy, n_partitions=1).fit(X, Y)
    np.testing.assert_allclose(whole.predict_proba(X), single.predict_proba(X))


def test_class_weights_of_classes_that_a_partition_lacks():
    """In a partition without class a, the weights of b and c still go to b and c."""
    job = FitJob(
        template=SVC(class_weight={"a": 2.0, "b": 3.0, "c": 4.0}), seed=0, cpus=1, labels=np.array(["a", "b", "c"])
    )
    fitted = fit_member(job, Part(0, X[:20], np.array([1, 2] * 10), None))
    estimator = pickle.loads(fitted.estimator)  # noqa: S301 - our own bytes
    assert estimator.class_weight == {0: 3.0, 1: 4.0}
    assert fitted.classes.tolist() == [1, 2]


def test_one_class_needs_no_learner():
    """A partition of one class gets a member, though the learner would refuse to fit it."""
    model = _classifier(LogisticRegression(), partitioner="ordered").fit(X[np.argsort(Y)], np.sort(Y))
    assert [member.class_counts.tolist() for member in model.members_] == [[40, 0, 0], [0, 40, 0], [0, 0, 40]]
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


def test_a_fit_that_returns_nothing_is_fine():
    """Some libraries' fit returns None: the estimator itself is the member."""
    model = _classifier(FitReturnsNothing()).fit(X, Y)
    assert model.score(X, Y) > 0.8
    assert isinstance(model.members_[0].estimator, FitReturnsNothing)


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_failing_member_is_named(executor, ray_session):  # noqa: ARG001 - Ray for one of the two
    """A member that cannot be fitted stops the fit with its partition, its rows and the message of the learner."""
    rows, labels = np.vstack([abs(X[:60]), [[-1.0, 0, 0]]]), np.arange(61) % 2
    with pytest.raises(
        MemberFitError, match=r"Partition 2 \(20 rows\)(.|\n)*ValueError: the first feature is neg"
    ) as e:
        _classifier(RaisesOnNegative(), partitioner="ordered", executor=executor).fit(rows, labels)
    assert [failure.partition for failure in e.value.failures] == [2]
    assert "in fit" in e.value.failures[0].traceback


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_partition_of_zero_weight_gives_no_member(executor, ray_session):  # noqa: ARG001 - Ray for one of the two
    """It is stated in failures_ with its rows, is absent from members_, and has no say in predictions."""
    weights = np.ones(120)
    weights[40:80] = 0.0
    targets = np.repeat([1.0, 50.0, 3.0], 40)
    model = PartitionedRegressor(KeepsWhatItSaw(), n_partitions=3, partitioner="ordered", executor=executor)
    model.fit(X, targets, sample_weight=weights)
    assert [member.partition for member in model.members_] == [0, 2]
    assert [(f.partition, f.n_rows, f.reason) for f in model.failures_] == [(1, 40, "zero_weight")]
    assert set(model.predict(X)) == {2.0}


def test_weights_travel_with_their_rows():
    """Each member gets the weights of its own rows, and its weight is their sum."""
    weights = RNG.random(120)
    model = PartitionedRegressor(KeepsWhatItSaw(), n_partitions=4, executor="inline", random_state=0)
    model.fit(X, np.arange(120.0), sample_weight=weights)
    for member in model.members_:
        rows = model.partitions_.rows[member.partition]
        np.testing.assert_array_equal(member.estimator.X_, X[rows])
        np.testing.assert_array_equal(member.estimator.y_, rows)
        np.testing.assert_array_equal(member.estimator.sample_weight_, weights[rows])
        assert member.weight == pytest.approx(weights[rows].sum())


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("learner", [GaussianNB(), WritesIntoItself()], ids=["naive_bayes", "fake"])
def test_a_member_from_ray_can_be_written_to(learner):
    """Members that come through Ray's object store can learn on: their arrays are not read-only."""
    model = PartitionedClassifier(learner, n_partitions=2, random_state=0)
    if isinstance(learner, WritesIntoItself):
        model = PartitionedRegressor(learner, n_partitions=2, random_state=0)
    estimator = model.fit(X, np.arange(120) % 2).members_[0].estimator
    before = content_digest(estimator)
    estimator.partial_fit(X, np.arange(120) % 2)
    assert content_digest(estimator) != before


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_read_only_input_is_fine(executor, ray_session):  # noqa: ARG001 - Ray for one of the two
    """Arrays that may not be written to, as memory maps are, can be fitted and predicted."""
    frozen = X.copy()
    frozen.setflags(write=False)
    labels = np.arange(120) % 2
    labels.setflags(write=False)
    model = _classifier(GaussianNB(), executor=executor).fit(frozen, labels)
    assert model.predict(frozen).shape == (120,)


def test_members_come_in_the_order_of_partitions_with_their_measurements():
    """Each member states its rows, its classes, its seconds, its memory, and where and when it was fitted."""
    model = _classifier(NearestMean()).fit(X, Y)
    assert [member.partition for member in model.members_] == [0, 1, 2]
    for member in model.members_:
        assert member.n_rows == 40
        assert member.class_counts.sum() == 40
        assert member.seed == member_seed(0, member.partition)
        assert member.fit_seconds > 0
        assert member.started > 1.7e9
        assert member.peak_memory_bytes > 2**20
        assert member.process == os.getpid()
        assert member.node


def test_each_member_is_reported_as_it_comes():
    """Progress hears of every member and of every partition that gives none, once."""
    weights = np.where(np.arange(120) < 40, 0.0, 1.0)
    table = MemoryTable(Part(0, X, X[:, 0], weights), labels=None)
    heard = []
    job = FitJob(template=KeepsWhatItSaw(), seed=0, cpus=1, labels=None)
    cut = table.cut(Ordered(), 3, 0, 1)
    members, failures = fit_members(job, cut, InlineExecutor(), heard.append)
    assert sorted(record.partition for record in heard) == [0, 1, 2]
    assert [member.partition for member in members] == [1, 2]
    assert [type(failure) for failure in failures] == [MemberFailure]


@pytest.mark.parametrize("sizes", [(6, 6, 5), (8, 8, 1), (1, 1, 1)])
def test_few_rows_of_a_learner_that_stops_early(sizes):
    """Where the rows that it would hold back are fewer than classes, it is fitted on all, without early stopping."""
    y = np.repeat(np.arange(3), sizes)
    X = np.random.default_rng(0).normal(size=(len(y), 3)) + y[:, np.newaxis]
    learner = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(early_stopping=True, random_state=0))
    fitted = fit_member(FitJob(template=learner, seed=0, cpus=1, labels=np.arange(3)), Part(0, X, y, None))
    usual = learner.set_params(histgradientboostingclassifier__early_stopping=False).fit(X, y)
    assert fitted.doubled_rows == 0
    assert np.allclose(cloudpickle.loads(fitted.estimator).predict_proba(X), usual.predict_proba(X))


def test_few_rows_of_boosting_that_waits_some_rounds():
    """Where early stopping has no switch of its own, the rounds to wait are none then."""
    learner = GradientBoostingClassifier(n_estimators=3, n_iter_no_change=2, random_state=0)
    fitted = fit_member(
        FitJob(template=learner, seed=0, cpus=1, labels=np.arange(3)), Part(0, X[:17], np.arange(17) % 3, None)
    )
    assert cloudpickle.loads(fitted.estimator).n_estimators_ == 3


@pytest.mark.parametrize("base", [GaussianNB, object])
def test_other_errors_of_few_rows_are_told(base):
    """A learner that says the same and does not stop early keeps its word, also one that has no parameters."""

    class Complains(base):
        def fit(self, X, y):  # noqa: ARG002 - scikit-learn's signature
            raise ValueError("rows should be equal to the number of classes")

    with pytest.raises(ValueError, match="equal to the number of classes"):
        fit_member(
            FitJob(template=Complains(), seed=0, cpus=1, labels=np.arange(3)), Part(0, X[:6], np.arange(6) % 3, None)
        )
