"""Read a model: everything is checked before anything is deserialised."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from partwise.errors import ModelStoreError
from partwise.filesystems import Folder
from partwise.model_store.objects import FORMATS, deserialise
from partwise.model_store.plain import array_of, predictor_of
from partwise.model_store.saving import ARRAYS, FORMAT_VERSION, MANIFEST
from partwise.model_store.stored import StoredModel
from partwise.pool import MemberPool
from partwise.records import Member, OutputKind

__all__ = ["load_model"]

_REQUIRED = ("task", "kind", "n_classes", "classes", "feature_names", "predictor", "encoder", "members")
_READABLE = (1, FORMAT_VERSION)
_TASKS = ("classification", "regression")
_AGAIN = "Store the model again, or restore the directory from where it was copied."


def load_model(directory: str | Path, *, trust: bool = False) -> StoredModel:
    """Read a model from a directory, a path or a URI such as ``s3://…``.

    Parameters
    ----------
    trust
        Whether parts that hold code may run it. Without it only types on partwise's own list are made. A file that
        was made to harm can still crash the libraries that read it; for strangers' models that takes a sandbox.

    Raises
    ------
    ModelStoreError
        If a file is missing or changed, is of another format version, holds code without ``trust``, or holds types
        that are not on the list.
    """
    folder = Folder.at(directory)
    manifest = _read_manifest(folder)
    parts = [*manifest["members"], *([manifest["encoder"]] if manifest["encoder"] else [])]
    for part in parts:
        _check_part(folder, part, trust=trust)
    for part in parts:
        _check_digest(folder, part)
    try:
        return _model(folder, manifest)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ModelStoreError(
            f"{folder.shown(MANIFEST)} has a wrong value ({type(error).__name__}: {error}). {_AGAIN}"
        ) from error


def _model(folder: Folder, manifest: Mapping[str, Any]) -> StoredModel:
    classes, names = array_of(manifest["classes"]), manifest["feature_names"]
    kinds = manifest.get("feature_kinds")
    if manifest["n_classes"] != (None if classes is None else len(classes)):
        raise ValueError(f"n_classes is {manifest['n_classes']!r}")
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names is not None and not (texts and len(set(names)) == len(names)):
        raise ValueError(f"feature_names is {names!r}")
    if (manifest["kind"] == "value") != (classes is None):
        raise ValueError(f"outputs of kind {manifest['kind']!r} for {manifest['n_classes']} classes")
    members = tuple(_member(folder, part) for part in manifest["members"])
    for member in members:
        _check_member(member, manifest["n_classes"])
    return StoredModel(
        task=manifest["task"],
        classes=classes,
        encoder=_object(folder, manifest["encoder"]) if manifest["encoder"] else None,
        predictor=predictor_of(manifest["predictor"], MemberPool(members, manifest["n_classes"], manifest["kind"])),
        feature_names=None if names is None else tuple(names),
        feature_kinds=None if kinds is None else {str(name): str(kind) for name, kind in dict(kinds).items()},
        missing=tuple(map(str, manifest.get("missing", ()))),
    )


def _read_manifest(folder: Folder) -> dict[str, Any]:
    path = folder.shown(MANIFEST)
    try:
        manifest = json.loads(folder.read(MANIFEST))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelStoreError(
            f"{folder.shown()} holds no model: there is no {MANIFEST}. Give the directory that save_model returned, "
            "such as the `model` of a run directory."
        ) from error
    except (OSError, ValueError) as error:
        raise ModelStoreError(f"{path} cannot be read, or is damaged or cut ({error}). {_AGAIN}") from error
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if found not in _READABLE:
        raise ModelStoreError(
            f"{path} has format version {found!r}; this partwise reads {' and '.join(map(str, _READABLE))}. "
            "Load it with the version of partwise that stored it."
        )
    missing = [name for name in _REQUIRED if name not in manifest]
    if missing:
        raise ModelStoreError(f"{path} lacks {', '.join(missing)}. {_AGAIN}")
    if not isinstance(manifest["members"], list) or not manifest["members"]:
        raise ModelStoreError(f"{path} lists no members. {_AGAIN}")
    for name, valid in (("task", _TASKS), ("kind", get_args(OutputKind))):
        if manifest[name] not in valid:
            raise ModelStoreError(f"{path} has {name} {manifest[name]!r}. Valid: {', '.join(valid)}. {_AGAIN}")
    return manifest


def _check_part(folder: Folder, part: Any, *, trust: bool) -> None:
    """Refuse a file that lies elsewhere, is of no known format, or may not be read without trust."""
    name = part.get("file") if isinstance(part, Mapping) else part
    if not isinstance(name, str) or not isinstance(part, Mapping) or "\0" in name:
        raise ModelStoreError(f"{folder.shown(MANIFEST)} names the file {name!r}: not a name. {_AGAIN}")
    if not folder.holds(name):
        raise ModelStoreError(f"{folder.shown(MANIFEST)} names {name!r}, outside of the model's directory. {_AGAIN}")
    if part.get("format") not in FORMATS:
        raise ModelStoreError(f"{name} is of format {part.get('format')!r}. Valid: {', '.join(FORMATS)}. {_AGAIN}")
    if part["format"] == "cloudpickle" and not trust:
        raise ModelStoreError(
            f"{folder.shown(name)} holds code (cloudpickle), which loading would run. If you trust where the model "
            "comes from, load it with trust=True."
        )


def _check_digest(folder: Folder, part: Mapping[str, Any]) -> None:
    path = folder.shown(part["file"])
    try:
        found = folder.digest(part["file"])
    except OSError as error:
        raise ModelStoreError(f"{path} cannot be read ({error.strerror or error}). {_AGAIN}") from error
    if found != part.get("sha256"):
        raise ModelStoreError(
            f"{path} was changed or damaged: its SHA-256 is {found}, {MANIFEST} says {part.get('sha256')}. {_AGAIN}"
        )


def _object(folder: Folder, part: Mapping[str, Any]) -> Any:
    return deserialise(folder.read(part["file"]), part["format"], folder.shown(part["file"]))


def _member(folder: Folder, part: Mapping[str, Any]) -> Member:
    values = {field.name: part[field.name] for field in fields(Member) if field.name in part}
    for name in ARRAYS:
        values[name] = array_of(part.get(name))
    return Member(**values | {"estimator": _object(folder, part)})


def _check_member(member: Member, n_classes: int | None) -> None:
    """Refuse codes of classes that are none, and ranges that have no two ends."""
    classes, ends = member.classes, member.target_range
    if (classes is None) != (n_classes is None):
        raise ValueError(f"the member of partition {member.partition} has the classes {classes} of {n_classes}")
    if classes is not None and n_classes is not None:
        codes = np.asarray(classes)
        if codes.ndim != 1 or codes.dtype.kind not in "iu" or not np.isin(codes, np.arange(n_classes)).all():
            raise ValueError(f"the member of partition {member.partition} has the classes {classes} of {n_classes}")
    if ends is not None and (np.ndim(ends) != 2 or len(ends) != 2 or np.asarray(ends).dtype.kind != "f"):
        raise ValueError(f"the member of partition {member.partition} has the targets {ends}")
