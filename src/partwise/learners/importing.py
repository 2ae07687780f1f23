"""Import an estimator that is named by its path, ``package.module:Name`` or ``file.py:name``."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import get_tags

from partwise.errors import InputError
from partwise.records import LearnerNeeds

__all__ = ["found_estimator", "load", "needs_of"]

_METHODS = ("fit", "predict", "get_params", "set_params")


def load(path: str) -> Any:
    """Return what stands under ``package.module:Name`` or ``file.py:name``; errors of the import are the caller's."""
    module, _, name = path.rpartition(":")
    return attrgetter(name)(_module_of_file(Path(module)) if module.endswith(".py") else import_module(module))


def _module_of_file(file: Path) -> ModuleType:
    """Return the module in a file, run once; its classes travel to workers as they are: no worker needs the file."""
    found = sys.modules.get(file.stem)
    if found is not None and Path(getattr(found, "__file__", None) or ".").resolve() == file.resolve():
        return found
    spec = spec_from_file_location(file.stem, file)
    if found is not None or spec is None or spec.loader is None:
        raise ImportError(f"there is a module {file.stem!r} already: rename the file")
    module = module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
    cloudpickle.register_pickle_by_value(module)
    return module


def found_estimator(path: str, task: str) -> Any:
    """Return a new, unfitted estimator for this task from a class, an instance or a factory without arguments.

    Raises
    ------
    InputError
        When it cannot be imported or made, or is no scikit-learn-compatible estimator for this task.
    """
    try:
        found = load(path)
    except Exception as error:  # what is imported is a user's own file, and may do anything
        raise InputError(
            f"Learner {path!r} cannot be imported: {type(error).__name__}: {error}. Valid: package.module:Class, "
            "importable in this Python, or file.py:name. Install the package, or start where its module lies."
        ) from error
    estimator = _unfitted(found, path)
    absent = [method for method in _METHODS if not callable(getattr(estimator, method, None))]
    if absent:
        raise InputError(
            f"Learner {path!r} gives a {type(estimator).__name__}, which has no {', '.join(absent)}. Valid: an "
            "estimator class, an estimator such as a Pipeline, or a function without arguments that returns one."
        )
    _refuse_other_task(estimator, path, task)
    return estimator


def needs_of(estimator: Any) -> LearnerNeeds:
    """Return the needs of an estimator of which nothing is known but its scikit-learn tags."""
    tags = _tags(estimator)
    return LearnerNeeds(impute=tags is None or not tags.input_tags.allow_nan)


def _unfitted(found: Any, path: str) -> Any:
    if hasattr(found, "get_params") and not isinstance(found, type):
        # a copy: the instance in its module stays as its author left it
        return clone(found)
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:  # as above
        raise InputError(
            f"Learner {path!r} cannot be made without arguments: {type(error).__name__}: {error}. Valid: a class whose "
            "arguments all have defaults, an estimator, or a function without arguments. Write such a function, and "
            "name it instead."
        ) from error


def _refuse_other_task(estimator: Any, path: str, task: str) -> None:
    if _tags(estimator) is None:
        return
    actual = {"classification": is_classifier(estimator), "regression": is_regressor(estimator)}
    if any(actual.values()) and not actual[task]:
        other = next(name for name, holds in actual.items() if holds)
        raise InputError(
            f"Learner {path!r} is for {other}, but the task is {task}. Valid: an estimator for {task}. "
            f"Name one, or set the task to {other}."
        )


def _tags(estimator: Any) -> Any:
    try:
        return get_tags(estimator)
    except (AttributeError, TypeError):  # an estimator that is compatible, but not derived from BaseEstimator
        return None
