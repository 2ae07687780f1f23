"""Hyperparameter search: partitions are the fidelity, members are taken over."""

from partwise.search.records import SearchTrial
from partwise.search.sampling import check_sampler, check_space, check_study
from partwise.search.search_cv import PartitionedSearchCV
from partwise.search.spaces import Space, default_space, read_space

__all__ = [
    "PartitionedSearchCV",
    "SearchTrial",
    "Space",
    "check_sampler",
    "check_space",
    "check_study",
    "default_space",
    "read_space",
]
