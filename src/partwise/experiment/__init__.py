"""From a configuration to a finished, recorded comparison, training or prediction."""

from partwise.experiment.checking import configured
from partwise.experiment.pipeline import ComparisonRun, compare
from partwise.experiment.planning import TrainingPlan, plan_training
from partwise.experiment.predicting import PredictConfig, Predicted, predict
from partwise.experiment.resuming import ResumeConfig, resume
from partwise.experiment.syncing import Synced, sync
from partwise.experiment.training import TrainingRun, train
from partwise.experiment.tuning import TuningRun, tune

__all__ = [
    "ComparisonRun",
    "PredictConfig",
    "Predicted",
    "ResumeConfig",
    "Synced",
    "TrainingPlan",
    "TrainingRun",
    "TuningRun",
    "compare",
    "configured",
    "plan_training",
    "predict",
    "resume",
    "sync",
    "train",
    "tune",
]
