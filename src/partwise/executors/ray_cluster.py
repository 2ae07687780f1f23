"""Reach a Ray cluster: reuse the one that is initialised, join one, or start one on this machine."""

import logging
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray

from partwise.errors import AddressError, ClusterError, InputError

__all__ = ["ClusterSize", "cluster_size", "connect", "is_connected"]

_STARTING = threading.Lock()
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """What a cluster can run at once: tasks, and the nodes that they run on."""

    slots: int
    nodes: int


def is_connected() -> bool:
    """Return whether this process has a Ray connection."""
    return bool(ray.is_initialized())


def connect(address: str | None, ship: tuple[str, ...]) -> None:
    """Make sure that this process has a Ray connection; one that exists is reused and left alone.

    Parameters
    ----------
    address
        None or ``local`` start Ray on this machine; ``auto`` joins the cluster that runs here; else
        ``HOST:PORT`` or ``ray://HOST:PORT``.
    ship
        Files or directories of the user's own modules that the nodes shall be able to import.

    Raises
    ------
    AddressError
        If no cluster can be joined at the address.
    ClusterError
        If Ray cannot be started on this machine.
    """
    with _STARTING:
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if ship:
            options["runtime_env"] = {"py_modules": [str(_existing(path)) for path in ship]}
        if address in {None, "local"}:
            _start_local(options)
        else:
            _join(str(address), options)


def _start_local(options: dict[str, Any]) -> None:

    # Ray's usage statistics want the internet and delay the start where there is none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **options)
    except Exception as error:
        raise ClusterError(
            f"Ray could not be started on this machine: {_first_line(error)} Next: look for a full disk or too little shared "
            "memory, or run without Ray (executor='inline')."
        ) from error
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)  # Ray writes it readable for everyone


def _join(address: str, options: dict[str, Any]) -> None:

    if address != "auto":
        _check_reachable(address)
    try:
        ray.init(address=address, **options)
    except Exception as error:
        raise AddressError(_explain(address, error)) from error


def _check_reachable(address: str) -> None:
    """Try the TCP port first: Ray itself waits for minutes before it gives up."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise AddressError(
            f"The address {address!r} is not understood. Valid: auto, HOST:PORT (port 6379 unless the head was started "
            "with another), ray://HOST:10001; leave it out to start Ray on this machine."
        )
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise AddressError(
            f"No Ray cluster answers at {address!r}: {error}. Start one there with `ray start --head --port={port}`, "
            "correct --address, or leave it out to start Ray on this machine."
        ) from error


def _explain(address: str, error: Exception) -> str:
    said = f"{type(error).__name__}: {_first_line(error)}"
    if "version mismatch" in str(error).lower():
        return f"The Ray cluster at {address!r} runs other versions: {said} Next: install the same Ray and Python here."
    if isinstance(error, (ConnectionError, ray.exceptions.AuthenticationError)):
        # The port has answered, or Ray has found the address itself: a refusal is most often about the token.
        return (
            f"The Ray cluster at {address!r} does not let this process in. {said} Next: put the head's "
            "~/.ray/auth_token here as well (mode 0600), or name it in RAY_AUTH_TOKEN_PATH; and look whether the head "
            "still runs (`ray status`)."
        )
    return (
        f"No Ray cluster could be joined at {address!r}. {said} Next: start one with `ray start --head`, correct "
        "--address, or leave it out to start Ray on this machine."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _existing(path: str) -> Path:
    found = Path(path).expanduser().resolve()
    if not found.exists():
        raise InputError(f"There is nothing to ship at {path!r}. Give the path of a Python file or package directory.")
    return found


def cluster_size(cpus_per_task: int) -> ClusterSize:
    """Return how many tasks of this many CPUs run at once; inside a Ray task, only on what that task holds.

    Raises
    ------
    ClusterError
        If no node has that many CPUs.
    """
    held = held_cpus()
    if held is not None:
        return ClusterSize(slots=max(1, int(held) // cpus_per_task), nodes=1)
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    per_node = [count // cpus_per_task for count in cpus]
    if not any(per_node):
        raise ClusterError(
            f"{cpus_per_task} CPUs for each member are more than any node has ({sorted(cpus, reverse=True)}). "
            f"Ask for at most {max(cpus, default=0)} with cpus_per_member, or add a larger node."
        )
    return ClusterSize(slots=sum(per_node), nodes=sum(count > 0 for count in per_node))


def held_cpus() -> float | None:
    """Return the CPUs that the surrounding Ray task or actor holds, None outside of one."""
    context = ray.get_runtime_context()
    if context.get_task_id() is None and context.get_actor_id() is None:
        return None
    return float(context.get_assigned_resources().get("CPU", 0.0))
