"""What the named and the imported learners are, and how their parameters are read."""

import json
import subprocess
import sys
from types import ModuleType

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import get_tags

from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.cli import main
from partwise.errors import ConfigurationError, InputError, MissingExtraError
from partwise.learners import check_learner_name, learner_names, make_learner, parse_parameters
from partwise.learners.checking import with_parameters
from partwise.learners.listing import described, listed, parameters_of
from partwise.learners.spaces import SPACES, Range
from partwise.records import LearnerNeeds
from partwise.search import default_space

TASKS = ("classification", "regression")
LIBRARIES = ("ray", "mlflow", "xgboost", "lightgbm", "catboost", "torch", "skorch", "sklearn.ensemble")
PAIRS = [(name, task) for task in TASKS for name in learner_names(task)]


def _skip_where_absent(name):
    for package in {"torch_mlp": ("torch", "skorch")}.get(name, ()):
        pytest.importorskip(package, reason="PyTorch and skorch are not installed: make install-torch")


@pytest.fixture
def workshop(monkeypatch):
    """Stand for a user's own module."""
    module = ModuleType("workshop")
    module.pipeline = make_pipeline(StandardScaler(), SVC())
    module.factory = lambda: LogisticRegression(C=5.0)
    module.number = 3
    module.greedy = lambda size: LogisticRegression(C=size)
    monkeypatch.setitem(sys.modules, "workshop", module)
    return module


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_every_learner_is_made_unfitted_and_learns(name, task):
    """Each name gives an estimator that fits and predicts its task."""
    _skip_where_absent(name)
    learner = make_learner(name, task)
    X = [[i % 7, i % 3, i] for i in range(60)]
    y = [i % 2 for i in range(60)]
    assert learner.name == name
    assert not [key for key in vars(learner.estimator) if key.endswith("_") and not key.startswith("_")]
    assert len(learner.estimator.fit(X, y).predict(X)) == 60


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_gaps_are_left_exactly_to_estimators_that_take_nan(name, task):
    """A learner that asks for no imputation has the allow_nan tag, and the other way round."""
    _skip_where_absent(name)
    learner = make_learner(name, task)
    assert learner.needs.impute is not get_tags(learner.estimator).input_tags.allow_nan


def test_trees_want_codes_and_no_scale():
    """Learners that cut features into ranges ask for ordinal categories as they are."""
    needs = make_learner("hist_gradient_boosting", "regression").needs
    assert needs == LearnerNeeds(scale=False, impute=False, categories="ordinal")


def test_listing_names_imports_no_estimator():
    """Names and table are there without scikit-learn's ensembles, other learners' libraries, Ray or MLflow."""
    code = (
        "import sys, partwise; from partwise.learners import learner_names; learner_names();"
        "from partwise.cli import main\n"
        "for arguments in (['learners'], ['learners', '--json'], ['--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert not end.code\n"
        f"print([m for m in {LIBRARIES} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert '"name": "torch_mlp"' in done.stdout


def test_an_unknown_name_gets_the_nearest_one():
    """The error names the near match, the valid names and the way to other estimators."""
    with pytest.raises(InputError, match=r"(?s)'random_forrest'.*Did you mean 'random_forest'.*package\.module:Class"):
        make_learner("random_forrest", "classification")


@pytest.mark.parametrize(("name", "task", "instead"), [("svc", "regression", "svr"), ("svr", "classification", "svc")])
def test_a_learner_of_the_other_task_names_its_counterpart(name, task, instead):
    """The error of svc in regression says svr, and the other way round."""
    with pytest.raises(InputError, match=f"Use '{instead}' instead"):
        make_learner(name, task)


def test_an_unknown_task_is_refused():
    """The error lists the two tasks."""
    with pytest.raises(InputError, match="Valid: classification, regression"):
        make_learner("ridge", "regresion")


def test_every_wrong_parameter_is_reported_at_once():
    """Two unknown names and two invalid values make four mistakes of one error."""
    with pytest.raises(ConfigurationError) as caught:
        make_learner("svc", "classification", {"c": 1, "gama": 2, "C": -1.0, "kernel": "cubic"})
    mistakes = caught.value.mistakes
    assert len(mistakes) == 4
    assert "Did you mean 'gamma'" in mistakes[1]
    assert "-1.0" in mistakes[2]
    assert "'cubic'" in mistakes[3]
    assert "poly" in mistakes[3]


class Picky(DummyClassifier):
    """Refuses two values together, as it is given them."""

    def set_params(self, **params):
        if {"strategy", "constant"} <= set(params):
            raise ValueError("a constant needs no strategy")
        return super().set_params(**params)


def test_values_that_do_not_go_together_are_told():
    """What an estimator says of them stands beside the values."""
    with pytest.raises(
        ConfigurationError, match=r"strategy='prior', constant=1 together: a constant needs no strategy"
    ):
        with_parameters("picky", Picky(), {"strategy": "prior", "constant": 1})


def test_valid_parameters_reach_the_estimator():
    """A list of layer sizes is as good as a tuple, and defaults give way."""
    assert make_learner("mlp", "regression", {"hidden_layer_sizes": [8, 4]}).estimator.hidden_layer_sizes == [8, 4]
    assert make_learner("logistic", "classification").estimator.max_iter == 1000
    assert make_learner("logistic", "classification", {"max_iter": 7}).estimator.max_iter == 7


@pytest.mark.usefixtures("workshop")
def test_nested_parameters_reach_into_a_pipeline():
    """svc__C is set in the step, and checked by the step's own rules."""
    assert make_learner("workshop:pipeline", "classification", {"svc__C": 7.0}).estimator["svc"].C == 7.0
    with pytest.raises(ConfigurationError, match=r"'svc__C'.*-1"):
        make_learner("workshop:pipeline", "classification", {"svc__C": -1})


def test_an_instance_is_copied(workshop):
    """The user's own estimator is not changed by parameters."""
    make_learner("workshop:pipeline", "classification", {"svc__C": 7.0})
    assert workshop.pipeline["svc"].C == 1.0


@pytest.mark.usefixtures("workshop")
def test_a_factory_is_called():
    """A function without arguments gives the estimator."""
    assert make_learner("workshop:factory", "classification").estimator.C == 5.0


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("workshop:number", "has no fit, predict"),
        ("workshop:absent", "cannot be imported"),
        ("no_such_module:Class", "No module named"),
        ("workshop:greedy", "without arguments"),
        ("sklearn.linear_model:Ridge", "is for regression, but the task is classification"),
        ("sklearn.preprocessing:StandardScaler", "has no predict"),
    ],
)
@pytest.mark.usefixtures("workshop")
def test_what_is_no_estimator_for_the_task_is_refused_with_its_reason(path, why):
    """Each way to name no usable estimator has its own message."""
    with pytest.raises(InputError, match=why):
        make_learner(path, "classification")


def test_needs_of_any_class_follow_its_tags():
    """A class by its path keeps its gaps only if it takes NaN, and gets scaled features."""
    assert make_learner("sklearn.ensemble:BaggingClassifier", "classification").needs == LearnerNeeds(impute=False)
    assert make_learner("sklearn.linear_model:SGDClassifier", "classification").needs == LearnerNeeds()


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("xgboost", "xgboost", "boosting"),
        ("lightgbm", "lightgbm", "boosting"),
        ("catboost", "catboost", "boosting"),
        ("torch_mlp", "torch", "torch"),
    ],
)
def test_a_missing_package_names_its_extra(name, package, extra, monkeypatch):
    """Without the package the error has the command that installs it."""
    for module in [each for each in sys.modules if each.startswith("partwise.learners.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "partwise\[{extra}\]"'):
        make_learner(name, "classification")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("64", 64),
        ("true", True),
        ("False", False),
        ("none", None),
        ("None", None),
        ("null", None),
        ("inf", float("inf")),
        ("sqrt", "sqrt"),
        ('"text"', "text"),
        ("[64, 32]", [64, 32]),
        ("(64, 32)", (64, 32)),
        ("on", "on"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_typed_as_a_python_user_expects(text, value):
    """Numbers, words, lists and texts get their types; only the first = divides."""
    parsed = parse_parameters([f"key={text}"])["key"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_every_item_that_cannot_be_read_is_reported_at_once():
    """No =, no key, no value, a repeated key and an open bracket make five mistakes."""
    with pytest.raises(ConfigurationError) as caught:
        parse_parameters(["depth", "=3", "a=", "b=1", "b=2", "c=[1, 2"])
    assert len(caught.value.mistakes) == 5


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.lists(st.integers())))
def test_what_python_writes_comes_back(value):
    """The repr of a number, boolean, None or list is read as that value."""
    assert parse_parameters([f"key={value!r}"]) == {"key": value}


def _package(folder, monkeypatch, point, code=""):
    """Install a distribution of one module that declares an entry point."""
    (folder / "gardenware.py").write_text(code)
    about = folder / "gardenware-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gardenware\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[partwise.learners]\n{point}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "gardenware", raising=False)


_ENTRY = """
from sklearn.linear_model import Ridge
from partwise.learners.catalogue import Entry

entry = Entry(name="hedge", regressor="sklearn.linear_model:Ridge", defaults={"alpha": 3.0}, rungs=("soft",))
number = 3
"""


@pytest.mark.parametrize(("value", "alpha"), [("gardenware:entry", 3.0), ("gardenware:Ridge", 1.0)])
def test_learners_of_other_packages_have_names(value, alpha, tmp_path, monkeypatch):
    """An entry point gives an Entry, or the path of an estimator; parameters are checked as ever."""
    _package(tmp_path, monkeypatch, f"hedge = {value}", _ENTRY)
    check_learner_name("hedge")
    assert "gardenware" not in sys.modules
    assert make_learner("hedge", "regression").estimator.alpha == alpha
    with pytest.raises(ConfigurationError, match="'alpha'"):
        make_learner("hedge", "regression", {"alpha": -1.0})
    with pytest.raises(InputError, match="classification"):
        make_learner("hedge", "classification")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("gardenware:absent", "has no attribute 'absent'"),
        ("gardenware:number", "has no fit, predict"),
        ("no_such_module:entry", "No module named"),
    ],
)
def test_a_broken_entry_point_names_its_package(value, why, tmp_path, monkeypatch):
    """The error says which package brought it, and other learners are not touched."""
    _package(tmp_path, monkeypatch, f"hedge = {value}", _ENTRY)
    with pytest.raises(InputError, match=rf"'hedge' of the package 'gardenware'(.|\n)*{why}"):
        make_learner("hedge", "regression")
    assert make_learner("ridge", "regression").estimator.alpha == 1.0


_SEARCHED = """
from partwise.learners.catalogue import Entry
from partwise.learners.spaces import Range

entry = Entry(name="ridge", regressor="sklearn.linear_model:Ridge", space={"alpha": Range(1.0, 5.0)})
"""


def test_a_package_says_where_a_search_looks(tmp_path, monkeypatch):
    """Its entry has the default space of its learner, whatever name it gives itself."""
    _package(tmp_path, monkeypatch, "hedge = gardenware:entry", _SEARCHED)
    assert default_space("hedge") == {"alpha": Range(1.0, 5.0)}
    assert described("hedge").space == {"alpha": "1 to 5"}
    assert default_space("ridge") == SPACES["ridge"]


@pytest.mark.parametrize("value", ["gardenware:entry", "gardenware:Ridge"])
def test_a_package_that_does_not_say_where_a_search_looks(value, tmp_path, monkeypatch):
    """Its learner needs a space of the user's own, as one by its path does."""
    _package(tmp_path, monkeypatch, f"hedge = {value}", _ENTRY)
    assert described("hedge").space == {}
    for name in ("hedge", "gardenware:Ridge"):
        with pytest.raises(InputError, match=r"no default search space .*--space FILE\.toml"):
            default_space(name)


def test_the_list_shows_learners_of_other_packages_without_importing_them(tmp_path, monkeypatch):
    """A name of partwise's own cannot be taken; the package stands where extras do."""
    _package(tmp_path, monkeypatch, "hedge = gardenware:entry\nridge = gardenware:entry", _ENTRY)
    rows = {row.name: row for row in listed()}
    assert "gardenware" not in sys.modules
    assert (rows["hedge"].extra, rows["hedge"].tasks, rows["ridge"].extra) == ("gardenware", (), None)
    assert described("hedge").tasks == ("regression",)


_FILE = """
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Steep(Ridge):
    pass


steps = make_pipeline(StandardScaler(), Steep(alpha=4.0))
"""


@pytest.fixture
def slopes(tmp_path):
    """Write a file of a user's own, whose module is forgotten with the test."""
    (tmp_path / "slopes.py").write_text(_FILE)
    yield f"{tmp_path / 'slopes.py'}:steps"
    cloudpickle.unregister_pickle_by_value(sys.modules.pop("slopes"))


def test_a_pipeline_in_a_file_is_a_learner(slopes):
    """It is copied each time, and its own classes travel to processes that do not find the file."""
    learner = make_learner(slopes, "regression", {"steep__alpha": 5.0})
    assert learner.estimator["steep"].alpha == 5.0
    assert make_learner(slopes, "regression").estimator["steep"].alpha == 4.0
    code = "import sys, pickle; print(pickle.load(sys.stdin.buffer)['steep'].alpha)"
    sent = cloudpickle.dumps(learner.estimator)
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout.split() == [b"5.0"]


def _of_slopes(steps, executor):
    return PartitionedRegressor(steps, n_partitions=2, executor=executor, random_state=0)


@pytest.mark.usefixtures("ray_session")
def test_classes_of_a_file_travel_to_ray(slopes):
    """Members of a class that only the driver's file has are fitted by workers, with the digests of this process."""
    X, y = load_diabetes(return_X_y=True)
    steps = make_learner(slopes, "regression").estimator
    fits = [_of_slopes(steps, where).fit(X, y) for where in ("ray", "inline")]
    there, here = ([member.content_digest for member in fit.members_] for fit in fits)
    assert there == here


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("absent.py", None, "No such file"),
        ("torn.py", "def (", "SyntaxError"),
        ("half.py", "absent_name", "NameError"),
        ("json.py", "x = 1", "rename the file"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(name, text, why, tmp_path):
    """A missing file, one with an error, and one that has the name of a module that is there."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=why):
        make_learner(f"{tmp_path / name}:x", "regression")


def test_parameters_are_told_by_task():
    """The details of a learner have the defaults of its estimator for each task."""
    found = parameters_of("nystroem")
    assert found["regression"]["linear__alpha"] == 1.0
    assert found["classification"]["nystroem__n_components"] == 300


_AUTOML = """
from flaml import AutoML

search = AutoML(task="classification", estimator_list=["lgbm"], max_iter=8, time_budget=-1, eval_method="holdout",
                n_jobs=1, verbose=0)
"""


def test_the_command_shows_the_parameters_of_one(capsys):
    """As JSON with all that the list says of it; an unknown name is wrong input."""
    with pytest.raises(SystemExit) as end:
        main(["learners", "ridge", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (end.value.code, shown["exact"], shown["parameters"]["regression"]["alpha"]) == (0, True, 1.0)
    with pytest.raises(SystemExit) as end:
        main(["learners", "rigde"])
    assert end.value.code == 2
    assert "Did you mean 'ridge'" in capsys.readouterr().err


def test_the_command_tells_what_it_knows_of_a_learner_that_is_not_installed(monkeypatch, capsys):
    """What it takes and what a search varies comes before the error, which says how to install it."""
    monkeypatch.delitem(sys.modules, "partwise.learners.catboost_trees", raising=False)
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(SystemExit):
        main(["learners", "catboost"])
    said = capsys.readouterr()
    assert "l2_leaf_reg" in said.out
    assert "partwise[boosting]" in said.err


def test_another_automl_system_is_a_learner(tmp_path):
    """FLAML searches within each member, set up in a file."""
    (tmp_path / "searching.py").write_text(_AUTOML)
    X, y = load_breast_cancer(return_X_y=True)
    search = make_learner(f"{tmp_path / 'searching.py'}:search", "classification").estimator
    model = PartitionedClassifier(search, n_partitions=2, executor="inline", random_state=0).fit(X, y)
    assert type(model.members_[0].estimator).__module__ == "flaml.automl.automl"
    assert model.score(X, y) > 0.8
