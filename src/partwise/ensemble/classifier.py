"""The classifier."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.metaestimators import available_if

from partwise.checkpoints import Checkpoint
from partwise.digests import content_digest
from partwise.ensemble.base import PartitionedEstimator
from partwise.ensemble.elsewhere import check_models
from partwise.errors import InputError
from partwise.protocols import Combiner, Encoder, Executor, Partitioner
from partwise.records import Member
from partwise.selection import Auto
from partwise.targets import class_target

__all__ = ["PartitionedClassifier"]


class PartitionedClassifier(ClassifierMixin, PartitionedEstimator):
    """Classify with one model per partition of the rows, fitted in parallel and combined.

    Parameters
    ----------
    estimator
        Any scikit-learn-compatible classifier or Pipeline; None takes ``HistGradientBoostingClassifier()``. Open
        ``random_state`` parameters are seeded, ``n_jobs`` is set to ``cpus_per_member``, ``class_weight``
        dictionaries keep their meaning. Its classes are renumbered, so that a fitted member knows numbers, not
        labels.
    n_partitions
        How many partitions the rows are cut into; each is one task.
    partitioner
        ``stratified``, ``shuffled``, ``grouped``, ``ordered`` (samples of the table), ``clustered`` (cells of the
        feature space), ``replicated`` (all rows to each), or a settings object such as ``Clustered(overlap=0.1)``.
        None takes what suits ``combine``: ``stratified`` unless it routes or pools.
    combine
        For samples ``soft`` (mean of probabilities; of decision values where a member has none, of votes where it
        has neither), ``vote``, ``weighted`` (by size), ``weighted:score``, ``stack``, ``greedy``; for cells
        ``route``; ``pool`` where parts can be merged into one exact model (forests, naive Bayes, linear models,
        discriminants, neighbours); ``auto`` tries what suits the learner, and one model, on training rows; or a
        settings object such as ``Route(neighbours=3)``, ``Auto(budget=0.5)``. None takes what suits ``partitioner``:
        ``soft`` for samples.
    replication
        To how many partitions each row goes: accuracy for compute. Out-of-partition evidence then comes from the
        members that never saw the row.
    match_updates
        Whether learners that count passes over the rows (perceptrons, stochastic gradient descent) make as many
        updates on a partition as on the whole table, not as many passes: each member then costs about as much as
        one model.
    encoder
        None hands the columns to the learner as they are. ``table``, or an encoder object, turns raw columns
        (text, dates, missing values) into numbers; fitted once, shared by all members.
    executor
        ``ray`` (the Ray that is initialised, else one that is started on this machine and lives until the process
        ends) or ``inline`` (this process, one member after another: stops in a debugger).
    cpus_per_member
        CPUs that a member's fit reserves, and the number of its threads.
    out_of_partition
        Whether ``fit`` also predicts every training row by the members that never saw it. With ``combine="auto"``
        only where the choice keeps several members that are samples of the table.
    random_state
        Seed of the cut and of the members: the same table and seed give the same members on any executor.
    storage
        Where the partitions of a scan are stored: a folder that all nodes see, or a URI. None is ``partwise-store``
        in the working directory. The same rows cut in the same way are stored once, and used again by later fits.
    checkpoint
        A folder or URI in which finished members are kept: a fit of the same rows with the same settings that was
        stopped goes on where it was. ``Checkpoint(place, trust=True)`` also takes members over that hold code.
    on_failure, quorum
        What to do when a member cannot be fitted: ``raise``, or ``skip`` it while at least the share ``quorum`` of the
        members is there; ``failures_`` then has those that are not.
    verbose
        1 shows progress on stderr.

    Attributes
    ----------
    members_
        One ``Member`` for each partition, in order, with ``fit_seconds``, ``n_rows``, ``content_digest``.
    failures_
        One ``MemberFailure`` for each partition without a member.
    predictor_
        The members and what the combiner learned; needs no executor.
    classes_
        The class labels, (classes,).
    partitions_
        The sizes of the partitions, their class counts, and the positions of their rows (not those of a scan, or of
        rows that were added).
    n_rows_
        The number of training rows, with those that were added.
    recipe_
        How the rows were cut and the members combined: what was asked for, or what the data chose.
    leaderboard_, selection_reason_, selection_cpu_seconds_
        With ``combine="auto"``: what was tried, a DataFrame; a sentence that says why; the trials' processor seconds.
    timings_
        Seconds of ``encode``, ``select`` (auto), ``partition``, ``members``, ``combine`` and ``evidence``.
    fit_usage_
        What this process used for all but the last: seconds, CPU seconds, and private memory at its peak.
    combine_cpu_seconds_
        What the workers used for evidence that the combiner learned from: CPU seconds.
    out_of_partition_predictions_, out_of_partition_outputs_
        Labels and outputs for the training rows, each from the members that did not see it. With
        ``partitioner="ordered"`` most of those members saw later rows: that evidence looks into the future.
    out_of_partition_score_
        The accuracy of those predictions, rows weighted as in ``fit``: of an ensemble of k - ``replication`` members.
    out_of_partition_member_scores_
        Accuracy of each member on the rows outside its partition, weighted too.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PartitionedClassifier(SVC(), n_partitions=3, executor="inline", random_state=0).fit(X, y)
    >>> [member.n_rows for member in model.members_]
    [50, 50, 50]
    """

    _task = "classification"

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
        return HistGradientBoostingClassifier() if self.estimator is None else self.estimator

    def _targets(self, y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
        return class_target(y)

    def _decide(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        return self.classes_[outputs.argmax(axis=1)]

    def _labelled(self, model: Any, member: Member) -> Any:
        codes = np.arange(len(self.classes_)) if member.classes is None else member.classes
        _relabel(model, self.classes_[codes])
        return model

    def _has_probabilities(self) -> bool:
        if hasattr(self, "predictor_"):
            return bool(self.predictor_.kind == "probability")
        try:
            recipe = self._recipe(self._template())
        except InputError:  # it is for fit to say so
            recipe = None
        combined = "keeps" if recipe is None else recipe.combiner.probabilities
        return combined == "makes" or (combined == "keeps" and hasattr(self._template(), "predict_proba"))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, (rows, classes); only where members have them and they are kept, or a stack."""
        return self.predict_outputs(X)

    @available_if(lambda self: not self._has_probabilities())
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return decision values or shares of votes: (rows,) for two classes, else (rows, classes)."""
        outputs = self.predict_outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    @classmethod
    def from_members(
        cls, models: Sequence[Any], *, combine: str | Combiner = "soft", sizes: Sequence[float] | None = None
    ) -> Self:
        """Combine classifiers that were fitted elsewhere, each with its own ``classes_``.

        Parameters
        ----------
        models
            Fitted classifiers. They may know different classes; the union counts.
        combine
            As in the constructor. What needs training rows (``weighted:score``) is refused.
        sizes
            Training rows of each model, for ``combine="weighted"``.
        """
        check_models(models, sizes, "classes_")
        kinds = {np.asarray(model.classes_).dtype.kind in "biuf" for model in models}
        if len(kinds) > 1:
            raise InputError(
                "Some models know labels that are numbers, some that are texts. Fit them on one kind of label."
            )
        classes = np.unique(np.concatenate([np.asarray(model.classes_) for model in models]))
        members = [
            Member(
                partition=index,
                estimator=model,
                classes=np.searchsorted(classes, model.classes_),
                content_digest=content_digest(model),
                weight=1.0 if sizes is None else float(sizes[index]),
            )
            for index, model in enumerate(models)
        ]
        ensemble = cls._of_members(members, len(classes), combine)
        ensemble.classes_ = classes
        return ensemble


_LABEL_ENCODERS = ("_label_binarizer", "_label_encoder", "_le", "le_")
"""Where estimators keep what turns codes into labels, if ``classes_`` alone is not it."""


def _relabel(model: Any, labels: NDArray[Any]) -> None:
    """Give a fitted classifier, or the last step of a Pipeline, these labels in place of class codes.

    Raises
    ------
    InputError
        If the estimator computes its labels.
    """
    if hasattr(model, "steps"):
        _relabel(model.steps[-1][1], labels)
        return
    try:
        model.classes_ = labels
    except AttributeError as error:
        raise InputError(
            f"{type(model).__name__} computes its classes_, so it cannot be given the original labels. Fit it itself, "
            "or take predictor_.pool.members[0].estimator, which predicts class codes."
        ) from error
    for name in _LABEL_ENCODERS:
        if hasattr(model, name):
            getattr(model, name).classes_ = labels
