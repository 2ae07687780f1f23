"""Facts about the records of a search: its table, and its trials in the journal of a run."""

from dataclasses import asdict

import pytest
from rich.console import Console
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

from partwise import PartitionedSearchCV
from partwise.comparison.judging import Costs, Summary, Trained, make_tuning
from partwise.comparison.records import Configuration, EnsembleReport, TrialReport, Tuning
from partwise.comparison.tuning_table import tuning_table
from partwise.config import TuneConfig
from partwise.experiment.preparing import executor_of, make_setup
from partwise.experiment.recording import Recorder
from partwise.experiment.tuning import _make_search
from partwise.runs import RunDirectory
from partwise.search import SearchTrial
from partwise.trackers.null import NullTracker


def _trial(number, state, *scores, **values):
    rungs = {2**place: score for place, score in enumerate(scores)}
    return SearchTrial(number=number, params={"C": float(number)}, state=state, scores=rungs, **values)


def _tuning(trials):
    """Return the record of a search with these trials, the first of them the best."""
    ensemble = EnsembleReport(
        scores={"accuracy": 0.9},
        fit_seconds=1.0,
        predict_seconds=0.1,
        cpu_seconds=2.0,
        encode_seconds=0.0,
        where="a local Ray",
        n_rows=900,
        partition_seconds=0.0,
        members_seconds=1.0,
        member_fit_seconds=1.0,
        combine_seconds=0.0,
        n_members=4,
        n_failed=0,
        exactness="approximate",
        n_nodes=1,
        n_workers=2,
    )
    return Tuning(
        metric="accuracy",
        greater_is_better=True,
        task="classification",
        learner="logistic",
        partitions=4,
        partitioner="stratified",
        combine="soft",
        recipe="stratified, soft",
        n_train=900,
        n_test=100,
        ensemble=ensemble,
        startup_seconds=5.0,
        sampler="tpe",
        fidelity="members",
        reduction_factor=2,
        best_params={"C": 0.0},
        best_trial=0,
        best_score=0.9,
        corrected_score=0.89,
        kept=[Configuration(params={"C": 0.0}, weight=1.0)],
        n_fits=8,
        search_seconds=3.0,
        trials=[TrialReport(**asdict(trial)) for trial in trials],
    )


def test_the_table_shows_trials_whose_scores_count():
    """A trial that failed on its way does not stand among the best, whatever it scored before."""
    trials = [_trial(0, "finished", 0.8, 0.85, 0.9), _trial(1, "failed", 0.8, 0.987), _trial(2, "pruned", 0.765)]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(tuning_table(_tuning(trials)))
    assert "0.9000" in captured.get()
    assert "0.7650" in captured.get()
    assert "0.9870" not in captured.get()


def test_a_search_that_was_recorded_before_there_were_fidelities_can_be_read():
    """Its trials grew by members: a finished run of then can be shown."""
    record = _tuning([_trial(0, "finished", 0.9)])
    assert Tuning.model_validate(record.model_dump(exclude={"fidelity"})) == record


def test_the_table_of_one_model_does_not_speak_of_an_ensemble():
    """Where rows grow the result is one model on all rows, and so are its title, its column and its costs."""
    record = _tuning([_trial(0, "finished", 0.8, 0.85, 0.9)])
    of_rows = record.model_copy(update={"fidelity": "rows", "recipe": "one model", "partitions": 1})
    said = []
    for each in (record, of_rows):
        console = Console(width=80)
        with console.capture() as captured:
            console.print(tuning_table(each))
        said.append(captured.get())
    assert ["ensemble" in each or "members" in each for each in said] == [True, False]


def _several(fidelity):
    """Return a search that keeps several configurations, and its record."""
    X, y = make_classification(n_samples=300, flip_y=0.2, random_state=0)
    search = PartitionedSearchCV(
        DecisionTreeClassifier(),
        {"max_depth": [1, 2, 3, 5, 8]},
        sampler="grid",
        fidelity=fidelity,
        keep=3,
        reduction_factor=1,
        n_partitions=4,
        executor="inline",
        random_state=0,
    ).fit(X, y)
    about = Trained(metric=search.metric_, task="classification", n_test=1, holdout="none")
    costs = Costs(startup_seconds=0.0, predict_seconds=0.0, slots=1, nodes=1, address=None)
    return search, make_tuning(about, Summary(learner="tree"), {}, search, 1.0, costs)


def test_what_is_told_of_an_ensemble_of_several_configurations():
    """A note has each with its share; members that trials have fitted are none of an earlier process of the run."""
    search, told = _several("members")
    note = next(each for each in told.notes if "configurations" in each)
    whole = sum(weight for _, weight in search.kept_params_)
    for params, weight in search.kept_params_:
        assert f"max_depth={params['max_depth']} ({weight / whole:.0%})" in note
    assert all(member.recalled for member in search.best_estimator_.members_)
    assert not any("before the run went on" in each for each in told.notes)


def test_several_models_are_not_called_one():
    """Where rows grow and several configurations are kept, each is a model on all rows, and the table says how many.

    Together they are not what one model is.
    """
    _, told = _several("rows")
    assert told.ensemble.n_members > 1
    assert told.ensemble.exactness == "approximate"
    assert told.recipe == f"{told.ensemble.n_members} models"


def test_groups_are_not_cut_where_rows_grow(recorder):
    """A search for one model, too, keeps each group on one side where a column of groups is named."""
    config = TuneConfig.checked(data="t.csv", target="y", group="g", fidelity="rows", learner="tree")
    setup = make_setup(config, "classification", 2, 1_000)
    search = _make_search(config, setup, executor_of(config), recorder)
    assert search.partitioner == "grouped"


@pytest.fixture
def recorder(tmp_path):
    """A recorder of a run directory, without a tracker."""
    return Recorder(RunDirectory.create(tmp_path / "run"), NullTracker())


def test_trials_that_the_journal_lacks_are_recorded(recorder):
    """A process that ended between the study and the journal loses no trial, and none is told twice."""
    first, second = _trial(0, "finished", 0.8), _trial(1, "pruned", 0.7)
    recorder.trial(first)
    for _ in range(2):
        recorder.trials([first, second])
    told = [(event["number"], event["state"]) for event in recorder.directory.events()]
    assert told == [(0, "finished"), (1, "pruned")]


def test_a_trial_that_went_on_is_recorded_as_it_ended(recorder):
    """What a smaller budget stopped, and a larger one finished, is told again."""
    recorder.trial(_trial(0, "stopped", 0.8))
    recorder.trials([_trial(0, "finished", 0.8, 0.9)])
    assert [event["state"] for event in recorder.directory.events()] == ["stopped", "finished"]


SETTINGS = {
    "trials": ("n_trials", 7),
    "sampler": ("sampler", "random"),
    "fidelity": ("fidelity", "rows"),
    "reduction_factor": ("reduction_factor", 3),
    "budget": ("budget", 9.0),
    "metric": ("scoring", "roc_auc"),
    "keep": ("keep", 4),
    "one_by_one": ("one_by_one", True),
    "study": ("study", "sqlite:///elsewhere.db"),
    "partitions": ("n_partitions", 5),
    "cpus_per_member": ("cpus_per_member", 2),
    "seed": ("random_state", 11),
}


@pytest.mark.parametrize(("setting", "expected"), SETTINGS.items())
def test_the_search_is_as_it_was_asked_for(setting, expected, recorder):
    """Each option of the command reaches the search, and none of them is what it would be without."""
    searches = []
    for asked in ({}, {setting: expected[1]}):
        config = TuneConfig.checked(data="t.csv", target="y", learner="tree", **asked)
        searches.append(
            _make_search(config, make_setup(config, "classification", 2, 1_000), executor_of(config), recorder)
        )
    usual, search = searches
    assert getattr(search, expected[0]) == expected[1] != getattr(usual, expected[0])
