"""Steps other than the fit of a member that never end: they are given up after `--step-timeout`, with what to do."""

import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fake_work import hang_on, hang_once, nap
from fakes import Waits
from partwise import RayExecutor
from partwise.comparison.single_process import SingleJob, fit_in_fresh_process
from partwise.config import CompareConfig, TrainConfig, TuneConfig
from partwise.errors import InputError, StepTimeoutError
from partwise.executors.timeouts import within
from partwise.experiment import ResumeConfig, compare, preparing, resume, train, tune
from partwise.fitting import FitJob
from partwise.records import Task
from partwise.tables import in_order

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_task_that_hangs_once_is_tried_again(tmp_path):
    """As a member's fit is; the others are not held back."""
    executor = RayExecutor(step_timeout=2.0)
    outcomes = {
        each.id: each for each in executor.run(hang_once, str(tmp_path / "hung"), map(Task, range(3), range(3)))
    }
    assert [outcomes[index].value for index in range(3)] == [0, 1, 2]
    assert sorted(outcome.attempts for outcome in outcomes.values()) == [1, 1, 2]


def test_a_task_that_always_hangs_ends_the_step(tmp_path):
    """The error says how often it was tried, and what to do; no process of it is left."""
    executor = RayExecutor(step_timeout=1.0, max_attempts=2)
    tasks = [Task(index, index, 9) for index in range(3)]
    with pytest.raises(StepTimeoutError, match=r"\(9 rows\) was given up after 2 attempts(.|\n)*--step-timeout"):
        in_order(executor.run(hang_on, (str(tmp_path / "pids"), 1), tasks))
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    time.sleep(1.0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_members_keep_their_own_limit():
    """A fit may take longer than a step."""
    (outcome,) = RayExecutor(step_timeout=0.5).run(nap, None, [Task(0, 1.5)], members=True)
    assert outcome.value == 1.5


@pytest.fixture
def table(tmp_path):
    """A table of two kinds."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=["a", "b", "c"])
    frame.assign(kind=np.where(frame["a"] > 0, "x", "y")).to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


@pytest.mark.long
def test_a_single_model_that_hangs_is_ended_and_the_run_goes_on_later(table, tmp_path):
    """The error says that there is none, and how to go on; with what it hung on gone, the run ends well."""
    waits = tmp_path / "waits"
    waits.touch()
    settings = {"data": str(table), "target": "kind", "learner": "fakes:Waits", "param": (f"while_there={waits}",)}
    settings |= {"partitions": 2, "output": tmp_path / "run", "tracking_uri": "off", "encode": False}
    with pytest.raises(StepTimeoutError, match="No single model within 60 s on 480 rows") as late:
        compare(CompareConfig.checked(**settings, step_timeout="60s"))
    assert f"Go on with: partwise resume {tmp_path / 'run'}" in str(late.value)
    pids = [int(path.name.rpartition(".")[2]) for path in tmp_path.glob("waits.*")]
    assert len(pids) == 1
    assert not Path(f"/proc/{pids[0]}").exists()
    waits.unlink()
    done = resume(ResumeConfig(directory=tmp_path / "run", step_timeout="10m", trust=True))
    assert done.comparison.ensemble.n_members == 2


def test_a_process_of_one_model_is_ended_at_its_limit(tmp_path):
    """As an error of the run, which has nothing to compare with."""
    job = FitJob(template=Waits(str(tmp_path)), seed=0, cpus=1, labels=np.array(["x", "y"]))
    rows = pd.DataFrame({"a": np.arange(10.0)})
    single = SingleJob(job=job, encoder=None, train=rows, y=np.arange(10) % 2, weights=None, test=rows)
    with pytest.raises(StepTimeoutError, match="No single model within 1 s on 10 rows"):
        fit_in_fresh_process(single, 1.0)


@pytest.mark.long
def test_a_storage_that_never_answers_is_not_waited_for(tmp_path):
    """Requests are taken and left alone: the command ends long before they do, and tells no password."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        place = f"endpoint_override=127.0.0.1:{server.getsockname()[1]}&scheme=http&region=us-east-1"
        command = ["train", f"s3://cellar:hidden@bucket/table.parquet?{place}", "--target", "kind"]
        command += ["--step-timeout", "2s", "--tracking-uri", "off", "--output", "run"]
        said = subprocess.run(
            [sys.executable, "-m", "partwise", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert said.returncode == 1
    assert "table.parquet" in said.stderr
    assert "was given up: no answer within 2 seconds" in " ".join(said.stderr.split())
    assert "hidden" not in said.stderr


def test_what_this_process_reads_has_a_limit():
    """The step is named; without a limit it is just done."""
    with pytest.raises(StepTimeoutError, match="Reading rows was given up: no answer within 0 seconds"):
        within(0.2, "Reading rows", lambda: time.sleep(60))
    assert within(None, "Reading rows", lambda: 3) == within(20.0, "Reading rows", lambda: 3) == 3


@pytest.mark.parametrize(
    ("begin", "kind"),
    [(compare, CompareConfig), (train, TrainConfig), (tune, TuneConfig)],
    ids=lambda each: each.__name__,
)
def test_a_table_that_never_opens_is_not_waited_for(begin, kind, monkeypatch):
    """By no command; the error names it, without its password."""
    monkeypatch.setattr(preparing, "open_source", lambda _: time.sleep(60))
    config = kind.checked(data="s3://cellar:hidden@bucket/table.parquet", target="kind", step_timeout=0.2)
    with pytest.raises(StepTimeoutError, match=r"Opening s3://\*\*\*@bucket/table\.parquet was given up"):
        begin(config)


def test_a_limit_is_a_time():
    """A text that is none is told with what would be."""
    with pytest.raises(InputError, match=r"--step-timeout 'soon' is wrong(.|\n)*such as 90s"):
        TrainConfig.checked(data="table.parquet", step_timeout="soon")
    with pytest.raises(InputError, match="step_timeout=0"):
        RayExecutor(step_timeout=0)
