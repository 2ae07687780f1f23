"""Write a model: members and encoder first, each under a temporary name, ``model.json`` last."""

import hashlib
import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from partwise import __version__
from partwise.errors import ModelStoreError
from partwise.filesystems import Folder
from partwise.model_store.objects import serialise
from partwise.model_store.plain import plain_array, plain_predictor
from partwise.model_store.stored import StoredModel
from partwise.records import Member

__all__ = ["FORMAT_VERSION", "MANIFEST", "save_model"]

FORMAT_VERSION = 2
"""1 had no ``feature_kinds``."""
MANIFEST = "model.json"

_LIBRARIES = (
    *("numpy", "pandas", "scikit-learn", "scipy", "skops", "skrub"),
    *("xgboost", "lightgbm", "catboost", "torch", "skorch"),
)
ARRAYS = ("classes", "class_counts", "target_range")


Place = TypeVar("Place", str, Path)


def save_model(directory: Place, model: StoredModel) -> Place:
    """Write a model into a directory, a path or a URI such as ``s3://…``, and return the directory.

    What skops cannot hold within partwise's list of types is written with cloudpickle, and a warning names it: such a
    model is loaded only with ``trust=True``.

    Raises
    ------
    ModelStoreError
        If the directory holds a model already, or a part of the model cannot be stored.
    """
    folder = Folder.at(directory)
    if folder.has(MANIFEST):
        raise ModelStoreError(f"{folder.shown()} holds a model already. Choose another directory, or delete this one.")
    predictor = plain_predictor(model.predictor)
    classes = plain_array(model.classes)
    pickled: list[str] = []
    pool = model.predictor.pool
    members = [
        _plain_member(member) | _write_object(folder, f"members/{index:04d}", member.estimator, pickled)
        for index, member in enumerate(pool.members)
    ]
    encoder = None if model.encoder is None else _write_object(folder, "encoder", model.encoder, pickled)
    manifest = {
        "format_version": FORMAT_VERSION,
        "versions": _versions(),
        "task": model.task,
        "kind": pool.kind,
        "n_classes": pool.n_classes,
        "classes": classes,
        "feature_names": None if model.feature_names is None else list(model.feature_names),
        "feature_kinds": None if model.feature_kinds is None else dict(model.feature_kinds),
        "predictor": predictor,
        "encoder": encoder,
        "members": members,
        "missing": list(model.missing),
    }
    _write(folder, MANIFEST, _json(manifest).encode())
    if pickled:
        _warn(folder, pickled)
    return directory


def _plain_member(member: Member) -> dict[str, Any]:
    names = [field.name for field in fields(Member) if field.name != "estimator"]
    return {name: plain_array(getattr(member, name)) if name in ARRAYS else getattr(member, name) for name in names}


def _write_object(folder: Folder, stem: str, thing: Any, pickled: list[str]) -> dict[str, str]:
    file_format, data = serialise(thing)
    name = f"{stem}.{file_format}"
    _write(folder, name, data)
    if file_format == "cloudpickle":
        pickled.append(f"{name} ({type(thing).__module__}.{type(thing).__qualname__})")
    return {"file": name, "format": file_format, "sha256": hashlib.sha256(data).hexdigest()}


def _write(folder: Folder, name: str, data: bytes) -> None:
    try:
        folder.write(name, data)
    except OSError as error:
        raise ModelStoreError(
            f"{folder.shown(name)} cannot be written: {error.strerror or error}. Choose another directory."
        ) from error


def _json(manifest: Mapping[str, Any]) -> str:
    try:
        return json.dumps(manifest, indent=2, allow_nan=False, default=_scalar) + "\n"
    except (TypeError, ValueError) as error:
        raise ModelStoreError(
            f"model.json cannot hold this model: {error}. Use finite numbers in its settings."
        ) from error


def _scalar(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is neither number nor text")


def _versions() -> dict[str, str]:
    versions = {"partwise": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:  # an extra that this machine does without
            continue
    return versions


def _warn(folder: Folder, pickled: list[str]) -> None:
    shown = ", ".join(pickled[:3]) + (f" and {len(pickled) - 3} more" if len(pickled) > 3 else "")
    warnings.warn(
        f"The model in {folder.shown()} has parts that hold code, written with cloudpickle: {shown}. "
        "Loading them runs that code, so load_model needs trust=True.",
        UserWarning,
        stacklevel=3,
    )
