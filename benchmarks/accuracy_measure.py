"""Measure rungs of `accuracy.py` in a process of their own: questions come as lines of JSON, so do the answers.

A fit that takes longer than its limit ends the process by an alarm, which the one who asked sees.
"""

import json
import os
import platform
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_rungs import ONE, Rung, Work
from accuracy_tables import Table
from accuracy_works import works
from numpy.typing import NDArray
from sklearn import __version__ as sklearn_version
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score

from partwise import PartitionedClassifier, PartitionedRegressor
from partwise import __version__ as partwise_version
from partwise.fitting import prepare_worker
from partwise.resources import ran_here
from partwise.templates import configured, member_seed

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_SHORT_SECONDS, _REPEATS = 2.0, 3
_TOLERANCE = 1e-9
"""Relative difference up to which two predicted numbers count as equal."""


def measure(question: dict[str, Any]) -> dict[str, Any]:
    """Fit, predict and judge one rung, and return its record.

    Seconds are of the median of three where one takes less than two seconds. ``core_seconds`` are those of this
    process and all that it started, Ray's own processes among them; ``others`` is the share of the machine that
    everything else took meanwhile.
    """
    work = works()[question["work"]]
    rung, seed = work.rung(question["rung"]), question["seed"]
    table = _table(work.name, question["data"], seed, question["rows_limit"])
    fit = _fitter(work, rung, question)
    with _limited(question["limit"]):
        model, fitting = _timed(lambda: fit(table))
    with _limited(question["limit"]):
        predicted, predicting = _timed(lambda: model.predict(table.X_test))
    judge = accuracy_score if work.task == "classification" else r2_score
    return {
        "train": len(table.y),
        "test": len(table.y_test),
        "fit_seconds": fitting["seconds"],
        "core_seconds": fitting["core_seconds"],
        "predict_seconds": predicting["seconds"],
        "others": fitting["others"],
        "score": float(judge(table.y_test, predicted)),
        **_beside_one_model(question, rung, table, predicted),
        **(_one_model_facts(model) if rung.settings is None else _ensemble_facts(model)),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "scikit-learn": sklearn_version,
        "partwise": partwise_version,
    }


@lru_cache(maxsize=1)
def _table(work: str, folder: str, seed: int, limit: int | None) -> Table:
    return works()[work].load(Path(folder), seed, limit)


def _fitter(work: Work, rung: Rung, question: dict[str, Any]) -> Callable[[Table], Any]:
    """Return the fit, with all that is not part of it done."""
    plan, seed = question["plan"], question["seed"]
    estimator = rung.estimator()
    estimator.set_params(**plan.get("params", {}))
    if rung.settings is None:
        # Seeded as the one model that `combine="auto"` may choose.
        ready = configured(estimator, member_seed(seed, 0), rung.cores or os.cpu_count() or 1)
        return lambda table: ready.fit(table.X, table.y)
    from partwise import RayExecutor  # noqa: PLC0415 - one model is measured without Ray

    executor = RayExecutor()
    executor.warm(prepare_worker, estimator)
    kind = PartitionedClassifier if work.task == "classification" else PartitionedRegressor
    settings = {**rung.settings, **plan.get("settings", {})}
    return lambda table: kind(estimator, executor=executor, random_state=seed, **settings).fit(table.X, table.y)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer: compiled code would not look at an exception."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what the work gave, and the median of its times; long work is done once."""
    runs: list[tuple[Any, dict[str, float]]] = []
    while len(runs) < _REPEATS and (not runs or runs[0][1]["seconds"] < _SHORT_SECONDS):
        ours, everyone, started = _family_seconds(), _machine_seconds(), time.perf_counter()
        given = work()
        seconds = time.perf_counter() - started
        ours, everyone = _family_seconds() - ours, _machine_seconds() - everyone
        others = max(0.0, everyone - ours) / (seconds * (os.cpu_count() or 1))
        runs.append((given, {"seconds": seconds, "core_seconds": ours, "others": others}))
    return sorted(runs, key=lambda run: run[1]["seconds"])[len(runs) // 2]


def _family_seconds() -> float:
    """Return the processor seconds of this process and its descendants, the ended ones that were waited for too."""
    parents, seconds = {}, {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            entry = path.read_text()
        except OSError:
            continue  # it ended meanwhile
        values = entry.rpartition(")")[2].split()  # the name, in brackets, may hold anything
        process = int(path.parent.name)
        parents[process] = int(values[1])
        seconds[process] = sum(int(value) for value in values[11:15]) / _TICKS
    family = {os.getpid()}
    while grown := {process for process, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(seconds[process] for process in family)


def _machine_seconds() -> float:
    """Return the processor seconds that the machine has worked since it started, for whomever."""
    user, nice, system = (int(value) for value in (_PROC / "stat").read_text().split()[1:4])
    return (user + nice + system) / _TICKS


def _beside_one_model(
    question: dict[str, Any], rung: Rung, table: Table, predicted: NDArray[Any]
) -> dict[str, float | int | None]:
    """Return the paired difference of the scores and the number of unequal predictions; keep those of one model."""
    limit = question["rows_limit"] or "all"
    name = f"{question['work'].replace('/', '-')}-{question['seed']}-{limit}.npy"
    path = Path(question["predictions"]) / name
    if rung.name == ONE:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, predicted)
        return {}
    if not path.exists():
        return {}
    single, truth = np.load(path), table.y_test
    if truth.dtype.kind == "f":
        gains = ((single - truth) ** 2 - (predicted - truth) ** 2) / truth.var()
        unequal = ~np.isclose(predicted, single, rtol=_TOLERANCE, atol=_TOLERANCE * float(truth.std()))
    else:
        gains = (predicted == truth).astype(float) - (single == truth)
        unequal = predicted != single
    return {
        "difference": float(gains.mean()),
        "standard_error": float(gains.std(ddof=1) / np.sqrt(len(gains))),
        "unequal": int(unequal.sum()),
        "largest_difference": float(np.abs(predicted - single).max()) if truth.dtype.kind == "f" else None,
    }


def _one_model_facts(model: Any) -> dict[str, Any]:
    return {"rounds": _rounds(model), "trees": _trees(model)}


def _ensemble_facts(model: Any) -> dict[str, Any]:
    estimators = [member.estimator for member in model.members_]
    facts = {
        "recipe": model.recipe_.name,
        "members": len(estimators),
        "largest_member": max(member.n_rows for member in model.members_),
        "rounds": sum(_rounds(estimator) or 0 for estimator in estimators) or None,
        "trees": sum(_trees(estimator) or 0 for estimator in estimators) or None,
        "steps": model.timings_,
        # what was fitted in this process is in its usage already
        "member_core_seconds": model.fit_usage_.cpu_seconds
        + sum(member.cpu_seconds for member in model.members_ if not ran_here(member.node, member.process)),
    }
    if hasattr(model, "leaderboard_"):
        board = model.leaderboard_.astype(object)
        facts |= {
            "chosen": model.recipe_.name,
            "reason": model.selection_reason_,
            "select_seconds": model.timings_["select"],
            "leaderboard": board.where(board.notna(), None).to_dict("records"),
        }
    return facts


def _rounds(estimator: Any) -> int | None:
    rounds = getattr(estimator, "n_iter_", None)
    return None if rounds is None else int(np.max(rounds))


def _trees(estimator: Any) -> int | None:
    each = getattr(estimator, "n_trees_per_iteration_", None)
    return None if each is None else int(each) * int(estimator.n_iter_)


def run() -> None:
    """Answer each question until there are no more."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.simplefilter("ignore", ConvergenceWarning)
    for message in ("Found unknown categories", "'n_jobs' has no effect"):
        warnings.filterwarnings("ignore", message=message)
    for line in sys.stdin:
        try:
            answer = measure(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the next rung may work: the failure is the record
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=_plain), file=answers, flush=True)


def _plain(value: Any) -> Any:
    return value.item()  # NumPy's numbers


if __name__ == "__main__":
    run()
