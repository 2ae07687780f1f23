"""Whether the nodes of a cluster run the software of this process."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from partwise.errors import ClusterError
from partwise.executors.ray_cluster import on_every_node
from partwise.provenance import versions
from partwise.records import TaskFailure

__all__ = ["MUST_MATCH", "check_joined_nodes", "check_node_versions", "describe_differences"]

MUST_MATCH = ("python", "ray", "partwise", "scikit-learn")
"""What must be alike on all nodes: what is pickled on one is read on another."""
_SECONDS = 10.0
_KNOWN: set[str] = set()
"""Ids of the nodes of this process' cluster that have been looked at, or were there when it was first used."""


def describe_differences(driver: Mapping[str, str], node: Mapping[str, str], packages: Iterable[str]) -> str:
    """Return which of the packages have another version on a node, and which; empty where none has."""
    return ", ".join(
        f"{each} {node.get(each, 'absent')} (driver {driver.get(each, 'absent')})"
        for each in packages
        if driver.get(each) != node.get(each)
    )


def check_joined_nodes(alive: frozenset[str]) -> None:
    """Refuse a cluster that a node with other versions has joined since it was last looked at.

    Raises
    ------
    ClusterError
        If what must be alike is not.
    """
    if _KNOWN & alive and (joined := alive - _KNOWN):
        check_node_versions(joined)
    _KNOWN.update(alive)


def check_node_versions(only: Container[str] | None = None) -> None:
    """Refuse a cluster of which a node, or one of ``only`` these, runs other versions.

    A node that does not answer is left to Ray; a package that is not installed there may have been shipped.

    Raises
    ------
    ClusterError
        If what must be alike is not.
    """
    driver = versions()
    answers = on_every_node(_versions, None, _SECONDS, only)
    found = {node: each for node, each in answers.items() if not isinstance(each, TaskFailure)}
    told = {
        node: describe_differences(driver, each, [package for package in MUST_MATCH if package in each])
        for node, each in found.items()
    }
    differing = [f"{node} has {differences}" for node, differences in told.items() if differences]
    if differing:
        raise ClusterError(
            f"Nodes of the cluster run other versions than this process: {'; '.join(differing)}. Next: install this "
            "process's versions on them, or take them out; `partwise doctor --address ADDRESS` looks at every node."
        )


def _versions(_argument: None, _place: Mapping[str, Any]) -> dict[str, str]:
    return versions()
