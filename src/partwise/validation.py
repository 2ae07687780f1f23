"""Check what is given to `fit` and `predict`: one clear error before any worker starts."""

from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import check_array, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d, has_fit_parameter, validate_data

from partwise.errors import InputError
from partwise.sources import Scan
from partwise.sources.memory import as_features, as_target

__all__ = [
    "check_estimator",
    "check_takes_weights",
    "class_target",
    "read_features",
    "read_scan",
    "read_weights",
    "value_target",
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
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise InputError(f"sample_weight has {broken:,} missing (NaN) or infinite values. Weights are zero or more.")
    negative = int((values < 0).sum())
    if negative:
        raise InputError(f"sample_weight has {negative:,} negative values. Weights are zero or more.")
    if not values.any():
        raise InputError("sample_weight is zero on every row: no row would count. Give some rows a weight.")
    checked: NDArray[np.float64] = _check_sample_weight(values, X, dtype=np.float64)
    return checked


def class_target(y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted class labels and the class code of each row.

    Raises
    ------
    InputError
        If there are several targets, missing labels, or fewer than two classes.
    """
    labels = np.asarray(as_target(y)) if not hasattr(y, "__array_namespace__") else np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise InputError(
            f"y has {labels.shape[1]} targets; a classifier takes one. For several, wrap it: "
            "sklearn.multioutput.MultiOutputClassifier(PartitionedClassifier(...))."
        )
    labels = column_or_1d(labels, warn=True)
    missing = int(pd.isna(labels).sum())
    if missing:
        raise InputError(f"The target has {missing:,} missing values (NaN). Drop those rows, or fill them in.")
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"The target has 1 class only ({classes.tolist()}): there is nothing to tell apart. "
            "Check the target column and how the rows were chosen."
        )
    return classes, codes.astype(np.int64)


def value_target(y: Any, template: Any) -> NDArray[np.float64]:
    """Return regression targets, shape (rows,), or (rows, targets) where the estimator takes several.

    Raises
    ------
    InputError
        If values are missing or infinite, or there are more targets than the estimator takes.
    """
    values = np.asarray(as_target(y))
    if values.ndim == 2 and values.shape[1] > 1:
        if not get_tags(template).target_tags.multi_output:
            raise InputError(
                f"y has {values.shape[1]} targets; {type(template).__name__} takes one. For several, wrap it: "
                f"sklearn.multioutput.MultiOutputRegressor({type(template).__name__}(...))."
            )
        return check_array(values, dtype=np.float64, input_name="y")
    values = column_or_1d(values, dtype=np.float64, warn=True)
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise InputError(f"The target has {broken:,} missing (NaN) or infinite values. Drop those rows.")
    return values
