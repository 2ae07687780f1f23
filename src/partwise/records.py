"""The frozen nouns: what crosses a process boundary, and what a caller sees."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from partwise.routing import Router

__all__ = [
    "Evidence",
    "FailureReason",
    "Fidelity",
    "KeptFile",
    "Learner",
    "LearnerNeeds",
    "Member",
    "MemberEvidence",
    "MemberFailure",
    "OutputKind",
    "Part",
    "Partitions",
    "RowKeys",
    "TableStatistics",
    "Task",
    "TaskFailure",
    "TaskOutcome",
    "Unseen",
]

OutputKind = Literal["probability", "decision", "vote", "value"]
"""What a predictor's outputs mean: class probabilities, decision values, shares of votes, or regression values."""

Fidelity = Literal["members", "rows"]
"""What grows with the partitions of a trial: the members of an ensemble, or the rows of one model."""

FailureReason = Literal["error", "crash", "out_of_memory", "node_lost", "timeout", "zero_weight", "dropped"]
"""Why a partition has no member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKeys:
    """What an Assignment may know about rows: nothing but these columns decides their partition.

    ``positions`` are the rows' global positions in the table. ``stratum`` is the class code of each row and
    ``rank`` counts the earlier rows of the same class. All arrays have shape (rows,).
    """

    positions: NDArray[np.int64]
    stratum: NDArray[np.int64] | None = None
    rank: NDArray[np.int64] | None = None
    group: NDArray[Any] | None = None
    time: NDArray[Any] | None = None
    features: Any = None
    """The encoded features, shape (rows, features), for cuts of the feature space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics:
    """Counts over the whole table that a Partitioner is fitted on.

    ``stratum_counts`` has the rows of each class code; ``groups`` has the sorted distinct group values and
    ``group_counts`` their rows.
    """

    n_rows: int
    stratum_counts: NDArray[np.int64] | None = None
    groups: NDArray[Any] | None = None
    group_counts: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """How a table was cut.

    Parameters
    ----------
    sizes
        The number of rows of each partition, shape (partitions,).
    class_counts
        Rows of each class, shape (partitions, classes); None in regression.
    rows
        For each partition the sorted positions of its rows; None where they are in a store, and not in memory.
    home
        The first partition of each row, shape (rows,); None where every row is in all, or ``rows`` is None.
    router
        The way of a new row to its partition, where the feature space was cut.
    """

    method: str
    sizes: NDArray[np.int64]
    class_counts: NDArray[np.int64] | None = None
    rows: tuple[NDArray[np.int64], ...] | None = None
    home: NDArray[np.int64] | None = None
    router: "Router | None" = None


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one partition: features, targets (class codes or values) and weights."""

    partition: int
    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A block of training rows that the same members saw.

    Parameters
    ----------
    rows
        Their positions in the table, ascending, shape (rows,).
    holders
        The partitions that they are in; the first is their home.
    """

    rows: NDArray[np.int64]
    holders: tuple[int, ...]
    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work for an Executor: an id for the caller, the payload, and its rows (for progress).

    One that is ``alone`` is not sent together with others, however short the last ones were.
    """

    id: int
    payload: Any
    rows: int = 0
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """Why a task has no value; everything is text, because not every exception survives a process boundary."""

    reason: FailureReason
    error_type: str
    message: str
    traceback: str
    exception: BaseException | None = field(default=None, compare=False)
    """The exception itself where it was raised in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """What became of a task: its value, or its failure; and where and when it ran (seconds since the epoch).

    ``cpu_seconds`` is the processor time that its process spent on the attempt. A ``duplicate`` is of a task that has
    an outcome already: it was started a second time. ``clock_shift`` is by how many seconds times by the clock of where
    it ran, in its value too, must be moved to lie between the driver's when it was sent and when it came back.
    """

    id: int
    rows: int
    value: Any = None
    failure: TaskFailure | None = None
    attempts: int = 1
    started: float
    finished: float
    node: str
    process: int
    cpu_seconds: float = 0.0
    duplicate: bool = False
    clock_shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerNeeds:
    """What a learner needs of an encoder: features of like scale, no missing values, codes in place of text embeddings.

    ``categories`` is ``ordinal`` for learners that cut a feature into ranges (trees) or embed codes (networks), where
    one column of codes serves and many only cost time, else ``string`` (one column per level, or an embedding of the
    text).
    """

    scale: bool = True
    impute: bool = True
    categories: Literal["ordinal", "string"] = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A base learner by name: an unfitted scikit-learn-compatible estimator and what it needs of the encoder."""

    name: str
    estimator: Any
    needs: LearnerNeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file that holds a member: its name where members are kept, its format, and the SHA-256 of what it holds."""

    name: str
    file_format: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A model that was fitted on one partition.

    ``classes`` are the codes, in the pool's label space, of the columns of the estimator's outputs; None in
    regression. ``fit_seconds`` is wall time, ``cpu_seconds`` processor time, ``started`` seconds since the epoch.
    ``peak_memory_bytes`` is the private memory that the worker process held at its peak during the fit.
    ``node`` is the name of the host, on a cluster followed by the first digits of the node's id.
    ``content_digest`` depends on what was learned alone. Models that were fitted elsewhere have no measurements.
    """

    partition: int
    estimator: Any
    classes: NDArray[np.int64] | None
    content_digest: str
    n_rows: int = 0
    weight: float = 0.0
    class_counts: NDArray[np.int64] | None = None
    target_range: NDArray[np.float64] | None = None
    """In regression the least and the largest target that it was fitted on, shape (2, targets)."""
    doubled_rows: int = 0
    """Rows, each the only one of its class, that were repeated for a learner that needs two of each class."""
    seed: int | None = None
    fit_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    started: float = 0.0
    node: str = ""
    process: int = 0
    attempts: int = 1
    copy_agrees: bool | None = None
    """Whether a second fit, started because the first took long, learned the same; None where there was none."""
    recalled: bool = False
    """Whether an earlier fit left it, and this one took it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFailure:
    """The place of a member that does not exist, with the reason."""

    partition: int
    n_rows: int
    reason: FailureReason
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    attempts: int = 1

    @property
    def is_broken(self) -> bool:
        """Whether a member should be there; a partition of zero weight has none by right."""
        return self.reason != "zero_weight"

    def describe(self) -> str:
        """Return one sentence: which partition, why, after how many attempts."""
        attempts = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        what = f"{self.error_type}: {self.message}" if self.error_type else self.message
        return f"Partition {self.partition} ({self.n_rows:,} rows) has no member{attempts} [{self.reason}]: {what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Honest outputs on training rows: each row is described only by members that never saw it.

    All is about an ensemble with one member less, or with ``replication`` members less.

    Parameters
    ----------
    outputs
        Shape (rows, outputs), in the order of the table; None where the rows are in a store, and not in memory.
    score
        Accuracy, or R² (the mean over the targets).
    member_scores
        For each member its own score on the rows outside its partition.
    """

    outputs: NDArray[np.float64] | None
    score: float
    member_scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvidence:
    """What each member says about training rows that it never saw; what a combiner learns from.

    Parameters
    ----------
    rows
        Positions of the rows in the table, ascending, shape (rows,): all of them, or a sample of a large table.
    outputs
        Shape (members, rows, outputs); NaN where the member saw the row.
    y
        Class codes, shape (rows,), or values, shape (rows,) or (rows, targets).
    weights
        Weights of the rows, shape (rows,); None where all are alike.
    folds
        The first partition of each row, shape (rows,): what is learned is judged on folds that it was not learned
        from, and a group never crosses them.
    worker_cpu_seconds
        Processor time that other processes than this one took to gather it.
    """

    rows: NDArray[np.int64]
    outputs: NDArray[np.float64]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    folds: NDArray[np.int64]
    worker_cpu_seconds: float = 0.0

    def where(self, chosen: NDArray[np.bool_]) -> "MemberEvidence":
        """Return the evidence on the chosen rows, a mask of shape (rows,)."""
        return MemberEvidence(
            rows=self.rows[chosen],
            outputs=self.outputs[:, chosen],
            y=self.y[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            folds=self.folds[chosen],
        )
