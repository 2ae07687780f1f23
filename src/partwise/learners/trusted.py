"""The learners of our own that a model file may hold."""

__all__ = ["TRUSTED_TYPES"]

TRUSTED_TYPES: tuple[str, ...] = (
    "partwise.learners.catboost_trees.CatBoostTreesClassifier",
    "partwise.learners.catboost_trees.CatBoostTreesRegressor",
    "partwise.learners.lightgbm_trees.LightGBMClassifier",
    "partwise.learners.lightgbm_trees.LightGBMRegressor",
    "partwise.learners.torch_mlp.TorchMLPClassifier",
    "partwise.learners.torch_mlp.TorchMLPRegressor",
    "partwise.learners.xgboost_trees.XGBoostClassifier",
    "partwise.learners.xgboost_trees.XGBoostRegressor",
)
"""Type names; what these hold is arrays, numbers and texts, beside the libraries' own formats."""
