"""Check what is given to `fit` and `predict`: one clear error before any worker starts."""

from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.validation import _check_sample_weight, has_fit_parameter, validate_data

from partwise.errors import InputError
from partwise.sources import Scan
from partwise.sources.memory import as_features

__all__ = [
    "check_estimator",
    "check_takes_weights",
    "read_features",
    "read_scan",
    "read_weights",
    "wrong_weights",
]


def check_estimator(estimator: Any, task: str) -> None:
    """Refuse what cannot be fitted, and an estimator of the other task.

    Raises
    ------
    InputError
        If ``fit`` or ``predict`` is missing, the estimator cannot be pickled, or it is for the other task.
    """
    if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise InputError(
            f"estimator={estimator!r} is no estimator: it needs `fit` and `predict`. "
            "Give an object such as SVC(C=10), not a class or a name."
        )
    try:
        cloudpickle.dumps(estimator)
    except Exception as error:
        raise InputError(
            f"{type(estimator).__name__} cannot be pickled, so it cannot travel to a worker: {error}. Leave out what "
            "holds locks, files or connections, or make it in `fit`."
        ) from error
    wrong = is_regressor if task == "classification" else is_classifier
    if hasattr(estimator, "__sklearn_tags__") and wrong(estimator):
        other = "PartitionedRegressor" if task == "classification" else "PartitionedClassifier"
        raise InputError(f"{type(estimator).__name__} is not for {task}. Use {other}, or another estimator.")


def read_features(owner: Any, X: Any, template: Any, *, reset: bool, encoded: bool = False) -> Any:
    """Return features as a pandas DataFrame, an array or a CSR matrix, checked against what was fitted.

    Arrays must be numbers, without missing values where the template allows none and nothing is ``encoded`` before.
    The columns of a DataFrame are left to the encoder or the estimator.
    """
    X = as_features(X)
    if isinstance(X, pd.DataFrame):
        if X.shape[0] == 0 or X.shape[1] == 0:
            raise InputError(f"The table has shape {X.shape}: at least one row and one feature column are required.")
        validate_data(owner, X, reset=reset, skip_check_array=True)
        return X
    tags = get_tags(template).input_tags if hasattr(template, "__sklearn_tags__") else None
    checked = validate_data(
        owner,
        X,
        reset=reset,
        accept_sparse=["csr"] if not encoded and (tags is None or tags.sparse) else False,
        ensure_all_finite="allow-nan" if encoded else not (tags is None or tags.allow_nan),
    )
    return _short_indices(checked) if issparse(checked) else checked


def _short_indices(matrix: Any) -> Any:
    """Return the matrix with 32-bit indices where they suffice: many learners take no others."""
    if matrix.indices.dtype == np.int32 or max(*matrix.shape, matrix.nnz) > np.iinfo(np.int32).max:
        return matrix
    parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
    return type(matrix)(parts, shape=matrix.shape)


def read_scan(owner: Any, scan: Scan, template: Any, others: dict[str, Any]) -> None:
    """Check what can be checked of a table before it is read, and note its columns as scikit-learn does.

    Raises
    ------
    InputError
        If it names no target, has weights for a learner that takes none, or something was given beside it.
    """
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise InputError(
            f"{', '.join(given)} cannot be given beside a scan: they are columns of its table. Name them there: "
            "partwise.scan(data, target=…, weight=…, group=…, time=…)."
        )
    if scan.target is None:
        raise InputError("The scan names no target to fit on. Give it: partwise.scan(data, target=COLUMN).")
    if scan.weight is not None:
        check_takes_weights(template)
    validate_data(owner, pd.DataFrame(columns=list(scan.features)), reset=True, skip_check_array=True)


def check_takes_weights(template: Any) -> None:
    """Refuse weights for an estimator that takes none.

    Raises
    ------
    InputError
        If it takes none.
    """
    if not has_fit_parameter(template, "sample_weight"):
        raise InputError(
            f"{type(template).__name__} takes no sample_weight. Leave the weights out, or choose a learner that "
            "takes them."
        )


def wrong_weights(values: NDArray[np.float64]) -> dict[str, int]:
    """Return how many weights are wrong, by what is wrong with them; empty where all are good."""
    counts = {"missing (NaN) or infinite": int((~np.isfinite(values)).sum()), "negative": int((values < 0).sum())}
    return {what: count for what, count in counts.items() if count}


def read_weights(weights: Any, X: Any, template: Any) -> NDArray[np.float64] | None:
    """Return sample weights as an array, None where there are none.

    Raises
    ------
    InputError
        If the estimator takes no weights, a weight is negative, or all are zero.
    """
    if weights is None:
        return None
    check_takes_weights(template)
    values = np.asarray(weights, dtype=np.float64)
    for what, count in wrong_weights(values).items():
        raise InputError(f"sample_weight has {count:,} {what} values. Weights are zero or more.")
    if not values.any():
        raise InputError("sample_weight is zero on every row: no row would count. Give some rows a weight.")
    checked: NDArray[np.float64] = _check_sample_weight(values, X, dtype=np.float64)
    return checked
