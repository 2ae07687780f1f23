"""The learners of our own that a model file may hold."""

__all__ = ["TRUSTED_TYPES"]

TRUSTED_TYPES: tuple[str, ...] = (
    "partwise.learners.torch_mlp.TorchMLPClassifier",
    "partwise.learners.torch_mlp.TorchMLPRegressor",
)
"""Type names; what these hold is arrays, numbers and texts, beside the libraries' own formats."""
