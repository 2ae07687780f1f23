"""One unit of a search: the member of one trial on one partition, fitted, kept and asked, in a worker."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.buffers import call_writable
from partwise.checkpoints import KeptMembers
from partwise.fitting import FitJob, FittedPart, fit_member
from partwise.pool import MemberPool
from partwise.protocols import PartReader
from partwise.records import Member, OutputKind
from partwise.rows import take_rows

__all__ = ["Bench", "UnitResult", "UnitWork", "fit_and_ask"]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all units of a search share: how a worker gets rows, and the rows that members are asked about."""

    job: FitJob
    reader: PartReader
    X: Any


@dataclass(frozen=True, slots=True)
class UnitWork:
    """What one unit is about.

    Parameters
    ----------
    rows
        Gives what the reader makes the rows of the partition of; None where there is a member.
    asked
        About which rows of the bench the member is asked, shape (rows,); None for all.
    member
        The member that was fitted before, and is only to be asked.
    """

    template: Any
    kind: OutputKind
    rows: Callable[[], Any] | None
    kept: KeptMembers
    asked: NDArray[np.int64] | None = None
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What came of a unit: what the worker fitted (None where it was there), and what the member says.

    ``cpu_seconds`` is processor time of the fit, ``ask_cpu_seconds`` that of the prediction; ``outputs`` has shape
    (rows, outputs).
    """

    fitted: FittedPart | None
    outputs: NDArray[np.float64]
    cpu_seconds: float
    ask_cpu_seconds: float


def fit_and_ask(bench: Bench, work: UnitWork) -> UnitResult:
    """Fit the member, keep it where the place is seen, and ask it about the judged rows.

    Raises
    ------
    PredictionError
        If what it says is not finite, or no probabilities.
    """
    if work.member is not None:
        return _asked(bench, work, work.member, None)
    assert work.rows is not None  # noqa: S101 - there is no member yet
    part = bench.reader.part(work.rows())
    fitted = fit_member(replace(bench.job, template=work.template), part)
    member = Member(
        partition=part.partition,
        estimator=fitted.learned,
        classes=fitted.classes,
        content_digest=fitted.content_digest,
        target_range=fitted.target_range,
    )
    result = _asked(bench, work, member, fitted)
    # Kept once it has answered: what cannot be asked is of no use to a search that goes on.
    if not work.kept.sees():
        return result
    return replace(result, fitted=work.kept.keep(part.partition, fitted, for_driver=False))


def _asked(bench: Bench, work: UnitWork, member: Member, fitted: FittedPart | None) -> UnitResult:
    started = process_time()
    labels = bench.job.labels
    pool = MemberPool((member,), None if labels is None else len(labels), work.kind)
    X = bench.X if work.asked is None else take_rows(bench.X, work.asked)
    outputs = call_writable(pool.member_outputs, member, X)
    return UnitResult(
        fitted=fitted,
        outputs=outputs,
        cpu_seconds=0.0 if fitted is None else fitted.usage.cpu_seconds,
        ask_cpu_seconds=process_time() - started,
    )
