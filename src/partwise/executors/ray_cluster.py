"""Reach a Ray cluster: reuse the one that is initialised, join one, or start one on this machine."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cloudpickle
import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address  # Ray has no public name for what "auto" means
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from partwise.attempts import failure_of
from partwise.errors import AddressError, ClusterError, InputError
from partwise.executors.timeouts import call_with_timeout

__all__ = [
    "ClusterSize",
    "cause_of",
    "cluster_size",
    "connect",
    "disconnect",
    "host_and_port",
    "is_connected",
    "largest_memory",
    "most_cpus",
    "on_every_node",
    "send_files_by_value",
    "shipped_path",
]

_OURS: list[tuple[str | None, tuple[str, ...]]] = []
"""How this process was connected, where partwise did it."""
_STARTING = threading.Lock()
_PROCESS = os.getpid()
_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """What a cluster can run at once: tasks, and the nodes that they run on.

    ``alive`` and ``dead`` are the ids of the nodes that it has, and of those that it lost; none inside a Ray task.
    """

    slots: int
    nodes: int
    dead: frozenset[str] = frozenset()
    alive: frozenset[str] = frozenset()


def is_connected() -> bool:
    """Return whether this process has a Ray connection of its own; one that a fork inherited cannot be used."""
    return bool(ray.is_initialized()) and os.getpid() == _PROCESS


def connect(address: str | None, ship: tuple[str, ...]) -> bool:
    """Make sure that this process has a Ray connection; one that exists is reused and left alone.

    Parameters
    ----------
    address
        None or ``local`` start Ray on this machine; ``auto`` joins the cluster that runs here; else
        ``HOST:PORT`` or ``ray://HOST:PORT``.
    ship
        Files or directories of the user's own modules that the nodes shall be able to import.

    Returns
    -------
    Whether a cluster that others have started was joined just now.

    Raises
    ------
    AddressError
        If no cluster can be joined at the address.
    ClusterError
        If Ray cannot be started on this machine.
    """
    with _STARTING:
        if is_connected():
            _check_same(address, ship)
            return False
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if ship:
            options["runtime_env"] = {"py_modules": [str(shipped_path(path)) for path in ship]}
        joins = address not in {None, "local"}
        with _own_sigterm():
            if joins:
                _join(str(address), options)
            else:
                _start_local(options)
        _OURS[:] = [(address, ship)]
        return joins


def disconnect() -> None:
    """Leave Ray, so that the next connection is a new one."""
    ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what the process does on SIGTERM: Ray would put its own handler there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # None: set by other than Python code
            signal.signal(signal.SIGTERM, before)


def _check_same(address: str | None, ship: tuple[str, ...]) -> None:
    """Refuse to pass the Ray that is connected off as another one that was asked for."""
    if (address, ship) in _OURS or (address in {None, "local", "auto"} and not ship):
        return
    raise AddressError(
        f"Ray is initialised already, at {ray.get_runtime_context().gcs_address}, so it cannot be joined at "
        f"{address!r}{' nor be sent ' + ', '.join(ship) if ship else ''} now. Leave both out to use it as it is, or "
        "call ray.shutdown() first."
    )


def _start_local(options: dict[str, Any]) -> None:
    # Ray's usage statistics want the internet and delay the start where there is none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with _loopback_alone():
            ray.init(address="local", include_dashboard=False, **options)
    except Exception as error:
        raise ClusterError(
            f"Ray could not be started on this machine: {_first_line(error)} Next: look for a full disk or too little "
            "shared memory, or run without Ray (executor='inline')."
        ) from error
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)  # Ray writes it readable for everyone


@contextmanager
def _loopback_alone() -> Iterator[None]:
    """Let Ray listen on 127.0.0.1 alone, as it does by itself on macOS and Windows.

    Elsewhere it takes the address of the machine's network, also where it is told to take that of the loopback.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _join(address: str, options: dict[str, Any]) -> None:
    _check_reachable(_running_here() if address == "auto" else address)
    try:
        # Ray waits minutes for a port that speaks something else.
        call_with_timeout(lambda: ray.init(address=address, **options), _JOIN_SECONDS)
    except Exception as error:
        raise AddressError(_explain(address, error)) from error


def _running_here() -> str:
    """Return the address of the cluster that runs on this machine, as ``ray start`` left it."""
    try:
        return str(canonicalize_bootstrap_address("auto"))
    except (ConnectionError, ValueError) as error:
        raise AddressError(
            "No Ray cluster runs on this machine, so --address auto finds none. Start one with `ray start --head`, "
            "give its HOST:PORT, or leave --address out to start Ray for this run alone."
        ) from error


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of an address such as ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises
    ------
    AddressError
        If it has no such parts.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise AddressError(
            f"The address {address!r} is not understood. Valid: auto, HOST:PORT (port 6379 unless the head was started "
            "with another), ray://HOST:10001; leave it out to start Ray on this machine."
        )
    return host, port


def _check_reachable(address: str) -> None:
    """Try the TCP port first: Ray itself waits for minutes before it gives up."""
    host, port = host_and_port(address)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        option = "--ray-client-server-port" if address.startswith("ray://") else "--port"
        raise AddressError(
            f"No Ray cluster answers at {address!r}: {error}. Start one there with `ray start --head {option}={port}`, "
            "correct --address, or leave it out to start Ray on this machine."
        ) from error


def _explain(address: str, error: Exception) -> str:
    said = f"{type(error).__name__}: {_first_line(error)}"
    if "version mismatch" in str(error).lower():
        return f"The Ray cluster at {address!r} runs other versions: {said} Next: install the same Ray and Python here."
    if "ray[client]" in str(error):
        return f"An address such as {address!r} needs Ray's client. {said} Next: pip install 'ray[client]'."
    if isinstance(error, (ConnectionError, TimeoutError, ray.exceptions.AuthenticationError)):
        # The port has answered, so it is a token that is missing, or no Ray at all. Ray sends a token to an address
        # that was given only where the user says so.
        return (
            f"The Ray cluster at {address!r} does not let this process in. {said} Next: set "
            "RAY_AUTH_MODE=token and put the head's ~/.ray/auth_token here as well (mode 0600); and check that it is "
            "the head's port (6379 unless it was started with another)."
        )
    return (
        f"No Ray cluster could be joined at {address!r}. {said} Next: start one with `ray start --head`, correct "
        "--address, or leave it out to start Ray on this machine."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def shipped_path(path: str) -> Path:
    """Return the absolute path of a module of the user's own.

    Raises
    ------
    InputError
        If nothing is there.
    """
    found = Path(path).expanduser().resolve()
    if not found.exists():
        raise InputError(f"There is nothing to ship at {path!r}. Give the path of a Python file or package directory.")
    return found


def cluster_size(cpus_per_task: int, gpus_per_task: float = 0.0) -> ClusterSize:
    """Return how many tasks of so many CPUs and GPUs run at once; inside a Ray task, only on what that task holds.

    Raises
    ------
    ClusterError
        If no node has that many of both.
    """
    held = held_cpus()
    if held is not None:
        return ClusterSize(slots=max(1, int(held) // cpus_per_task), nodes=1)
    resources = [node["Resources"] for node in _alive()]
    cpus = [int(each.get("CPU", 0)) for each in resources]
    per_node = [count // cpus_per_task for count in cpus]
    if not any(per_node):
        raise ClusterError(
            f"{cpus_per_task} CPUs for each member are more than any node has ({sorted(cpus, reverse=True)}). "
            f"Ask for at most {max(cpus, default=0)} with cpus_per_member, or add a larger node."
        )
    if gpus_per_task > 0:
        gpus = [float(each.get("GPU", 0.0)) for each in resources]
        per_node = [min(fit, int(count / gpus_per_task + 1e-9)) for fit, count in zip(per_node, gpus, strict=True)]
        if not any(per_node):
            raise ClusterError(
                f"{gpus_per_task:g} GPUs for each member, beside {cpus_per_task} CPUs, are more than any node has: "
                f"GPUs of the nodes are {sorted(gpus, reverse=True)}. Ask for at most {max(gpus, default=0.0):g} with "
                "--gpus-per-member (0 where learners need none), or join a cluster that has them."
            )
    nodes = ray.nodes()
    dead, alive = (
        frozenset(str(node["NodeID"]) for node in nodes if node["Alive"] is is_alive) for is_alive in (False, True)
    )
    return ClusterSize(slots=sum(per_node), nodes=sum(count > 0 for count in per_node), dead=dead, alive=alive)


def most_cpus() -> int:
    """Return the CPUs of the largest node of the Ray that is connected; where none is, those of this machine."""
    if not is_connected():
        return os.cpu_count() or 1
    return int(max(node["Resources"].get("CPU", 0) for node in _alive()))


def largest_memory() -> int:
    """Return the bytes that the node with the most memory has for tasks."""
    return int(max(node["Resources"].get("memory", 0) for node in _alive()))


def held_cpus() -> float | None:
    """Return the CPUs that the surrounding Ray task or actor holds, None outside of one."""
    context = ray.get_runtime_context()
    if getattr(getattr(context, "worker", None), "mode", None) != ray.WORKER_MODE:
        return None  # Ray warns each time that a driver asks for its task
    if context.get_task_id() is None and context.get_actor_id() is None:
        return None
    return float(context.get_assigned_resources().get("CPU", 0.0))


def on_every_node(
    work: Callable[[Any, Any], Any], argument: Any, seconds: float, only: Container[str] | None = None
) -> dict[str, Any]:
    """Call ``work(argument, place)`` once on each node; return its values, or failures, by the node's address.

    ``only`` are the ids of the nodes to call it on; None means all.

    ``place`` says what Ray has there: ``object_store``, in bytes, and ``temporary``, its folder. The work travels by
    value, with all that it uses of its package, so that a node without the package answers too; let it return
    built-in types. What does not answer within so many seconds is a failure.
    """
    nodes = {node["NodeID"]: node for node in _alive() if only is None or node["NodeID"] in only}
    addresses = {node: f"{each['NodeManagerAddress']}/{node[:8]}" for node, each in nodes.items()}
    remote = ray.remote(max_retries=0, num_cpus=0)(work)
    asked = {}
    with _pickled_by_value(work):
        for node, each in nodes.items():
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            asked[remote.options(scheduling_strategy=there).remote(argument, _place(each))] = node
    done, silent = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    answers: dict[str, Any] = {}
    for reference in done:
        try:
            answers[addresses[asked[reference]]] = ray.get(reference)
        except ray.exceptions.RayError as error:
            answers[addresses[asked[reference]]] = failure_of(cause_of(error))
    for reference in silent:
        ray.cancel(reference, force=True)
        answers[addresses[asked[reference]]] = failure_of(TimeoutError(f"no answer within {seconds:.0f} seconds"))
    return dict(sorted(answers.items()))


def cause_of(error: Exception) -> BaseException:
    """Return what went wrong itself, which says it in a line: what Ray wraps around it is a page of text."""
    cause = getattr(error, "cause", None) or error
    refused = getattr(cause, "client_exc", None)  # a worker could not unpickle what it was sent
    return refused if isinstance(refused, BaseException) else cause


@contextmanager
def _pickled_by_value(work: Callable[..., Any]) -> Iterator[None]:
    """Let a function travel with all that it uses of its package."""
    package = sys.modules[work.__module__.partition(".")[0]]
    ray.cloudpickle.register_pickle_by_value(package)
    try:
        yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(package)


def send_files_by_value() -> None:
    """Let Ray send the classes of files that were named as learners as cloudpickle does: by value.

    Ray has a copy of cloudpickle, with a list of such modules of its own.
    """
    for name in cloudpickle.list_registry_pickle_by_value():
        if name in sys.modules:
            ray.cloudpickle.register_pickle_by_value(sys.modules[name])


def _place(node: dict[str, Any]) -> dict[str, Any]:
    # A node does not name its temporary folder, but a socket in the session's folder there.
    folder, _, _ = str(node["ObjectStoreSocketName"]).rpartition("/session_")
    return {"object_store": int(node["Resources"].get("object_store_memory", 0)), "temporary": folder}


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
