"""PyTorch: each process has the network and a share of each batch; gradients are averaged before a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from partwise.digests import content_digest
from partwise.errors import InputError
from partwise.learners.held_back import held_back
from partwise.learners.torch_mlp import TorchMLPClassifier, TorchMLPRegressor
from partwise.learners.torch_net import arrays_of, scales_of
from partwise.learners.torch_training import Rows, Trained, device_of, seeded, train
from partwise.records import Part

__all__ = ["TorchNetworks"]


@dataclass(frozen=True, slots=True)
class TorchNetworks:
    """Averaged gradients (Li and others, PyTorch Distributed, VLDB 2020)."""

    trainer = "torch"
    takes = (TorchMLPClassifier, TorchMLPRegressor)

    def refusal(self, template: Any) -> str | None:
        """Return why several processes cannot fit with these settings, and what to do instead; None where they can."""
        if not template.early_stopping:
            return (
                "early_stopping=False stops by the loss of the rows of one rank. Valid: early_stopping=True (default)."
            )
        return None

    def exactness(self, template: Any) -> str:
        """Return in what the model is that of one process on all rows, and in what it is not."""
        return (
            f"as many rows in a step ({template.batch_size}), but other ones: each rank draws its share from its own "
            "rows, and holds back some of them; the loss on all that are held back decides when all stop"
        )

    def fit(self, template: Any, part: Part, n_classes: int | None, settings: Mapping[str, Any]) -> Any:  # noqa: ARG002 - the ranks are connected already
        """Return the fitted estimator, the same in every process.

        Raises
        ------
        InputError
            If no rank holds back a row that has a weight, so that nothing says when all stop.
        """
        X = np.asarray(part.X, dtype=np.float32)
        _describe(template, X, part.y, n_classes)
        by_class = n_classes is not None
        targets = _targets(part.y, by_class=by_class)
        held = held_back(targets, template.validation_fraction, template.random_state, by_class=by_class)
        with seeded(template.random_state if template.init_seed is None else int(template.init_seed), template.n_jobs):
            module = template._module(n_classes or targets.shape[1])  # noqa: SLF001 - as its own fit
        template.start_ = content_digest(arrays_of(module))
        numbers, codes = template._columns(X)  # noqa: SLF001 - as above
        _set_moments(module.mean, module.scale, numbers[~held])
        if not by_class:
            mean, scale = _set_moments(module.target_mean, module.target_scale, targets[~held])
            targets = np.asarray((targets - mean) / scale, dtype=np.float32)
        columns = [numbers, codes, targets, _relative_weights(part)]
        learned = Rows(*_padded([column[~held] for column in columns]))
        shares = _of_all([column[held] for column in columns])
        judged = Rows(*(np.concatenate(column) for column in zip(*shares, strict=True)))
        if not len(judged):
            raise InputError(
                f"No process has rows enough to hold one back: validation_fraction={template.validation_fraction} of "
                "each class, or of all rows, is less than one row. Give more rows, or a larger validation_fraction."
            )
        if not judged.weights.any():
            raise InputError(
                f"All {len(judged)} rows held back have weight 0, and say nothing of when to stop. Leave out rows of "
                f"weight 0, or give a larger validation_fraction than {template.validation_fraction}."
            )
        template.n_iter_, temperature = _trained(template, module, learned, judged, by_class=by_class)
        module.soften(temperature)
        template.state_ = arrays_of(module)
        return template


def _targets(y: NDArray[Any], *, by_class: bool) -> NDArray[Any]:
    """Return class codes, or a column for each target."""
    return y.astype(np.int64) if by_class else np.asarray(y, dtype=np.float64).reshape(len(y), -1)


def _trained(template: Any, module: Any, learned: Rows, judged: Rows, *, by_class: bool) -> Trained:
    """Train with the other ranks; all have the same loss to stop by."""
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    criterion = torch.nn.CrossEntropyLoss if by_class else torch.nn.MSELoss
    settings = {
        "device": device_of(template.device),
        "lr": template.learning_rate_init,
        "optimizer__weight_decay": template.weight_decay,
        "batch_size": -(-int(template.batch_size) // ranks),
        "max_epochs": int(template.max_iter),
    }
    with seeded(template.random_state + rank, template.n_jobs):  # other rows and units of each rank are left out
        return train(
            DistributedDataParallel(module.to(settings["device"]), broadcast_buffers=False),
            criterion,
            learned,
            judged,
            settings=settings,
            patience=int(template.n_iter_no_change),
            tol=template.tol,
            agree=_that_of_the_first,
        )


def _describe(template: Any, X: NDArray[np.float32], y: NDArray[Any], n_classes: int | None) -> None:
    """Note what an estimator knows of its rows, of those of all ranks."""
    template.n_features_in_ = X.shape[1]
    template.categories_, levels = template._categories(X)  # noqa: SLF001 - as its own fit
    template.n_levels_ = np.max(_of_all(levels), axis=0).astype(int).tolist()
    if n_classes is None:
        template.flat_ = y.ndim == 1
    else:
        template.classes_ = np.arange(n_classes)


def _set_moments(mean: Any, scale: Any, values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Set means and deviations of the columns, over the rows of all ranks; 1 where a column is constant."""
    shares = _of_all((len(values), values.sum(axis=0, dtype=np.float64)))
    count = sum(n for n, _ in shares)
    means = sum(total for _, total in shares) / count
    squares = sum(_of_all(np.square(values - means, dtype=np.float64).sum(axis=0)))
    mean.copy_(torch.from_numpy(np.asarray(means, np.float32)))
    scale.copy_(torch.from_numpy(scales_of(means, np.sqrt(squares / count))))
    return mean.numpy(), scale.numpy()


def _relative_weights(part: Part) -> NDArray[np.float64]:
    """Return the rows' weights as shares of the mean weight of all ranks."""
    if part.weights is None:
        return np.ones(len(part.y))
    shares = _of_all((len(part.y), part.weights.sum()))
    return part.weights * (sum(n for n, _ in shares) / sum(total for _, total in shares))


def _padded(columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return as many rows as the rank with most has, with some of weight zero: all make the same number of steps."""
    lacking = max(_of_all(len(columns[0]))) - len(columns[0])
    padded = [np.concatenate([column, np.resize(column[:1], (lacking, *column.shape[1:]))]) for column in columns]
    padded[-1][len(padded[-1]) - lacking :] = 0.0
    return padded


def _that_of_the_first(number: float) -> float:
    """Return the number of the first rank: that of others differs in its last digits where their processors do."""
    shared = [number]
    distributed.broadcast_object_list(shared, src=0)
    return float(shared[0])


def _of_all(value: Any) -> list[Any]:
    """Return what each rank gives, by rank."""
    gathered = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, value)
    return gathered
