"""One model that several processes fit together, on Ray Train."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.svm import SVC

from partwise.allreduce import allreduce_for
from partwise.allreduce.fitting import fit_by_allreduce
from partwise.errors import InputError
from partwise.executors.ray_train import Gang
from partwise.fitting import FitJob, lone_predictor
from partwise.learners.xgboost_trees import XGBoostClassifier
from partwise.partitioners import Ordered, Shuffled
from partwise.records import Part
from partwise.tables import MemoryTable

lightgbm = pytest.importorskip("lightgbm", reason="needs the extra boosting")
xgboost = pytest.importorskip("xgboost", reason="needs the extra boosting")

N_ROWS = 3_000
LABELS = np.array(["a", "b", "c"])
FEATURES = np.random.default_rng(0).integers(0, 20, size=(N_ROWS, 4)).astype(np.float32)
CODES = np.argmax(FEATURES[:, :3] + np.random.default_rng(1).normal(size=(N_ROWS, 3)), axis=1)
PATIENT = Gang(ranks=2, cpus=1, gpus=0.0, deadline=200.0)
XGBOOST = xgboost.XGBClassifier(n_estimators=8, max_depth=4, verbosity=0)
LIGHTGBM = lightgbm.LGBMClassifier(n_estimators=8, verbose=-1)


def _cut(partitioner, *, parts=4, order=slice(None), weights=None):
    return MemoryTable(Part(0, FEATURES[order], CODES[order], weights), LABELS).cut(partitioner, parts, 0, 1)


def _fit(template, cut):
    job = FitJob(template=template, seed=0, cpus=1, labels=LABELS)
    return fit_by_allreduce(allreduce_for("it", template), job, cut, PATIENT)


def _outputs(found):
    return lone_predictor(found.fitted, LABELS).outputs(FEATURES)


@pytest.mark.usefixtures("ray_session")
def test_xgboost_is_that_of_one_fit_where_bins_are():
    """Few distinct values have bins of their own in every rank: the trees are those of one process; weights count."""
    weights = np.random.default_rng(2).integers(0, 3, N_ROWS).astype(float)
    expected = clone(XGBOOST).fit(FEATURES[weights > 0], CODES[weights > 0], sample_weight=weights[weights > 0])
    found = _fit(XGBOOST, _cut(Shuffled(), weights=weights))
    assert found.ranks == 2
    assert found.fitted.weight < weights.sum()
    assert _outputs(found) == pytest.approx(expected.predict_proba(FEATURES), abs=1e-4)


@pytest.mark.usefixtures("ray_session")
def test_lightgbm_is_nearly_that_of_one_fit_though_ranks_lack_classes():
    """In the order of its target neither rank has all classes; bins are found on the rows of one rank each."""
    order = np.argsort(CODES, kind="stable")
    expected = clone(LIGHTGBM).fit(FEATURES, CODES).predict_proba(FEATURES)
    found = _fit(LIGHTGBM, _cut(Ordered(), parts=2, order=order))
    assert np.abs(_outputs(found) - expected).mean() < 0.02


@pytest.mark.usefixtures("ray_session")
def test_networks_learn_from_the_rows_of_all_ranks():
    """In the order of their target one rank has few rows of some classes; averaged gradients know all of them."""
    torch_mlp = pytest.importorskip("partwise.learners.torch_mlp", reason="needs the extra torch")
    template = torch_mlp.TorchMLPClassifier(hidden_layer_sizes=(32,), max_iter=12, learning_rate_init=0.01)
    order = np.argsort(CODES, kind="stable")
    found = _fit(template, _cut(Ordered(), parts=2, order=order))
    assert (_outputs(found).argmax(axis=1) == CODES).mean() > 0.85


@pytest.mark.parametrize(
    ("learner", "told"),
    [
        (SVC(), r"'it' is none\. Valid: xgboost, lightgbm"),
        (xgboost.XGBClassifier(tree_method="exact"), "tree_method='exact' needs all rows in one process"),
        (xgboost.XGBRegressor(booster="gblinear"), "booster='gblinear' has no distributed updates"),
        (lightgbm.LGBMClassifier(class_weight="balanced"), "class_weight='balanced' counts the classes of one process"),
        (XGBoostClassifier(early_stopping_rounds=5), "early_stopping_rounds is set"),
        (lightgbm.LGBMRegressor(objective=lambda y, _: y), "its objective is a function"),
    ],
)
def test_what_several_processes_cannot_fit_is_refused(learner, told):
    """With what can be chosen instead."""
    with pytest.raises(InputError, match=told):
        allreduce_for("it", learner)


def test_rows_that_ranks_draw_are_no_part_of_exactness():
    """Which rows a tree sees depends on the rank that holds them."""
    drawing = xgboost.XGBClassifier(subsample=0.5)
    assert "each rank draws its own rows" in allreduce_for("it", drawing).exactness(drawing)
    assert "draws" not in allreduce_for("it", XGBOOST).exactness(XGBOOST)
