"""Executors: where members are fitted and predictions made."""

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from importlib import import_module
from typing import Any, cast

from partwise.errors import InputError, unknown_choice
from partwise.executors.inline import InlineExecutor
from partwise.protocols import Executor

__all__ = ["EXECUTORS", "InlineExecutor", "make_executor", "with_cpus", "with_one_cpu"]


def _ray(**settings: Any) -> Executor:
    # Not at the top: loading partwise must not load ray.
    return import_module("partwise.executors.ray_tasks").RayExecutor(**settings)


EXECUTORS: dict[str, Callable[..., Executor]] = {"inline": InlineExecutor, "ray": _ray}
"""Name to settings class; each takes ``cpus_per_task``."""


def make_executor(executor: str | Executor, cpus_per_task: int) -> Executor:
    """Return the executor for a name; an object is returned as it is.

    Raises
    ------
    InputError
        If the name is unknown, or the object is no executor.
    """
    if isinstance(executor, str):
        if executor not in EXECUTORS:
            raise unknown_choice("executor", executor, EXECUTORS)
        return EXECUTORS[executor](cpus_per_task=cpus_per_task)
    if not all(hasattr(executor, method) for method in ("run", "warm", "lend")):
        raise InputError(
            f"executor={executor!r} is no executor. Give one of {', '.join(EXECUTORS)}, "
            "or an object with `run`, `warm` and `lend` (see partwise.protocols.Executor)."
        )
    return executor


def with_one_cpu(executor: Executor) -> Executor:
    """Return the executor for tasks of one thread, such as those that read tables; others stay as they are."""
    return with_cpus(executor, 1)


def with_cpus(executor: Executor, cpus_per_task: int) -> Executor:
    """Return the executor for tasks of so many threads; one that does not count them stays as it is."""
    if is_dataclass(executor) and not isinstance(executor, type) and hasattr(executor, "cpus_per_task"):
        return cast("Executor", replace(executor, cpus_per_task=cpus_per_task))
    return executor
