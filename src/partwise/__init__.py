"""Train one model per partition of a table, combine them, and prove what that gained or cost.

The public names are loaded when they are first used: importing partwise loads neither Ray nor MLflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partwise.checkpoints import Checkpoint
    from partwise.combiners import Greedy, Mean, Median, Pool, Route, Soft, Stack, Vote, Weighted
    from partwise.encoders import NumericEncoder, TableEncoder
    from partwise.ensemble import Addition, PartitionedClassifier, PartitionedRegressor
    from partwise.errors import InputError, MemberFitError, PartwiseError
    from partwise.executors import InlineExecutor
    from partwise.executors.ray_tasks import RayExecutor
    from partwise.learners.spaces import Choice, Range
    from partwise.partitioners import Clustered, Grouped, Ordered, Replicated, Shuffled, Stratified
    from partwise.records import Member, MemberFailure
    from partwise.search import PartitionedSearchCV
    from partwise.selection import Auto
    from partwise.sources import scan

__version__ = "0.1.0"

_HOMES = {
    "Addition": "ensemble",
    "Auto": "selection",
    "Checkpoint": "checkpoints",
    "Choice": "learners.spaces",
    "Clustered": "partitioners",
    "Greedy": "combiners",
    "Grouped": "partitioners",
    "InlineExecutor": "executors",
    "InputError": "errors",
    "Mean": "combiners",
    "Median": "combiners",
    "Member": "records",
    "MemberFailure": "records",
    "MemberFitError": "errors",
    "NumericEncoder": "encoders",
    "Ordered": "partitioners",
    "PartitionedClassifier": "ensemble",
    "PartitionedRegressor": "ensemble",
    "PartitionedSearchCV": "search",
    "PartwiseError": "errors",
    "Pool": "combiners",
    "Range": "learners.spaces",
    "RayExecutor": "executors.ray_tasks",
    "Replicated": "partitioners",
    "Route": "combiners",
    "Shuffled": "partitioners",
    "Soft": "combiners",
    "Stack": "combiners",
    "Stratified": "partitioners",
    "TableEncoder": "encoders",
    "Vote": "combiners",
    "Weighted": "combiners",
    "scan": "sources",
}

__all__ = [
    "Addition",
    "Auto",
    "Checkpoint",
    "Choice",
    "Clustered",
    "Greedy",
    "Grouped",
    "InlineExecutor",
    "InputError",
    "Mean",
    "Median",
    "Member",
    "MemberFailure",
    "MemberFitError",
    "NumericEncoder",
    "Ordered",
    "PartitionedClassifier",
    "PartitionedRegressor",
    "PartitionedSearchCV",
    "PartwiseError",
    "Pool",
    "Range",
    "RayExecutor",
    "Replicated",
    "Route",
    "Shuffled",
    "Soft",
    "Stack",
    "Stratified",
    "TableEncoder",
    "Vote",
    "Weighted",
    "__version__",
    "scan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'partwise' has no attribute {name!r}")
    return getattr(import_module(f"partwise.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
