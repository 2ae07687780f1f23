"""Facts about models on disk."""

import hashlib
import json
import pickle
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification, make_regression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from partwise.digests import content_digest
from partwise.encoders import NumericEncoder, TableEncoder
from partwise.errors import InputError, MissingExtraError, ModelStoreError
from partwise.model_store import StoredModel, _load_pyfunc, load_model, save_model
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.records import Member

CLASSIFIERS = [
    linear_model.LogisticRegression(),
    linear_model.RidgeClassifier(),
    linear_model.SGDClassifier(loss="log_loss"),
    svm.LinearSVC(),
    svm.SVC(),
    neighbors.KNeighborsClassifier(),
    neighbors.KNeighborsClassifier(algorithm="ball_tree", metric="manhattan"),
    naive_bayes.GaussianNB(),
    LinearDiscriminantAnalysis(),
    tree.DecisionTreeClassifier(random_state=0),
    ensemble.RandomForestClassifier(3, random_state=0),
    ensemble.ExtraTreesClassifier(3, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=3),
    ensemble.HistGradientBoostingClassifier(max_iter=3),
    neural_network.MLPClassifier(max_iter=5),
    neural_network.MLPClassifier(max_iter=5, solver="sgd"),
    GaussianProcessClassifier(),
    DummyClassifier(),
    make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), [0, 1, 2, 3]),
            (OneHotEncoder(handle_unknown="ignore"), [4]),
        ),
        linear_model.LogisticRegression(),
    ),
    XGBClassifier(n_estimators=3, verbosity=0),
    LGBMClassifier(n_estimators=3, verbose=-1),
]
REGRESSORS = [
    linear_model.Ridge(),
    svm.LinearSVR(),
    svm.SVR(),
    neighbors.KNeighborsRegressor(),
    tree.DecisionTreeRegressor(random_state=0),
    ensemble.RandomForestRegressor(3, random_state=0),
    ensemble.ExtraTreesRegressor(3, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=3, loss="huber"),
    ensemble.HistGradientBoostingRegressor(max_iter=3, loss="quantile", quantile=0.4),
    neural_network.MLPRegressor(max_iter=5),
    GaussianProcessRegressor(),
    XGBRegressor(n_estimators=3, verbosity=0),
    LGBMRegressor(n_estimators=3, verbose=-1),
]
TREES = (tree.DecisionTreeClassifier, ensemble.RandomForestClassifier, naive_bayes.GaussianNB)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]


class Own(ClassifierMixin, BaseEstimator):
    """A user's estimator that lives in no library."""

    def fit(self, X, y):  # noqa: ARG002 - the signature of an estimator
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


def _table(n_classes, rows=120):
    X, y = make_classification(rows, 5, n_classes=n_classes, n_informative=4, n_redundant=0, random_state=0)
    return X, y


def _stored(estimator, X, y, *, classes, n_members=2, encoder=None, names=None):
    """Fit members on every n-th row, each with what a run records of it."""
    n_classes = None if classes is None else len(classes)
    members = []
    for partition in range(n_members):
        fitted = clone(estimator).fit(X[partition::n_members], y[partition::n_members])
        codes = None if classes is None else np.arange(n_classes)
        counts = None if classes is None else np.bincount(y[partition::n_members], minlength=n_classes)
        members.append(
            Member(
                partition=partition,
                estimator=fitted,
                classes=codes,
                content_digest=content_digest(fitted),
                n_rows=len(X[partition::n_members]),
                weight=0.1 + partition,
                class_counts=counts,
                seed=partition,
                fit_seconds=0.25,
                node="n",
            )
        )
    pool = MemberPool.of(tuple(members), n_classes)
    predictor = AggregatedPredictor(pool, "mean", np.array([member.weight for member in members]))
    return StoredModel(
        task="regression" if classes is None else "classification",
        classes=classes,
        encoder=encoder,
        predictor=predictor,
        feature_names=names,
    )


@pytest.fixture
def model():
    X, y = _table(3)
    return _stored(naive_bayes.GaussianNB(), X, y, classes=np.array(["x", "y", "z"]))


@pytest.fixture
def directory(tmp_path, model):
    return save_model(tmp_path / "model", model)


def _edit(directory, **changes):
    manifest = json.loads((directory / "model.json").read_text())
    manifest.update(changes)
    (directory / "model.json").write_text(json.dumps(manifest))


def _edit_member(directory, **changes):
    members = json.loads((directory / "model.json").read_text())["members"]
    members[0].update(changes)
    _edit(directory, members=members)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda e: type(e).__name__)
def test_classifiers_are_held_without_code_and_predict_the_same(tmp_path, estimator, n_classes):
    """Every named classifier comes back from files of the safe format with equal outputs and labels."""
    X, y = _table(n_classes)
    model = _stored(estimator, X, y, classes=np.array(["a", "b", "c"])[:n_classes])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    assert {path.suffix for path in (tmp_path / "m" / "members").iterdir()} == {".skops"}
    np.testing.assert_array_equal(loaded.outputs(X), model.outputs(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda e: type(e).__name__)
def test_regressors_are_held_without_code_and_predict_the_same(tmp_path, estimator):
    """Every named regressor comes back from files of the safe format with equal values."""
    X, y = make_regression(120, 5, random_state=0)
    model = _stored(estimator, X, y, classes=None)
    loaded = load_model(save_model(tmp_path / "m", model))
    assert {path.suffix for path in (tmp_path / "m" / "members").iterdir()} == {".skops"}
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("estimator", [e for e in CLASSIFIERS if isinstance(e, TREES)], ids=lambda e: type(e).__name__)
def test_content_digest_survives_storage(tmp_path, estimator):
    """A loaded tree, forest or Bayes member has the digest that was recorded at its fit."""
    X, y = _table(2)
    loaded = load_model(save_model(tmp_path / "m", _stored(estimator, X, y, classes=np.array([0, 1]))))
    for member in loaded.predictor.pool.members:
        assert content_digest(member.estimator) == member.content_digest


def test_members_come_back_with_their_records(directory, model):
    """All that was recorded of a member, arrays included, is read back as it was."""
    for before, after in zip(model.predictor.pool.members, load_model(directory).predictor.pool.members, strict=True):
        for name in ("partition", "content_digest", "n_rows", "weight", "seed", "fit_seconds", "node", "attempts"):
            assert getattr(before, name) == getattr(after, name), name
        np.testing.assert_array_equal(before.classes, after.classes)
        np.testing.assert_array_equal(before.class_counts, after.class_counts)


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["é", "z"]),
        np.array(["a", "b"], dtype=object),
        np.array([False, True]),
        np.array([-3, 7], dtype=np.int8),
        np.array([0.1, 1 / 3]),
        np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]"),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_class_labels_keep_value_and_type(tmp_path, classes):
    """Labels of any plain kind come back equal and of the same dtype."""
    X, y = _table(2)
    loaded = load_model(save_model(tmp_path / "m", _stored(naive_bayes.GaussianNB(), X, y, classes=classes)))
    assert loaded.classes.dtype == classes.dtype
    np.testing.assert_array_equal(loaded.classes, classes)


def test_odd_labels_are_refused_before_anything_is_written(tmp_path, model):
    """Labels that JSON cannot hold are an error that says what to do, and leave no directory."""
    labels = np.empty(3, dtype=object)
    labels[:] = [(1, 2), (3,), (4,)]
    with pytest.raises(ModelStoreError, match=r"\(1, 2\).*text or numbers"):
        save_model(tmp_path / "m", replace(model, classes=labels))
    assert not (tmp_path / "m").exists()


def test_several_targets_stay_several(tmp_path):
    """A regression of two targets gives two columns after loading."""
    X, y = make_regression(60, 5, n_targets=2, random_state=0)
    loaded = load_model(save_model(tmp_path / "m", _stored(linear_model.Ridge(), X, y, classes=None)))
    assert loaded.predict(X).shape == (60, 2)


def _frame(rows=80):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "delay": rng.normal(size=rows),
            "carrier": rng.choice(["AA", "UA", "DL"], rows),
            "count": rng.integers(0, 9, rows),
        }
    )


def test_raw_tables_go_through_the_stored_encoder(tmp_path):
    """With a table encoder, text columns in any order, among others, give the outputs of the model in memory."""
    frame = _frame()
    y = (frame["delay"] > 0).to_numpy().astype(int)
    encoder = TableEncoder().fit(frame)
    names = tuple(frame.columns)
    matrix = encoder.transform(frame)
    model = _stored(
        linear_model.LogisticRegression(), matrix, y, classes=np.array([0, 1]), encoder=encoder, names=names
    )
    loaded = load_model(save_model(tmp_path / "m", model))
    assert (tmp_path / "m" / "encoder.skops").exists()
    shuffled = frame.assign(other=1)[["other", "count", "carrier", "delay"]]
    np.testing.assert_array_equal(loaded.outputs(shuffled), model.outputs(frame))


def test_arrays_take_the_names_of_the_columns(tmp_path):
    """An array in the order of the training columns gives what the table gives."""
    frame = _frame()[["delay", "count"]]
    y = (frame["delay"] > 0).to_numpy().astype(int)
    encoder = NumericEncoder().fit(frame)
    matrix = encoder.transform(frame)
    model = _stored(
        naive_bayes.GaussianNB(), matrix, y, classes=np.array([0, 1]), encoder=encoder, names=("delay", "count")
    )
    loaded = load_model(save_model(tmp_path / "m", model))
    np.testing.assert_array_equal(loaded.outputs(frame.to_numpy()), model.outputs(frame))


def test_missing_columns_are_named(model):
    """A table without a column of the model is an input error that names it."""
    named = replace(model, feature_names=("a", "b", "c", "d", "e"))
    with pytest.raises(InputError, match=r"lacks 2 of the model's 5 columns: d, e"):
        named.predict(pd.DataFrame(np.zeros((2, 3)), columns=["a", "b", "c"]))
    with pytest.raises(InputError, match=r"shape \(2, 3\).*5 columns"):
        named.predict(np.zeros((2, 3)))


@pytest.mark.parametrize(
    "estimator", [Own(), make_pipeline(FunctionTransformer(lambda X: X + 1), naive_bayes.GaussianNB())]
)
def test_code_is_marked_and_needs_trust(tmp_path, estimator):
    """User classes and lambdas are stored with a warning that names them, and are read only with trust."""
    X, y = _table(2)
    model = _stored(estimator, X, y, classes=np.array([0, 1]))
    with pytest.warns(UserWarning, match=r"members/0000\.cloudpickle \(.*(Own|Pipeline)\).*trust=True"):
        save_model(tmp_path / "m", model)
    with pytest.raises(ModelStoreError, match=r"0000\.cloudpickle holds code.*trust=True"):
        load_model(tmp_path / "m")
    np.testing.assert_array_equal(load_model(tmp_path / "m", trust=True).predict(X), model.predict(X))


class _Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_slipped_in_is_not_run(tmp_path, directory):
    """A pickle with a matching digest is refused before a byte of it is interpreted; with trust it would run."""
    canary = tmp_path / "canary"
    data = pickle.dumps(_Canary(str(canary)))
    (directory / "members" / "0000.skops").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    _edit_member(directory, sha256=digest, format="cloudpickle")
    with pytest.raises(ModelStoreError, match="holds code"):
        load_model(directory)
    _edit_member(directory, format="skops")
    with pytest.raises(ModelStoreError, match="cannot be read"):
        load_model(directory)
    assert not canary.exists()
    _edit_member(directory, format="cloudpickle")
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a file in place of an estimator leads to
        load_model(directory, trust=True).predict(np.zeros((1, 5)))
    assert canary.exists()


def test_types_outside_our_list_are_refused(directory):
    """A skops file with another type is refused by name, whatever lists the files bring along."""
    data = skops.io.dumps(Own().fit([[0]], [0]))
    (directory / "members" / "0000.skops").write_bytes(data)
    _edit_member(directory, sha256=hashlib.sha256(data).hexdigest(), trusted=["test_model_store.Own"])
    _edit(directory, trusted=["test_model_store.Own"])
    with pytest.raises(ModelStoreError, match=r"does not trust: .*Own"):
        load_model(directory)


@pytest.mark.parametrize("change", ["flip", "cut", "remove"])
def test_changed_files_are_not_deserialised(directory, monkeypatch, change):
    """A flipped byte, a cut or a missing file in the last member is found before the first is read."""
    last = directory / "members" / "0001.skops"
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    if change == "remove":
        last.unlink()
    else:
        last.write_bytes(bytes(data) if change == "flip" else bytes(data[:100]))
    monkeypatch.setattr("partwise.model_store.loading.deserialise", lambda *_: pytest.fail("deserialised"))
    with pytest.raises(ModelStoreError, match=r"0001\.skops (was changed|cannot be read).*Store the model again"):
        load_model(directory)


@pytest.mark.parametrize("name", ["../outside.skops", "/etc/hostname", "members/../../outside.skops", "", "a\0b", 3])
def test_paths_outside_are_refused(directory, name):
    """A model names files inside of its directory alone."""
    _edit_member(directory, file=name)
    with pytest.raises(ModelStoreError, match=r"outside of the model's directory|not a name|cannot be read"):
        load_model(directory)


def test_links_to_outside_are_refused(tmp_path, directory):
    """A symbolic link that leads out of the directory counts as a path outside."""
    member = directory / "members" / "0000.skops"
    member.rename(tmp_path / "elsewhere.skops")
    member.symlink_to(tmp_path / "elsewhere.skops")
    with pytest.raises(ModelStoreError, match="outside"):
        load_model(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99; this partwise reads 1 and 2"),
        ({"members": []}, "lists no members"),
        ({"task": "ranking"}, "task 'ranking'. Valid: classification, regression"),
        ({"kind": "guess"}, "kind 'guess'. Valid: probability"),
        ({"n_classes": 7}, "n_classes is 7"),
        ({"predictor": {"type": "oracle"}}, "predictor of type 'oracle'. Valid: aggregated, routed"),
        ({"predictor": {"type": "aggregated", "rule": "luck", "weights": {"dtype": "<f8", "values": [1, 1]}}}, "luck"),
        (
            {"predictor": {"type": "aggregated", "rule": "mean", "weights": {"dtype": "<f8", "values": [1]}}},
            "1 weights for",
        ),
    ],
)
def test_wrong_values_in_the_manifest_are_named(directory, changes, message):
    """A model.json of another version or with a wrong value is refused with that value."""
    _edit(directory, **changes)
    with pytest.raises(ModelStoreError) as caught:
        load_model(directory)
    assert message in str(caught.value)


def test_a_model_of_the_first_version_is_read(directory):
    """It does not say what its columns held."""
    manifest = json.loads((directory / "model.json").read_text())
    del manifest["feature_kinds"]
    (directory / "model.json").write_text(json.dumps(manifest | {"format_version": 1}))
    assert load_model(directory).feature_kinds is None


def test_what_the_columns_held_is_read_back(tmp_path):
    """The kinds of values are stored by name."""
    X, y = _table(2)
    model = _stored(tree.DecisionTreeClassifier(), X, y, classes=np.array([0, 1]))
    kinds = {"a": "numbers", "b": "texts"}
    save_model(tmp_path / "model", replace(model, feature_kinds=kinds))
    assert load_model(tmp_path / "model").feature_kinds == kinds


def test_a_cut_manifest_and_an_empty_directory_say_what_to_do(tmp_path, directory):
    """Half a model.json, and none, are different errors, each with a next step."""
    path = directory / "model.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(ModelStoreError, match=r"damaged or cut.*Store the model again"):
        load_model(directory)
    with pytest.raises(ModelStoreError, match=r"no model\.json.*Give the directory"):
        load_model(tmp_path)


def test_an_interrupted_save_is_no_model(tmp_path, model, monkeypatch):
    """model.json is written last, so what a crash leaves is never taken for a model."""
    monkeypatch.setattr("partwise.model_store.saving._json", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_model(tmp_path / "m", model)
    assert (tmp_path / "m" / "members" / "0001.skops").exists()
    with pytest.raises(ModelStoreError, match="holds no model"):
        load_model(tmp_path / "m")


def test_a_model_is_not_overwritten(directory, model):
    """Saving where a model is already is refused: members of two models would mix."""
    with pytest.raises(ModelStoreError, match="holds a model already"):
        save_model(directory, model)


def test_unknown_predictors_are_not_stored(tmp_path, model):
    """A predictor that is not registered is refused with the place to register it."""
    other = type("Other", (AggregatedPredictor,), {})(model.predictor.pool, "mean", np.ones(2))
    with pytest.raises(ModelStoreError, match=r"Other cannot be stored.*PREDICTORS"):
        save_model(tmp_path / "m", replace(model, predictor=other))


def test_a_missing_boosting_library_names_its_extra(tmp_path, monkeypatch):
    """Loading an XGBoost member where XGBoost is not installed names the extra."""
    X, y = _table(2)
    model = _stored(XGBClassifier(n_estimators=2, verbosity=0), X, y, classes=np.array([0, 1]))
    save_model(tmp_path / "m", model)
    monkeypatch.setitem(sys.modules, "xgboost.sklearn", None)
    with pytest.raises(MissingExtraError, match=r"partwise\[boosting\]"):
        load_model(tmp_path / "m")


def test_files_are_compressed_and_listed_with_versions(directory):
    """model.json tells the versions and a digest for each file, and no temporary file is left."""
    manifest = json.loads((directory / "model.json").read_text())
    assert {"partwise", "python", "scikit-learn", "skops"} <= set(manifest["versions"])
    assert [len(member["sha256"]) for member in manifest["members"]] == [64, 64]
    assert not list(directory.rglob("*.tmp"))


def test_mlflows_hook_passes_trust_on(tmp_path):
    """The loader of MLflow refuses code unless the model configuration says trust."""
    X, y = _table(2)
    with pytest.warns(UserWarning, match="cloudpickle"):
        save_model(tmp_path / "m", _stored(Own(), X, y, classes=np.array([0, 1])))
    for config in (None, {"trust": False}):
        with pytest.raises(ModelStoreError, match="trust=True"):
            _load_pyfunc(str(tmp_path / "m"), config)
    assert _load_pyfunc(str(tmp_path / "m"), {"trust": True}).predict(X).shape == (len(X),)
