"""Facts about the networks of PyTorch."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_regression
from sklearn.metrics import log_loss
from sklearn.utils import check_random_state, check_X_y
from sklearn.utils.estimator_checks import check_estimator

pytest.importorskip("skorch", reason="PyTorch and skorch are not installed: make install-torch")

import torch
from skorch import NeuralNetClassifier

from partwise import PartitionedClassifier
from partwise.allreduce.torch_networks import TorchNetworks
from partwise.digests import content_digest
from partwise.errors import ConfigurationError, InputError
from partwise.learners import make_learner, torch_training
from partwise.learners.held_back import held_back
from partwise.learners.torch_mlp import TorchMLPClassifier, TorchMLPRegressor
from partwise.learners.torch_net import TabularMLP, indices_of
from partwise.learners.torch_training import Rows
from partwise.model_store import deserialise, serialise
from partwise.records import Part

X, Y = check_X_y(*load_iris(return_X_y=True), dtype=np.float32)
SMALL = {"n_jobs": 1, "hidden_layer_sizes": (16,), "learning_rate_init": 0.01, "max_iter": 40}
_TO_ROUNDING = "predictions of a batch and of its parts differ in the last digit of 32 bits"
_HELD_BACK = "other rows are held back, and in other batches, when rows are repeated"
EXPECTED = {
    "check_methods_subset_invariance": _TO_ROUNDING,
    "check_methods_sample_order_invariance": _TO_ROUNDING,
    "check_sample_weight_equivalence_on_dense_data": _HELD_BACK,
}


def _tiny(**settings):
    return TorchMLPClassifier(**SMALL | {"random_state": 0} | settings)


@pytest.mark.parametrize("kind", [TorchMLPClassifier, TorchMLPRegressor])
def test_they_are_estimators_of_scikit_learn(kind):
    """Both pass scikit-learn's checks, but for those that rounding and held-back rows rule out."""
    results = check_estimator(kind(**SMALL | {"max_iter": 20}), on_fail=None, on_skip=None)
    failed = {each["check_name"] for each in results if each["status"] == "failed"}
    assert failed <= set(EXPECTED)


def test_the_same_rows_and_seed_give_the_same_digest():
    """Another seed gives another; what PyTorch's own generator stood at does not count, and is left alone."""
    first = content_digest(_tiny().fit(X, Y).state_)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert content_digest(_tiny().fit(X, Y).state_) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert content_digest(_tiny(random_state=1).fit(X, Y).state_) != first


@pytest.mark.usefixtures("ray_session")
def test_members_are_the_same_in_process_and_on_ray():
    """Digests of all members agree."""
    fits = [
        PartitionedClassifier(_tiny(random_state=None), n_partitions=3, executor=executor, random_state=1).fit(X, Y)
        for executor in ("inline", "ray")
    ]
    digests = [[member.content_digest for member in fit.members_] for fit in fits]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 3


def test_a_class_with_a_single_row_is_learned():
    """Rows are held back by class, and a class never loses its last one."""
    y = np.where(np.arange(len(Y)) == 0, 3, Y)
    model = _tiny(max_iter=2).fit(X, y)
    assert model.predict_proba(X).shape == (150, 4)
    held = held_back(y, 0.1, 0, by_class=True)
    assert not held[0]
    assert np.bincount(y[held]).tolist() == [5, 5, 5]


def test_training_stops_early():
    """On noise, with patience of one pass, it ends long before the last."""
    noise = np.random.default_rng(0).integers(0, 2, len(X))
    assert _tiny(n_iter_no_change=1, max_iter=200).fit(X, noise).n_iter_ < 50


def _bent(*numbers):
    """Return what the layers of a network get of numbers whose mean is 0, and whose deviation is 1."""
    module = TabularMLP(1, [], 1, [], 0.0)
    module.layers = torch.nn.Identity()
    return module(torch.tensor(numbers)[:, None], torch.zeros((len(numbers), 0), dtype=torch.int64))[:, 0].tolist()


def test_what_a_column_rarely_holds_does_not_decide_the_loss():
    """Near the mean numbers stay what they are; one hundreds of deviations away says hardly more than one of ten."""
    near, far, farther = _bent(0.1, 10.0, 500.0)
    assert near == pytest.approx(0.1, rel=0.01)
    assert 2.8 < far < farther < 3.0


@pytest.mark.parametrize("huge", [1e8, 1e20, 1e30, 3e38, float("inf")])
def test_a_number_whose_square_no_float_has_is_as_far_as_others(huge):
    """It is bent to 3 deviations on its own side, and neither to the mean nor to no number."""
    assert _bent(huge, -huge) == [3.0, -3.0]


def _net_of(monkeypatch, model, y, features=X):
    """Return the net of skorch by which a model is fitted."""
    nets = []

    class Kept(torch_training._WeightedNet):
        def initialize(self):
            nets.append(self)
            return super().initialize()

    monkeypatch.setattr(torch_training, "_WeightedNet", Kept)
    model.fit(features, y)
    return nets[0]


def _seed_of(model):
    return int(check_random_state(model.random_state).randint(2**31 - 1))


def test_the_learning_rate_falls_where_the_loss_does_not(monkeypatch):
    """On noise it is lower when training stops than when it began."""
    noise = np.random.default_rng(0).integers(0, 2, len(X))
    net = _net_of(monkeypatch, _tiny(n_iter_no_change=6, max_iter=200), noise)
    rates = net.history[:, "event_lr"]
    assert rates[-1] < 0.5 * rates[0]


def _sure(seed=0):
    """Return rows of two classes, of which one in four has the wrong one: who learns it by heart is too sure."""
    features = np.random.default_rng(seed).normal(size=(400, 4)).astype(np.float32)
    wrong = np.random.default_rng(seed + 1).random(400) < 0.25
    return features, np.where(wrong, features[:, 0] < 0, features[:, 0] > 0).astype(int)


def test_probabilities_are_no_surer_than_rows_held_back_bear_out(monkeypatch):
    """Where each epoch is surer than the rows held back allow, the best one's logits are divided by a temperature."""
    features, classes = _sure()
    model = _tiny(hidden_layer_sizes=(256,), learning_rate_init=0.03, n_iter_no_change=40, validation_fraction=0.5)
    net = _net_of(monkeypatch, model, classes, features)
    best = min(net.history, key=lambda epoch: epoch["valid_loss"])
    assert best["temperature"] > 1.2
    held = held_back(classes, 0.5, _seed_of(model), by_class=True)
    said = model.predict_proba(features[held])
    assert log_loss(classes[held], said) == pytest.approx(best["valid_loss"], abs=1e-4)


def test_probabilities_are_not_sharpened(monkeypatch):
    """The first epochs are less sure than the rows held back allow, and are judged as they are."""
    net = _net_of(monkeypatch, _tiny(max_iter=5), Y)
    assert net.history[:, "temperature"] == pytest.approx([1.0] * 5, abs=1e-3)


def _unrest(monkeypatch):
    """Return by how much the loss of rows held back changes between epochs of large steps."""
    features, classes = _sure()
    model = _tiny(learning_rate_init=0.03, n_iter_no_change=40, validation_fraction=0.5, batch_size=10)
    return np.abs(np.diff(_net_of(monkeypatch, model, classes, features).history[:, "valid_loss"])).mean()


def test_averaged_weights_are_judged(monkeypatch):
    """They have less of the chance of single steps than the weights of the last one."""
    averaged = _unrest(monkeypatch)
    monkeypatch.setattr(torch_training._Averaged, "put_in_place", lambda _: None)
    assert averaged < 0.7 * _unrest(monkeypatch)


def test_without_rows_held_back_the_averaged_weights_are_kept(monkeypatch):
    """They are others than those of the last step."""
    model = _tiny(early_stopping=False, max_iter=3).fit(X, Y)
    monkeypatch.setattr(torch_training._Averaged, "put_in_place", lambda _: None)
    last = _tiny(early_stopping=False, max_iter=3).fit(X, Y)
    assert not np.allclose(model.state_["layers.0.weight"], last.state_["layers.0.weight"], atol=1e-3)


def test_training_stops_by_the_loss_that_processes_agree_on():
    """Where that never falls after the first pass, training ends with the patience, however its own loss falls."""
    rows = Rows(X, np.zeros((len(X), 0)), Y, np.ones(len(X)))
    settings = {"device": "cpu", "lr": 0.01, "optimizer__weight_decay": 0.0, "batch_size": 50, "max_epochs": 40}
    module = TabularMLP(4, [], 3, [8], 0.0)
    kind = torch.nn.CrossEntropyLoss
    trained = torch_training.train(
        module, kind, rows, rows, settings=settings, patience=5, tol=1e-4, agree=lambda _: 1.0
    )
    assert trained.n_epochs == 6
    assert trained.temperature == 1.0  # that too is agreed on: its own is never exactly that


def test_categories_are_embedded_and_unseen_ones_predicted():
    """Codes of many levels have an embedding; unseen (-1), missing (-2, NaN) and later levels have a place in it."""
    codes = np.arange(300, dtype=np.float32)[:, None] % 30
    model = _tiny(categorical_features=[0]).fit(codes, (codes[:, 0] * 7 % 3 == 1))
    assert model.state_["embeddings.0.weight"].shape == (32, 11)
    assert model.score(codes, (codes[:, 0] * 7 % 3 == 1)) == 1.0
    assert np.isfinite(model.predict_proba(np.array([[-1], [-2], [99]]))).all()
    assert indices_of(np.array([[-2.0], [np.nan], [-1.0], [0.0], [29.0], [30.0]]), [30])[:, 0].tolist() == [
        0,
        0,
        1,
        2,
        31,
        1,
    ]


def test_weights_count():
    """Rows that contradict each other are decided by their weights."""
    twice, labels = np.concatenate([X, X]), np.concatenate([np.zeros(150, int), np.ones(150, int)])
    model = _tiny().fit(twice, labels, sample_weight=np.repeat([9.0, 1.0], 150))
    assert 0.02 < model.predict_proba(X)[:, 1].mean() < 0.25


def test_rows_held_back_without_weight_do_not_decide_when_to_stop():
    """Their loss is 0 from the first pass on, at every temperature; the rows learned from decide instead."""
    held = held_back(Y, 0.1, _seed_of(_tiny()), by_class=True)
    assert _tiny().fit(X, Y, sample_weight=np.where(held, 0.0, 1.0)).score(X, Y) > 0.9


def test_numbers_of_any_scale_are_learned():
    """Features and targets are standardised within; several targets are several columns."""
    features, values = make_regression(400, 4, n_targets=2, random_state=0)
    model = TorchMLPRegressor(**SMALL, random_state=0).fit(1e4 * features + 1e5, 1e3 * values - 1e6)
    assert model.score(1e4 * features + 1e5, 1e3 * values - 1e6) > 0.95


@pytest.mark.parametrize("size", [1e-8, 1e-30, 1e30])
def test_tiny_and_huge_numbers_are_learned(size):
    """Features and targets far from the size of 1 are no constants."""
    features, values = make_regression(400, 4, random_state=0)
    features, values = features * np.float32(size), 1e-8 * values
    assert TorchMLPRegressor(**SMALL, random_state=0).fit(features, values).score(features, values) > 0.95


def test_a_column_that_is_constant_but_for_rounding():
    """What differs in the last digit of 32 bits is not made as large as what differs in the first."""
    column = np.full(len(X), 1e4, dtype=np.float32)
    column[::2] = np.nextafter(column[::2], np.float32(np.inf))
    assert _tiny(max_iter=1).fit(np.column_stack([X, column]), Y).state_["scale"][-1] == 1.0


@pytest.fixture
def one_rank(tmp_path):
    """Let this process be the only one of a group."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield TorchNetworks()
    torch.distributed.destroy_process_group()


def test_one_rank_learns_what_one_process_does(one_rank):
    """Features and targets of any size are standardised as in a fit of its own."""
    features, values = make_regression(400, 4, random_state=0)
    features, values = (1e-8 * features).astype(np.float32), 1e-8 * values
    found = one_rank.fit(TorchMLPRegressor(**SMALL, random_state=0), Part(0, features, values, None), None, {})
    assert found.score(features, values) > 0.95


def test_one_rank_is_as_sure_as_one_process(one_rank):
    """The logits of both are divided by the best temperature."""
    features, classes = _sure()
    settings = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.03, "validation_fraction": 0.5}
    alone = _tiny(**settings).fit(features, classes)
    found = one_rank.fit(_tiny(**settings, random_state=_seed_of(alone)), Part(0, features, classes, None), 2, {})
    np.testing.assert_allclose(found.predict_proba(features), alone.predict_proba(features), atol=0.01)


def test_ranks_whose_rows_held_back_have_no_weight_are_told_so(one_rank):
    """Their loss would be 0 from the first pass on."""
    weights = np.where(held_back(Y, 0.1, 0, by_class=True), 0.0, 1.0)
    with pytest.raises(InputError, match=r"All 15 rows held back have weight 0"):
        one_rank.fit(_tiny(), Part(0, X, Y, weights), 3, {})


def test_ranks_that_hold_no_row_back_are_told_so(one_rank):
    """Nothing would say when to stop; a network of the first pass is none that anyone asked for."""
    few = Part(0, X[::30], Y[::30], None)
    with pytest.raises(InputError, match=r"validation_fraction=0\.1 .* Give more rows"):
        one_rank.fit(_tiny(), few, 3, {})


def test_it_is_stored_without_pickle():
    """Skops holds a fitted network within partwise's own list of types, and reads the same predictions back."""
    model = _tiny(categorical_features=[3]).fit(X, Y)
    file_format, data = serialise(model)
    assert file_format == "skops"
    assert (deserialise(data, file_format, "here").predict_proba(X) == model.predict_proba(X)).all()


def test_wrong_settings_are_told_at_once():
    """Two invalid values make two mistakes."""
    with pytest.raises(ConfigurationError) as caught:
        make_learner("torch_mlp", "classification", {"dropout": 1.5, "batch_size": 0})
    assert len(caught.value.mistakes) == 2


def test_a_fit_that_is_interrupted_is_no_model(monkeypatch):
    """Ctrl-C is not taken for early stopping, as skorch's own loop takes it."""
    import partwise.learners.torch_training as net  # noqa: PLC0415 - what is to be interrupted

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(net._Batches, "__iter__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _tiny().fit(X, Y)


class Linear(torch.nn.Module):
    """A user's own module."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, rows):
        return self.layer(rows)


def _nets(executor):
    net = NeuralNetClassifier(Linear, criterion=torch.nn.CrossEntropyLoss, max_epochs=3, verbose=0, train_split=None)
    return PartitionedClassifier(net, n_partitions=3, executor=executor, random_state=1).fit(X, Y)


@pytest.mark.usefixtures("ray_session")
def test_any_module_is_a_learner_by_skorch():
    """Members of a user's own module are seeded, and have the same digests in process and on Ray."""
    here, there = _nets("inline"), _nets("ray")
    assert here.predict_proba(X).shape == (150, 3)
    digests = [member.content_digest for member in here.members_]
    assert digests == [member.content_digest for member in there.members_]
    assert len(set(digests)) == 3


def test_the_digest_of_a_net_is_of_its_weights():
    """A copy through pickle has it too, and one whose weights differ has another."""
    net = _nets("inline").members_[0].estimator
    digest = content_digest(net)
    assert content_digest(pickle.loads(pickle.dumps(net))) == digest  # noqa: S301 - our own bytes
    with torch.no_grad():
        net.module_.layer.bias[0] += 1
    assert content_digest(net) != digest


def _averaged(**settings):
    learner = _tiny(random_state=None, max_iter=30, early_stopping=False, **settings)
    return PartitionedClassifier(
        learner, n_partitions=3, combine="average_weights", executor="inline", random_state=1
    ).fit(X, Y)


def test_members_that_started_alike_are_averaged():
    """All weights are means over the members, and the one network predicts well."""
    model = _averaged(init_seed=5)
    whole = model.predictor_.pool.members[0].estimator
    states = [member.estimator.state_ for member in model.members_]
    for name, array in whole.state_.items():
        np.testing.assert_allclose(array, np.mean([state[name] for state in states], axis=0), atol=1e-6)
    assert model.score(X, Y) > 0.8


def test_members_of_other_starts_are_refused_and_told_why():
    """Without init_seed nothing is fitted; networks that did not start alike are refused by their start."""
    with pytest.raises(InputError, match=r"first hidden unit has nothing in common(.|\n)*init_seed=0"):
        _averaged()
    first, second = (_tiny(max_iter=1, init_seed=seed).fit(X, Y) for seed in (1, 2))
    with pytest.raises(InputError, match="did not start from the same weights"):
        first.averaged([second], np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="other shapes"):
        first.averaged([_tiny(max_iter=1, init_seed=1).fit(X, Y > 0)], np.array([0.5, 0.5]))
