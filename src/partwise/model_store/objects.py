"""Estimators and encoders as bytes: skops within our list of types, cloudpickle for the rest."""

import pickle
from typing import Any
from zipfile import ZIP_DEFLATED

import cloudpickle
from skops import io as skops_io

from partwise.errors import MissingExtraError, ModelStoreError
from partwise.model_store.trusted import trusted_types

__all__ = ["FORMATS", "deserialise", "serialise"]

FORMATS = ("skops", "cloudpickle")
"""Names of the formats; also the endings of the files. Reading the second runs code that the file brings."""

_EXTRAS = {"catboost": "boosting", "lightgbm": "boosting", "skorch": "torch", "torch": "torch", "xgboost": "boosting"}
_LEVEL = 1  # at level 6 files are 5 % to 15 % smaller, and forests take twice as long


def serialise(thing: Any) -> tuple[str, bytes]:
    """Return the format and the bytes of a fitted estimator or encoder.

    Raises
    ------
    ModelStoreError
        If neither format can hold it.
    """
    try:
        data = skops_io.dumps(thing, compression=ZIP_DEFLATED, compresslevel=_LEVEL)
        names = skops_io.get_untrusted_types(data=data)
    except Exception:  # noqa: BLE001 - whatever skops cannot hold goes to the other format, which has its own error
        return "cloudpickle", _pickled(thing)
    if set(names) <= trusted_types(names):
        return "skops", data
    return "cloudpickle", _pickled(thing)


def _pickled(thing: Any) -> bytes:
    try:
        return cloudpickle.dumps(thing, protocol=5)
    except Exception as error:
        raise ModelStoreError(
            f"{type(thing).__module__}.{type(thing).__qualname__} cannot be stored: {type(error).__name__}: {error}. "
            "Remove what cannot be pickled (open files, locks, connections) from the estimator."
        ) from error


def deserialise(data: bytes, file_format: str, source: str) -> Any:
    """Return the object in these bytes; the caller has decided whether cloudpickle may run.

    Parameters
    ----------
    source
        Which file it is, for messages.

    Raises
    ------
    MissingExtraError
        If a library of one of the extras is needed and not installed.
    ModelStoreError
        If the bytes hold types outside our list, or cannot be read by the libraries installed here.
    """
    try:
        # Cloudpickle data is read by pickle itself; the user said trust=True.
        return pickle.loads(data) if file_format == "cloudpickle" else _read_skops(data, source)  # noqa: S301
    except ModelStoreError:
        raise
    except ModuleNotFoundError as error:
        raise _lacking(error, source) from error
    except Exception as error:
        raise ModelStoreError(
            f"{source} cannot be read by the libraries installed here ({type(error).__name__}: {error}). "
            "Install the versions that model.json lists under 'versions', or store the model again."
        ) from error


def _lacking(error: ModuleNotFoundError, source: str) -> ImportError | ModelStoreError:
    missing = (error.name or "").partition(".")[0]
    if missing in _EXTRAS:
        return MissingExtraError(
            f"{source} needs {missing}, which is not installed. Run: pip install 'partwise[{_EXTRAS[missing]}]'."
        )
    return ModelStoreError(
        f"{source} needs the module {missing!r}, which cannot be imported here. Install it, or put the file that "
        "defines it on the Python path."
    )


def _read_skops(data: bytes, source: str) -> Any:
    names = skops_io.get_untrusted_types(data=data)
    trusted = trusted_types(names)
    refused = sorted(set(names) - trusted)
    if refused:
        raise ModelStoreError(
            f"{source} is refused: it holds types that partwise does not trust: {', '.join(refused)}. partwise writes "
            "no such file; get the model from where it was stored."
        )
    return skops_io.loads(data, trusted=sorted(trusted))
