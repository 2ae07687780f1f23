"""Write what a run finds: its directory, its journal, and the tracker that follows the journal."""

import io
import json
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.checkpoints import Checkpoint
from partwise.comparison.dataset import Dataset
from partwise.comparison.judging import Judged
from partwise.comparison.records import Comparison, Training, Tuning
from partwise.comparison.single_process import SingleResult
from partwise.config import FitConfig
from partwise.credentials import without_credentials
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError, MemberFitError, PartwiseError
from partwise.evaluation import (
    Growth,
    Outputs,
    Truth,
    curve_as_members_are_added,
    reported_metrics,
    score_intervals,
    widened,
)
from partwise.experiment.changing import RunChanges
from partwise.experiment.preparing import Setup
from partwise.model_store import MANIFEST, save_model
from partwise.pool import AggregatedPredictor
from partwise.prediction import member_outputs
from partwise.protocols import Aggregate, Executor, Predictor, Tracker
from partwise.provenance import git_commit, versions
from partwise.records import MemberFailure
from partwise.report.plots import PlotData, write_plots
from partwise.report.search_plots import SearchPlotData, write_search_plots
from partwise.resources import Usage
from partwise.runs import RunDirectory
from partwise.search import PartitionedSearchCV, SearchTrial

__all__ = ["Recorder"]

_GROWTH_ROWS = 5_000
_GROWTH_MEMBERS = 100
_EXAMPLE_ROWS = 5
_SINGLE, _SINGLE_OUTPUTS = "single.json", "single_outputs.npy"
_NOT_NEEDED_TO_PREDICT = ("python", "ray", "mlflow", "pyarrow")

Model = PartitionedClassifier | PartitionedRegressor


@dataclass(slots=True)
class Recorder:
    """Sends each event to the journal first, then to the tracker: what was not tracked can be sent again."""

    directory: RunDirectory
    tracker: Tracker
    goes_on: bool = False
    """Whether the run was begun by another process, which was stopped."""
    trust: bool = False
    """Whether members that it left are taken over if they hold code."""
    changes: RunChanges = field(default_factory=RunChanges)
    """What was changed of the run since it began: members dropped, restored and added."""
    changed_before: int = 0
    """How many of these changes the run had before it went on."""
    state_before: str | None = None
    unchanged: str | None = None
    """The state of a run whose change was refused."""
    facts: dict[str, Any] = field(default_factory=dict)
    tracking_fault: str | None = None
    """Why the tracker was given up: tracking never costs a result, and what it lacks is in the journal."""

    def start(self, config: FitConfig, setup: Setup, holdout: str, facts: dict[str, Any]) -> None:
        """Record the settings, the data and the software."""
        facts = {**facts, "source": without_credentials(facts["source"])}
        if self.goes_on:
            self._go_on(facts)
            return
        settings = {
            **config.model_dump(mode="json", exclude={"output", "tracking_uri", "experiment"}),
            "task": setup.task,
            "metric": setup.metric.name,
            "partitioner": setup.partitioner or "auto",
            "combine": setup.combine or "auto",
            "match_updates": setup.match_updates,
            "holdout": holdout,
        }
        for name in ("data", "test", "storage", "study"):
            if settings.get(name) is not None:
                settings[name] = without_credentials(settings[name])
        for name, value in setup.learner.estimator.get_params().items():
            settings[f"learner.{name}"] = str(value)
        self.facts = {
            "command": config.command,
            "config": config.model_dump(mode="json", exclude={"output"}),
            "working_directory": str(Path.cwd()),
            "settings": settings,
            "dataset": facts,
            "versions": versions(),
            "git_commit": git_commit(),
        }
        for name in ("data", "test", "storage", "tracking_uri", "study"):
            if (given := self.facts["config"].get(name)) is not None:
                self.facts["config"][name] = without_credentials(given)
        self._write_state("running")
        tags = {f"version.{name}": number for name, number in versions().items() if name != "partwise"}
        name = f"{facts['name']} · {config.learner} x {config.partitions}"
        key, shown = secrets.token_hex(8), str(self.directory.called)
        self._write("run_started", directory=shown, name=name, key=key, settings=settings, tags=tags, dataset=facts)
        self.facts["tracked"] = self.tracker.run_id
        self._write_state("running")

    def _go_on(self, facts: dict[str, Any]) -> None:
        """Note that the run goes on.

        Raises
        ------
        InputError
            If the table is another one than it was.
        """
        self.facts = self.directory.record()
        self.state_before = self.facts.pop("state", None)
        self.changed_before = len(self.facts.get("changes", ()))
        known, found = self.facts.get("dataset", {}).get("digest"), facts["digest"]
        if known != found:
            raise InputError(
                f"The table {facts['source']!r} has changed since the run began: it was {known}, and is {found}. "
                "Restore it, or start a new run."
            )
        self._track(lambda: self.tracker.resume(self.facts.get("tracked")))
        # Trackers take trials together, when the search ends: these had not been sent.
        ended = [event for event in self.directory.events() if event["event"] == "trial_ended"]
        self._track(lambda: self.tracker.write(ended))
        told = [change.model_dump(mode="json") for change in self.changes.history]
        new = told[self.changed_before :]
        if told:
            self.facts["changes"] = told
        self._write_state("running")
        self._write("run_resumed", versions=versions())
        for change in new:
            self._write("run_changed", change=change)

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the members of the run are kept as they are fitted."""
        return Checkpoint(self.directory.members, trust=self.trust)

    def keep_single(self, single: SingleResult) -> None:
        """Keep what one model said, so that a run that is stopped need not fit it again."""
        plain = {each.name: getattr(single, each.name) for each in fields(single) if each.name != "outputs"}
        plain |= {name: asdict(plain[name]) for name in ("encoding", "fitting")}
        outputs = io.BytesIO()
        np.save(outputs, single.outputs, allow_pickle=False)
        self.directory.write(_SINGLE_OUTPUTS, outputs.getvalue())
        self.directory.write_json(_SINGLE, {"versions": versions(), **plain})

    def kept_single(self) -> SingleResult | None:
        """Return what one model said in the run that goes on, None where it was not fitted, or by other versions."""
        path = self.directory.path
        if not self.goes_on or (text := self.directory.read(_SINGLE)) is None:
            return None
        plain = json.loads(text)
        if plain.pop("versions") != versions():
            return None
        usages = {name: Usage(**plain[name]) for name in ("encoding", "fitting")}
        return SingleResult(**plain | usages, outputs=np.load(path / _SINGLE_OUTPUTS, allow_pickle=False))

    def members(self, model: Model) -> None:
        """Record the partitions, and each member or its failure."""
        counts = model.partitions_.class_counts
        partitions = [
            {
                "partition": index,
                "n_rows": int(size),
                "class_counts": _named(model, None if counts is None else counts[index]),
            }
            for index, size in enumerate(model.partitions_.sizes)
        ]
        self.directory.write_json("partitions.json", {"method": model.partitions_.method, "partitions": partitions})
        self._write("partitioned", method=model.partitions_.method, partitions=partitions)
        scores = (
            model.out_of_partition_member_scores_.tolist()
            if hasattr(model, "out_of_partition_score_")
            else [None] * len(model.members_)
        )
        entries = [
            {
                "partition": member.partition,
                "n_rows": member.n_rows,
                "class_counts": _named(model, member.class_counts),
                "fit_seconds": member.fit_seconds,
                "cpu_seconds": member.cpu_seconds,
                "peak_memory_bytes": member.peak_memory_bytes,
                "node": member.node,
                "process": member.process,
                "started": member.started,
                "seed": member.seed,
                "content_digest": member.content_digest,
                "attempts": member.attempts,
                "out_of_partition_score": score,
            }
            for member, score in zip(model.members_, scores, strict=True)
        ]
        self._write_all("member_finished", entries)
        self.directory.write_json("members.json", entries)
        self.failures(model.failures_)

    def failures(self, failures: Sequence[MemberFailure]) -> None:
        """Record the partitions without a member, each with its reason."""
        entries = [
            {
                "partition": failure.partition,
                "n_rows": failure.n_rows,
                "reason": failure.reason,
                "error_type": failure.error_type,
                "message": failure.message,
                "attempts": failure.attempts,
            }
            for failure in failures
        ]
        self._write_all("member_failed", entries)
        self.directory.write_json("failures.json", entries)

    def results(
        self, comparison: Comparison, model: Model, dataset: Dataset, judged: Judged, executor: Executor
    ) -> None:
        """Record the comparison, the plots and the model."""
        self.directory.write("comparison.json", comparison.to_json().encode())
        self._write("comparison", comparison=comparison.model_dump(mode="json"))
        write_plots(self.directory.path / "plots", _plot_data(model, dataset, judged, executor))
        plots = self.directory.publish("plots")
        files = ["run.json", "partitions.json", "members.json", "failures.json", "comparison.json"]
        if comparison.leaderboard is not None:
            self.directory.write("leaderboard.csv", model.leaderboard_.to_csv(index=False).encode())
            files.append("leaderboard.csv")
        self._write("artifacts", paths=[*files, *plots])
        self.model(model, dataset.test.head(_EXAMPLE_ROWS))

    def trial(self, trial: SearchTrial) -> None:
        """Record how a trial of a search ended."""
        self._write("trial_ended", **asdict(trial))

    def trials(self, trials: Sequence[SearchTrial]) -> None:
        """Record the trials of a finished search that the journal lacks.

        A process was stopped between the study and the journal, or the study is one that an earlier run began.
        """
        told = self.told_trials()
        for trial in trials:
            if told.get(trial.number) != trial.state:
                self.trial(trial)

    def told_trials(self) -> dict[int, str]:
        """Return the state of each trial that the journal has, by number."""
        ended = (event for event in self.directory.events() if event["event"] == "trial_ended")
        return {event["number"]: event["state"] for event in ended}

    def tuning(self, tuning: Tuning, model: Model, search: PartitionedSearchCV, example: pd.DataFrame) -> None:
        """Record what a search found, the trials, the plots and the model."""
        self.directory.write("tuning.json", (tuning.model_dump_json(indent=2) + "\n").encode())
        trials = pd.DataFrame(search.cv_results_).drop(columns="params").to_csv(index_label="trial")
        self.directory.write("trials.csv", trials.encode())
        self._write("tuning", tuning=tuning.model_dump(mode="json"))
        write_search_plots(self.directory.path / "plots", _search_plot_data(search, tuning.importances))
        plots = self.directory.publish("plots")
        files = ["run.json", "partitions.json", "members.json", "failures.json", "tuning.json", "trials.csv"]
        if tuning.leaderboard is not None:
            self.directory.write("leaderboard.csv", model.leaderboard_.to_csv(index=False).encode())
            files.append("leaderboard.csv")
        self._write("artifacts", paths=[*files, *plots])
        self.model(model, example.head(_EXAMPLE_ROWS))

    def training(self, training: Training, model: Model, example: pd.DataFrame) -> None:
        """Record what was trained, and the model; ``example`` are some rows as it takes them."""
        self.directory.write("training.json", (training.model_dump_json(indent=2) + "\n").encode())
        self._write("training", training=training.model_dump(mode="json"))
        files = ["run.json", "partitions.json", "members.json", "failures.json", "training.json"]
        if training.leaderboard is not None:
            self.directory.write("leaderboard.csv", model.leaderboard_.to_csv(index=False).encode())
            files.append("leaderboard.csv")
        self._write("artifacts", paths=files)
        self.model(model, example.head(_EXAMPLE_ROWS))

    def model(self, model: Model, example: pd.DataFrame) -> None:
        """Record the model, with rows as it takes them and what it says about them."""
        if self.goes_on:
            self.directory.delete("model")  # what a run left that was stopped while it wrote
        save_model(self.directory.path / "model", model.stored())
        self.directory.publish("model", last=MANIFEST)
        said = pd.DataFrame({"prediction": model.predict(example)})
        for name, frame in (("input_example.parquet", example), ("output_example.parquet", said)):
            self.directory.write(name, frame.to_parquet())
        requirements = [
            f"{name}=={number}" for name, number in versions().items() if name not in _NOT_NEEDED_TO_PREDICT
        ]
        self._write(
            "model_saved",
            path="model",
            input_example="input_example.parquet",
            output_example="output_example.parquet",
            pip_requirements=requirements,
        )

    def failed(self, error: Exception) -> None:
        """Record why the run could not go on."""
        if isinstance(error, MemberFitError):
            self.failures(error.failures)
        message = without_credentials(str(error))
        if isinstance(error, InputError) and len(self.changes.history) > self.changed_before:
            self.facts["changes"] = self.facts.get("changes", [])[: self.changed_before]
            self.unchanged = "finished" if self.state_before == "finished" else None
            self._write("change_refused", message=message)
            return
        self._write("run_failed", error_type=type(error).__name__, message=message)

    def finish(self, status: str) -> None:
        """Record how the run ended; one that was to be changed, and cannot be, is what it was."""
        status = status if self.unchanged is None else self.unchanged
        self._write("run_finished", status=status)
        self._write_state(status)
        self._track(lambda: self.tracker.close(status))

    def _write_state(self, state: str) -> None:
        if not self.facts:
            return  # the run was stopped before anything was known of it: a record that is there stays
        self.directory.write_json("run.json", {"state": state, **self.facts})

    def _write(self, event: str, **details: Any) -> None:
        self._write_all(event, [details])

    def _write_all(self, event: str, details: Sequence[Mapping[str, Any]]) -> None:
        # With their times: sent twice, they are one point.
        entries = self.directory.extend({"event": event, **each} for each in details)
        self._track(lambda: self.tracker.write(entries))

    def _track(self, send: Callable[[], None]) -> None:
        if self.tracking_fault is not None:
            return
        try:
            send()
        except PartwiseError as error:
            self.give_up_tracking(error)

    def give_up_tracking(self, error: PartwiseError) -> None:
        """Send nothing more to the tracker: what it lacks is in the journal, from which it can be sent later."""
        again = f"Send it later with: partwise sync {shlex.quote(str(self.directory.called))}"
        self.tracking_fault = f"{error} {again}"
        self.directory.append({"event": "tracking_failed", "message": str(error)})


def _named(model: Model, counts: Any) -> dict[str, int] | None:
    if counts is None:
        return None
    return {str(label): int(count) for label, count in zip(model.classes_, counts, strict=True)}


def _search_plot_data(search: PartitionedSearchCV, importances: Mapping[str, float]) -> SearchPlotData:
    return SearchPlotData(
        metric=search.metric_.name,
        greater_is_better=search.metric_.greater_is_better,
        trials=[trial for trial in search.trials_ if trial.is_judged],
        best=search.trials_[search.best_index_],
        importances=importances,
    )


def _plot_data(model: Model, dataset: Dataset, judged: Judged, executor: Executor) -> PlotData:
    outputs = {"single": judged.single, "ensemble": judged.ensemble}
    metrics = {metric.name: metric for metric in (judged.metric, *reported_metrics(judged.truth.n_classes))}
    return PlotData(
        metric=judged.metric.name,
        greater_is_better=judged.metric.greater_is_better,
        truth=judged.truth,
        single=judged.single,
        ensemble=judged.ensemble,
        class_names=() if dataset.labels is None else tuple(map(str, dataset.labels)),
        intervals=score_intervals(list(metrics.values()), judged.truth, outputs, seed=judged.seed),
        members=tuple(model.members_),
        growth=_growth(model, model.predictor_, dataset, judged, executor),
    )


def _growth(model: Model, predictor: Predictor, dataset: Dataset, judged: Judged, executor: Executor) -> Growth | None:
    """Return the metric as members are added, on a sample of the test rows; None where members are local or merged."""
    n_members = len(predictor.pool.members)
    if isinstance(predictor, AggregatedPredictor) and n_members > _GROWTH_MEMBERS:
        first = replace(predictor.pool, members=predictor.pool.members[:_GROWTH_MEMBERS])
        predictor, n_members = (
            replace(predictor, pool=first, weights=predictor.weights[:_GROWTH_MEMBERS]),
            len(first.members),
        )
    if not isinstance(predictor, Aggregate) or not 2 <= n_members <= _GROWTH_MEMBERS:
        return None
    n_rows = len(dataset.test)
    chosen = np.sort(np.random.default_rng(judged.seed).choice(n_rows, min(n_rows, _GROWTH_ROWS), replace=False))
    rows = dataset.test.iloc[chosen]
    matrix = rows if model.encoder_ is None else model.encoder_.transform(rows)
    each = member_outputs(predictor.pool, matrix, executor)
    truth = Truth(judged.truth.y[chosen], judged.truth.n_classes)

    def aligned(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return outputs if dataset.labels is None else widened(outputs, model.classes_, dataset.labels)

    def combined(_so_far: Any, _member: Any, n_so_far: int) -> Any:
        speaking = np.full((n_members, *each.shape[1:]), np.nan)
        speaking[: n_so_far + 1] = each[: n_so_far + 1]
        return aligned(predictor.combine(speaking))

    said = judged.single
    single = Outputs(said.labels[chosen], None if said.scores is None else said.scores[chosen], said.kind)
    return curve_as_members_are_added(
        judged.metric, truth, map(aligned, each), predictor.kind, fold=combined, single=single
    )
