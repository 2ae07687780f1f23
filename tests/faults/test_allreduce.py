"""A rank of a model by all-reduce that dies or hangs: the others would wait for its sums for ever."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fake_work import Interrupted, all_cpus, die, scale, sleep_for_long
from partwise.allreduce import allreduce_for
from partwise.allreduce.fitting import AllReduceError, fit_by_allreduce
from partwise.executors.ray_tasks import RayExecutor
from partwise.executors.ray_train import Gang
from partwise.fitting import FitJob
from partwise.partitioners import Shuffled
from partwise.records import Part, Task
from partwise.tables import MemoryTable

xgboost = pytest.importorskip("xgboost", reason="needs the extra boosting")

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("ray_session")]

FEATURES = np.random.default_rng(0).normal(size=(1_000, 3))
TEMPLATE = xgboost.XGBRegressor(n_estimators=5, verbosity=0)


@dataclass(frozen=True)
class Broken:
    """A cut of which one partition cannot be read."""

    cut: Any
    reader: Interrupted

    def __getattr__(self, name):
        return getattr(self.cut, name)


@pytest.mark.parametrize(
    ("instead", "deadline", "told"),
    [(die, 200.0, "rank . of . that failed"), (sleep_for_long, 1.0, "it had not ended 1 seconds after its start")],
)
def test_a_rank_that_dies_or_hangs_ends_the_fit_and_gives_its_cpus_back(instead, deadline, told):
    """The run has its result already, and goes on."""
    cut = MemoryTable(Part(0, FEATURES, FEATURES[:, 0], None), None).cut(Shuffled(), 4, 0, 1)
    job = FitJob(template=TEMPLATE, seed=0, cpus=1, labels=None)
    gang = Gang(ranks=2, cpus=1, gpus=0.0, deadline=deadline)
    with pytest.raises(AllReduceError, match=told):
        fit_by_allreduce(allreduce_for("it", TEMPLATE), job, Broken(cut, Interrupted(1, instead)), gang)
    (outcome,) = RayExecutor(cpus_per_task=all_cpus()).run(scale, 2, [Task(0, 3)])
    assert outcome.value == 6
