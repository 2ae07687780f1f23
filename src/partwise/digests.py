"""A digest of what a model learned: equal for equal models, whatever process made them."""

import pickle
import sys
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from joblib.hashing import NumpyHasher

__all__ = ["content_digest"]

_TIMINGS = ("fit_time", "score_time", "refit_time_")
_WATCHED = ("callbacks_", "history_")
"""What skorch's nets tell of how they were fitted, with times."""


class _ContentHasher(NumpyHasher):
    """joblib's hasher of values, without padding bytes and without timings.

    Tree nodes are structured arrays whose padding is whatever memory held before; search estimators keep how long
    they took. Neither was learned.
    """

    def save(self, obj: Any) -> None:
        obj = _values_of_torch(obj)
        if isinstance(obj, np.ma.MaskedArray):
            obj = ("masked", np.asarray(obj.filled(obj.dtype.type(0)) if obj.dtype != object else obj.data), obj.mask)
        if isinstance(obj, np.ndarray) and obj.dtype.names is not None:
            obj = {name: np.ascontiguousarray(obj[name]) for name in obj.dtype.names}
        elif type(obj) is dict and any(isinstance(key, str) and _is_timing(key) for key in obj):
            obj = {key: value for key, value in obj.items() if not (isinstance(key, str) and _is_timing(key))}
        elif isinstance(obj, type):
            # By name: a class of the user's script is another object, with other bytes, in each process.
            obj = ("type", obj.__module__, obj.__qualname__)
        elif isinstance(obj, FunctionType):
            obj = ("function", obj.__module__, obj.__qualname__, _code(obj.__code__))
        super().save(obj)


def _values_of_torch(obj: Any) -> Any:
    """Return tensors as arrays, networks and optimisers as what they learned, skorch's nets as their attributes.

    They pickle themselves as bytes in which equal values may lie in another order.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return obj
    if isinstance(obj, torch.Tensor):
        return ("tensor", obj.detach().cpu().numpy())
    if isinstance(obj, (torch.nn.Module, torch.optim.Optimizer)):
        return (type(obj), dict(obj.state_dict()))
    if hasattr(obj, "cuda_dependent_attributes_") and not isinstance(obj, type):
        return (type(obj), {name: value for name, value in vars(obj).items() if name not in _WATCHED})
    return obj


def _code(code: CodeType) -> tuple[Any, ...]:
    """Return what a function does, without where it stands."""
    constants = tuple(_code(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return (code.co_code, constants, code.co_names)


def _is_timing(key: str) -> bool:
    return any(timing in key for timing in _TIMINGS)


def content_digest(model: Any) -> str:
    """Return 40 hexadecimal digits that depend on the model's values alone.

    The model should have been through pickle once, so that memory layout is the same wherever it was fitted.
    """
    hasher = _ContentHasher(hash_name="sha1")
    try:
        digest = hasher.hash(model)
    except pickle.PicklingError:
        # Classes that only live in the user's script: pickled by value, their bytes are the best there is.
        import cloudpickle  # noqa: PLC0415 - rarely needed

        return content_digest(cloudpickle.dumps(model))
    return str(digest)
