"""All checks, one after another."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from partwise.doctor.checks import Check, bad, good
from partwise.doctor.machines import check_clocks, check_machine, check_token, check_versions
from partwise.doctor.places import Mark, check_run_directory, check_seen, check_tracking
from partwise.doctor.probe import look_at_machine
from partwise.errors import ClusterError
from partwise.executors.ray_cluster import connect, on_every_node
from partwise.records import TaskFailure

__all__ = ["DoctorConfig", "examine"]

Say = Callable[[str], None]
_SECONDS = 20.0
"""How long the nodes have to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorConfig:
    """The place of a run, by the options of the commands that fit; the directory ``output`` need not exist."""

    address: str | None = None
    storage: str | None = None
    tracking_uri: str | None = None
    output: Path | None = None


def examine(config: DoctorConfig, say: Say = lambda _: None) -> Iterator[Check]:
    """Yield what is found of machine, places, tracking server and cluster; nothing is left behind."""
    say("Looking at this machine")
    driver = look_at_machine(None)
    yield good("software", ", ".join(f"{name} {number}" for name, number in driver.versions.items()))
    yield from check_machine(driver, "this machine")
    yield check_token(Path.home() / ".ray" / "auth_token")
    yield from check_run_directory(config.output or Path("partwise-runs"))
    say("Asking the tracking server")
    yield check_tracking(config.tracking_uri)
    with Mark(config.storage or str(Path.cwd() / "partwise-store")) as mark:
        yield from mark.checks
        say("Starting Ray" if config.address is None else f"Joining the cluster at {config.address}")
        try:
            connect(config.address, ())
        except ClusterError as error:
            yield bad("Ray", str(error), "Until then nothing can be fitted there.")
            return
        started = time.time()
        nodes = on_every_node(look_at_machine, mark.uri if mark.written else None, _SECONDS)
        driver, took = look_at_machine(None), time.time() - started
        where = "started on this machine" if config.address is None else f"joined at {config.address}"
        yield good("Ray", f"{where}, {len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}")
        yield from check_versions(driver, nodes)
        yield from check_clocks(driver, nodes, took)
        yield from check_seen(mark, nodes)
        if config.address is not None:
            for node, facts in nodes.items():
                if not isinstance(facts, TaskFailure):
                    yield from check_machine(facts, node)
