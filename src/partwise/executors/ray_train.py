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
_START_SECONDS = 60.0
"""How long Ray Train waits at least for its workers: its own limit, which a busy machine can reach."""
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
    # The trainer runs in an actor: here it would take the SIGINT handler of this process, and stay until Ray Train has
    # stopped its last helper, for which it waits some ten seconds where Ray has no dashboard.
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
        """Train; the outcome may be there before the trainer returns."""
        os.environ |= {  # of this actor, which is a process of its own
            "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths to rows may be relative
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(max(_START_SECONDS, self._gang.deadline)),
        }
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
                run_config=_run_config(_Watch(self._gang.deadline, here)),
            ).fit()
        except Exception as error:  # noqa: BLE001 - it is the outcome
            self._failure = _failure(error, self._gang.deadline)
        self._ended.set()

    def tell(self, rank: int, value: Any) -> None:
        """Take the value of a rank."""
        self._told[rank] = value

    def released(self) -> None:
        """Take note that the ranks' CPUs are free again; where all have said what they found, that is the outcome."""
        if len(self._told) == self._gang.ranks:
            self._ended.set()

    def outcome(self) -> list[Any] | TrainingError:
        """Wait for the end; return the values by rank, or why there are none."""
        self._ended.wait()
        if len(self._told) == self._gang.ranks:
            return [self._told[rank] for rank in range(self._gang.ranks)]
        return self._failure or TrainingError("the trainer ended before its ranks had said what they found")


class _Watch(WorkerGroupCallback):
    """Ends the ranks in good order when time is up, so that their CPUs are given back, and says when that is done."""

    def __init__(self, seconds: float, training: Any) -> None:
        self._until = time.time() + seconds
        self._training = training

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        """Fail where ranks are still at work."""
        if time.time() > self._until and any(each.running for each in worker_group_status.worker_statuses.values()):
            raise TimeoutError

    def after_worker_group_shutdown(self, worker_group_context: Any) -> None:  # noqa: ARG002 - Ray Train's signature
        """Say that the CPUs are free."""
        self._training.released.remote()


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


def _run_config(watch: _Watch) -> Any:
    # Nothing is reported or restored, so results need no place; without one Ray Train writes to the home folder.
    nowhere = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("memory")))
    return ray.train.RunConfig(
        storage_path="/partwise",
        storage_filesystem=nowhere,
        failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
        callbacks=[watch],
    )


def _failure(error: Exception, deadline: float) -> TrainingError:
    """Return what went wrong in a line: Ray Train says it in pages."""
    failures: Mapping[int, Any] = getattr(error, "worker_failures", {})
    if not failures:
        cause = getattr(error, "controller_failure", error)
        if isinstance(cause, TimeoutError):
            return TrainingTimeoutError(_late(deadline))
        return TrainingError(f"{type(cause).__name__}: {_short(cause)}")
    # A rank that is dead comes first: the others fail because it is.
    rank = min(failures, key=lambda each: (not hasattr(failures[each], "health_check_failure"), each))
    cause = getattr(failures[rank], "health_check_failure", getattr(failures[rank], "_base_exc", failures[rank]))
    return TrainingError(f"rank {rank} of {len(failures)} that failed: {type(cause).__name__}: {_short(cause)}")


def _late(deadline: float) -> str:
    return f"it had not ended {deadline:,.0f} seconds after its start"


def _short(error: BaseException) -> str:
    said = " ".join(str(error).partition("Stack trace:")[0].split())
    return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]} …"


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return attrgetter(name)(import_module(module))
