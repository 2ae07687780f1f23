"""The extension points of partwise on one page.

A new implementation is one file in the folder of its kind, one line in that folder's ``__init__``, and one
parameter in the contract suite under ``tests/contracts/``.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from partwise.records import (
    Member,
    MemberEvidence,
    OutputKind,
    Part,
    Partitions,
    RowKeys,
    TableStatistics,
    Task,
    TaskOutcome,
    Unseen,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from partwise.pool import MemberPool

__all__ = [
    "Aggregate",
    "Assignment",
    "Batched",
    "Combiner",
    "CutTable",
    "DataParallel",
    "Encoder",
    "Executor",
    "FitContext",
    "LearningCombiner",
    "MemberKeeper",
    "Merge",
    "PartReader",
    "Partitioner",
    "Piece",
    "Predictor",
    "Source",
    "Table",
    "Tracker",
    "Untyped",
    "WeightCombiner",
]


class Piece(Protocol):
    """A part of a table that one worker can read by itself; frozen, and cheap to send."""

    @property
    def n_rows(self) -> int | None:
        """The number of rows, None where it is known only when they are read."""

    @property
    def nulls(self) -> Mapping[str, int] | None:
        """The number of missing values in each column, None where it is known only when they are read."""

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory the rows take, in the columns asked for."""

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do."""

    def blocks(self, columns: Sequence[str] | None = None) -> "Iterator[pa.Table]":
        """Yield the rows block by block, in order; blocks are of bounded size."""


@runtime_checkable
class Batched(Protocol):
    """A piece of a file whose rows may be packed together, so that they can be read only together."""

    def batch_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory whoever reads the rows holds at once, beyond a block, in the columns asked for."""


class Source(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str:
        """A short name for messages and records."""

    @property
    def uri(self) -> str:
        """Where the rows lie, for records."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know about the rows, in sentences."""

    def schema(self) -> "pa.Schema":
        """Return the names and types of the columns."""

    def pieces(self) -> Sequence[Piece]:
        """Return what can be read one by one, in the order of the table."""


@runtime_checkable
class Untyped(Protocol):
    """A source whose files or folders may say no types, so that these are guessed from what is written there."""

    def expecting(self, columns: Sequence[str], texts: Sequence[str]) -> Source:
        """Return the source with these columns, as far as it can find them, some as text where nothing says types."""


class Encoder(Protocol):
    """Raw columns to numbers; fitted once, on training rows, never on the target."""

    def fit(self, table: "pd.DataFrame") -> Self:
        """Learn categories, means and scales from training rows."""

    def transform(self, table: "pd.DataFrame") -> NDArray[np.float32]:
        """Return a matrix of shape (rows, features)."""


class Assignment(Protocol):
    """Row to partition: frozen and pure, the same in memory and in a stream."""

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the partition ids of the rows, shape (rows, r), -1 for none."""


@runtime_checkable
class Partitioner(Protocol):
    """Settings of a cut."""

    @property
    def name(self) -> str:
        """The name by which users ask for it."""

    @property
    def needs(self) -> frozenset[str]:
        """Which of ``stratum``, ``group``, ``time`` and ``features`` it cannot do without."""

    @property
    def gives(self) -> str:
        """What a partition is: one of ``samples`` of the table, of ``cells`` of the feature space, of ``copies``."""

    @property
    def replicable(self) -> bool:
        """Whether rows may go to several partitions at random: not where a partition is a period or a cell."""

    @property
    def learns_from(self) -> str:
        """What ``fit`` must see besides statistics.

        ``nothing``; ``order``, the rows with which equal runs begin, by time and then position; or ``rows``, a sample
        by ``permutation.keyed_sample``. All rows will do for each of them.
        """

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> Assignment:
        """Return the assignment for a table with these statistics."""


class Executor(Protocol):
    """Runs top-level functions on tasks, somewhere."""

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""

    @property
    def nodes(self) -> int:
        """How many machines they run on."""

    @property
    def overhead_seconds(self) -> float:
        """What it costs to send work, beyond the work itself; infinite where sending cannot pay."""

    def run(
        self, work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Task], *, members: bool = False
    ) -> Generator[TaskOutcome, None, None]:
        """Call ``work(shared, task.payload)`` for each task and yield the outcomes as they complete.

        Tasks are drawn from the iterable only as they can be started, so that their payloads need not exist at once. An
        iterator that has nothing now is asked again after each outcome.
        An error in ``work`` is an outcome, not an exception. ``members`` says that the tasks are fits of members, which
        may have limits of their own.
        """

    def warm(self, work: Callable[[Any], Any], shared: Any) -> None:
        """Call ``work(shared)`` once in every worker, so that start-up and imports are paid before they are timed."""

    def lend(self, value: Any) -> Callable[[], Any]:
        """Return what gives the value wherever a task runs: payloads may hold it, and the value is sent once.

        It is kept for as long as the caller keeps what was returned.
        """


class Predictor(Protocol):
    """Frozen and storable: the members and what the combiner learned. Needs no executor."""

    @property
    def pool(self) -> "MemberPool":
        """The members in their label space."""

    @property
    def kind(self) -> OutputKind:
        """What the outputs mean."""

    @property
    def exactness(self) -> str:
        """``exact``, ``exact in distribution`` or ``approximate``, against one model on all rows."""

    @property
    def block_rows(self) -> int:
        """How many rows to ask for at once at most, so that what the members say about them fits in memory."""

    def outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the combined outputs, shape (rows, outputs)."""


@runtime_checkable
class Aggregate(Predictor, Protocol):
    """A predictor that needs to know no more than what the members say about a row."""

    def combine(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the combination of the members' outputs, (members, rows, outputs) to (rows, outputs).

        NaN in place of a member's outputs for a row leaves the member out there.
        """


class PartReader(Protocol):
    """How a worker gets rows from what was sent to it; frozen, and sent once to each worker."""

    def part(self, payload: Any) -> Part:
        """Return the rows of a partition."""

    def unseen(self, payload: Any) -> Iterator[Unseen]:
        """Return a block of training rows, divided by which members saw them."""


class CutTable(Protocol):
    """A table cut into partitions: what is known of them, and how workers get at their rows."""

    @property
    def partitions(self) -> Partitions:
        """What is known of the partitions."""

    @property
    def reader(self) -> PartReader:
        """How a worker gets rows from a payload."""

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each partition the sorted positions of its rows in the table."""

    @property
    def n_rows(self) -> int:
        """The number of rows of the table."""

    @property
    def fingerprint(self) -> str:
        """What changes when the rows of some partition, or what the encoder makes of them, do."""

    @property
    def largest_evidence(self) -> int:
        """Most numbers about training rows, such as members' outputs, that this process may hold at once."""

    def payload(self, partition: int) -> Any:
        """Return what ``reader.part`` makes the rows of a partition of."""

    def is_weightless(self, partition: int) -> bool:
        """Whether all rows of a partition have weight zero."""

    def blocks(self, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None) -> Iterator[Task]:
        """Yield tasks whose payloads ``reader.unseen`` makes blocks of, which together hold each row once.

        ``chosen`` says of positions which rows are wanted; None means all.
        """


class MemberKeeper(Protocol):
    """Keeps members as they are fitted, and gives those back that are there already."""

    @property
    def work(self) -> Callable[[Any, Any], Any]:
        """What a worker calls with what is shared, and with the payload of a partition."""

    def shared(self, job: Any, reader: PartReader) -> Any:
        """Return what all workers are given."""

    def taken(self, partitions: Partitions) -> list[Member]:
        """Return the members that are there already, in the order of partitions."""

    def settle(self, outcome: TaskOutcome) -> TaskOutcome:
        """Keep what a worker has fitted and could not keep itself; return the outcome as it is to be held."""

    def loaded(self, members: Sequence[Member]) -> list[Member]:
        """Return the members with their estimators, of which some may have been left where they are kept."""


class Table(Protocol):
    """The training rows of one fit, encoded, wherever they lie."""

    @property
    def fingerprint(self) -> str:
        """What changes when the rows, or what the encoder makes of them, do."""

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class labels, sorted; None in regression."""

    @property
    def n_counting(self) -> int:
        """The number of rows that do not have weight zero."""

    @property
    def fits_in_memory(self) -> bool:
        """Whether this process can hold all rows while one model is fitted on them."""

    def sample(self) -> tuple[Part, RowKeys]:
        """Return rows to try things on, and their keys: all of them, or as many as this process may hold."""

    def cut(self, partitioner: Partitioner, n_partitions: int, seed: int, replication: int) -> CutTable:
        """Return the table cut into partitions, each row in ``replication`` of them."""


class FitContext(Protocol):
    """What a combiner may ask for while it is fitted."""

    @property
    def pool(self) -> "MemberPool":
        """The fitted members."""

    @property
    def partitions(self) -> Partitions:
        """The rows of the partitions, and where the feature space was cut, the router."""

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each partition the sorted positions of its rows in the table."""

    @property
    def template(self) -> Any:
        """The unfitted learner, seeded as for one model on all rows."""

    def evidence(self) -> MemberEvidence:
        """Return what each member says about training rows that it never saw."""


@runtime_checkable
class Combiner(Protocol):
    """Settings of a way to combine members into one predictor."""

    @property
    def name(self) -> str:
        """The name by which users ask for it."""

    @property
    def task(self) -> str:
        """``classification``, ``regression`` or ``any``."""

    @property
    def takes(self) -> frozenset[str]:
        """Which members make sense to it: fitted on ``samples`` of the table, on ``cells`` of it, on ``copies``."""

    @property
    def probabilities(self) -> str:
        """Whether it ``keeps`` the probabilities that members have, ``makes`` them of anything, or ``loses`` them."""

    @property
    def needs_evidence(self) -> bool:
        """Whether it learns from out-of-partition predictions; it then is a ``LearningCombiner``."""

    @property
    def merges(self) -> bool:
        """Whether the members are parts that a ``Merge`` makes one model of, rather than models."""

    def fit(self, context: FitContext) -> Predictor:
        """Learn what there is to learn and return the predictor."""


@runtime_checkable
class LearningCombiner(Combiner, Protocol):
    """A combiner that learns from what members say about rows that they never saw."""

    def learn(self, pool: "MemberPool", evidence: MemberEvidence) -> Aggregate:
        """Return the predictor that this evidence teaches; asked for again on folds, to judge what was learned."""


@runtime_checkable
class WeightCombiner(Combiner, Protocol):
    """A combiner that makes one model of the members' weights, so that no member can be left out of it later."""

    def refusal(self, template: Any) -> str | None:
        """Return why members of this learner cannot be combined so and what to do instead; None where they can."""


class Merge(Protocol):
    """How one family of learners is fitted in parts that merge into the model of a single fit."""

    @property
    def takes(self) -> tuple[type, ...]:
        """The estimator classes of the family; subclasses are not taken, as they may fit in another way."""

    @property
    def copies(self) -> bool:
        """Whether each part is fitted on all rows (a share of the trees), rather than on disjoint partitions."""

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""

    def part(self, template: Any, index: int, n_parts: int) -> Any:
        """Return the unfitted estimator, or summary with ``fit(X, y, sample_weight=None)``, for one part.

        ``template`` is seeded; ``y`` will hold class codes, of which a part may lack some, or values.
        """

    def merge(
        self, template: Any, parts: Sequence[Any], rows: Sequence[NDArray[np.int64]], n_classes: int | None
    ) -> Any:
        """Return the fitted estimator that ``template.fit`` would give on all rows.

        ``rows`` has for each part the sorted global positions of its rows, ``n_classes`` is None in regression. The
        classes of the result are 0..n_classes-1.
        """


class DataParallel(Protocol):
    """How one library fits one model in several processes, each with some of the rows, that share their sums."""

    @property
    def trainer(self) -> str:
        """The library that shares the sums, by its name in ``executors.ray_train.TRAINERS``."""

    @property
    def takes(self) -> tuple[type, ...]:
        """The estimator classes of the family; subclasses are not taken, as they may fit in another way."""

    def refusal(self, template: Any) -> str | None:
        """Return why several processes cannot fit with these settings, and what to do instead; None where they can."""

    def exactness(self, template: Any) -> str:
        """Return in what the model is that of one process on all rows, and in what it is not."""

    def fit(self, template: Any, part: Part, n_classes: int | None, settings: Mapping[str, Any]) -> Any:
        """Return the fitted estimator, the same in every process; its classes are 0..n_classes-1.

        ``part`` holds the rows of this process, which may lack classes; ``settings`` are those by which the library
        finds the other processes. ``n_classes`` is None in regression.
        """


class Tracker(Protocol):
    """A consumer of a run's journal."""

    @property
    def uri(self) -> str | None:
        """Where it writes to, absolute; None where it does not."""

    @property
    def run_id(self) -> str | None:
        """What the tracker calls the run, None before it has begun, or where nothing is tracked."""

    @property
    def ui_command(self) -> str | None:
        """The command that shows what was written, None where there is none."""

    def open(self, directory: Path) -> None:
        """Begin; fail early where the place to write to cannot be reached."""

    def reach(self) -> None:
        """Fail where the place to write to cannot be reached; nothing is written."""

    def resume(self, run_id: str | None) -> None:
        """Go on with a run that was begun before, by what the tracker called it."""

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take events of the journal, in order."""

    def close(self, status: str) -> None:
        """End the run; ``status`` is ``finished``, ``failed`` or ``interrupted``."""
