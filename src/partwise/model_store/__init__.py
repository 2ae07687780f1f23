"""Models on disk: read back without running code that a file brings, unless the user trusts it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from partwise.model_store.loading import load_model
from partwise.model_store.objects import deserialise, serialise
from partwise.model_store.saving import MANIFEST, save_model
from partwise.model_store.stored import StoredModel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MANIFEST", "StoredModel", "deserialise", "load_model", "save_model", "serialise"]


def _load_pyfunc(path: str, model_config: "Mapping[str, Any] | None" = None) -> StoredModel:
    """Return the model in a directory: MLflow's hook for ``mlflow.pyfunc.load_model``.

    MLflow hands over what its ``MLmodel`` file and the caller say; ``{"trust": True}`` allows parts that hold code.
    MLflow itself imports whatever module that file names, so ``mlflow.pyfunc.load_model`` is for stores one trusts.
    """
    return load_model(Path(path), trust=bool((model_config or {}).get("trust", False)))
