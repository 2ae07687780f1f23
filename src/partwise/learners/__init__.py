"""Base learners by name: an unfitted estimator, and what it needs of the encoder."""

from partwise.learners.making import check_learner_name, learner_names, make_learner
from partwise.learners.parsing import parse_parameters

__all__ = ["check_learner_name", "learner_names", "make_learner", "parse_parameters"]
