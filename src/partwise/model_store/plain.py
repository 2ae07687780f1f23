"""Arrays and predictors as plain JSON values, and back."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import ModelStoreError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import Predictor

__all__ = ["PREDICTORS", "array_of", "plain_array", "plain_predictor", "predictor_of"]

PREDICTORS: dict[str, type[Any]] = {"aggregated": AggregatedPredictor}
"""Name to predictor: a frozen dataclass of ``pool`` and of numbers, texts and arrays."""

_KINDS = "biufUMm"


def plain_array(array: NDArray[Any] | None) -> dict[str, Any] | None:
    """Return an array of one dimension as its type and a list.

    Raises
    ------
    ModelStoreError
        If it holds anything but numbers, texts and times.
    """
    if array is None:
        return None
    array = np.asarray(array)
    kind = array.dtype.kind
    values = array.astype(np.int64).tolist() if kind in "Mm" else array.tolist()
    odd = [value for value in values if not isinstance(value, (str, int, float))]
    if odd or kind not in _KINDS + "O":
        example = repr(odd[0]) if odd else repr(array.dtype)
        raise ModelStoreError(
            f"Class labels such as {example} cannot be stored. Turn the target into text or numbers before fitting."
        )
    return {"dtype": "object" if kind == "O" else array.dtype.str, "values": values}


def array_of(plain: Any) -> NDArray[Any] | None:
    """Return the array of a type and a list."""
    if plain is None:
        return None
    dtype = np.dtype(plain["dtype"])
    if dtype.kind in "Mm":
        return np.array(plain["values"], dtype=np.int64).astype(dtype)
    return np.array(plain["values"], dtype=dtype)


def plain_predictor(predictor: Predictor) -> dict[str, Any]:
    """Return the type and the state of a predictor, without its pool.

    Raises
    ------
    ModelStoreError
        If its type is not registered.
    """
    names = {kind: name for name, kind in PREDICTORS.items()}
    kind = type(predictor)
    if kind not in names:
        raise ModelStoreError(
            f"A {kind.__name__} cannot be stored. Valid: {', '.join(sorted(k.__name__ for k in names))}. "
            "Register its class in partwise.model_store.plain.PREDICTORS."
        )
    state = {field.name: getattr(predictor, field.name) for field in fields(kind) if field.name != "pool"}
    return {"type": names[kind]} | {
        name: plain_array(value) if isinstance(value, np.ndarray) else value for name, value in state.items()
    }


def predictor_of(plain: dict[str, Any], pool: MemberPool) -> Predictor:
    """Return the predictor of a type, a state and a pool.

    Raises
    ------
    ModelStoreError
        If the type is unknown, or the state does not fit the pool.
    """
    state = dict(plain)
    name = state.pop("type", None)
    if name not in PREDICTORS:
        raise ModelStoreError(
            f"model.json has a predictor of type {name!r}. Valid: {', '.join(sorted(PREDICTORS))}. "
            "Load it with the version of partwise that stored it."
        )
    try:
        values = {key: array_of(value) if isinstance(value, dict) else value for key, value in state.items()}
        predictor: Predictor = PREDICTORS[name](pool=pool, **values)
        # One empty round shows now, not at the first prediction, that a rule is unknown or a weight is missing.
        predictor.combine(np.zeros((len(pool.members), 1, pool.n_classes or 1)))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelStoreError(
            f"The predictor in model.json cannot be made ({type(error).__name__}: {error}). Store the model again."
        ) from error
    return predictor
