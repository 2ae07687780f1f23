"""What the named and the imported learners are, and how their parameters are read."""

import subprocess
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import get_tags

from partwise.errors import ConfigurationError, InputError, MissingExtraError
from partwise.learners import learner_names, make_learner, parse_parameters
from partwise.records import LearnerNeeds

TASKS = ("classification", "regression")
PAIRS = [(name, task) for task in TASKS for name in learner_names(task)]


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
    if name in {"xgboost", "lightgbm"}:
        pytest.importorskip(name)
    learner = make_learner(name, task)
    X = [[i % 7, i % 3, i] for i in range(60)]
    y = [i % 2 for i in range(60)]
    assert learner.name == name
    assert not [key for key in vars(learner.estimator) if key.endswith("_") and not key.startswith("_")]
    assert len(learner.estimator.fit(X, y).predict(X)) == 60


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_gaps_are_left_exactly_to_estimators_that_take_nan(name, task):
    """A learner that asks for no imputation has the allow_nan tag, and the other way round."""
    if name in {"xgboost", "lightgbm"}:
        pytest.importorskip(name)
    learner = make_learner(name, task)
    assert learner.needs.impute is not get_tags(learner.estimator).input_tags.allow_nan


def test_trees_want_codes_and_no_scale():
    """Learners that cut features into ranges ask for ordinal categories as they are."""
    needs = make_learner("hist_gradient_boosting", "regression").needs
    assert needs == LearnerNeeds(scale=False, impute=False, categories="ordinal")


def test_listing_names_imports_no_estimator():
    """The names are known without scikit-learn's ensembles, XGBoost, Ray or MLflow."""
    code = (
        "import sys; from partwise.learners import learner_names; learner_names();"
        "print([m for m in ('ray', 'mlflow', 'xgboost', 'lightgbm', 'sklearn.ensemble') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_a_missing_package_names_its_extra(name, monkeypatch):
    """Without the package the error has the command that installs it."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r'pip install "partwise\[boosting\]"'):
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
