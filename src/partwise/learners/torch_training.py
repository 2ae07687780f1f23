"""How skorch trains the network of ``torch_mlp``: batches of whole tensors, weighted losses, averaged weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import Dataset

__all__ = ["Rows", "Trained", "device_of", "seeded", "train"]

_JUDGED_AT_ONCE = 16_384
_SLOWER = 0.3
"""What becomes of the learning rate where the loss has not fallen for half of the patience."""
_FIRST_STEPS = 9
"""After n steps the averaged weights are at most n / (n + 9) of what they were: the first weights are soon gone."""
_HOTTEST = 100.0
"""The highest temperature; with it all classes are as likely as each other."""
_TEMPERATURE_TOLERANCE = 1e-3
"""Of the logarithm."""


class Trained(NamedTuple):
    """How many epochs were trained, and the temperature by which the logits are still to be divided."""

    n_epochs: int
    temperature: float


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


class _Averaged(Callback):
    """Keeps a moving average of the weights, over about one epoch, which takes their place wherever they are judged.

    Averages (Polyak and Juditsky, 1992) have less of the noise of single steps. Training goes on from its own weights.
    """

    def on_train_begin(self, net: Any, X: Any, **_: Any) -> None:
        n_steps = -(-len(X) // net.batch_size)
        self.decay = n_steps / (n_steps + 1)
        self.n_steps = 0
        self.live = [each.detach() for each in net.module_.parameters()]
        self.averages = [each.clone() for each in self.live]
        self.is_in_place = False

    def on_batch_begin(self, net: Any, training: bool, **_: Any) -> None:  # noqa: ARG002, FBT001 - as skorch calls it
        if not training:
            self.put_in_place()

    def on_batch_end(self, net: Any, training: bool, **_: Any) -> None:  # noqa: ARG002, FBT001 - as above
        if training:
            self.n_steps += 1
            average = get_ema_multi_avg_fn(min(self.decay, self.n_steps / (self.n_steps + _FIRST_STEPS)))
            average(self.averages, self.live, None)

    def put_in_place(self) -> None:
        """Exchange the weights for their averages, until the next epoch begins."""
        if not self.is_in_place:
            self._exchange()

    def on_epoch_begin(self, net: Any, **_: Any) -> None:  # noqa: ARG002 - as above
        if self.is_in_place:
            self._exchange()

    def on_train_end(self, net: Any, **_: Any) -> None:  # noqa: ARG002 - as above
        self.put_in_place()

    def _exchange(self) -> None:
        self.is_in_place = not self.is_in_place
        for one, other in zip(self.live, self.averages, strict=True):
            kept = one.clone()
            one.copy_(other)
            other.copy_(kept)


class _Tempered(Callback):
    """Replaces the loss of judged rows by what it is at the best temperature, and notes that.

    A network grows too sure of itself long before it ceases to tell classes apart better. What a temperature mends
    afterwards (Guo, Pleiss, Sun, Weinberger, ICML 2017, section 4.2) does not stop training then (Berta, Holzmueller,
    Jordan, Bach, "Rethinking Early Stopping: Refine, Then Calibrate", 2025). Logits are softened, and never sharpened:
    of few rows all may be right by luck.
    """

    def on_epoch_begin(self, net: Any, **_: Any) -> None:  # noqa: ARG002 - as skorch calls it
        self.judged: list[tuple[Any, Any, Any]] = []

    def on_batch_end(self, net: Any, batch: Any, training: bool, y_pred: Any = None, **_: Any) -> None:  # noqa: ARG002, FBT001
        if not training:
            self.judged.append((y_pred.cpu(), *batch[1]))  # not all devices have numbers of 64 bits

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        logits, targets, weights = (torch.cat(each) for each in zip(*self.judged, strict=True))
        logits = logits.double()

        def loss(logarithm: float) -> float:
            return float(net.get_loss(logits / np.exp(logarithm), (targets, weights)))

        bounds = (0.0, np.log(_HOTTEST))
        found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": _TEMPERATURE_TOLERANCE})
        net.history.record("valid_loss", float(found.fun))
        net.history.record("temperature", float(np.exp(found.x)))


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
) -> Trained:
    """Train the module in place; its weights are averages over about the last epoch.

    With ``judged`` rows, of which one has a weight, it stops when their loss has not fallen by ``tol`` for ``patience``
    epochs, and keeps the weights of the best epoch; without, when the loss of the rows learned from has not. The loss
    of classes is that at the best temperature. After more than half of the patience the learning rate falls: the passes
    that follow settle what the larger steps leave to chance. ``agree`` makes one number of those of several processes,
    which then stop, and take smaller steps, together.
    """
    monitor = "train_loss" if judged is None else "valid_loss"
    is_tempered = judged is not None and not judged.targets.is_floating_point()
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
        callbacks=[*_before_stopping(monitor, agree, patience, tol, is_tempered=is_tempered), ("stop", stop)],
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
    best = net.history[stop.best_epoch_ - 1] if is_tempered and stop.best_epoch_ else {}
    return Trained(len(net.history), agree(best.get("temperature", 1.0)))


def _before_stopping(
    monitor: str, agree: Callable[[float], float], patience: int, tol: float, *, is_tempered: bool
) -> Iterator[tuple[str, Callback]]:
    """Yield what acts on an epoch before it is decided whether that was the last, in this order."""
    yield "averaged", _Averaged()
    if is_tempered:
        yield "tempered", _Tempered()
    yield "agreed", _Agreed(monitor, agree)
    slow = LRScheduler(
        policy="ReduceLROnPlateau",
        monitor=monitor,
        factor=_SLOWER,
        patience=patience // 2,
        threshold=tol,
        threshold_mode="abs",
    )
    yield "slow", slow
