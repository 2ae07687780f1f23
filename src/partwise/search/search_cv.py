"""Hyperparameter search as a scikit-learn estimator."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from partwise.assembling import job_of
from partwise.checkpoints import Checkpoint
from partwise.combiners import make_combiner
from partwise.digests import content_digest
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.evaluation import resolve_metric
from partwise.executors import with_one_cpu
from partwise.learners.checking import with_parameters
from partwise.partitioners import make_partitioner
from partwise.protocols import Combiner, CutTable, Encoder, Executor, Partitioner
from partwise.recipes import Recipe
from partwise.records import Fidelity, OutputKind
from partwise.resources import Stopwatch
from partwise.search.claiming import claimed
from partwise.search.fidelities import Growth, growth_of
from partwise.search.judging import Judge, gather_rows, kind_of
from partwise.search.optimism import corrected_score
from partwise.search.records import SearchPlan, SearchTrial
from partwise.search.results import best_of, cv_results, finalists_of, importances_of, joined, kept_of
from partwise.search.sampling import check_sampler, check_space, make_pruner, open_study
from partwise.search.searching import Search
from partwise.search.spaces import Space
from partwise.search.units import Bench
from partwise.selection import Auto, asked_for

__all__ = ["PartitionedSearchCV"]

_MOST_KEPT = 30
"""Finalists among which a diverse ensemble is selected."""


class PartitionedSearchCV(MetaEstimatorMixin, BaseEstimator):
    """Search the parameters of a learner on partitions, and fit the ensemble of the best, or one model.

    A trial begins with a member on one partition and is judged on rows of others; the promising get 2, 4 and more
    partitions (asynchronous successive halving: Li et al., MLSys 2020). Parameters are thus judged at the size at
    which members are fitted, and the ensemble of the best trial takes its members over. With ``fidelity="rows"`` a
    trial is one model instead: on the rows of 1, 2, 4 partitions together, at last by cross-validation on all. No row
    judges a model that was fitted on it.

    Parameters
    ----------
    estimator
        Any scikit-learn-compatible classifier or regressor, or a Pipeline.
    param_distributions
        For each parameter (``step__name`` reaches into a Pipeline) a list of values, a ``Range``, a ``Choice``, or a
        distribution of Optuna.
    n_trials
        How many configurations are tried; the first is that of ``estimator`` itself, moved into the space
        (not of a grid, which has its own points).
    sampler
        ``tpe`` (learns from the trials before), ``random``, ``grid`` (of a range 5 values) or ``cmaes``.
    fidelity
        What grows with the partitions of a trial: ``members``, those of an ensemble, or ``rows``, those of one model,
        whose best parameters are not those of small members. With ``rows`` a trial that comes to all partitions is
        cross-validated, and the result is one model on all rows.
    reduction_factor
        Of so many trials one goes on to so many times the partitions; 1 judges every trial on all partitions.
    budget
        Seconds after which nothing new is begun; None is no limit. A larger one takes up what it stopped.
    scoring
        The metric, by its name or that of scikit-learn's scorer; None is accuracy, or R².
    keep
        More than 1 gives an ensemble of the members of so many configurations, chosen by greedy selection; with
        ``fidelity="rows"`` each of them is one model on all rows.
    one_by_one
        Whether trials wait for each other. The same ``random_state`` then gives the same search; in parallel it
        depends on which trial ends first.
    study
        Where Optuna keeps the study: a database such as ``sqlite:///study.db``; None is in memory. With a study and a
        ``checkpoint`` a search that was stopped goes on where it was.
    n_partitions, partitioner, combine, encoder, executor, cpus_per_member, random_state, checkpoint, verbose
        As in ``PartitionedClassifier``. Trials are judged on samples of the table, by ``combine`` where it learns
        nothing from rows, else by the mean. An ensemble that is cut or combined otherwise (cells, exact merges,
        ``combine="auto"``, which chooses among all recipes, one model too) is that of the best configuration; members
        of another cut are fitted anew. With ``fidelity="rows"`` the partitions are samples whose rows are joined, and
        ``combine`` is left out.
    match_updates, storage
        As in ``PartitionedClassifier``; one model has no updates to match.

    Attributes
    ----------
    best_estimator_
        The fitted ensemble; with ``fidelity="rows"`` it has one model.
    best_params_, best_score_, best_index_
        Of the best among the trials that were judged on most partitions; losses are negated.
    corrected_score_
        What the best trial scores on training rows that judged no trial, each by models that never saw it: about as
        many as a partition has. Where the table has too few, below some 4,000 (10,000 with ``fidelity="rows"``), an
        estimate of it from the rows that did (bootstrap bias corrected: Tsamardinos et al., 2018; pruned trials take
        part). None where one trial was judged. Losses are negated.
    cv_results_
        The trials as columns; see ``n_partitions`` and ``state``.
    trials_
        The same as records, with the scores after each number of partitions.
    kept_params_
        The configurations of the ensemble, and the weight of each.
    study_
        The Optuna study.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = PartitionedSearchCV(SVC(), {"C": [0.01, 1.0, 100.0]}, n_trials=3, sampler="grid", n_partitions=3,
    ...                              executor="inline", random_state=0).fit(X, y)
    >>> len(search.cv_results_["params"])
    3
    """

    def __init__(  # noqa: PLR0913 - scikit-learn: every setting is a constructor parameter
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any],
        *,
        n_trials: int = 50,
        sampler: str = "tpe",
        fidelity: Fidelity = "members",
        reduction_factor: int = 2,
        budget: float | None = None,
        scoring: str | None = None,
        keep: int = 1,
        one_by_one: bool = False,
        study: str | None = None,
        n_partitions: int = 8,
        partitioner: str | Partitioner | None = None,
        combine: str | Combiner | Auto | None = None,
        encoder: str | Encoder | None = None,
        executor: str | Executor = "ray",
        cpus_per_member: int = 1,
        match_updates: bool = False,
        random_state: Any = None,
        storage: str | None = None,
        checkpoint: str | Checkpoint | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.sampler = sampler
        self.fidelity = fidelity
        self.reduction_factor = reduction_factor
        self.budget = budget
        self.scoring = scoring
        self.keep = keep
        self.one_by_one = one_by_one
        self.study = study
        self.n_partitions = n_partitions
        self.partitioner = partitioner
        self.combine = combine
        self.encoder = encoder
        self.executor = executor
        self.cpus_per_member = cpus_per_member
        self.match_updates = match_updates
        self.random_state = random_state
        self.storage = storage
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        time: Any = None,
        observe: Callable[[SearchTrial], None] = lambda _: None,
    ) -> Self:
        """Search, and fit the best configuration on all rows.

        Parameters
        ----------
        X, y, sample_weight, groups, time
            As in ``PartitionedClassifier.fit``; what ``partwise.scan`` gives, too.
        observe
            Called with each trial as it ends.

        Raises
        ------
        InputError
            If something that was given is wrong.
        SearchError
            If no trial gave a score.
        MemberFitError
            If a member of the final ensemble could not be fitted.
        """
        growth, space = self._growth(), self._space()
        rows = {"sample_weight": sample_weight, "groups": groups, "time": time}
        with self._checkpoint() as checkpoint, claimed(self.study):
            prototype = self._ensemble(self.estimator, self._trial_combiner(), checkpoint)
            prototype.set_params(partitioner=self._trial_partitioner())
            search = self._search(prototype, X, y, rows, space, growth, checkpoint, observe)
            trials = search.run()
            maximize = search.judge.metric.greater_is_better
            finalists = finalists_of(trials, maximize=maximize)
            self.corrected_score_ = self._corrected(trials, finalists[0], search)
            kept = self._kept(finalists, search)
            models = []
            for trial, _ in kept:
                template = with_parameters(type(self.estimator).__name__, self.estimator, trial.params)
                model = self._ensemble(template, self.combine, checkpoint, seed=search.plan.seed)
                growth.prepare(model, search.executor, self.cpus_per_member)
                model.fit(X, y, **rows)
                models.append(model.set_params(executor=self.executor, cpus_per_member=self.cpus_per_member))
        self.best_estimator_ = joined(models, [weight for _, weight in kept]).set_params(checkpoint=None)
        self.kept_params_ = [(dict(trial.params), weight) for trial, weight in kept]
        self.trials_, self.study_ = trials, search.study
        self.cv_results_ = cv_results(trials, maximize=maximize)
        best = best_of(trials, maximize=maximize)
        self.best_params_ = dict(best.params)
        self.best_index_ = next(place for place, trial in enumerate(trials) if trial.number == best.number)
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.metric_ = search.judge.metric
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self.best_estimator_, name):
                setattr(self, name, getattr(self.best_estimator_, name))
        return self

    def _space(self) -> Space:
        """Return the space, once all settings of the search are known to be right."""
        for name in ("n_trials", "reduction_factor", "keep"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}={value!r} is wrong. Valid: a whole number, 1 or more.")
        if self.budget is not None and not (isinstance(self.budget, (int, float)) and self.budget > 0):
            raise InputError(f"budget={self.budget!r} is wrong. Valid: seconds above zero, or None for no limit.")
        if self.keep > 1 and not self._weighs:
            raise InputError(
                f"keep={self.keep} joins the members of several configurations, and combine={self.combine!r} with "
                f"partitioner={self.partitioner!r} does not weigh members. Valid: combine='soft', 'vote', 'mean', "
                "'median', 'weighted', or keep=1."
            )
        check_sampler(self.sampler)
        space = Space(self.param_distributions)
        check_space(self.sampler, space)
        with_parameters(type(self.estimator).__name__, self.estimator, space.example())
        return space

    def _growth(self) -> Growth:
        cells = self.partitioner is not None and self._trial_partitioner() is None
        given = {"combine": self.combine is not None, "partitioner": cells, "match_updates": self.match_updates}
        return growth_of(self.fidelity, {name: getattr(self, name) for name, is_given in given.items() if is_given})

    @contextmanager
    def _checkpoint(self) -> Iterator[Checkpoint]:
        """Yield where members are kept: the final ensemble takes over those of its configuration."""
        if self.checkpoint is None:
            with tempfile.TemporaryDirectory(prefix="partwise-search-") as place:
                yield Checkpoint(place, trust=True, owned=True)  # nobody else writes there
        else:
            given = self.checkpoint
            yield given if isinstance(given, Checkpoint) else Checkpoint(str(given))

    @property
    def _kind(self) -> type[PartitionedClassifier] | type[PartitionedRegressor]:
        return PartitionedRegressor if is_regressor(self.estimator) else PartitionedClassifier

    def _ensemble(self, estimator: Any, combine: Any, checkpoint: Checkpoint | None, seed: int | None = None) -> Any:
        return self._kind(
            estimator,
            n_partitions=self.n_partitions,
            partitioner=self.partitioner,
            combine=combine,
            encoder=self.encoder,
            executor=self.executor,
            cpus_per_member=self.cpus_per_member,
            match_updates=self.match_updates,
            random_state=self.random_state if seed is None else seed,
            storage=self.storage,
            checkpoint=checkpoint,
            verbose=self.verbose,
        )

    @property
    def _weighs(self) -> bool:
        """Whether members of the final ensemble are combined as those of a trial."""
        if asked_for(self.partitioner, self.combine) is not None:
            return False
        if self.partitioner not in (None, Auto.name) and self._trial_partitioner() is None:
            return False
        return self.combine is None or not isinstance(self._trial_combiner(), str)

    def _trial_partitioner(self) -> str | Partitioner | None:
        """Return how rows are cut for trials: as for the ensemble, where its members are samples of the table."""
        if self.partitioner is None or self.partitioner == Auto.name:
            return None
        partitioner = make_partitioner(self.partitioner)
        return partitioner if partitioner.gives == "samples" else None

    def _trial_combiner(self) -> str | Combiner:
        """Return how the members of a trial are combined."""
        plain = "mean" if is_regressor(self.estimator) else "soft"
        if self.combine is None or asked_for(self.partitioner, self.combine) is not None:
            return plain
        combiner = make_combiner(cast("str | Combiner", self.combine), self._kind._task)  # noqa: SLF001 - of the same family
        return plain if combiner.needs_evidence or "samples" not in combiner.takes or combiner.merges else combiner

    def _search(
        self,
        prototype: Any,
        X: Any,
        y: Any,
        rows: Mapping[str, Any],
        space: Space,
        growth: Growth,
        checkpoint: Checkpoint,
        observe: Callable[[SearchTrial], None],
    ) -> Search:
        """Return the search, ready to run: rows encoded and cut, those that judge gathered, the study opened."""
        begun = prototype.begin(
            X, y, rows["sample_weight"], groups=rows["groups"], time=rows["time"], clock=Stopwatch()
        )
        recipe, table = begun.recipe, begun.table
        _check_recipe(recipe)
        cut: CutTable = table.cut(recipe.partitioner, recipe.n_partitions, begun.job.seed, recipe.replication)
        counting = [each for each in range(recipe.n_partitions) if not cut.is_weightless(each)]
        cut, by_rung = growth.places(cut, counting, self.reduction_factor, begun.executor.lend)
        n_classes = None if table.labels is None else len(table.labels)
        metric = resolve_metric(self.scoring, n_classes)
        judged, unused = gather_rows(
            cut, recipe.n_partitions, begun.job.seed, with_one_cpu(begun.executor), many=growth.judged_by_all
        )
        plan = SearchPlan(
            space=space,
            sampler=self.sampler,
            n_trials=min(self.n_trials, space.grid_size) if self.sampler == "grid" else self.n_trials,
            fidelity=self.fidelity,
            places=by_rung,
            seed=begun.job.seed,
            first={} if self.sampler == "grid" else space.chosen(self.estimator.get_params()),
            budget=self.budget,
            keep=self.keep,
            one_by_one=self.one_by_one,
        )
        job = job_of(recipe, begun.job, table)
        places = {name: repr(each) for name, each in space.distributions.items()}
        search = content_digest((checkpoint.key(job, cut), metric.name, plan.rungs, repr(recipe.combiner), places))
        study = open_study(self.study, make_pruner(self.reduction_factor), search, maximize=metric.greater_is_better)
        return Search(
            plan=plan,
            study=study,
            template=self.estimator,
            bench=Bench(job, cut.reader, judged.X),
            cut=cut,
            judge=Judge(judged, recipe.combiner, metric, n_classes),
            checkpoint=checkpoint,
            executor=begun.executor,
            unused=unused,
            levels=getattr(prototype.encoder_, "category_levels_", {}),
            observe=observe,
        )

    def _kept(self, finalists: list[SearchTrial], search: Search) -> list[tuple[SearchTrial, float]]:
        """Return the configurations of which the ensemble has members, with their weights."""
        is_whole = finalists[0].n_partitions == search.plan.rungs[-1]  # else the budget ended before any was finished
        if self.keep == 1 or not is_whole:
            return [(finalists[0], 1.0)]
        some = finalists[:_MOST_KEPT]
        return kept_of(some, search.outputs(some), self._kinds(some, search), search.judge, self.keep)

    def _corrected(self, trials: list[SearchTrial], best: SearchTrial, search: Search) -> float | None:
        """Return what the best trial scores where luck had no part in the choice; losses are negated."""
        judged = [trial for trial in trials if trial.is_judged]
        if len(judged) == 1:
            return None
        if search.unused is not None:
            found = search.score_on_unused(best)
        else:
            kinds = self._kinds(judged, search)
            found = corrected_score(search.judge, judged, search.outputs(judged), kinds, search.plan.seed)
        sign = 1.0 if search.judge.metric.greater_is_better else -1.0
        return None if found is None else sign * found

    def _kinds(self, trials: list[SearchTrial], search: Search) -> dict[int, OutputKind]:
        name, n_classes = type(self.estimator).__name__, search.judge.n_classes
        return {each.number: kind_of(with_parameters(name, self.estimator, each.params), n_classes) for each in trials}

    def importances(self) -> dict[str, float]:
        """Return the share of the scores' variance that each parameter explains, the largest first.

        By fANOVA on the finished trials; empty where they are too few, or all score alike.
        """
        check_is_fitted(self, "study_")
        return importances_of(self.study_, self.trials_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted class labels or values of the rows."""
        check_is_fitted(self, "best_estimator_")
        return np.asarray(self.best_estimator_.predict(X))

    @available_if(lambda self: self._offers("predict_proba"))
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, (rows, classes)."""
        check_is_fitted(self, "best_estimator_")
        return np.asarray(self.best_estimator_.predict_proba(X))

    @available_if(lambda self: self._offers("decision_function"))
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return decision values or shares of votes: (rows,) for two classes, else (rows, classes)."""
        check_is_fitted(self, "best_estimator_")
        return np.asarray(self.best_estimator_.decision_function(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, or R², of ``best_estimator_`` on these rows."""
        check_is_fitted(self, "best_estimator_")
        return float(self.best_estimator_.score(X, y, sample_weight))

    def _offers(self, name: str) -> bool:
        if hasattr(self, "best_estimator_"):
            return hasattr(self.best_estimator_, name)
        return hasattr(self._ensemble(self.estimator, self.combine, None), name)

    def __sklearn_tags__(self) -> Any:
        return get_tags(self._ensemble(self.estimator, self.combine, None))


def _check_recipe(recipe: Recipe) -> None:
    """Refuse a cut on which trials cannot be judged.

    Raises
    ------
    InputError
        If there is one partition.
    """
    if not recipe.judged_out_of_partition:
        raise InputError(
            f"A search judges members by rows of other partitions, and n_partitions={recipe.n_partitions} leaves none. "
            "Valid: 2 or more."
        )
