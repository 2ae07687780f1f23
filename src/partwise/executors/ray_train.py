"""One model that several processes fit together, by Ray Train: each holds some of the rows, and sums are shared."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Any

import fsspec
import pyarrow.fs
import ray
import ray.train
from ray.train.v2._internal.execution.callback import WorkerGroupCallback  # Ray Train has no deadline of its own

from partwise.errors import PartwiseError

__all__ = ["TRAINERS", "Gang", "Rank", "TrainingError", "TrainingTimeoutError", "train_together"]

_GRACE_SECONDS = 90.0
"""How long after its deadline a training may take to say that it has passed."""
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Trainer:
    """Where Ray Train has the trainer of a library, and the settings by which the ranks of the library find each other.

    ``settings`` is None where the ranks are connected before the work begins.
    """

    path: str
    settings: str | None = None


TRAINERS: Mapping[str, Trainer] = {
    "xgboost": Trainer("ray.train.xgboost:XGBoostTrainer"),
    "lightgbm": Trainer("ray.train.lightgbm:LightGBMTrainer", "ray.train.lightgbm:get_network_params"),
    "torch": Trainer("ray.train.torch:TorchTrainer"),
}
"""By the name of the library that shares the sums."""


class TrainingError(PartwiseError, RuntimeError):
    """A rank of a training failed, or Ray Train did."""


class TrainingTimeoutError(TrainingError):
    """A training had not ended by its deadline."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of the processes of a training this is, and the settings by which its library finds the others."""

    index: int
    count: int
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """The processes of a training: how many, what each reserves, and the seconds that all may take with their start."""

    ranks: int
    cpus: int
    gpus: float
    deadline: float


def train_together(
    trainer: str, work: Callable[[Any, Any, Rank], Any], shared: Any, payloads: Sequence[Any], gang: Gang
) -> list[Any]:
    """Call ``work(shared, payloads of the rank, rank)`` in all ranks at once; return their values by rank.

    The payloads are dealt out in turn, and lie in the object store until their rank takes them.

    Raises
    ------
    TrainingTimeoutError
        If it has not ended by the deadline; its processes have been ended.
    TrainingError
        If a rank fails, or dies.
    """
    boxes = [[ray.put(payload) for payload in payloads[index :: gang.ranks]] for index in range(gang.ranks)]
    # The trainer runs in an actor: it would take the SIGINT handler of this process, and stay until Ray Train has
    # cleaned up, for which that waits some ten seconds where Ray has no dashboard.
    training = ray.remote(num_cpus=0, max_concurrency=gang.ranks + 2, max_restarts=0)(_Training).remote(gang)
    training.train.remote(trainer, work, ray.put(shared), boxes)
    try:
        found = ray.get(training.outcome.remote(), timeout=gang.deadline + _GRACE_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        ray.kill(training)
        raise TrainingTimeoutError(_late(gang.deadline)) from error
    except ray.exceptions.RayError as error:
        raise TrainingError(f"{type(error).__name__}: {_short(error)}") from error
    if isinstance(found, TrainingError):
        raise found
    return found


class _Training:
    """The actor that holds the trainer, and that the ranks tell their values."""

    def __init__(self, gang: Gang) -> None:
        self._gang = gang
        self._told: dict[int, Any] = {}
        self._failure: TrainingError | None = None
        self._ended = threading.Event()

    def train(self, trainer: str, work: Any, shared: Any, boxes: list[list[Any]]) -> None:
        """Train; the outcome is there before the trainer has cleaned up."""
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # of this actor: paths to rows may be relative
        here = ray.get_runtime_context().current_actor
        try:
            _loaded(TRAINERS[trainer].path)(
                _rank_loop,
                train_loop_config={
                    "work": work,
                    "shared": [ray.put(shared)],
                    "boxes": boxes,
                    "settings": TRAINERS[trainer].settings,
                    "training": here,
                },
                scaling_config=_scaling(self._gang),
                run_config=_run_config(self._gang.deadline),
            ).fit()
        except Exception as error:  # noqa: BLE001 - it is the outcome
            self._failure = _failure(error, self._gang.deadline)
        self._ended.set()

    def tell(self, rank: int, value: Any) -> None:
        """Take the value of a rank."""
        self._told[rank] = value
        if len(self._told) == self._gang.ranks:
            self._ended.set()

    def outcome(self) -> list[Any] | TrainingError:
        """Wait for the end; return the values by rank, or why there are none."""
        self._ended.wait()
        if len(self._told) == self._gang.ranks:
            return [self._told[rank] for rank in range(self._gang.ranks)]
        return self._failure or TrainingError("the trainer ended before its ranks had said what they found")


class _Deadline(WorkerGroupCallback):
    """Ends the ranks in good order when time is up: the reserved CPUs are given back."""

    def __init__(self, seconds: float) -> None:
        self._until = time.time() + seconds

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        """Fail where ranks are still at work."""
        if time.time() > self._until and any(each.running for each in worker_group_status.worker_statuses.values()):
            raise TimeoutError


def _rank_loop(config: dict[str, Any]) -> None:
    """Do a rank's share, in a worker of Ray Train."""
    context = ray.train.get_context()
    index = context.get_world_rank()
    settings = {} if config["settings"] is None else _loaded(config["settings"])()
    rank = Rank(index, context.get_world_size(), settings)
    (shared,) = ray.get(config["shared"])
    value = config["work"](shared, [ray.get(each) for each in config["boxes"][index]], rank)
    ray.get(config["training"].tell.remote(index, value))


def _scaling(gang: Gang) -> Any:
    resources: dict[str, float] = {"CPU": gang.cpus} | ({"GPU": gang.gpus} if gang.gpus else {})
    return ray.train.ScalingConfig(num_workers=gang.ranks, use_gpu=gang.gpus > 0, resources_per_worker=resources)


def _run_config(deadline: float) -> Any:
    # Nothing is reported or restored, so results need no place; without one Ray Train writes to the home folder.
    nowhere = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("memory")))
    return ray.train.RunConfig(
        storage_path="/partwise",
        storage_filesystem=nowhere,
        failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
        callbacks=[_Deadline(deadline)],
    )


def _failure(error: Exception, deadline: float) -> TrainingError:
    """Return what went wrong in a line: Ray Train says it in pages."""
    failures = getattr(error, "worker_failures", None)
    cause: Any = error if not failures else failures[min(failures)]
    cause = getattr(cause, "controller_failure", cause)
    cause = getattr(cause, "_base_exc", cause)
    cause = getattr(cause, "health_check_failure", cause)
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, TimeoutError):
        return TrainingTimeoutError(_late(deadline))
    return TrainingError(f"{type(cause).__name__}: {_short(cause)}")


def _late(deadline: float) -> str:
    return f"it had not ended {deadline:,.0f} seconds after its start"


def _short(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]} …"


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return attrgetter(name)(import_module(module))
