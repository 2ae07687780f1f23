"""The network of ``torch_mlp``, and how skorch trains it: batches of whole tensors, weighted losses."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import Dataset

__all__ = [
    "Rows",
    "TabularMLP",
    "arrays_of",
    "device_of",
    "embedding_width",
    "indices_of",
    "scales_of",
    "seeded",
    "train",
]

_MISSING_AND_UNSEEN = 2
"""Places of an embedding before those of the levels."""
_JUDGED_AT_ONCE = 16_384
_FARTHEST = 3.0
"""Deviations from the mean that no number is beyond: with the weights of a rare one it would decide the loss alone."""
_FAR = 1e6
"""Deviations of which 32 bits have a square, and that are bent no differently from any more."""
_SMALLEST_SCALE = 1e-6
"""Columns that vary less, as a share of their mean, are left unscaled: they are constant, but for rounding."""
_SLOWER = 0.3
"""What becomes of the learning rate where the loss has not fallen for half of the patience."""


def embedding_width(levels: int) -> int:
    """Return how many numbers stand for a category of so many levels, by the rule of fast.ai's tabular models."""
    return min(50, round(1.6 * (levels + _MISSING_AND_UNSEEN) ** 0.56))


def arrays_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of all that a module has learned, by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def scales_of(means: NDArray[Any], deviations: NDArray[Any]) -> NDArray[np.float32]:
    """Return by what columns are divided: their deviations, 1 where one is constant."""
    varies = deviations > np.maximum(_SMALLEST_SCALE * np.abs(means), np.finfo(np.float32).tiny)
    return np.where(varies, deviations, 1.0).astype(np.float32)


def indices_of(codes: NDArray[Any], levels: Sequence[int]) -> NDArray[np.int64]:
    """Return places in the embeddings, shape (rows, categories): 0 is missing, 1 unseen, then the levels.

    ``codes`` are as ``TableEncoder`` gives them: 0 and more for levels, -1 for unseen, -2 or NaN for missing.
    """
    numbers = np.nan_to_num(codes, nan=-2.0).astype(np.int64)
    places = np.clip(numbers, -2, None) + _MISSING_AND_UNSEEN
    return np.where(numbers >= np.asarray(levels, dtype=np.int64), 1, places)


class TabularMLP(nn.Module):
    """A multilayer perceptron on standardised numbers and embedded categories.

    Means and scales of numbers and targets are buffers, so that all that was learned is in ``state_dict()``. Numbers
    far from their mean are bent towards 3 deviations, as in RealMLP (Holzmüller, Grinsztajn, Steinwart, NeurIPS 2024,
    section 3): a column that is rarely anything but 0 would have rows a hundred deviations away.

    Parameters
    ----------
    n_numbers
        Columns of numbers.
    levels
        Levels of each category.
    n_outputs
        Classes, or targets.
    hidden
        Units of each hidden layer.
    dropout
        Share of hidden units that are silent in a training step.
    """

    def __init__(
        self, n_numbers: int, levels: Sequence[int], n_outputs: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_numbers))
        self.register_buffer("scale", torch.ones(n_numbers))
        self.register_buffer("target_mean", torch.zeros(n_outputs))
        self.register_buffer("target_scale", torch.ones(n_outputs))
        widths = [embedding_width(each) for each in levels]
        self.embeddings = nn.ModuleList(
            nn.Embedding(each + _MISSING_AND_UNSEEN, width) for each, width in zip(levels, widths, strict=True)
        )
        layers: list[nn.Module] = []
        size = n_numbers + sum(widths)
        for units in hidden:
            layers += [nn.Linear(size, units), nn.ReLU(), nn.Dropout(dropout)]
            size = units
        self.layers = nn.Sequential(*layers, nn.Linear(size, n_outputs))

    def forward(self, numbers: Any, codes: Any) -> Any:
        """Return logits, or standardised targets, shape (rows, outputs)."""
        standardised = ((numbers - self.mean) / self.scale).clamp(-_FAR, _FAR)
        inputs = [standardised / torch.sqrt(1 + (standardised / _FARTHEST) ** 2)]
        inputs += [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat(inputs, dim=1))


class Rows(Dataset):
    """Rows as whole tensors: numbers, places in the embeddings, targets and weights."""

    def __init__(
        self, numbers: NDArray[Any], codes: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any]
    ) -> None:
        self.numbers = torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))
        self.codes = torch.from_numpy(np.ascontiguousarray(codes, dtype=np.int64))
        self.targets = torch.from_numpy(np.ascontiguousarray(targets))
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rows: Any) -> tuple[dict[str, Any], tuple[Any, Any]]:
        inputs = {"numbers": self.numbers[rows], "codes": self.codes[rows]}
        return inputs, (self.targets[rows], self.weights[rows])


class _Batches:
    """Slices of the tensors; torch's DataLoader would fetch rows one by one, tens of times as slowly."""

    def __init__(self, rows: Rows, batch_size: int, *, shuffle: bool = False) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[Any]:
        count = len(self.rows)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        return (self.rows[chosen] for chosen in order.split(self.batch_size))


class _WeightedNet(NeuralNet):
    """A skorch net whose loss is the weighted mean of the rows' losses."""

    def get_loss(self, y_pred: Any, y_true: Any, *_: Any, **__: Any) -> Any:
        targets, weights = (each.to(y_pred.device) for each in y_true)
        losses = self.criterion_(y_pred, targets)
        losses = losses if losses.ndim == 1 else losses.mean(dim=1)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


class _Agreed(Callback):
    """Replaces a number of the epoch by the one that processes agree on, before others go by it."""

    def __init__(self, monitor: str, agree: Callable[[float], float]) -> None:
        self.monitor = monitor
        self.agree = agree

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record(self.monitor, self.agree(net.history[-1, self.monitor]))


@contextmanager
def seeded(seed: int, threads: int | None) -> Iterator[None]:
    """Seed torch and limit its threads for a block; what the user has of both is back afterwards."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(before if threads is None else threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def device_of(asked: str) -> str:
    """Return the device; ``auto`` is a GPU where this process has one, as a Ray task has that reserved one."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def train(
    module: Any,
    criterion: Any,
    learned: Rows,
    judged: Rows | None,
    *,
    settings: dict[str, Any],
    patience: int,
    tol: float,
    agree: Callable[[float], float] = lambda loss: loss,
) -> int:
    """Train the module in place and return the number of epochs.

    With ``judged`` rows it stops when their loss has not fallen by ``tol`` for ``patience`` epochs, and keeps the
    weights of the best epoch; without, when the loss of the rows learned from has not. After more than half of the
    patience the learning rate falls: the passes that follow settle what the larger steps leave to chance. ``agree``
    makes one loss of those of several processes, which then stop, and take smaller steps, together.
    """
    monitor = "train_loss" if judged is None else "valid_loss"
    slow = LRScheduler(
        policy="ReduceLROnPlateau",
        monitor=monitor,
        factor=_SLOWER,
        patience=patience // 2,
        threshold=tol,
        threshold_mode="abs",
    )
    stop = EarlyStopping(
        monitor=monitor,
        patience=patience,
        threshold=tol,
        threshold_mode="abs",
        load_best=judged is not None,
        sink=lambda _: None,
    )
    net = _WeightedNet(
        module,
        criterion=criterion,
        criterion__reduction="none",
        optimizer=torch.optim.AdamW,
        iterator_train=_Batches,
        iterator_train__shuffle=True,
        iterator_valid=_Batches,
        iterator_valid__batch_size=_JUDGED_AT_ONCE,
        train_split=None if judged is None else predefined_split(judged),
        callbacks=[("agreed", _Agreed(monitor, agree)), ("slow", slow), ("stop", stop)],
        verbose=0,
        **settings,
    )
    net.initialize()
    net.notify("on_train_begin", X=learned, y=None)
    try:
        net.fit_loop(learned)
    except KeyboardInterrupt:  # how skorch stops early; a user's own, which `partial_fit` would swallow, goes on up
        if stop.misses_ < patience:
            raise
    net.notify("on_train_end", X=learned, y=None)
    return len(net.history)
