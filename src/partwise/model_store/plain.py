"""Arrays and predictors as plain JSON values, and back."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import ModelStoreError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import Aggregate, Predictor
from partwise.routed import RoutedPredictor
from partwise.routing import Router, Scaling
from partwise.stacking import StackedPredictor

__all__ = ["PREDICTORS", "array_of", "plain_array", "plain_predictor", "predictor_of"]

PREDICTORS: dict[str, type[Any]] = {
    "aggregated": AggregatedPredictor,
    "routed": RoutedPredictor,
    "stacked": StackedPredictor,
}
"""Name to predictor: a frozen dataclass of ``pool`` and of numbers, texts, arrays, and records of such."""

_RECORDS: dict[str, type[Any]] = {"router": Router, "scaling": Scaling}

_KINDS = "biufUMm"


def plain_array(array: NDArray[Any] | None) -> dict[str, Any] | None:
    """Return an array as its type and a list, of lists where it has several dimensions.

    Raises
    ------
    ModelStoreError
        If it holds anything but numbers, texts and times.
    """
    if array is None:
        return None
    array = np.asarray(array)
    kind = array.dtype.kind
    plain = array.astype(np.int64) if kind in "Mm" else array
    odd = [value for value in plain.ravel().tolist() if not isinstance(value, (str, int, float))]
    if odd or kind not in _KINDS + "O":
        example = repr(odd[0]) if odd else repr(array.dtype)
        raise ModelStoreError(
            f"Class labels such as {example} cannot be stored. Turn the target into text or numbers before fitting."
        )
    return {"dtype": "object" if kind == "O" else array.dtype.str, "values": plain.tolist()}


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
    return {"type": names[kind]} | _plain_fields(predictor)


def _plain_fields(record: Any) -> dict[str, Any]:
    return {field.name: _plain_value(getattr(record, field.name)) for field in fields(record) if field.name != "pool"}


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return plain_array(value)
    names = {kind: name for name, kind in _RECORDS.items()}
    return {"record": names[type(value)]} | _plain_fields(value) if type(value) in names else value


def _value_of(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    if "record" not in plain:
        return array_of(plain)
    return _RECORDS[plain["record"]](**{name: _value_of(part) for name, part in plain.items() if name != "record"})


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
        predictor: Predictor = PREDICTORS[name](pool=pool, **{key: _value_of(value) for key, value in state.items()})
        # One empty round shows now, not at the first prediction, that a rule is unknown or a weight is missing.
        if isinstance(predictor, Aggregate):
            predictor.combine(np.zeros((len(pool.members), 1, _n_outputs(predictor))))
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ModelStoreError(
            f"The predictor in model.json cannot be made ({type(error).__name__}: {error}). Store the model again."
        ) from error
    return predictor


def _n_outputs(predictor: Predictor) -> int:
    """Return how many outputs a row has, as far as the predictor and its members tell."""
    if predictor.pool.n_classes is not None:
        return predictor.pool.n_classes
    if isinstance(predictor, StackedPredictor):
        return predictor.n_outputs
    ends = predictor.pool.members[0].target_range
    return 1 if ends is None else int(ends.shape[1])
