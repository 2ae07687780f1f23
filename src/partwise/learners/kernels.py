"""Kernel machines in a few hundred features: an approximation of the RBF kernel, and a linear model on it.

Members of this kind cost time in proportion to their rows, where an SVC's grows with the square.
"""

from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

__all__ = [
    "nystroem_classifier",
    "nystroem_regressor",
    "random_features_classifier",
    "random_features_regressor",
]

_LANDMARKS = 300
_WAVES = 1_000
_STEPS = 1_000


def nystroem_classifier() -> Pipeline:
    """Return logistic regression on similarities to some rows (Williams and Seeger, 2001)."""
    return Pipeline([("nystroem", Nystroem(n_components=_LANDMARKS)), ("linear", LogisticRegression(max_iter=_STEPS))])


def nystroem_regressor() -> Pipeline:
    """Return ridge regression on similarities to some rows."""
    return Pipeline([("nystroem", Nystroem(n_components=_LANDMARKS)), ("linear", Ridge())])


def random_features_classifier() -> Pipeline:
    """Return logistic regression on random Fourier features (Rahimi and Recht, 2007)."""
    return Pipeline([("features", _waves()), ("linear", LogisticRegression(max_iter=_STEPS))])


def random_features_regressor() -> Pipeline:
    """Return ridge regression on random Fourier features."""
    return Pipeline([("features", _waves()), ("linear", Ridge())])


def _waves() -> RBFSampler:
    return RBFSampler(gamma="scale", n_components=_WAVES)
