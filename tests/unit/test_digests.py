"""Facts about the digest of what was learned."""

import os
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fakes import NearestMean
from partwise.digests import content_digest

X, Y = load_iris(return_X_y=True)

MODELS = {
    "logistic": LogisticRegression(max_iter=500),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(n_estimators=3, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=2, random_state=0),
    "svc": SVC(),
    "mlp": MLPClassifier(max_iter=3, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "search": GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=2),
    "own": NearestMean(),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def _fitted(model, rows=slice(None)):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = clone(model).fit(X[rows], Y[rows])
    return pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own bytes


@every_model
def test_two_fits_on_the_same_rows_are_alike(model):
    """A model that is fitted again on the same rows has the same 40 hexadecimal digits, timings or not."""
    digests = {content_digest(_fitted(model)) for _ in range(3)}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{40}", digests.pop())


@every_model
def test_other_rows_make_another_digest(model):
    """A model that is fitted on other rows has another digest."""
    assert content_digest(_fitted(model)) != content_digest(_fitted(model, slice(1, None, 2)))


def test_the_smallest_change_of_a_coefficient_shows():
    """One bit of one learned number changes the digest."""
    model, other = _fitted(MODELS["logistic"]), _fitted(MODELS["logistic"])
    other.coef_[0, 0] = np.nextafter(other.coef_[0, 0], np.inf)
    assert content_digest(model) != content_digest(other)


def test_a_mask_shows():
    """Masked arrays, as in the results of a search, count with their mask."""
    first, second = (np.ma.MaskedArray([1, 2, 3], mask=mask) for mask in ([0, 0, 1], [0, 1, 0]))
    assert content_digest(first) != content_digest(second)
    assert content_digest(first) == content_digest(np.ma.MaskedArray([1, 2, 3], mask=[0, 0, 1]))


def test_padding_does_not_show():
    """The bytes between the fields of a structured array are whatever memory held before, and do not count."""
    layout = np.dtype([("small", np.int8), ("large", np.int64)], align=True)
    first, second = (np.frombuffer(bytes([fill]) * 64, dtype=np.uint8).copy().view(layout) for fill in (0, 255))
    for array in (first, second):
        array["small"], array["large"] = 1, 2
    assert first.tobytes() != second.tobytes()
    assert content_digest(first) == content_digest(second)


def test_the_fields_of_a_structured_array_show():
    """What stands in the fields of a tree's nodes does count."""
    layout = np.dtype([("small", np.int8), ("large", np.int64)], align=True)
    assert content_digest(np.array([(1, 2)], dtype=layout)) != content_digest(np.array([(1, 3)], dtype=layout))


def test_a_fresh_process_says_the_same():
    """The digest does not depend on the process: not on its hash seed, and not on where a class was defined."""
    script = (
        "import pickle, cloudpickle, numpy as np\n"
        "from sklearn.base import BaseEstimator\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from partwise.digests import content_digest\n"
        "class Mine(BaseEstimator):\n"
        "    def fit(self, X, y=None):\n"
        "        self.mean_, self.kinds_ = X.mean(), {'a', 'b', 'c'}\n"
        "        return self\n"
        "print(content_digest(cloudpickle.loads(cloudpickle.dumps(Mine().fit(np.arange(9))))))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
