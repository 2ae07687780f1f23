"""The settings of a comparison, checked together: all mistakes are reported at once."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from partwise.combiners import make_combiner
from partwise.errors import ConfigurationError, InputError, Mistakes
from partwise.evaluation import check_metric_name
from partwise.learners import check_learner_name, parse_parameters
from partwise.partitioners import make_partitioner
from partwise.protocols import Combiner, Partitioner
from partwise.records import Fidelity
from partwise.selection import Auto, asked_for, check_choice

__all__ = ["CompareConfig", "FitConfig", "TaskName", "TrainConfig", "TuneConfig", "read_seconds"]

TaskName = Literal["auto", "classification", "regression"]


def _seconds(given: Any) -> Any:
    """Return a duration such as ``90s``, ``10m`` or ``1h30m`` in seconds; a number is one of seconds already."""
    if not isinstance(given, str):
        return given
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = pd.Timedelta(given).total_seconds()
        except ValueError:
            seconds = 0.0
    if not seconds > 0:
        raise ValueError("give a time above zero with its unit, such as 90s, 10m or 2h")
    return seconds


Seconds = Annotated[Annotated[float, Field(gt=0)], BeforeValidator(_seconds)]


def read_seconds(option: str, given: str | None) -> float | None:
    """Return the seconds of an option that is a duration, None where it was not given.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return None if given is None else float(_seconds(given))
    except ValueError as error:
        raise InputError(f"{option} {given!r} is wrong: {error}.") from error


class FitConfig(BaseModel):
    """What every command that fits an ensemble is asked to do; the field names are those of the options.

    Durations are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: ClassVar[str]

    data: str
    target: str | None = None
    learner: str = "hist_gradient_boosting"
    param: tuple[str, ...] = ()
    partitions: Annotated[int, Field(ge=1)] = 8
    partitioner: str | None = None
    combine: str | None = None
    replication: Annotated[int, Field(ge=1)] = 1
    match_updates: bool | None = None
    task: TaskName = "auto"
    metric: str | None = None
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: str | Path | None = None
    split_column: str | None = None
    time: str | None = None
    weight: str | None = None
    group: str | None = None
    drop: tuple[str, ...] = ()
    encode: bool = True
    evidence: bool = True
    address: str | None = None
    cpus_per_member: Annotated[int, Field(ge=1)] = 1
    gpus_per_member: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    member_timeout: Seconds | None = None
    step_timeout: Seconds | None = None
    speculate: bool = False
    on_failure: Literal["raise", "skip"] = "raise"
    quorum: Annotated[float, Field(gt=0, le=1)] = 0.9
    ship: tuple[str, ...] = ()
    storage: str | None = None
    tracking_uri: str | None = None
    experiment: str = "partwise"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    output: str | Path | None = None

    @classmethod
    def checked(cls, **settings: Any) -> Self:
        """Return the configuration.

        Raises
        ------
        ConfigurationError
            If settings are wrong; every mistake is listed with the value and the valid ones.
        """
        mistakes = _disagreements(settings)
        try:
            config = cls(**settings)
        except ValidationError as error:
            mistakes = [*(_sentence(dict(mistake)) for mistake in error.errors()), *mistakes]
            raise ConfigurationError(mistakes) from error
        if mistakes:
            raise ConfigurationError(mistakes)
        return config


class CompareConfig(FitConfig):
    """What ``partwise compare`` is asked to do."""

    command: ClassVar[str] = "compare"

    baseline_budget: Seconds | None = None
    also: tuple[Literal["incremental", "allreduce"], ...] = ()


class TrainConfig(FitConfig):
    """What ``partwise train`` is asked to do; without test rows (``test_size`` 0) the ensemble is not judged."""

    command: ClassVar[str] = "train"

    test_size: Annotated[float, Field(ge=0, lt=1)] = 0.2


class TuneConfig(FitConfig):
    """What ``partwise tune`` is asked to do."""

    command: ClassVar[str] = "tune"

    trials: Annotated[int, Field(ge=1)] = 50
    budget: Seconds | None = None
    sampler: str = "tpe"
    space: Path | None = None
    fidelity: Fidelity = "members"
    reduction_factor: Annotated[int, Field(ge=1)] = 2
    keep: Annotated[int, Field(ge=1)] = 1
    one_by_one: bool = False
    study: str | None = None
    evidence: bool = False


def _disagreements(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings that no single field shows."""
    partitioner, combine, found = settings.get("partitioner"), settings.get("combine"), Mistakes()
    _check_names(settings, found)
    cut = None if partitioner in {None, Auto.name} else found.attempt(lambda: make_partitioner(partitioner))
    auto, combiner = found.attempt(lambda: _combination(partitioner, combine)) or (None, None)
    if auto is not None:
        found.attempt(lambda: check_choice(_count(settings, "partitions"), _count(settings, "replication")))
    mistakes = found.found
    if settings.get("test") is not None and settings.get("split_column") is not None:
        mistakes.append("--test and --split-column each say which rows are the test. Give one of them.")
    if cut is not None and "group" in cut.needs and settings.get("group") is None:
        mistakes.append(f"--partitioner {partitioner} needs --group COLUMN.")
    if auto is None:
        mistakes += _lacking_evidence(settings, cut, combiner)
    return mistakes


def _check_names(settings: Mapping[str, Any], found: Mistakes) -> None:
    """Collect names that no task knows; what does not go with the task is told when that is known."""
    learner, metric = settings.get("learner"), settings.get("metric")
    if isinstance(learner, str):
        found.attempt(lambda: check_learner_name(learner))
    if isinstance(metric, str):
        found.attempt(lambda: check_metric_name(metric))
    found.attempt(lambda: parse_parameters(settings.get("param", ())))


def _combination(partitioner: Any, combine: Any) -> tuple[Auto | None, Combiner | None]:
    """Return the settings where the data shall choose, or those of the combination, None where it is open."""
    auto = asked_for(partitioner, combine)
    return auto, None if combine is None or auto is not None else make_combiner(combine)


def _count(settings: Mapping[str, Any], name: str) -> int:
    """Return a number that was given, or the default where none was, or something else that its field refuses."""
    given = settings.get(name)
    return given if isinstance(given, int) else int(FitConfig.model_fields[name].default)


def _lacking_evidence(settings: Mapping[str, Any], cut: Partitioner | None, combiner: Combiner | None) -> Iterator[str]:
    if settings.get("partitions") != 1:
        return
    if combiner is not None and combiner.needs_evidence:
        yield (
            f"--combine {settings['combine']!r} learns from rows that members have not seen, and --partitions 1 leaves "
            "none. Ask for 2 or more, or combine without scores."
        )
    plain = (cut is None or cut.gives == "samples") and (combiner is None or "samples" in combiner.takes)
    if plain and settings.get("evidence", True) and not (combiner is not None and combiner.merges):
        yield "--partitions 1 leaves no member that has not seen a row. Ask for 2 or more, or add --no-evidence."


def _sentence(mistake: dict[str, Any]) -> str:
    place, message = ".".join(str(part) for part in mistake["loc"]), str(mistake["msg"])
    said = re.sub(r"^Input should be (?!a valid)", "Valid: ", message)
    return f"--{place.replace('_', '-')} {mistake['input']!r} is wrong{': ' if said == message else '. '}{said}."
