"""Trackers: consumers of a run's journal."""

from importlib import import_module

from partwise.credentials import without_credentials
from partwise.protocols import Tracker
from partwise.trackers.null import NullTracker

__all__ = ["NullTracker", "make_tracker", "without_credentials"]


def make_tracker(uri: str | None, experiment: str) -> Tracker:
    """Return the tracker for a tracking URI.

    Parameters
    ----------
    uri
        Where MLflow keeps runs; ``off`` for no tracking; None for ``mlflow.db`` in the working directory, where
        MLflow's own commands look for it.
    experiment
        The name of the MLflow experiment; it is made where it does not exist.
    """
    if uri == "off":
        return NullTracker()
    # Not at the top: MLflow takes seconds to load, and only this one file knows it.
    module = import_module("partwise.trackers.mlflow_runs")
    tracker: Tracker = module.MlflowTracker(uri or "sqlite:///mlflow.db", experiment)
    return tracker
