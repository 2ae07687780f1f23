"""What every tracker does."""

import inspect

import pytest
from mlflow import MlflowClient

from partwise.protocols import Tracker
from partwise.trackers import NullTracker, make_tracker
from partwise.trackers.mlflow_runs import MlflowTracker

STARTED = {"event": "run_started", "time": 1.0, "name": "a run", "settings": {}, "tags": {}, "dataset": None}
MEMBER = {"event": "member_finished", "time": 2.0, "partition": 0, "n_rows": 5, "fit_seconds": 0.5, "started": 1.5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One directory for the databases of the module: a fresh one takes seconds."""
    return tmp_path_factory.mktemp("stores")


def _null(_):
    return NullTracker()


def _mlflow(store):
    return MlflowTracker(f"sqlite:///{store}/runs.db", "contract")


@pytest.fixture(params=[_null, _mlflow], ids=["null", "mlflow"])
def tracker(request, store) -> Tracker:
    return request.param(store)


def _kept(tracker):
    """Return the status of the run and how many members it has, as the tracker's store tells; None without a run."""
    if tracker.run_id is None:
        return None
    client = MlflowClient(tracking_uri=tracker.uri)
    run = client.get_run(tracker.run_id)
    members = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    return run.info.status, len(members)


def _where_tracked(tracker, kept):
    return None if tracker.uri is None else kept


def test_a_run_from_open_to_close(tracker, tmp_path):
    """Events are taken one by one or together, in order, and the run ends."""
    tracker.open(tmp_path)
    tracker.write([STARTED])
    tracker.write([MEMBER, MEMBER | {"partition": 1}])
    tracker.close("finished")
    assert _kept(tracker) == _where_tracked(tracker, ("FINISHED", 2))


def test_unknown_events_are_passed_over(tracker, tmp_path):
    """A kind of event that a tracker does not know is no error: the journal may grow."""
    tracker.open(tmp_path)
    tracker.write([STARTED, {"event": "invented_later", "time": 2.0, "value": object()}])
    tracker.close("failed")
    assert _kept(tracker) == _where_tracked(tracker, ("FAILED", 0))


def test_nothing_to_write_and_nothing_begun(tracker, tmp_path):
    """No events is no work, and a run that never started can be closed."""
    tracker.open(tmp_path)
    tracker.write([])
    tracker.close("interrupted")
    assert _kept(tracker) is None


def test_trackers_say_where_to_look(tracker):
    """Every tracker tells its address, the run, the model and the command that shows them, or null."""
    for name in ("uri", "run_id", "model_uri", "ui_command"):
        assert getattr(tracker, name) is None or isinstance(getattr(tracker, name), str)


def test_methods_have_the_protocols_parameters(tracker):
    """A tracker can be called by the parameter names of the protocol."""
    for name in ("open", "write", "close"):
        given = list(inspect.signature(getattr(tracker, name)).parameters)
        assert given == list(inspect.signature(getattr(Tracker, name)).parameters)[1:]


def test_off_is_an_object():
    """The tracker of ``off`` is one that tracks nothing."""
    assert isinstance(make_tracker("off", "x"), NullTracker)


def test_no_uri_means_a_database_in_the_working_directory(tmp_path, monkeypatch):
    """Without a URI runs go to ``mlflow.db`` here, under an absolute address that outlives a change of directory."""
    monkeypatch.chdir(tmp_path)
    tracker = make_tracker(None, "x")
    monkeypatch.chdir("/")
    assert tracker.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracker.ui_command == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db --host 127.0.0.1"
    assert not (tmp_path / "mlflow.db").exists()
