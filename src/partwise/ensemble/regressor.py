"""The regressor."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from partwise.checkpoints import Checkpoint
from partwise.digests import content_digest
from partwise.ensemble.base import PartitionedEstimator
from partwise.ensemble.elsewhere import check_models
from partwise.protocols import Combiner, Encoder, Executor, Partitioner
from partwise.records import Member
from partwise.selection import Auto
from partwise.targets import value_target

__all__ = ["PartitionedRegressor"]


class PartitionedRegressor(RegressorMixin, PartitionedEstimator):
    """Predict numbers with one model per partition of the rows, fitted in parallel and combined.

    Parameters
    ----------
    estimator
        Any scikit-learn-compatible regressor or Pipeline; None takes ``HistGradientBoostingRegressor()``.
    n_partitions, replication, match_updates, encoder, executor, cpus_per_member, out_of_partition
        As in :class:`PartitionedClassifier`.
    random_state, verbose
        As in :class:`PartitionedClassifier`.
    partitioner
        ``shuffled``, ``grouped``, ``ordered``, ``clustered``, ``replicated``, or a settings object. None takes what
        suits ``combine``: ``shuffled`` unless it routes or pools.
    combine
        For samples ``mean``, ``median``, ``weighted`` (by size), ``weighted:score``, ``stack``, ``greedy``; for cells
        ``route``; ``pool`` where parts can be merged into one exact model; ``auto``; or a settings object such as
        ``Weighted(by="score")``. None takes what suits ``partitioner``: ``mean`` for samples.

    Attributes
    ----------
    members_, failures_, predictor_, partitions_, recipe_, leaderboard_, selection_reason_
        As in :class:`PartitionedClassifier`.
    timings_, fit_usage_, combine_cpu_seconds_
        As in :class:`PartitionedClassifier`.
    out_of_partition_predictions_, out_of_partition_score_, out_of_partition_member_scores_
        As in :class:`PartitionedClassifier`; scores are R².

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = PartitionedRegressor(Ridge(), n_partitions=2, executor="inline", random_state=0).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    """

    _task = "regression"

    def __init__(  # noqa: PLR0913 - scikit-learn: every setting is a constructor parameter
        self,
        estimator: Any = None,
        *,
        n_partitions: int = 8,
        partitioner: str | Partitioner | None = None,
        combine: str | Combiner | Auto | None = None,
        replication: int = 1,
        match_updates: bool = False,
        encoder: str | Encoder | None = None,
        executor: str | Executor = "ray",
        cpus_per_member: int = 1,
        out_of_partition: bool = False,
        random_state: Any = None,
        storage: str | None = None,
        checkpoint: str | Checkpoint | None = None,
        on_failure: str = "raise",
        quorum: float = 0.9,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            estimator,
            n_partitions=n_partitions,
            partitioner=partitioner,
            combine=combine,
            replication=replication,
            match_updates=match_updates,
            encoder=encoder,
            executor=executor,
            cpus_per_member=cpus_per_member,
            out_of_partition=out_of_partition,
            random_state=random_state,
            storage=storage,
            checkpoint=checkpoint,
            on_failure=on_failure,
            quorum=quorum,
            verbose=verbose,
        )

    def _template(self) -> Any:
        return HistGradientBoostingRegressor() if self.estimator is None else self.estimator

    def _targets(self, y: Any) -> tuple[None, NDArray[np.float64]]:
        return None, value_target(y, self._template())

    def _decide(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    @classmethod
    def from_members(
        cls, models: Sequence[Any], *, combine: str | Combiner = "mean", sizes: Sequence[float] | None = None
    ) -> Self:
        """Combine regressors that were fitted elsewhere; see :meth:`PartitionedClassifier.from_members`."""
        check_models(models, sizes, "predict")
        members = [
            Member(
                partition=index,
                estimator=model,
                classes=None,
                content_digest=content_digest(model),
                weight=1.0 if sizes is None else float(sizes[index]),
            )
            for index, model in enumerate(models)
        ]
        return cls._of_members(members, None, combine)
