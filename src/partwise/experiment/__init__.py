"""From a configuration to a finished, recorded comparison."""

from partwise.experiment.pipeline import ComparisonRun, compare

__all__ = ["ComparisonRun", "compare"]
