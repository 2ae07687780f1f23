"""From a configuration to a finished, recorded comparison, training or prediction."""

from partwise.experiment.pipeline import ComparisonRun, compare
from partwise.experiment.planning import TrainingPlan, plan_training
from partwise.experiment.predicting import PredictConfig, Predicted, predict
from partwise.experiment.training import TrainingRun, train

__all__ = [
    "ComparisonRun",
    "PredictConfig",
    "Predicted",
    "TrainingPlan",
    "TrainingRun",
    "compare",
    "plan_training",
    "predict",
    "train",
]
