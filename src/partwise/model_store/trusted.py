"""The types that a model file may hold: our own list, never the file's."""

from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module

__all__ = ["TRUSTED", "trusted_types"]

_SKLEARN = (
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(
        f"sklearn.gaussian_process.kernels.{kernel}"
        for kernel in (
            "CompoundKernel",
            "ConstantKernel",
            "DotProduct",
            "ExpSineSquared",
            "Exponentiation",
            "Matern",
            "PairwiseKernel",
            "Product",
            "RBF",
            "RationalQuadratic",
            "Sum",
            "WhiteKernel",
        )
    ),
    *(
        f"sklearn.metrics._dist_metrics.{metric}Distance{bits}"
        for metric in ("Chebyshev", "Euclidean", "Hamming", "Manhattan", "Minkowski", "SEuclidean")
        for bits in ("", "32", "64")
    ),
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._ball_tree.BallTree32",
    "sklearn.neighbors._ball_tree.BallTree64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._kd_tree.KDTree32",
    "sklearn.neighbors._kd_tree.KDTree64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
)

_BOOSTING = (
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRegressor",
)
"""Held as the bytes of the libraries' own formats, inside the skops file."""

_CONTAINERS = (
    "collections.OrderedDict",
    "functools.partial",  # skops checks the function inside it against this same list
    "numpy.dtype",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",
)

TRUSTED: frozenset[str] = frozenset(_SKLEARN + _BOOSTING + _CONTAINERS)
"""What fitted learners hold beyond the types that skops trusts by itself; none runs code that a file brings."""


_ROOMS = (
    (("partwise.merging.",), "partwise.merging"),
    (("partwise.learners.",), "partwise.learners.trusted"),
    # Its import loads skrub, seconds that a model without an encoder need not wait.
    (("partwise.", "skrub."), "partwise.encoders"),
)
"""Which type names may be listed by which room, or file of one, in its ``TRUSTED_TYPES``; loaded for such names."""


def trusted_types(names: Iterable[str]) -> frozenset[str]:
    """Return our list, with those of the merges and the encoders where one of these type names could be theirs."""
    trusted, foreign = TRUSTED, set(names)
    for prefixes, room in _ROOMS:
        if any(name.startswith(prefixes) for name in foreign - trusted):
            trusted |= _types_of(room)
    return trusted


@lru_cache
def _types_of(room: str) -> frozenset[str]:
    return frozenset(import_module(room).TRUSTED_TYPES)
