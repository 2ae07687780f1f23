"""Rows that come after an ensemble was fitted, for members of their own beside those that it has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.sources.memory import as_target
from partwise.targets import class_target

__all__ = ["Addition", "codes_among"]

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Further training rows, which ``fit`` gives members of their own; those of the other rows stay as they are.

    Parameters
    ----------
    X
        Features in memory, (rows, features), with the columns of the first table.
    y
        Target, (rows,), of classes that the first table has.
    sample_weight, time
        As in ``fit``.
    n_partitions
        How many members the rows give.
    """

    X: Any
    y: Any
    sample_weight: Any = None
    time: Any = None
    n_partitions: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.n_partitions, (int, np.integer)) or self.n_partitions < 1:
            raise InputError(f"Addition(n_partitions={self.n_partitions!r}) is wrong. Valid: whole numbers from 1 on.")


def codes_among(known: NDArray[Any], y: Any) -> NDArray[np.int64]:
    """Return the class codes of added rows among the classes that an ensemble knows.

    Raises
    ------
    InputError
        If they are of other classes, or are no classes.
    """
    values = np.asarray(as_target(y)).reshape(-1)
    labels, codes = class_target(np.concatenate([known, values]))  # rows of one class are welcome here
    if len(labels) > len(known):
        unknown = [label for label in labels.tolist() if label not in known.tolist()]
        raise InputError(
            f"The added rows have the classes {unknown[:_SHOWN]}, which the first table lacks. Valid: "
            f"{known.tolist()[:_SHOWN]}. Leave those rows out, or start a new run on all rows together."
        )
    return codes[len(known) :]
