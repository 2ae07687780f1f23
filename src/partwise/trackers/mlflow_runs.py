"""Runs in MLflow: one parent run, a child for each member, the model, and the files of the run directory."""

import hashlib
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from partwise import __version__
from partwise.errors import InputError, PartwiseError, TrackerUnavailableError, unknown_choice
from partwise.provenance import git_commit, user_name
from partwise.trackers import entries
from partwise.trackers.quiet import environment, quiet_loggers
from partwise.trackers.uris import (
    absolute_uri,
    artifact_folder,
    fault_of_database,
    is_remote,
    sqlite_file,
    ui_command,
    without_credentials,
)

with environment(MLFLOW_DISABLE_TELEMETRY="true"):  # MLflow decides at its import whether to start a sender
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

__all__ = ["MlflowTracker"]

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_MOST_CHILDREN = 100
_LONGEST_PARAM, _LONGEST_TAG, _LONGEST_DIGEST = 6000, 8000, 36
_METRICS_A_BATCH, _OTHERS_A_BATCH = 1000, 100
_TABLE = "members.json"
_MOST_TRIALS, _TRIAL_TABLE = 500, "trials.json"
_KEY, _MODEL = "partwise.run_key", "partwise.model_digest"
_SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
"""MLflow would print a run's address, password and all, to where ``--json`` goes."""
_FIRST_CONTACT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""MLflow's own settings are for a server that is known to be there: it would wait four minutes."""
_LATER_CONTACT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""What is not sent after some seconds can be sent later: the run need not wait for it."""


class MlflowTracker:
    """Track a run in MLflow; the user's active run and tracking URI are left alone, MLflow's telemetry is off.

    Parameters
    ----------
    uri
        MLflow's tracking URI. A relative SQLite file is taken from the working directory, now.
    experiment
        The name of the experiment; it is made where it does not exist.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri = absolute_uri(uri)
        self._experiment = experiment
        self._experiment_id = ""
        self._directory = Path()
        self._members: list[Mapping[str, Any]] = []
        self._trials: list[Mapping[str, Any]] = []
        self._table = False
        self._children: dict[str, tuple[str, str | None, str | None]] = {}
        """By name the children of the run: id, content digest and reason of failure."""
        self._half_made: dict[str, str] = {}
        """By name the ids of children that an earlier process began, and could not end."""
        self.run_id: str | None = None
        self.model_uri: str | None = None

    @property
    def uri(self) -> str:
        """The tracking URI, absolute, without credentials."""
        return without_credentials(self._uri)

    @property
    def ui_command(self) -> str | None:
        """The command that shows the runs; None where a server shows them already, at ``uri``."""
        return ui_command(self._uri)

    def open(self, directory: Path) -> None:
        """Reach the tracking server and find or make the experiment.

        Raises
        ------
        InputError
            If the address is wrong, or the experiment was deleted.
        TrackerUnavailableError
            If the server cannot be reached now, or refuses, or the database is locked.
        """
        self._directory = Path(directory)
        fault = fault_of_database(self._uri)
        if fault is not None:
            raise self._unreachable(fault)
        with self._at_work(**_FIRST_CONTACT):
            try:
                self._client = MlflowClient(tracking_uri=self._uri)
                found = self._client.get_experiment_by_name(self._experiment)
                self._experiment_id = found.experiment_id if found else self._new_experiment()
            except MlflowException as error:
                raise self._unreachable(str(error)) from None  # the error's own text may have the password
        if found and found.lifecycle_stage == "deleted":
            raise InputError(
                f"The MLflow experiment {self._experiment!r} was deleted. Choose another name, or restore it: "
                f"mlflow experiments restore --experiment-id {self._experiment_id}."
            )

    def reach(self) -> None:
        """Ask the tracking server for something small.

        Raises
        ------
        InputError
            If it cannot be reached, or refuses.
        """
        file = sqlite_file(self._uri)
        is_new = file is not None and not file.exists()
        fault = fault_of_database(self._uri)
        if file is not None and is_new:
            file.unlink(missing_ok=True)
        if fault is not None:
            raise self._unreachable(fault)
        if not is_remote(self._uri):
            return  # to ask a new database would make its tables
        with self._at_work(**_FIRST_CONTACT):
            try:
                MlflowClient(tracking_uri=self._uri).search_experiments(max_results=1)
            except MlflowException as error:
                raise self._unreachable(str(error)) from None  # the error's own text may have the password

    def resume(self, run_id: str | None) -> None:
        """Go on with a run: what it has already is not written once more.

        Raises
        ------
        PartwiseError
            If the store has no such run.
        """
        if run_id is None:
            return
        with self._at_work():
            self._client.update_run(run_id, status="RUNNING")
            found = self._client.search_runs([self._experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
            self._children = {
                str(run.info.run_name): (
                    run.info.run_id,
                    run.data.tags.get("partwise.content_digest"),
                    run.data.tags.get("partwise.reason") or None,
                )
                for run in found
                if run.info.status != "RUNNING"
            }
            begun = [run.info for run in found if run.info.status == "RUNNING"]
            self._half_made = {str(each.run_name): each.run_id for each in begun}
            self.run_id = run_id

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take events of the journal, in order; kinds that are not tracked are passed over.

        Members are kept until the comparison, or the end: the fit need not wait for the tracking server.
        """
        takers = {
            "run_started": self._start,
            "partitioned": self._describe_partitions,
            "member_finished": self._members.append,
            "member_failed": self._members.append,
            "trial_ended": self._trials.append,
            "comparison": self._log_comparison,
            "training": self._log_training,
            "tuning": self._log_tuning,
            "artifacts": self._upload,
            "model_saved": self._log_model,
        }
        with self._at_work():
            for event in events:
                if event["event"] in takers:
                    takers[event["event"]](event)

    def close(self, status: str) -> None:
        """End the run as ``finished``, ``failed`` or ``interrupted``."""
        if status not in _STATUS:
            raise unknown_choice("status", status, _STATUS)
        if self.run_id is None:
            return
        with self._at_work():
            self._flush_trials()
            self._flush_members()
            self._client.set_terminated(self.run_id, _STATUS[status])

    @contextmanager
    def _at_work(self, **settings: str) -> Iterator[None]:
        with environment(**_SILENT, **(_LATER_CONTACT | settings)), quiet_loggers("mlflow", "alembic"):
            try:
                yield
            except PartwiseError:
                raise
            # What it may raise is not written down, and a signal may have left it in the middle of something.
            except Exception as error:  # noqa: BLE001
                raise PartwiseError(
                    f"MLflow at {self.uri} failed: {type(error).__name__}: {entries.clipped(str(error), 500)}. "
                    "The run's records are in its directory."
                ) from None  # the error's own text may have the password

    def _unreachable(self, reason: str) -> InputError:
        cause = reason.rpartition("Caused by ")[2]  # MLflow's text before it has the request, not the reason
        kind = TrackerUnavailableError if is_remote(self._uri) or "locked" in reason else InputError
        return kind(
            f"The tracking server {self.uri} cannot be used: {entries.clipped(cause, 300)}. Start it, correct the "
            "address (a local file is sqlite:///runs.db), or choose 'off' for no tracking."
        )

    def _new_experiment(self) -> str:
        place = artifact_folder(self._uri, self._experiment)
        try:
            return str(self._client.create_experiment(self._experiment, artifact_location=place))
        except MlflowException:
            found = self._client.get_experiment_by_name(self._experiment)  # another process was faster
            if found is None:
                raise
            return str(found.experiment_id)

    @property
    def _run(self) -> str:
        if self.run_id is None:
            raise PartwiseError("The first event of a run must be 'run_started'.")
        return self.run_id

    def _start(self, event: Mapping[str, Any]) -> None:
        if self.run_id is not None:
            return  # it is sent a second time
        key = event.get("key")
        if key is not None and (found := self._begun(key)) is not None:
            self.resume(found)
            return
        dataset = event.get("dataset")
        tags = {
            "mlflow.user": user_name(),
            "mlflow.source.name": "partwise",
            "mlflow.source.type": "LOCAL",
            "partwise.version": __version__,
            "partwise.run_directory": event.get("directory") or str(self._directory.absolute()),
            "mlflow.source.git.commit": git_commit(),
            "partwise.data_digest": dataset["digest"] if dataset else None,
            _KEY: key,
            **event.get("tags", {}),
        }
        run = self._client.create_run(self._experiment_id, start_time=_milliseconds(event), run_name=event["name"])
        self.run_id = run.info.run_id
        self._log(self._run, params=event.get("settings", {}), tags=entries.known(tags))
        if dataset:
            entity = Dataset(**entries.dataset_fields(dataset, _LONGEST_DIGEST))
            context = [InputTag("mlflow.data.context", "training")]
            self._client.log_inputs(self._run, [DatasetInput(entity, context)])

    def _begun(self, key: str) -> str | None:
        """Return the run that was made for this key: the server made it, and its answer was lost."""
        found = self._client.search_runs([self._experiment_id], f"tags.`{_KEY}` = '{key}'", max_results=1)
        return found[0].info.run_id if found else None

    def _describe_partitions(self, event: Mapping[str, Any]) -> None:
        metrics, tags = entries.partition_metrics(event), {"partwise.partitioner": event["method"]}
        self._log(self._run, metrics=metrics, tags=tags, when=_milliseconds(event))

    def _log_comparison(self, event: Mapping[str, Any]) -> None:
        self._flush_members()
        comparison = event["comparison"]
        tags = {"partwise.verdict": comparison.get("verdict")}
        metrics = entries.comparison_metrics(comparison)
        self._log(self._run, metrics=metrics, tags=entries.known(tags), when=_milliseconds(event))

    def _log_training(self, event: Mapping[str, Any]) -> None:
        self._flush_members()
        self._log(self._run, metrics=entries.training_metrics(event["training"]), when=_milliseconds(event))

    def _log_tuning(self, event: Mapping[str, Any]) -> None:
        self._flush_trials()
        self._flush_members()
        tuning, when = event["tuning"], _milliseconds(event)
        self._log(self._run, metrics=entries.tuning_metrics(tuning), tags=entries.tuning_tags(tuning), when=when)

    def _flush_trials(self) -> None:
        """Log the trials of a search as children, once each; where they are very many as a table."""
        trials = {int(event["number"]): event for event in self._trials}
        self._trials.clear()
        if len(trials) > _MOST_TRIALS:
            self._client.log_table(self._run, pd.DataFrame(entries.trial_table(list(trials.values()))), _TRIAL_TABLE)
            self._log(self._run, tags={"partwise.trials_logged_as": f"table: more than {_MOST_TRIALS} trials"})
            return
        for number, event in sorted(trials.items()):
            if f"trial {number}" not in self._children:
                self._log_trial(f"trial {number}", event)

    def _log_trial(self, name: str, event: Mapping[str, Any]) -> None:
        end = _milliseconds(event)
        tags = {key: text for key in ("state", "reason") if (text := event[key])}
        child = self._new_child(name, int(event["started"] * 1000) or end, tags)
        params = [Param(key, entries.clipped(value, _LONGEST_PARAM)) for key, value in event["params"].items()]
        metrics = [Metric("score", score, end, int(rung)) for rung, score in event["scores"].items()]
        metrics.append(Metric("cpu_seconds", event["cpu_seconds"], end, 0))
        self._client.log_batch(child, metrics, params, [])
        broken = event["state"] in {"failed", "timed_out"}
        self._client.set_terminated(child, "FAILED" if broken else "FINISHED", end_time=end)

    def _flush_members(self) -> None:
        members = sorted(self._members, key=lambda event: int(event["partition"]))
        self._members.clear()
        if len(members) > _MOST_CHILDREN:
            self._table = True
            self._client.log_table(self._run, pd.DataFrame(entries.member_table(members)), _TABLE)
            self._log(self._run, tags={"partwise.members_logged_as": f"table: more than {_MOST_CHILDREN} members"})
        else:
            for event in members:
                self._log_child(event)

    def _log_child(self, event: Mapping[str, Any]) -> None:
        name = f"partition {event['partition']}"
        failed = event["event"] == "member_failed"
        if name in self._children:
            self._restate(name, event, "FAILED" if failed else "FINISHED")
            return
        end = _milliseconds(event)
        start = end
        if event.get("started"):
            start = int(event["started"] * 1000)
            end = start + int((event.get("fit_seconds") or 0) * 1000)
        tags = entries.known({key: event.get(key) for key in ("content_digest", "reason", "message")})
        child = self._new_child(name, start, tags)
        self._log(child, params=entries.member_params(event), metrics=entries.member_metrics(event), when=end)
        self._children[name] = (child, event.get("content_digest"), event.get("reason"))
        self._client.set_terminated(child, "FAILED" if failed else "FINISHED", end_time=end)

    def _new_child(self, name: str, start: int, tags: Mapping[str, Any]) -> str:
        """Return the id of a child with these tags of ours; one that was begun, and not ended, is gone on with."""
        texts = {f"partwise.{key}": entries.clipped(text, _LONGEST_TAG) for key, text in tags.items()}
        if (begun := self._half_made.pop(name, None)) is not None:
            self._log(begun, tags=texts)
            return begun
        tagged = {"mlflow.parentRunId": self._run, **texts}
        run = self._client.create_run(self._experiment_id, start_time=start, tags=tagged, run_name=name)
        return str(run.info.run_id)

    def _restate(self, name: str, event: Mapping[str, Any], status: str) -> None:
        """Say of a member that is there already what became of it since: it was repaired, or dropped."""
        child, *known = self._children[name]
        found = [event.get("content_digest", known[0]), event.get("reason")]
        if found == known:
            return
        texts = {f"partwise.{each}": event.get(each) or "" for each in ("reason", "message")}
        texts |= {"partwise.content_digest": found[0]} if found[0] is not None else {}
        self._log(child, metrics=entries.member_metrics(event), tags=texts, when=_milliseconds(event))
        self._client.set_terminated(child, status)
        self._children[name] = (child, found[0], found[1])

    def _log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, Any] | None = None,
        when: int = 0,
    ) -> None:
        """Log in as few batches as MLflow's limits allow."""
        left_metrics = iter([Metric(k, v, when, 0) for k, v in (metrics or {}).items()])
        left_params = iter([Param(k, entries.clipped(v, _LONGEST_PARAM)) for k, v in (params or {}).items()])
        left_tags = iter([RunTag(k, entries.clipped(v, _LONGEST_TAG)) for k, v in (tags or {}).items()])
        while True:
            some_metrics = list(islice(left_metrics, _METRICS_A_BATCH))
            some_params = list(islice(left_params, _OTHERS_A_BATCH))
            some_tags = list(islice(left_tags, _OTHERS_A_BATCH))
            if not (some_metrics or some_params or some_tags):
                return
            self._client.log_batch(run_id, some_metrics, some_params, some_tags)

    def _upload(self, event: Mapping[str, Any]) -> None:
        for name in event["paths"]:
            if self._table and name == _TABLE:
                continue  # the table of the same members is there under this name
            path, folder = self._directory / name, Path(name).parent.as_posix()
            if not path.is_file():
                raise InputError(f"{path} is to be uploaded and does not exist. Write it before the event 'artifacts'.")
            self._client.log_artifact(self._run, str(path), None if folder == "." else folder)

    def _log_model(self, event: Mapping[str, Any]) -> None:
        """Log the stored model; as ``mlflow.pyfunc.log_model``, but by a client, so no global state is touched."""
        run = self._client.get_run(self._run)
        logged_before = [] if run.outputs is None else run.outputs.model_outputs
        digest = hashlib.sha256((self._directory / event["path"] / "model.json").read_bytes()).hexdigest()
        if logged_before and run.data.tags.get(_MODEL, digest) == digest:
            return  # it is sent a second time
        example = pd.read_parquet(self._directory / event["input_example"])
        output = pd.read_parquet(self._directory / event["output_example"])
        logged = self._client.create_logged_model(self._experiment_id, name="model", source_run_id=self._run)
        name, place = logged.model_id, logged.artifact_location
        metadata = Model(artifact_path=place, run_id=self._run, model_uuid=name, model_id=name)
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            mlflow.pyfunc.save_model(
                path=path,
                loader_module="partwise.model_store",
                data_path=str(self._directory / event["path"]),
                mlflow_model=metadata,
                signature=_signature(example, output),
                input_example=example,
                pip_requirements=list(event["pip_requirements"]),
                model_config={"trust": False},
            )
            self._client.log_model_artifacts(name, str(path))
        self._client.finalize_logged_model(name, "READY")
        self._client.log_outputs(self._run, [LoggedModelOutput(name, step=len(logged_before))])
        self._log(self._run, tags={_MODEL: digest})
        self.model_uri = f"models:/{name}"


def _signature(example: pd.DataFrame, output: pd.DataFrame) -> ModelSignature:
    """Return the signature: columns by name, and their types where MLflow's types can be held to.

    Numbers have type ``any``. Of MLflow's types ``long`` refuses a column once it has a missing value, ``double``
    refuses a column once it has none and was read as integers, and the model takes either.
    """
    inputs = Schema([ColSpec(_column_type(example[name]), str(name)) for name in example.columns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about missing values in integer columns: outputs have none
        outputs = infer_signature(example.head(0), output).outputs
    return ModelSignature(inputs=inputs, outputs=outputs)


def _column_type(column: "pd.Series[Any]") -> Any:
    if pd.api.types.is_datetime64_dtype(column.dtype):  # without time zone: MLflow takes no other
        return "datetime"
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return kind if kind in {"string", "boolean"} else AnyType()  # type: ignore[no-untyped-call] # MLflow's


def _milliseconds(event: Mapping[str, Any]) -> int:
    return int(event.get("time", time.time()) * 1000)
