"""Fit and judge the single model: the program of a fresh process, and the call that starts it.

The process has all cores of its machine and nothing else to do: no Ray, no members, no plots.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.attempts import failure_of, input_error_of
from partwise.comparison.affordable import affordable_rows
from partwise.encoders import fit_encoder
from partwise.errors import PartwiseError, StepTimeoutError
from partwise.fitting import FitJob, FittedPart, fit_member, lone_predictor
from partwise.permutation import keyed_sample
from partwise.protocols import Encoder
from partwise.records import OutputKind, Part, TaskFailure
from partwise.resources import Usage, measure_usage
from partwise.templates import with_categories

__all__ = ["SingleJob", "SingleModelError", "SingleResult", "fit_in_fresh_process", "iterations"]


class SingleModelError(PartwiseError, RuntimeError):
    """The single model could not be fitted; the ensemble has nothing to be compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleJob:
    """What the fresh process is given: the same learner, encoder and rows as the ensemble."""

    job: FitJob
    encoder: Encoder | None
    train: pd.DataFrame
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    test: pd.DataFrame
    budget_seconds: float | None = None
    """How long the fit may take by an estimate; None without limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResult:
    """What it sends back; the start of the process and its imports are in none of the times.

    ``n_rows`` is how many of the rows the model had; ``whole_seconds`` about how long a fit on all of them takes, None
    where nobody asked.
    """

    outputs: NDArray[np.float64]
    kind: OutputKind
    encoding: Usage
    fitting: Usage
    predict_seconds: float
    content_digest: str
    iterations: int | None
    where: str
    n_rows: int
    whole_seconds: float | None


def iterations(estimator: Any) -> int | None:
    """Return how many rounds an iterative learner ran, None where it does not say."""
    rounds = getattr(estimator, "n_iter_", None)
    return None if rounds is None else int(np.max(rounds))


def run(job: SingleJob) -> SingleResult:
    """Fit the single model, on all rows or on as many as it may have, and predict the test rows, each step timed."""
    affordable = None
    if job.budget_seconds is not None:
        affordable = affordable_rows(lambda size: _fit(_sample(job, size)), len(job.y), job.budget_seconds)
        job = _sample(job, affordable.n_rows)
    encoder, encoding, fitted = _fit(job)
    predictor = lone_predictor(fitted, job.job.labels)
    started = time.perf_counter()
    outputs = predictor.outputs(job.test if encoder is None else encoder.transform(job.test))
    return SingleResult(
        outputs=outputs,
        kind=predictor.kind,
        encoding=encoding,
        fitting=fitted.usage,
        predict_seconds=time.perf_counter() - started,
        content_digest=fitted.content_digest,
        iterations=iterations(predictor.pool.members[0].estimator),
        where=f"a fresh process on {socket.gethostname()}, {job.job.cpus} cores",
        n_rows=len(job.y),
        whole_seconds=None if affordable is None else affordable.whole_seconds,
    )


def _fit(job: SingleJob) -> tuple[Encoder | None, Usage, FittedPart]:
    with measure_usage() as encoding:
        encoder = None if job.encoder is None else fit_encoder(job.encoder, job.train, job.job.seed)
        matrix = job.train if encoder is None else encoder.transform(job.train)
    template = with_categories(job.job.template, getattr(encoder, "category_levels_", {}))
    # The same function as for a member: one model is an ensemble of one partition that has all rows.
    return encoder, encoding, fit_member(replace(job.job, template=template), Part(0, matrix, job.y, job.weights))


def _sample(job: SingleJob, n_rows: int) -> SingleJob:
    """Return the job with so many of its rows, chosen at random."""
    if n_rows == len(job.y):
        return job
    rows = keyed_sample(len(job.y), n_rows, job.job.seed)
    weights = None if job.weights is None else job.weights[rows]
    return replace(job, train=job.train.iloc[rows], y=job.y[rows], weights=weights)


def fit_in_fresh_process(job: SingleJob, limit: float | None = None) -> SingleResult:
    """Start a Python process for the job and wait for it; it ends with this call, whatever happens.

    Parameters
    ----------
    limit
        Seconds that the process may take, with its start; None without limit.

    Raises
    ------
    InputError
        If the table or the settings are wrong.
    StepTimeoutError
        If it takes longer than it may.
    SingleModelError
        If the fit fails, or its process dies.
    """
    with tempfile.TemporaryDirectory(prefix="partwise-single-") as folder:
        question, answer = Path(folder) / "job.pickle", Path(folder) / "result.pickle"
        question.write_bytes(cloudpickle.dumps(job))
        # The user's own modules must be importable there as they are here.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", __name__, str(question), str(answer)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own module
            try:
                _, said = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired as late:
                raise _too_late(job, late.timeout) from late
            finally:
                process.kill()
        if process.returncode != 0:
            raise SingleModelError(_end_of(process.returncode, said.decode(errors="replace")))
        result = cloudpickle.loads(answer.read_bytes())
    if isinstance(result, TaskFailure):
        error = _error_of(result)
        error.add_note(result.traceback)
        raise error
    return result


def _too_late(job: SingleJob, limit: float) -> StepTimeoutError:
    return StepTimeoutError(
        f"No single model within {limit:,.0f} s on {len(job.y):,} rows: its process was ended (--step-timeout). Allow "
        "more time, or give it fewer rows in a new run (--baseline-budget), or take partwise train, which has none."
    )


def _error_of(failure: TaskFailure) -> PartwiseError:
    return input_error_of(failure) or SingleModelError(
        f"The single model could not be fitted: {failure.error_type}: {failure.message} "
        "Next: correct the learner's settings or the table; --debug shows where it failed."
    )


def _end_of(code: int, said: str) -> str:
    lines = said.strip().splitlines()
    last = f" It said: {lines[-1]}" if lines else ""
    if code == -signal.SIGKILL:
        return (
            "The single model's process was killed (signal 9), most often for want of memory. Hold out more rows, or "
            f"choose a learner that needs less.{last}"
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"The single model's process ended with {how}.{last}"


def main(question: str, answer: str) -> None:
    """Read the job, run it, write the result, or the failure."""
    job = cloudpickle.loads(Path(question).read_bytes())
    Path(question).unlink()
    try:
        result: SingleResult | TaskFailure = run(job)
    except Exception as error:  # noqa: BLE001 - it is raised again in the process that asked
        result = replace(failure_of(error), exception=None)
    Path(answer).write_bytes(cloudpickle.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
