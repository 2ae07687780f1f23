"""What both estimators share: settings, the steps of a fit, and outputs."""

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from partwise.assembling import assemble
from partwise.checkpoints import Checkpoint
from partwise.choosing import choose_recipe
from partwise.combiners import make_combiner
from partwise.ensemble.additions import Addition, codes_among
from partwise.ensemble.elsewhere import NoRows
from partwise.errors import InputError, unknown_choice
from partwise.executors import make_executor, with_one_cpu
from partwise.fitting import FitJob
from partwise.learners.updates import passes_of
from partwise.membership import AddedTable, Membership
from partwise.model_store import StoredModel
from partwise.pool import MemberPool
from partwise.prediction import predict_outputs
from partwise.protocols import Aggregate, Combiner, Encoder, Executor, Partitioner, Table
from partwise.recipes import Recipe, make_recipe, recipes_for
from partwise.records import Evidence, Member, Part
from partwise.resources import Stopwatch, measure_usage
from partwise.selection import Auto, asked_for, check_choice
from partwise.sources import Scan
from partwise.stores import PartitionStore
from partwise.tables import GivenRows, MemoryTable, ScannedRows, as_frame, predict_scan
from partwise.templates import with_categories
from partwise.validation import check_estimator, read_features, read_scan, read_weights

__all__ = ["PartitionedEstimator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A fit before its cut; ``recipe`` is None where the data shall choose."""

    recipe: Recipe | None
    job: FitJob
    table: Table
    executor: Executor


class PartitionedEstimator(BaseEstimator, ABC):
    """What classification and regression share: settings, the steps of a fit, and outputs.

    A subclass says what its task is, which learner it takes by default, and how it reads a target.
    """

    _task: str

    def __init__(  # noqa: PLR0913 - scikit-learn: every setting is a constructor parameter
        self,
        estimator: Any,
        *,
        n_partitions: int,
        partitioner: str | Partitioner | None,
        combine: str | Combiner | Auto | None,
        replication: int,
        match_updates: bool,
        encoder: str | Encoder | None,
        executor: str | Executor,
        cpus_per_member: int,
        out_of_partition: bool,
        random_state: Any,
        storage: str | None,
        checkpoint: str | Checkpoint | None,
        on_failure: str,
        quorum: float,
        verbose: int,
    ) -> None:
        self.estimator = estimator
        self.n_partitions = n_partitions
        self.partitioner = partitioner
        self.combine = combine
        self.replication = replication
        self.match_updates = match_updates
        self.encoder = encoder
        self.executor = executor
        self.cpus_per_member = cpus_per_member
        self.out_of_partition = out_of_partition
        self.random_state = random_state
        self.storage = storage
        self.checkpoint = checkpoint
        self.on_failure = on_failure
        self.quorum = quorum
        self.verbose = verbose

    @abstractmethod
    def _template(self) -> Any:
        """Return the learner that was given, or the default."""

    @abstractmethod
    def _targets(self, y: Any) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        """Return the class labels (None in regression) and the class codes or values of the rows."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        time: Any = None,
        added: Sequence[Addition] = (),
        dropped: Collection[int] = (),
    ) -> Self:
        """Fit one member per partition and combine them.

        Parameters
        ----------
        X
            Features, (rows, features): an array, a sparse matrix, or a DataFrame of pandas, polars or Arrow. Or what
            ``partwise.scan`` gives: a table that is never read into memory as a whole, which names its target,
            weights, groups and times itself.
        y
            Target, (rows,). In regression (rows, targets) where the learner takes several. None for a scan.
        sample_weight
            Weight of each row, zero or more. A partition whose rows all have weight zero gives no member; it is
            listed in ``failures_``.
        groups
            Group of each row, for ``partitioner="grouped"``.
        time
            Time of each row, for ``partitioner="ordered"``.
        added
            Further rows, each with members of its own, beside those of the partitions of X, which stay as they are.
            With a ``checkpoint`` only the new members are fitted.
        dropped
            Numbers of partitions that shall have no member, within the ``quorum``; ``failures_`` lists them.

        Returns
        -------
        The fitted estimator.

        Raises
        ------
        InputError
            If something that was given is wrong.
        MemberFitError
            If a member could not be fitted.
        """
        self._forget_evidence()
        clock = Stopwatch()
        with measure_usage() as self.fit_usage_:
            begun = self.begin(X, y, sample_weight, groups=groups, time=time, clock=clock)
            recipe, job, table, executor = begun.recipe, begun.job, begun.table, begun.executor
            if recipe is None:
                with clock("select"):
                    recipe = self._select(job, table, executor)
            if recipe.n_partitions == 1 and self.n_partitions > 1:
                job, executor = _undistributed(job)
            assembled = assemble(
                recipe,
                job,
                table,
                executor,
                clock,
                show_progress=self.verbose > 0,
                checkpoint=self._checkpoint(),
                membership=Membership(
                    dropped=frozenset(dropped),
                    added=tuple(self._added(each, table.labels) for each in added),
                    quorum=self.quorum,
                    may_fail=self.on_failure == "skip",
                ),
            )
        self.recipe_, self.predictor_ = recipe, assembled.predictor
        self.members_, self.failures_ = list(assembled.context.members), list(assembled.failures)
        self.partitions_ = assembled.partitions
        self.n_added_rows_ = int(self.partitions_.sizes[recipe.n_partitions :].sum())
        self.n_rows_ = assembled.context.cut.n_rows + self.n_added_rows_
        self.combine_cpu_seconds_ = assembled.context.worker_cpu_seconds
        with clock("evidence"):
            if self.out_of_partition and recipe.judged_out_of_partition and isinstance(self.predictor_, Aggregate):
                self._keep_evidence(assembled.context.judge(recipe.combiner, self.predictor_))
        self.timings_ = clock.seconds
        return self

    def begin(self, X: Any, y: Any, sample_weight: Any, *, groups: Any, time: Any, clock: Stopwatch) -> "Begun":
        """Do what comes before the cut of a fit: check settings and rows, and encode these; arguments as of ``fit``.

        Raises
        ------
        InputError
            If something that was given is wrong.
        """
        template = self._template()
        check_estimator(template, self._task)
        recipe = self._recipe(template)
        executor, seed = make_executor(self.executor, self.cpus_per_member), _seed(self.random_state)
        given = self._given(X, y, sample_weight, groups, time, executor)
        self.feature_kinds_ = given.kinds
        with clock("encode"):
            self.encoder_, table = given.encoded(self.encoder, seed)
        if table.labels is not None:
            self.classes_ = table.labels
        template = with_categories(template, getattr(self.encoder_, "category_levels_", {}))
        job = FitJob(template=template, seed=seed, cpus=self.cpus_per_member, labels=table.labels)
        return Begun(recipe=recipe, job=job, table=table, executor=executor)

    def _recipe(self, template: Any) -> Recipe | None:
        """Return the recipe that was asked for, None where the data shall choose."""
        for name in ("n_partitions", "cpus_per_member", "replication"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}={value!r} is wrong. Valid: a whole number, 1 or more.")
        if self.on_failure not in {"raise", "skip"}:
            raise unknown_choice("on_failure", self.on_failure, ["raise", "skip"])
        if not (isinstance(self.quorum, (int, float)) and 0 < self.quorum <= 1):
            raise InputError(f"quorum={self.quorum!r} is wrong. Valid: a share of the members, above 0 and up to 1.")
        if self.match_updates:
            passes_of(template)
        if asked_for(self.partitioner, self.combine) is not None:
            check_choice(self.n_partitions, self.replication)
            return None
        recipe = make_recipe(
            None if self.partitioner == "auto" else self.partitioner,
            cast("str | Combiner | None", self.combine),
            self._task,
            template,
            n_partitions=self.n_partitions,
            replication=self.replication,
            match_updates=self.match_updates,
        )
        recipe.check(out_of_partition=self.out_of_partition)
        return recipe

    def _select(self, job: FitJob, table: Table, executor: Executor) -> Recipe:
        recipes = recipes_for(
            None if self.partitioner == "auto" else self.partitioner,
            self._task,
            job.template,
            n_partitions=self.n_partitions,
            match_updates=self.match_updates,
        )
        auto = asked_for(self.partitioner, self.combine) or Auto()
        choice = choose_recipe(recipes, auto, job, table, executor, self._checkpoint())
        self.leaderboard_, self.selection_reason_ = choice.leaderboard, choice.reason
        self.selection_cpu_seconds_ = choice.cpu_seconds
        return choice.recipe

    def _checkpoint(self) -> Checkpoint | None:
        given = self.checkpoint
        return given if given is None or isinstance(given, Checkpoint) else Checkpoint(str(given))

    def _given(
        self, X: Any, y: Any, weights: Any, groups: Any, time: Any, executor: Executor
    ) -> "GivenRows | ScannedRows":
        """Return the rows as they were given, checked as far as can be done without reading a table from files."""
        template = self._template()
        if isinstance(X, Scan):
            read_scan(self, X, template, others={"y": y, "sample_weight": weights, "groups": groups, "time": time})
            store = PartitionStore(self.storage)
            return ScannedRows(scan=X, task=self._task, store=store, executor=with_one_cpu(executor))
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        features = read_features(self, X, template, reset=True, encoded=self.encoder is not None)
        labels, targets = self._targets(y)
        check_consistent_length(features, targets)
        return GivenRows(
            features=features,
            targets=targets,
            labels=labels,
            weights=read_weights(weights, features, template),
            groups=groups,
            time=time,
        )

    def _added(self, addition: Addition, known: NDArray[Any] | None) -> AddedTable:
        """Return added rows as the encoder makes them, with their classes among those that are known."""
        template = self._template()
        features = read_features(self, addition.X, template, reset=False, encoded=self.encoder_ is not None)
        targets = self._targets(addition.y)[1] if known is None else codes_among(known, addition.y)
        check_consistent_length(features, targets)
        weights = read_weights(addition.sample_weight, features, template)
        matrix = features if self.encoder_ is None else self.encoder_.transform(as_frame(features))
        table = MemoryTable(Part(0, matrix, targets, weights), known, time=addition.time)
        return AddedTable(table, int(addition.n_partitions))

    def _forget_evidence(self) -> None:
        """Remove what an earlier fit may have left: this one may not be asked for it."""
        left = ("out_of_partition_", "leaderboard_", "selection_")
        for name in [name for name in vars(self) if name.startswith(left)]:
            delattr(self, name)

    def _keep_evidence(self, evidence: Evidence) -> None:
        if evidence.outputs is not None:
            self.out_of_partition_outputs_ = evidence.outputs
            self.out_of_partition_predictions_ = self._decide(evidence.outputs)
        self.out_of_partition_score_ = evidence.score
        self.out_of_partition_member_scores_ = evidence.member_scores

    @abstractmethod
    def _decide(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        """Return the labels or values that outputs stand for."""

    def predict_outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the combined outputs, (rows, outputs); what they mean says ``predictor_.kind``.

        Long predictions run in parallel on the executor, in blocks of rows; those of a scan where its pieces are read.
        """
        check_is_fitted(self, "predictor_")
        executor = make_executor(self.executor, self.cpus_per_member)
        if isinstance(X, Scan):
            return predict_scan(self.stored(), X, with_one_cpu(executor))
        features = read_features(self, X, self._template(), reset=False, encoded=self.encoder_ is not None)
        matrix = features if self.encoder_ is None else self.encoder_.transform(as_frame(features))
        return predict_outputs(self.predictor_, matrix, executor)

    def stored(self) -> StoredModel:
        """Return what is stored of the fitted ensemble: all that a prediction needs, and no executor."""
        check_is_fitted(self, "predictor_")
        names = getattr(self, "feature_names_in_", None)
        return StoredModel(
            task=self._task,
            classes=getattr(self, "classes_", None),
            encoder=self.encoder_,
            predictor=self.predictor_,
            feature_names=None if names is None else tuple(map(str, names)),
            feature_kinds=getattr(self, "feature_kinds_", None),
            missing=tuple(failure.describe() for failure in self.failures_ if failure.is_broken),
        )

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted class labels or values of the rows."""
        return self._decide(self.predict_outputs(X))

    def to_single(self) -> Any:
        """Return the plain scikit-learn model that the members were merged into; it predicts without partwise.

        It knows the original class labels, and takes the columns as ``encoder_`` gives them where there is one.

        Raises
        ------
        InputError
            If the members were combined, not merged.
        """
        check_is_fitted(self, "predictor_")
        members = self.predictor_.pool.members
        if len(members) != 1:
            raise InputError(
                f"combine={self.combine!r} keeps {len(members)} members, so there is no single model to hand out. "
                "Fit with combine='pool', or with n_partitions=1."
            )
        model = copy.deepcopy(members[0].estimator)
        model = model.to_single() if hasattr(model, "to_single") else model
        return self._labelled(model, members[0])

    def _labelled(self, model: Any, member: Member) -> Any:  # noqa: ARG002 - for the classifier
        """Return the model with the user's labels in place of class codes."""
        return model

    @classmethod
    def _of_members(cls, members: list[Member], n_classes: int | None, combine: str | Combiner) -> Self:
        model = cls(members[0].estimator, n_partitions=len(members), combine=combine)  # type: ignore[call-arg] # defaults of the subclass
        combiner = make_combiner(combine, cls._task)
        pool = MemberPool.of(tuple(members), n_classes)
        model.members_, model.failures_, model.encoder_ = list(pool.members), [], None
        model.predictor_ = combiner.fit(NoRows(pool))
        widths = {getattr(member.estimator, "n_features_in_", None) for member in members}
        if len(widths) > 1:
            raise InputError(f"The models were fitted on different numbers of features: {sorted(map(str, widths))}.")
        if (width := widths.pop()) is not None:
            model.n_features_in_ = width
        names = getattr(members[0].estimator, "feature_names_in_", None)
        if names is not None:
            model.feature_names_in_ = names
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        template = self._template()
        if hasattr(template, "__sklearn_tags__"):
            base = get_tags(template)
            tags.input_tags = base.input_tags
            tags.non_deterministic = base.non_deterministic
            tags.target_tags.multi_output = self._task == "regression" and base.target_tags.multi_output
            tags.target_tags.positive_only = base.target_tags.positive_only
        return tags


def _undistributed(job: FitJob) -> tuple[FitJob, Executor]:
    """Return job and executor for one model that is fitted in this process, on all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return replace(job, cpus=cores), make_executor("inline", cores)


def _seed(random_state: Any) -> int:
    """Return the seed itself where it is a number, else one drawn as scikit-learn draws."""
    if isinstance(random_state, (int, np.integer)):
        check_random_state(random_state)
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
