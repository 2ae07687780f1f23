"""How the metric moves as members are added."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from partwise.evaluation.metrics import Metric, metric_value
from partwise.evaluation.records import Growth, Outputs, Truth
from partwise.records import OutputKind

__all__ = ["Fold", "curve_as_members_are_added", "running_mean"]

Fold: TypeAlias = Callable[[NDArray[np.float64] | None, NDArray[Any], int], NDArray[np.float64]]
"""From the combined outputs so far (None at first), a member's outputs, and the members so far, to the next ones."""


def running_mean(so_far: NDArray[np.float64] | None, member: NDArray[Any], n_so_far: int) -> NDArray[np.float64]:
    """Return the mean over one member more, without keeping the earlier ones."""
    if so_far is None:
        return np.asarray(member, dtype=np.float64)
    return so_far + (member - so_far) / (n_so_far + 1)


def curve_as_members_are_added(
    metric: Metric,
    truth: Truth,
    members: Iterable[NDArray[Any]],
    kind: OutputKind,
    *,
    fold: Fold = running_mean,
    single: Outputs | None = None,
) -> Growth:
    """Return the metric after 1, 2, … members in partition order, and that of each member alone.

    Parameters
    ----------
    members
        The outputs of one member after the other, aligned to the classes, each of shape (rows, outputs) or
        (rows,); an array of shape (members, rows, outputs) will do. They are taken one at a time.
    kind
        What the outputs mean.
    fold
        How one member more is combined with those before it.
    single
        What the single model said about the same rows, to be shown beside.
    """
    together: list[float | None] = []
    alone: list[float | None] = []
    so_far: NDArray[np.float64] | None = None
    for n_so_far, member in enumerate(members):
        so_far = fold(so_far, member, n_so_far)
        together.append(metric_value(metric, truth, Outputs.from_array(so_far, kind)))
        alone.append(metric_value(metric, truth, Outputs.from_array(member, kind)))
    return Growth(
        together=tuple(together),
        alone=tuple(alone),
        single=None if single is None else metric_value(metric, truth, single),
        n_rows=len(truth.y),
    )
