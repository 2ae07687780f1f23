"""All checks, one after another, within a minute."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from partwise.doctor.checks import Check, bad, good, warning
from partwise.doctor.config import DoctorConfig
from partwise.doctor.isolation import CheckProcess
from partwise.doctor.machines import (
    check_clocks,
    check_machine,
    check_modules,
    check_ray_places,
    check_token,
    check_versions,
)
from partwise.doctor.places import check_seen, look_at_run_directory, look_at_store
from partwise.doctor.probe import MachineFacts, Question, look_at_machine, tell_time
from partwise.doctor.tracking import look_at_tracking
from partwise.executors.ray_cluster import cluster_size, connect, on_every_node
from partwise.executors.timeouts import call_with_timeout
from partwise.records import TaskFailure

__all__ = ["examine"]

Say = Callable[[str], None]
_PLACE_SECONDS, _RAY_SECONDS, _NODES_SECONDS, _CLOCK_SECONDS = 20.0, 30.0, 15.0, 3.0
"""How long the places have to answer, Ray to start or to be joined, and its nodes to tell of themselves and the time.

Together more than a minute; but a cluster that takes this long to be joined has failed, and no node of it is asked.
"""


def examine(config: DoctorConfig, say: Say = lambda _: None) -> Iterator[Check]:
    """Yield what is found of machine, places, tracking server and cluster; nothing is left behind."""
    say("Looking at this machine")
    driver = MachineFacts(**look_at_machine(Question(), {}))
    yield good("software", ", ".join(f"{name} {number}" for name, number in driver.versions.items()))
    yield from check_machine(driver, "this machine")
    yield from check_ray_places(driver, "this machine")
    say("Looking at the run directory, the tracking server and the partition store")
    directory, storage = _absolute(config.output, "partwise-runs"), _absolute(config.storage, "partwise-store")
    mark, word = f".{secrets.token_hex(8)}.mark", secrets.token_hex(8)
    with (
        CheckProcess("run directory", look_at_run_directory, directory, mark) as of_directory,
        CheckProcess("tracking", look_at_tracking, config.tracking_uri) as of_tracking,
        CheckProcess("partition store", look_at_store, storage, mark, word) as of_store,
    ):
        deadline = time.monotonic() + _PLACE_SECONDS
        yield from of_directory.checks(deadline)
        yield from of_tracking.checks(deadline)
        store_checks = of_store.checks(deadline)
        yield from store_checks
        say("No --address: starting Ray on this machine" if config.starts_ray else f"Joining {config.address}")
        joined = _join(config)
        yield joined
        yield check_token(os.environ, Path.home())
        if joined.state == "good":
            say("Asking its nodes")
            modules = tuple(Path(path).resolve().stem for path in config.ship)
            seen = storage if store_checks[0].state == "good" else None
            question = Question(storage=seen, mark=mark, modules=modules)
            yield from _check_nodes(driver, question, word, is_here=config.starts_ray)


def _absolute(given: str | Path | None, usual: str) -> str:
    """Return a place for any working directory."""
    place = str(given or usual)
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _join(config: DoctorConfig) -> Check:
    """Return what is found of Ray; its nodes can be asked where that is good."""

    def join() -> str:
        connect(config.address, config.ship)
        size = cluster_size(1)
        return f"nodes: {size.nodes}, CPUs: {size.slots}"

    try:
        size = call_with_timeout(join, _RAY_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever keeps Ray away is what the user asks for
        return bad("Ray", str(error), "Until then nothing can be fitted there.")
    where = "started on this machine, as no --address was given" if config.starts_ray else f"joined at {config.address}"
    return good("Ray", f"{where}; {size}")


def _check_nodes(driver: MachineFacts, question: Question, word: str, *, is_here: bool) -> Iterator[Check]:
    """Yield what the nodes tell; where Ray is on this machine alone, what is known of it is not said again."""
    try:
        told = on_every_node(look_at_machine, question, _NODES_SECONDS)
        # Once more, now that workers run there: what they take to start would blur the clocks.
        sent = time.time()
        clocks = on_every_node(tell_time, None, _CLOCK_SECONDS)
        received = time.time()
    except Exception as error:  # noqa: BLE001 - a check that cannot be made is a line as well
        yield warning("nodes", f"could not be asked: {type(error).__name__}: {error}", "Look at it: ray status.")
        return
    nodes = {node: each if isinstance(each, TaskFailure) else MachineFacts(**each) for node, each in told.items()}
    yield from check_versions(driver, nodes)
    yield from check_clocks(clocks, sent, received)
    yield from check_modules(nodes, question.modules)
    if question.storage is not None:
        yield from check_seen(word, nodes)
    for node, facts in nodes.items():
        if isinstance(facts, TaskFailure):
            continue
        if not is_here:
            yield from check_machine(facts, node)
        yield from check_ray_places(facts, node)
