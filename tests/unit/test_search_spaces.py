"""Search spaces: what a user may write, and the defaults of the learners."""

import cloudpickle
import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.datasets import make_classification

from partwise.errors import ConfigurationError, InputError, MissingExtraError
from partwise.fitting import FitJob, fit_member
from partwise.learners import learner_names, make_learner
from partwise.learners.spaces import SPACES, Choice, Range
from partwise.records import Part
from partwise.search import Space, default_space, read_space

TASKS = [(name, task) for task in ("classification", "regression") for name in learner_names(task) if SPACES.get(name)]


def _values(dimension):
    return dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)


def _read(tmp_path, text):
    path = tmp_path / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path)


def test_every_learner_has_an_entry():
    """A learner that is added without a space is noticed; an empty space says that there is nothing to look for."""
    assert set(SPACES) == set(learner_names())


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_defaults_are_valid(name, task):
    """Each learner takes both ends of its default ranges, and every one of its choices."""
    try:
        make_learner(name, task)
    except MissingExtraError as error:
        pytest.skip(str(error))
    for parameter, dimension in default_space(name).items():
        for value in _values(dimension):
            whole = isinstance(dimension, Range) and dimension.integer
            make_learner(name, task, {parameter: int(value) if whole else value})


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_defaults_can_be_fitted(name):
    """Learners that say nothing about their parameters until they are fitted take both ends of the default ranges."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    space = Space(default_space(name))
    for point in (space.grid()[0], space.grid()[-1]):
        model = make_learner(name, "regression", {"n_jobs": 1} | space.parameters(point)).estimator
        assert len(model.fit(X, X.sum(axis=1)).predict(X)) == len(X)


CLASSIFIERS = [name for name, task in TASKS if task == "classification"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_partitions_of_few_rows(name):
    """The start of each default space can be fitted on 18 rows of three classes, such as an eighth of a small table."""
    X, y = make_classification(n_samples=18, n_features=4, n_informative=3, n_redundant=0, n_classes=3, random_state=0)
    try:
        learner = make_learner(name, "classification", Space(default_space(name)).example()).estimator
    except MissingExtraError as error:
        pytest.skip(str(error))
    fitted = fit_member(FitJob(template=learner, seed=0, cpus=1, labels=np.arange(3)), Part(0, X, y, None))
    assert cloudpickle.loads(fitted.estimator).predict(X).shape == (18,)


@pytest.mark.parametrize("name", ["gaussian_process", "none_of_them"])
def test_no_default(name):
    """Where there is no default space, the error says what to do, and which learners have one."""
    with pytest.raises(InputError, match=rf"{name}.*--space FILE\.toml.*logistic"):
        default_space(name)


def test_toml_dimensions(tmp_path):
    """A file says ranges, whole or not, with ratios or not, and choices with None and tuples."""
    found = _read(
        tmp_path,
        "[C]\nlow = 0.01\nhigh = 100\nlog = true\n"
        "[depth]\nlow = 1\nhigh = 9\n"
        "[rate]\nlow = 0\nhigh = 1\ninteger = false\n"
        '[kernel]\nvalues = ["rbf", "none", [100, 50], true]\n',
    )
    assert found == {
        "C": Range(0.01, 100, log=True),
        "depth": Range(1, 9, integer=True),
        "rate": Range(0, 1),
        "kernel": Choice(("rbf", None, (100, 50), True)),
    }


def test_toml_mistakes_come_together(tmp_path):
    """All mistakes of a file are told at once, each with its parameter."""
    text = (
        "plain = 3\n"
        "[reversed]\nlow = 2\nhigh = 1\n"
        "[zero]\nlow = 0.0\nhigh = 1.0\nlog = true\n"
        "[half]\nlow = 1\n"
        "[typo]\nlow = 1\nhihg = 2\n"
        "[empty]\nvalues = []\n"
        "[both]\nvalues = [1]\nlow = 1\n"
        '[word]\nlow = 1\nhigh = 2\nlog = "false"\n'
        "[number]\nlow = 1\nhigh = 2\ninteger = 0\n"
        "[endless]\nlow = 1.0\nhigh = inf\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        _read(tmp_path, text)
    for name in ("plain", "reversed", "zero", "half", "typo", "empty", "both", "word", "number", "endless"):
        assert any(f"[{name}]" in mistake for mistake in caught.value.mistakes), name
    assert "'high'" in str(caught.value)


@pytest.mark.parametrize("text", ["[C\nlow", None])
def test_unreadable_file(tmp_path, text):
    """A file that is no TOML, or none at all, is an input error with the next step."""
    path = tmp_path / "space.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="Give a TOML file"):
        read_space(path)


def test_space_of_nothing():
    with pytest.raises(InputError, match="empty"):
        Space({})


def test_mistakes_of_a_space_come_together():
    """Whatever is no place to look in is told with its parameter, all at once."""
    with pytest.raises(ConfigurationError) as caught:
        Space({"C": 3.0, "kernel": "rbf", "gamma": [], "degree": [1, 2], "tol": [1, 1.0], "loss": [{1}, (1,), {1}]})
    assert len(caught.value.mistakes) == 5


def test_objects_as_choices():
    """A choice among tuples, arrays' numbers or estimators gives these themselves to the learner."""
    space = Space({"layers": [(50,), (100, 50)], "depth": np.array([3, 5]), "kernel": ["rbf", None]})
    points = [space.parameters(point) for point in space.grid()]
    assert {point["layers"] for point in points} == {(50,), (100, 50)}
    assert {point["depth"] for point in points} == {3, 5}
    assert {point["kernel"] for point in points} == {"rbf", None}


def test_what_a_learner_has_already():
    """Parameters are found in the space as a sampler would choose them: numbers at the nearest end of their range."""
    space = Space({"C": Range(0.1, 10.0, log=True), "layers": [(5,), (6,)], "depth": Range(1, 9, integer=True)})
    inside = {"C": 1.0, "layers": (6,), "depth": 3, "other": "kept out"}
    chosen = space.chosen(inside)
    assert space.parameters(chosen) == {"C": 1.0, "layers": (6,), "depth": 3}
    assert space.chosen(inside | {"C": 0.0, "depth": 20}) == chosen | {"C": 0.1, "depth": 9}


@pytest.mark.parametrize(
    "changed",
    [
        {"C": None},
        {"C": "auto"},
        {"layers": (7,)},
        {"depth": 0.5},
        {"depth": 1.0},
        {"depth": -1},
        {"depth": 0},
        {"C": -1.0},
        {"C": float("nan")},
        {"early": -1},
    ],
)
def test_what_a_space_has_no_place_for(changed):
    """Parameters for which the space has no place are left to the sampler."""
    numbers = {"C": Range(0.1, 10.0, log=True), "depth": Range(1, 9, integer=True), "early": Range(0, 9, integer=True)}
    space = Space({"layers": [(5,), (6,)]} | numbers)
    inside = {"C": 1.0, "layers": (6,), "depth": 3, "early": 0}
    assert set(space.chosen(inside | changed)) == set(inside) - set(changed)


def test_a_number_below_zero_where_the_range_has_some():
    """It is a number like others, and moved to the nearest end."""
    space = Space({"shift": Range(-1.0, 1.0), "step": Range(-3, 3, integer=True)})
    assert space.chosen({"shift": -2.0, "step": -9}) == {"shift": -1.0, "step": -3}


def test_grid_is_every_combination():
    """A grid has all combinations of choices and of at most five values of a range, which include both ends."""
    space = Space({"C": Range(0.01, 100.0, log=True), "depth": Range(1, 3, integer=True), "kernel": ["a", "b"]})
    points = space.grid()
    assert len(points) == space.grid_size == 5 * 3 * 2
    assert len({tuple(point.values()) for point in points}) == len(points)
    assert np.allclose(sorted({point["C"] for point in points}), [0.01, 0.1, 1.0, 10.0, 100.0])
    assert {point["depth"] for point in points} == {1, 2, 3}


def test_points_of_a_grid_by_their_numbers():
    """Some points of a grid that is too large to be written down are those of their numbers."""
    small = Space({"a": [1, 2, 3], "b": [True, False], "c": ["x", "y"]})
    assert small.grid([0, 5, 11]) == [small.grid()[place] for place in (0, 5, 11)]
    large = Space({f"x{place}": Range(0.0, 1.0) for place in range(20)})
    assert large.grid([large.grid_size - 1]) == [{f"x{place}": 1.0 for place in range(20)}]


def test_grid_keeps_to_the_steps_of_a_distribution():
    """Of a distribution with steps, only values that it has are in the grid."""
    space = Space({"depth": IntDistribution(0, 10, step=5), "rate": FloatDistribution(0.0, 1.0, step=0.25)})
    assert {point["depth"] for point in space.grid()} == {0, 5, 10}
    assert {point["rate"] for point in space.grid()} == {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"low": 2, "high": 1}, "empty"),
        ({"low": 0, "high": 1, "log": True}, "above zero"),
        ({"low": 0.5, "high": 2, "integer": True}, "whole"),
        ({"low": "1", "high": 2}, "numbers"),
        ({"low": 1, "high": float("inf")}, "numbers"),
    ],
)
def test_ranges_without_numbers(arguments, said):
    """A range in which no number lies is refused."""
    with pytest.raises(InputError, match=said):
        Range(**arguments)
