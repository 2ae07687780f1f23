"""Members that take far longer than their peers, and what is told of them and of their copies."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from partwise import InlineExecutor, PartitionedClassifier
from partwise.comparison.judging import Costs, Summary, Trained, make_training
from partwise.evaluation import resolve_metric

X, Y = load_iris(return_X_y=True)


@dataclass(frozen=True)
class CopiesTheFirst(InlineExecutor):
    """Yields the first outcome once more in the end, as that of a copy; it may have learned something else."""

    agrees: bool = True

    def run(self, work, shared, tasks, *, members=False):
        outcomes = list(super().run(work, shared, tasks, members=members))
        first = outcomes[0]
        digest = first.value.content_digest if self.agrees else "another"
        yield from outcomes
        yield replace(first, value=replace(first.value, content_digest=digest), duplicate=True)


def _model(executor="inline"):
    return PartitionedClassifier(GaussianNB(), n_partitions=5, executor=executor, random_state=0).fit(X, Y)


def _notes(model):
    about = Trained(metric=resolve_metric(None, 3), task="classification", n_test=0, holdout="none")
    costs = Costs(startup_seconds=0.0, predict_seconds=0.0, slots=2, nodes=1, address=None)
    return make_training(about, Summary(learner="naive_bayes"), {}, model, costs).notes


def test_a_member_that_takes_far_longer_is_reported():
    """By its partition, node, time, and how much longer than its peers it took; they are not."""
    model = _model()
    model.members_ = [replace(member, fit_seconds=2.0) for member in model.members_]
    model.members_[3] = replace(model.members_[3], fit_seconds=60.0, node="cellar")
    (told,) = [note for note in _notes(model) if " times as long as " in note]
    assert told.startswith("Partition 3 took 60.0 s on cellar, 30 times as long as half of its peers")


@pytest.mark.parametrize("agrees", [True, False])
def test_a_copy_that_learned_something_else_is_reported(agrees):
    """The first to finish is the member; whether the other agrees, by digest, is recorded."""
    model = _model(CopiesTheFirst(agrees=agrees))
    assert [member.copy_agrees for member in model.members_] == [agrees, None, None, None, None]
    assert [each.content_digest for each in model.members_] == [each.content_digest for each in _model().members_]
    assert any("Partition 0 was fitted twice, and the two models differ" in note for note in _notes(model)) != agrees


def test_members_of_an_earlier_process_count_with_their_own_times():
    """Taken over, they took no time now: the wall time of their fits is estimated, and the record says so."""
    model = _model()
    assert not any("before the run went on" in note for note in _notes(model))
    model.members_ = [replace(member, fit_seconds=4.0, recalled=member.partition < 3) for member in model.members_]
    model.timings_["members"] = 1.0
    about = Trained(metric=resolve_metric(None, 3), task="classification", n_test=0, holdout="none")
    costs = Costs(startup_seconds=0.0, predict_seconds=0.0, slots=2, nodes=1, address=None)
    training = make_training(about, Summary(learner="naive_bayes"), {}, model, costs)
    assert np.isclose(training.ensemble.members_seconds, 1.0 + 3 * 4.0 / 2)
    assert any(note.startswith("3 of 5 members were fitted before the run went on") for note in training.notes)
