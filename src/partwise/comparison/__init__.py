"""Recipes and the single model side by side: the record, the verdict and the table of a comparison."""

from partwise.comparison.records import (
    Comparison,
    DifferenceReport,
    EnsembleReport,
    ModelReport,
    Training,
    json_schema,
)
from partwise.comparison.verdict import SCOPE

__all__ = ["SCOPE", "Comparison", "DifferenceReport", "EnsembleReport", "ModelReport", "Training", "json_schema"]
