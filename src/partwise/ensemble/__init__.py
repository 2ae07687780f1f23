"""The estimators: one model per partition, combined into one predictor."""

from partwise.ensemble.additions import Addition
from partwise.ensemble.classifier import PartitionedClassifier
from partwise.ensemble.regressor import PartitionedRegressor

__all__ = ["Addition", "PartitionedClassifier", "PartitionedRegressor"]
