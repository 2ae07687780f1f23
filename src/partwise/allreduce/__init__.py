"""One model that several processes fit together, exactly as far as its library can: a library a file."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from partwise.errors import InputError
from partwise.protocols import DataParallel

__all__ = ["FAMILIES", "allreduce_for"]

FAMILIES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "xgboost": (("xgboost.", "partwise.learners.xgboost_trees"), "partwise.allreduce.xgboost_trees:XGBoostTrees"),
    "lightgbm": (("lightgbm.", "partwise.learners.lightgbm_trees"), "partwise.allreduce.lightgbm_trees:LightGBMTrees"),
    "torch_mlp": (("partwise.learners.torch_mlp",), "partwise.allreduce.torch_networks:TorchNetworks"),
}
"""By the name of the learner: how modules of its estimators begin, and the family, imported when there is one."""


def allreduce_for(learner: str, estimator: Any) -> DataParallel:
    """Return how an unfitted estimator is fitted by several processes together.

    Raises
    ------
    InputError
        If no family takes it, or some of its settings cannot be carried out by several processes.
    """
    for beginnings, path in FAMILIES.values():
        if not type(estimator).__module__.startswith(beginnings):
            continue
        module, _, name = path.partition(":")
        family: DataParallel = getattr(import_module(module), name)()
        if type(estimator) in family.takes:
            refusal = family.refusal(estimator)
            if refusal is not None:
                raise InputError(f"--also allreduce cannot fit this {type(estimator).__name__}: {refusal}")
            return family
    raise InputError(
        f"--also allreduce needs a learner that Ray Train can fit on rows of several processes, and {learner!r} is "
        f"none. Valid: {', '.join(FAMILIES)}. Choose one of them, or leave the option out."
    )
