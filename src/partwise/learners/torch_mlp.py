"""Multilayer perceptrons of PyTorch, trained by skorch, as scikit-learn's estimators.

What was learned is kept as NumPy arrays, so that a fitted estimator is stored without pickle, has a digest of values,
and can be averaged.
"""

from collections.abc import Sequence
from copy import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from partwise.digests import content_digest
from partwise.errors import InputError
from partwise.learners.held_back import held_back
from partwise.learners.torch_net import TabularMLP, arrays_of, indices_of, scales_of
from partwise.learners.torch_training import Rows, device_of, seeded, train

__all__ = ["TorchMLPClassifier", "TorchMLPRegressor"]

_AT_ONCE = 65_536
_SEEDS = 2**31 - 1


class _TorchMLP(BaseEstimator):
    """What both tasks share; ``random_state`` seeds the first weights, the order of the rows, and what is held back."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "n_levels": ["array-like", None],
        "init_seed": [Interval(Integral, 0, None, closed="left"), None],
        "device": [str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(  # noqa: PLR0913 - the settings of a network
        self,
        hidden_layer_sizes: Any = (256, 128),
        *,
        dropout: float = 0.1,
        batch_size: int = 256,
        learning_rate_init: float = 1e-3,
        weight_decay: float = 1e-5,
        max_iter: int = 200,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 16,
        tol: float = 1e-4,
        categorical_features: Any = "from_dtype",
        n_levels: Any = None,
        init_seed: int | None = None,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.categorical_features = categorical_features
        self.n_levels = n_levels
        self.init_seed = init_seed
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    def averaging_refusal(self) -> str | None:
        """Return why members with these settings cannot be averaged and what to do instead; None where they can."""
        if self.init_seed is None:
            return (
                "each member starts from weights of its own, and what two networks call their first hidden unit has "
                "nothing in common then: the average is no network. Set init_seed, such as init_seed=0, so that all "
                "start alike, or combine by 'soft' (classes) or 'mean' (numbers)."
            )
        return None

    def averaged(self, others: Sequence[Any], shares: NDArray[np.float64]) -> Self:
        """Return this fitted network with the weighted means of all weights; ``shares`` begin with its own.

        Raises
        ------
        InputError
            If networks are of another shape, or did not start from the same weights.
        """
        fitted = [self, *others]
        shapes = [{name: array.shape for name, array in getattr(each, "state_", {}).items()} for each in fitted]
        if any(shape != shapes[0] for shape in shapes):
            raise InputError(
                "Members have networks of other shapes, as they saw other classes or levels. Use a partitioner that "
                "gives every member all classes, such as 'stratified', or combine by 'soft' or 'mean'."
            )
        if len({each.start_ for each in fitted}) > 1:
            raise InputError(
                "Members did not start from the same weights, so that their units have nothing in common and the "
                "average is no network. Fit all with one init_seed, or combine by 'soft' or 'mean'."
            )
        states = [each.state_ for each in fitted]
        merged = {
            name: sum(share * state[name].astype(np.float64) for share, state in zip(shares, states, strict=True))
            for name in states[0]
        }
        whole = copy(self)
        whole.state_ = {name: np.asarray(array, dtype=np.float32) for name, array in merged.items()}
        return whole

    def _learn(self, X: Any, targets: NDArray[Any], n_outputs: int, weights: Any, criterion: Any) -> Self:
        """Train on checked rows; ``targets`` are class codes, or standardised by the module's buffers."""
        by_class = targets.dtype.kind == "i"
        seed = int(check_random_state(self.random_state).randint(_SEEDS))
        self.categories_, self.n_levels_ = self._categories(X)
        weights = np.ones(len(X)) if weights is None else weights / max(weights.mean(), np.finfo(float).tiny)
        held = np.zeros(len(X), dtype=bool)
        if self.early_stopping:
            held = held_back(targets, self.validation_fraction, seed, by_class=by_class)
        with seeded(seed if self.init_seed is None else int(self.init_seed), self.n_jobs):
            module = self._module(n_outputs)
        self.start_ = content_digest(arrays_of(module))
        numbers, codes = self._columns(X)
        mean, scale = _moments(numbers[~held])
        module.mean.copy_(torch.from_numpy(mean))
        module.scale.copy_(torch.from_numpy(scale))
        if not by_class:
            mean, scale = _moments(targets[~held])
            module.target_mean.copy_(torch.from_numpy(mean))
            module.target_scale.copy_(torch.from_numpy(scale))
            targets = np.asarray((targets - mean) / scale, dtype=np.float32)
        learned, judged = (Rows(numbers[of], codes[of], targets[of], weights[of]) for of in (~held, held))
        settings = {
            "device": device_of(self.device),
            "lr": self.learning_rate_init,
            "optimizer__weight_decay": self.weight_decay,
            "batch_size": int(self.batch_size),
            "max_epochs": int(self.max_iter),
        }
        with seeded(seed, self.n_jobs):
            self.n_iter_, temperature = train(
                module,
                criterion,
                learned,
                judged if judged.weights.any() else None,
                settings=settings,
                patience=int(self.n_iter_no_change),
                tol=self.tol,
            )
        module.soften(temperature)
        self.state_ = arrays_of(module)
        return self

    def _categories(self, X: NDArray[np.float32]) -> tuple[list[int], list[int]]:
        """Return which columns are categories, and how many levels each has."""
        if self.categorical_features is None or isinstance(self.categorical_features, str):
            return [], []
        asked = np.asarray(self.categorical_features)
        places = np.flatnonzero(asked) if asked.dtype == bool else asked.astype(np.int64)
        if self.n_levels is None:
            return places.tolist(), [int(np.nanmax(X[:, place], initial=-1)) + 1 for place in places]
        return places.tolist(), [int(levels) for levels in self.n_levels]

    def _columns(self, X: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        numbers = np.delete(X, self.categories_, axis=1)
        return numbers, indices_of(X[:, self.categories_], self.n_levels_)

    def _module(self, n_outputs: int) -> TabularMLP:
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=np.int64)).tolist()
        n_numbers = self.n_features_in_ - len(self.categories_)
        return TabularMLP(n_numbers, self.n_levels_, n_outputs, hidden, self.dropout)

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """Return logits or standardised targets, shape (rows, outputs)."""
        check_is_fitted(self, "state_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        device = device_of(self.device)
        module = self._module(len(self.state_["target_mean"]))
        module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self.state_.items()})
        module.to(device).eval()
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(X), _AT_ONCE):
                numbers, codes = self._columns(X[start : start + _AT_ONCE])
                outputs = module(torch.from_numpy(numbers).to(device), torch.from_numpy(codes).to(device))
                blocks.append(outputs.cpu().numpy().astype(np.float64))
        return np.concatenate(blocks)


class TorchMLPClassifier(ClassifierMixin, _TorchMLP):
    """A multilayer perceptron for classes: embedded categories, standardised numbers, early stopping.

    Parameters
    ----------
    hidden_layer_sizes
        Units of each hidden layer.
    dropout
        Share of hidden units that are silent in a training step.
    batch_size, learning_rate_init, weight_decay
        Of the steps of AdamW (Loshchilov and Hutter, 2019).
    max_iter
        Most passes over the rows.
    early_stopping, validation_fraction, n_iter_no_change, tol
        A share of each class's rows is held back; training stops when their loss has not fallen by ``tol`` for so many
        passes, and the weights of the best pass are kept. After more than half of these passes the learning rate falls
        to 0.3 of what it was. The loss of classes is that at the best temperature, by which logits are divided in the
        end (Berta and others, 2025, "Rethinking Early Stopping: Refine, Then Calibrate"). A class never loses its last
        row. With ``early_stopping=False``, or where no row held back has a weight, the loss of the rows learned from
        decides both, no logits are divided, and the last weights are kept. Weights are moving averages over about one
        pass.
    categorical_features
        Positions, or a mask, of columns of codes, as ``TableEncoder`` makes them for ``categories="ordinal"``; partwise
        fills in those of its encoder for ``from_dtype``. None: all columns are numbers.
    n_levels
        Levels of each of these; None counts them in the rows.
    init_seed
        Seed of the first weights. Members with one start alike, and can be averaged (Wortsman et al. 2022).
    device
        ``auto`` (a GPU where the process has one), or a name of PyTorch's.
    n_jobs
        Threads of a fit; None leaves PyTorch's own number.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
    >>> model = TorchMLPClassifier(hidden_layer_sizes=(8,), learning_rate_init=0.01, random_state=0)
    >>> model.fit(X, X[:, 0] > 0).predict([[-0.9], [0.9]])
    array([False,  True])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn classes from rows; ``sample_weight`` weighs their losses, in training and in judging."""
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return self._learn(X, codes.astype(np.int64), len(self.classes_), weights, torch.nn.CrossEntropyLoss)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities of the classes, shape (rows, classes)."""
        logits = self._outputs(X)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of each row."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(axis=1)]


class TorchMLPRegressor(RegressorMixin, _TorchMLP):
    """A multilayer perceptron for numbers; the parameters are those of ``TorchMLPClassifier``."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn values, (rows,) or (rows, targets), from rows; squared errors are weighed by ``sample_weight``."""
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float32, multi_output=True, y_numeric=True)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        self.flat_ = y.ndim == 1
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        return self._learn(X, targets, targets.shape[1], weights, torch.nn.MSELoss)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return values, shape (rows,) or (rows, targets)."""
        outputs = self._outputs(X)
        values = outputs * self.state_["target_scale"] + self.state_["target_mean"]
        return values[:, 0] if self.flat_ else values


def _moments(values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return means and deviations of the columns; 1 where a column is constant."""
    mean, scale = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), scales_of(mean, scale)
