"""Members in one label space: the one place where their outputs are aligned to the classes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score

from partwise.aggregation import RULES
from partwise.errors import InputError, PredictionError
from partwise.moments import Moments
from partwise.records import Member, MemberEvidence, OutputKind

__all__ = ["AggregatedPredictor", "MemberPool", "member_losses", "member_scores", "score_of", "scores_of_losses"]

_ROUNDING = 1e-3
"""How far probabilities may be from what they should be: those of many classes in 32 bits are some 1e-5 off."""


@dataclass(frozen=True, slots=True)
class MemberPool:
    """All members, in the order of their partitions.

    ``n_classes`` is the size of the label space, None in regression. What a member does not know is filled in here:
    a class that its partition lacked has probability 0, or the smallest of the row's decision values; a member that
    saw one class alone gives it probability 1, or decision value 1 against -1.
    """

    members: tuple[Member, ...]
    n_classes: int | None
    kind: OutputKind

    @classmethod
    def of(cls, members: tuple[Member, ...], n_classes: int | None) -> Self:
        """Return the pool; probabilities where every member has them, else decision values, else votes."""
        if not members:
            raise InputError("A pool needs at least one member; got none.")
        ordered = tuple(sorted(members, key=lambda member: member.partition))
        if n_classes is None:
            return cls(ordered, None, "value")
        choosers = [m.estimator for m in ordered if m.classes is not None and len(m.classes) > 1]
        if all(hasattr(estimator, "predict_proba") for estimator in choosers):
            return cls(ordered, n_classes, "probability")
        if all(hasattr(estimator, "decision_function") for estimator in choosers):
            return cls(ordered, n_classes, "decision")
        return cls(ordered, n_classes, "vote")

    def outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the aligned outputs of every member, shape (members, rows, outputs).

        Raises
        ------
        PredictionError
            If a member gives NaN, infinite values, probabilities that are none, or a wrong number of columns; it is
            named.
        """
        return np.stack([self.member_outputs(member, X) for member in self.members])

    def member_outputs(self, member: Member, X: Any) -> NDArray[np.float64]:
        """Return the aligned outputs of one member, shape (rows, outputs)."""
        outputs = self._values(member, X) if member.classes is None else self._class_outputs(member, member.classes, X)
        if not np.isfinite(outputs).all():
            broken = int((~np.isfinite(outputs)).any(axis=1).sum())
            raise PredictionError(
                f"The member of partition {member.partition} gave NaN or infinite outputs for {broken:,} of "
                f"{len(outputs):,} rows. Leave it out with from_members, or fit it again with other settings."
            )
        return outputs

    @staticmethod
    def _values(member: Member, X: Any) -> NDArray[np.float64]:
        values = np.asarray(member.estimator.predict(X), dtype=np.float64)
        return values.reshape(len(values), -1)

    def _class_outputs(self, member: Member, classes: NDArray[np.int64], X: Any) -> NDArray[np.float64]:
        if self.kind == "vote":
            local = self._votes(member, classes, X)
            rest = np.zeros(len(local))
        elif len(classes) == 1:
            local = np.ones((_n_rows(X), 1))
            rest = np.full(len(local), 0.0 if self.kind == "probability" else -1.0)
        elif self.kind == "probability":
            local = np.asarray(member.estimator.predict_proba(X), dtype=np.float64)
            rest = np.zeros(len(local))
        else:
            local = np.asarray(member.estimator.decision_function(X), dtype=np.float64)
            local = np.column_stack([-local, local]) if local.ndim == 1 else local
            rest = local.min(axis=1)
        if local.shape[1] != len(classes):
            raise PredictionError(
                f"The member of partition {member.partition} gave {local.shape[1]} columns for {len(classes)} classes. "
                "Combine by votes (combine='vote'), or set the estimator to one column a class "
                "(decision_function_shape='ovr')."
            )
        if self.kind == "probability":
            _check_probabilities(member, local)
        aligned = np.repeat(rest[:, np.newaxis], self.n_classes or 0, axis=1)
        aligned[:, classes] = local
        return aligned

    @staticmethod
    def _votes(member: Member, classes: NDArray[np.int64], X: Any) -> NDArray[np.float64]:
        labels = np.asarray(member.estimator.predict(X))
        known = np.asarray(getattr(member.estimator, "classes_", np.arange(len(classes))))
        return (labels[:, np.newaxis] == known[np.newaxis, :]).astype(np.float64)


def _check_probabilities(member: Member, outputs: NDArray[np.float64]) -> None:
    """Refuse what would weigh more, or less, than what other members say."""
    wrong = (np.abs(outputs.sum(axis=1) - 1.0) > _ROUNDING) | (outputs < -_ROUNDING).any(axis=1)
    if wrong.any():
        raise PredictionError(
            f"The member of partition {member.partition} gave probabilities that are negative or do not sum to 1 for "
            f"{int(wrong.sum()):,} of {len(outputs):,} rows. Combine by votes (combine='vote'), leave it out with "
            "from_members, or fit it again with other settings."
        )


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


@dataclass(frozen=True, slots=True)
class AggregatedPredictor:
    """Members and a rule over their outputs: ``mean``, ``median`` or ``vote``, with a weight for each member.

    With ``bounded`` members keep to the range of the targets that they were fitted on.
    """

    pool: MemberPool
    rule: str
    weights: NDArray[np.float64]
    exactness: str = "approximate"
    bounded: bool = False

    block_rows = 8_192

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.pool.members):
            raise ValueError(f"{len(self.weights)} weights for {len(self.pool.members)} members")

    @property
    def kind(self) -> OutputKind:
        """What the outputs mean: shares of votes where the rule counts votes, else what the pool gives."""
        return "vote" if self.rule == "vote" else self.pool.kind

    def outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the combined outputs, shape (rows, outputs)."""
        return self.combine(self.pool.outputs(X))

    def combine(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the combination of members' outputs, (members, rows, outputs) to (rows, outputs); NaN is silence."""
        if self.bounded:
            outputs = np.stack([bounded(each, member) for each, member in zip(outputs, self.pool.members, strict=True)])
        return RULES[self.rule](outputs, self.weights)


def bounded(values: NDArray[np.float64], member: Member) -> NDArray[np.float64]:
    """Return a member's values, (rows, targets), within the range of the targets that it was fitted on, if known.

    Raises
    ------
    PredictionError
        If the member gives another number of targets than it was fitted on.
    """
    ends = member.target_range
    if ends is None:
        return values
    if ends.shape[1] != values.shape[1]:
        raise PredictionError(
            f"The member of partition {member.partition} gave {values.shape[1]} values a row, and was fitted on "
            f"{ends.shape[1]}. Fit it again."
        )
    return np.clip(values, *ends)


def member_losses(outputs: NDArray[np.float64], y: NDArray[Any], n_classes: int | None) -> NDArray[np.float64]:
    """Return what members' outputs, (members, rows, outputs), lose: errors (0 or 1), or squared errors."""
    if n_classes is None:
        return np.asarray(((outputs - np.asarray(y, dtype=np.float64).reshape(len(y), -1)) ** 2).mean(axis=2))
    return (outputs.argmax(axis=2) != y).astype(np.float64)


def member_scores(evidence: MemberEvidence, n_classes: int | None) -> NDArray[np.float64]:
    """Return each member's own score (accuracy, or R²) on the rows that it never saw, shape (members,)."""
    spoken = ~np.isnan(evidence.outputs[:, :, 0])
    weights = np.ones(len(evidence.y)) if evidence.weights is None else evidence.weights
    losses = np.where(spoken, member_losses(evidence.outputs, evidence.y, n_classes), 0.0) @ weights
    values = np.asarray(evidence.y, dtype=np.float64).reshape(len(evidence.y), -1)
    return scores_of_losses(losses, spoken @ weights, Moments.of(values, weights) if n_classes is None else None)


def scores_of_losses(
    losses: NDArray[np.float64], totals: NDArray[np.float64], target: Moments | None
) -> NDArray[np.float64]:
    """Return accuracies, or R², of members.

    Parameters
    ----------
    losses, totals
        Weighted sums of each member's losses, and of the weights of the rows that they are about; NaN is the score
        where there are none.
    target
        The moments of the target, for R²; None for accuracies.
    """
    means = np.divide(losses, totals, out=np.full(len(losses), np.nan), where=totals > 0)
    return np.asarray(1.0 - (means if target is None else means / target.variances.mean()))


def score_of(
    outputs: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None, n_classes: int | None
) -> float:
    """Return the accuracy, or R², of combined outputs, shape (rows, outputs)."""
    if n_classes is None:
        return float(r2_score(np.asarray(y).reshape(len(y), -1), outputs, sample_weight=weights))
    return float(accuracy_score(y, outputs.argmax(axis=1), sample_weight=weights))
