"""Check parameters of an estimator, all of them at once, before anything is fitted."""

from collections.abc import Mapping
from typing import Any

from sklearn.base import clone

from partwise.errors import ConfigurationError, unknown_choice

__all__ = ["with_parameters"]


def with_parameters(name: str, estimator: Any, params: Mapping[str, Any]) -> Any:
    """Return a copy of the estimator with these parameters; ``step__name`` reaches into a pipeline.

    Raises
    ------
    ConfigurationError
        When names are unknown or values invalid, of which it lists every one, or when values do not go together.
    """
    valid = estimator.get_params()
    unknown = [str(unknown_choice(f"parameter of {name}", key, valid)) for key in params if key not in valid]
    known = {key: value for key, value in params.items() if key in valid}
    invalid = [fault for key, value in known.items() if (fault := _fault(name, estimator, key, value))]
    if unknown or invalid:
        raise ConfigurationError([*unknown, *invalid])
    try:
        return clone(estimator, safe=False).set_params(**known)
    except (TypeError, ValueError) as error:
        together = ", ".join(f"{key}={value!r}" for key, value in known.items())
        told = f"{name} refuses {together} together: {error}. Each is valid alone; change one."
        raise ConfigurationError([told]) from error


def _fault(name: str, estimator: Any, key: str, value: Any) -> str | None:
    """Return what is wrong with one value, by scikit-learn's own declaration of the valid ones, or as it is set."""
    told = f"Invalid value {value!r} of parameter {key!r} of {name}"
    try:
        changed = clone(estimator).set_params(**{key: value})
    except (TypeError, ValueError) as error:  # estimators of others may look at a value where they are given it
        return f"{told}: {error}. Give a valid value, or leave it out."
    path, _, parameter = key.rpartition("__")
    owner = changed.get_params()[path] if path else changed
    validate = getattr(owner, "_validate_params", None)
    if validate is None or parameter not in getattr(owner, "_parameter_constraints", {}):
        return None
    try:
        validate()
    except ValueError as error:
        return f"{told}: {error} Give a valid value, or leave it out."
    return None
