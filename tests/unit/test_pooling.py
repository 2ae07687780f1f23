"""Facts about members that are merged into the model of a single fit."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.merging import MERGES
from partwise.model_store import StoredModel, load_model, save_model

X, CODES = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
X = np.abs(X)
Y = np.array(["one", "three", "two"])[CODES]
VALUES = X @ np.arange(6.0) + 0.1 * np.random.default_rng(0).normal(size=300)
CLASSIFIERS = [
    RandomForestClassifier(12, random_state=0),
    ExtraTreesClassifier(12, random_state=0),
    BaggingClassifier(n_estimators=12, random_state=0),
    GaussianNB(),
    MultinomialNB(),
    LinearDiscriminantAnalysis(),
    RidgeClassifier(),
    KNeighborsClassifier(),
]
REGRESSORS = [RandomForestRegressor(12, random_state=0), LinearRegression(), Ridge(), KNeighborsRegressor()]
every_classifier = pytest.mark.parametrize("learner", CLASSIFIERS, ids=lambda learner: type(learner).__name__)
every_regressor = pytest.mark.parametrize("learner", REGRESSORS, ids=lambda learner: type(learner).__name__)


def _classifier(learner, **settings):
    settings = {"n_partitions": 4, "combine": "pool", "executor": "inline", "random_state": 0, **settings}
    return PartitionedClassifier(learner, **settings)


def _regressor(learner, **settings):
    settings = {"n_partitions": 4, "combine": "pool", "executor": "inline", "random_state": 0, **settings}
    return PartitionedRegressor(learner, **settings)


def _outputs(model, table=X):
    return model.predict_proba(table) if hasattr(model, "predict_proba") else model.decision_function(table)


def test_a_pooled_forest_is_the_forest_of_a_single_fit():
    """Probabilities are equal to the last bit, also of labels that are texts."""
    single = RandomForestClassifier(random_state=0).fit(X, Y)
    pooled = PartitionedClassifier(RandomForestClassifier(random_state=0), combine="pool", executor="inline").fit(X, Y)
    np.testing.assert_array_equal(pooled.predict_proba(X), single.predict_proba(X))
    np.testing.assert_array_equal(pooled.predict(X), single.predict(X))


@every_classifier
def test_pooled_classifiers_equal_a_single_fit(learner):
    """Outputs and labels are those of the learner on all rows, whatever the cut was."""
    single, pooled = clone(learner).fit(X, Y), _classifier(learner).fit(X, Y)
    np.testing.assert_allclose(_outputs(pooled), _outputs(single), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(pooled.predict(X), single.predict(X))


@every_regressor
def test_pooled_regressors_equal_a_single_fit(learner):
    """Values are those of the learner on all rows."""
    single, pooled = clone(learner).fit(X, VALUES), _regressor(learner).fit(X, VALUES)
    np.testing.assert_allclose(pooled.predict(X), single.predict(X), rtol=1e-9)


@pytest.mark.parametrize("learner", [Ridge(), LinearRegression(), KNeighborsRegressor()], ids=str)
def test_several_targets_are_pooled(learner):
    """Several targets are merged together."""
    targets = np.column_stack([VALUES, X[:, 0], -VALUES])
    single, pooled = clone(learner).fit(X, targets), _regressor(learner).fit(X, targets)
    np.testing.assert_allclose(pooled.predict(X), single.predict(X), atol=1e-9)


@pytest.mark.parametrize("seed", [0, 7])
def test_a_forest_without_a_seed_is_the_forest_of_the_runs_seed(seed):
    """Whatever the number of parts, an open random_state is seeded by the run alone."""
    forests = [
        _classifier(RandomForestClassifier(9), n_partitions=count, random_state=seed).fit(X, Y).predict_proba(X)
        for count in (1, 2, 5)
    ]
    np.testing.assert_array_equal(forests[1], forests[2])
    np.testing.assert_array_equal(forests[0], forests[2])


def test_more_parts_than_trees():
    """Parts without a tree leave the forest as it is."""
    single = RandomForestClassifier(3, random_state=0).fit(X, Y)
    pooled = _classifier(RandomForestClassifier(3, random_state=0), n_partitions=8).fit(X, Y)
    np.testing.assert_array_equal(pooled.predict_proba(X), single.predict_proba(X))


@pytest.mark.parametrize("partitioner", ["shuffled", "ordered", "grouped"])
@pytest.mark.parametrize("learner", [GaussianNB(), KNeighborsClassifier()], ids=str)
def test_any_cut_of_the_table_merges_to_the_same_model(learner, partitioner):
    """Partitions that lack classes, or are groups, make the same model."""
    order = np.argsort(Y, kind="stable")
    pooled = _classifier(learner, partitioner=partitioner).fit(X[order], Y[order], groups=np.arange(300) // 7)
    single = clone(learner).fit(X[order], Y[order])
    np.testing.assert_allclose(pooled.predict_proba(X), single.predict_proba(X), rtol=1e-9, atol=1e-12)


def test_class_weights_keep_their_labels():
    """A class_weight dictionary of the user's labels counts as it does in a single fit."""
    learner = RandomForestClassifier(8, random_state=0, class_weight={"one": 20.0, "two": 0.1, "three": 1.0})
    np.testing.assert_array_equal(
        _classifier(learner).fit(X, Y).predict_proba(X), clone(learner).fit(X, Y).predict_proba(X)
    )


@pytest.mark.parametrize(
    "learner", [RandomForestClassifier(8, random_state=0), GaussianNB(), RidgeClassifier()], ids=str
)
@pytest.mark.parametrize("zeros", ["some rows", "a partition", "a class"])
def test_weights_of_zero_count_as_in_a_single_fit(learner, zeros):
    """Rows, partitions and classes of no weight leave the merged model equal to the single one."""
    weights = np.random.default_rng(0).random(300) + 0.5
    rows = {"some rows": slice(0, 100), "a partition": _classifier(GaussianNB()).fit(X, Y).partitions_.rows[1]}
    weights[rows.get(zeros, Y == "two")] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):  # the mean of a class without weight
        single = clone(learner).fit(X, Y, sample_weight=weights)
        pooled = _classifier(learner).fit(X, Y, sample_weight=weights)
        np.testing.assert_array_equal(pooled.predict(X), single.predict(X))
        if zeros != "a class":
            np.testing.assert_allclose(_outputs(pooled), _outputs(single), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("learner", [RandomForestClassifier(5, random_state=0), GaussianNB(), Ridge()], ids=str)
def test_the_result_is_exact(learner):
    """The predictor says so, and holds one member, which weighs what all parts weigh."""
    model = _regressor(learner).fit(X, VALUES) if isinstance(learner, Ridge) else _classifier(learner).fit(X, Y)
    assert model.predictor_.exactness == "exact"
    assert len(model.predictor_.pool.members) == 1
    assert len(model.members_) == 4


@every_classifier
def test_to_single_is_a_plain_model(learner):
    """What is handed out is scikit-learn's own object, of the class of the learner, with the user's labels."""
    single, model = clone(learner).fit(X, Y), _classifier(learner).fit(X, Y)
    plain = model.to_single()
    assert type(plain) is type(learner)
    assert plain.classes_.tolist() == ["one", "three", "two"]
    np.testing.assert_array_equal(plain.predict(X), single.predict(X))
    np.testing.assert_allclose(_outputs(plain), _outputs(single), rtol=1e-9, atol=1e-9)


@every_regressor
def test_to_single_regresses(learner):
    """Regressors are handed out too."""
    plain = _regressor(learner).fit(X, VALUES).to_single()
    assert type(plain) is type(learner)
    np.testing.assert_allclose(plain.predict(X), clone(learner).fit(X, VALUES).predict(X), rtol=1e-9)


def test_to_single_leaves_the_ensemble_as_it_is():
    """The plain model is a copy: the ensemble predicts as before."""
    model = _classifier(GaussianNB()).fit(X, Y)
    before = model.predict_proba(X)
    model.to_single().theta_[:] = 0.0
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(model.predict(X), GaussianNB().fit(X, Y).predict(X))


_WITHOUT = """
import pickle, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "partwise":
            raise ImportError("partwise is blocked")

sys.meta_path.insert(0, Blocked())
sys.path[:] = [path for path in sys.path if not path.endswith("src")]
models, X, expected = pickle.load(open(sys.argv[1], "rb"))
for model, labels in zip(models, expected):
    assert model.predict(X).tolist() == labels, model
assert not any(name.partition(".")[0] == "partwise" for name in sys.modules)
print(len(models))
"""


def test_plain_models_predict_without_partwise(tmp_path):
    """In a process that cannot import partwise every plain model is unpickled and names the user's labels."""
    models = [_classifier(learner).fit(X, Y).to_single() for learner in CLASSIFIERS]
    expected = [clone(learner).fit(X, Y).predict(X).tolist() for learner in CLASSIFIERS]
    models += [_regressor(learner).fit(X, VALUES).to_single() for learner in REGRESSORS]
    expected += [model.predict(X).tolist() for model in models[len(CLASSIFIERS) :]]
    file = tmp_path / "models.pkl"
    file.write_bytes(pickle.dumps((models, X, expected)))
    run = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(file)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.stdout.strip() == str(len(models)), run.stderr[-2000:]


@pytest.mark.parametrize(
    "learner",
    [GaussianNB(), SVC(), MLPClassifier(max_iter=20), make_pipeline(StandardScaler(), LogisticRegression())],
    ids=lambda learner: type(learner).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_partition_is_a_single_model_too(learner):
    """The model of one partition is handed out with the user's labels, also where it keeps them in its depths."""
    model = _classifier(learner, n_partitions=1, combine="soft").fit(X, Y)
    np.testing.assert_array_equal(model.to_single().predict(X), model.predict(X))


def test_a_model_that_computes_its_labels_is_not_handed_out():
    """The error says what to do instead of a model that names codes where labels were meant."""
    model = _classifier(XGBClassifier(n_estimators=2, verbosity=0), n_partitions=1, combine="soft").fit(X, Y)
    with pytest.raises(InputError, match=r"XGBClassifier computes its classes_(.|\n)*members\[0\]"):
        model.to_single()


def test_members_that_were_combined_are_no_single_model():
    """The error says how many members there are, and how to get one model."""
    with pytest.raises(InputError, match=r"keeps 4 members(.|\n)*combine='pool'"):
        _classifier(GaussianNB(), combine="soft").fit(X, Y).to_single()


def test_the_plain_model_takes_encoded_columns():
    """With an encoder the plain model takes what the encoder gives."""
    frame = pd.DataFrame(X[:, :2], columns=["a", "b"]).assign(kind=np.where(CODES == 1, "x", "y"))
    model = _classifier(RandomForestClassifier(5, random_state=0), encoder="table").fit(frame, Y)
    plain = model.to_single()
    np.testing.assert_array_equal(plain.predict(model.encoder_.transform(frame)), model.predict(frame))


@pytest.mark.parametrize("learner", [*CLASSIFIERS, *REGRESSORS], ids=lambda learner: type(learner).__name__)
def test_a_stored_model_predicts_the_same(tmp_path, learner):
    """A merged model is held without code, and comes back with equal outputs and its exactness."""
    regression = learner in REGRESSORS
    model = _regressor(learner).fit(X, VALUES) if regression else _classifier(learner).fit(X, Y)
    stored = StoredModel(
        task="regression" if regression else "classification",
        classes=None if regression else model.classes_,
        encoder=None,
        predictor=model.predictor_,
        feature_names=None,
    )
    loaded = load_model(save_model(tmp_path / "m", stored))
    assert {path.suffix for path in (tmp_path / "m" / "members").iterdir()} == {".skops"}
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.outputs(X), model.predict_outputs(X))
    assert loaded.predictor.exactness == "exact"


def test_out_of_partition_evidence_is_refused():
    """No part is a model by itself: the error says how to judge instead."""
    with pytest.raises(InputError, match=r"'pool'(.|\n)*held back"):
        _classifier(GaussianNB(), out_of_partition=True).fit(X, Y)


@pytest.mark.parametrize("learner", [SVC(), make_pipeline(StandardScaler(), GaussianNB())], ids=str)
def test_learners_that_cannot_be_merged_are_refused(learner):
    """The error lists the learners that can, and what else to do."""
    names = sorted(kind.__name__ for merge in MERGES for kind in merge.takes)
    with pytest.raises(InputError, match=f"{type(learner).__name__}(.|\n)*{', '.join(names)}(.|\n)*'soft'"):
        _classifier(learner).fit(X, Y)


def test_settings_that_cannot_be_merged_are_refused():
    """The error says which setting, and what to set instead."""
    with pytest.raises(InputError, match=r"RandomForestClassifier exactly: oob_score(.|\n)*Set oob_score=False"):
        _classifier(RandomForestClassifier(oob_score=True)).fit(X, Y)


@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_outputs_have_one_name_before_and_after_fit(method):
    """There are probabilities where the learner has them, else decision values, and no fit changes that."""
    model = _classifier(GaussianNB() if method == "predict_proba" else RidgeClassifier())
    other = {"predict_proba": "decision_function", "decision_function": "predict_proba"}[method]
    for each in (model, clone(model).fit(X, Y)):
        assert hasattr(each, method)
        assert not hasattr(each, other)


def test_real_rows_in_regression():
    """Coefficients on a table of people are those of a single fit."""
    rows, targets = load_diabetes(return_X_y=True)
    plain = _regressor(Ridge(0.1)).fit(rows, targets).to_single()
    np.testing.assert_allclose(plain.coef_, Ridge(0.1).fit(rows, targets).coef_)
