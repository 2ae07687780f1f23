"""The record of a comparison: what ``comparison.json`` holds, and its JSON schema."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from partwise.comparison import verdict
from partwise.errors import InputError
from partwise.records import Fidelity

__all__ = [
    "AlternativeReport",
    "Comparison",
    "Configuration",
    "DifferenceReport",
    "EnsembleReport",
    "ModelReport",
    "Training",
    "TrialReport",
    "Tuning",
    "json_schema",
]

_DERIVED = ("speedup", "efficiency", "verdict")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelReport(_Record):
    """What fitting and judging one model took, and how well it did."""

    scores: dict[str, float | None]
    """Score by name, null where it is not defined for this model or these test rows."""
    fit_seconds: float = Field(ge=0)
    """From the table in memory or in the store to the predictor: all steps, wall time."""
    predict_seconds: float = Field(ge=0)
    """Wall time of the predictions for all test rows."""
    cpu_seconds: float = Field(ge=0)
    """Processor time of the fit, summed over processes."""
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    """Private memory of the largest process at its peak; null where it was not measured."""
    encode_seconds: float = Field(ge=0)
    """The part of the fit that turned raw columns into numbers."""
    where: str
    """What ran it, such as ``a fresh process on host X, 2 cores``."""
    n_rows: int = Field(ge=0)
    """Training rows."""


class EnsembleReport(ModelReport):
    """What the ensemble took; the parts of ``fit_seconds`` stand beside it."""

    partition_seconds: float = Field(ge=0)
    members_seconds: float = Field(ge=0)
    """Wall time from the first member's start to the last one's end."""
    member_fit_seconds: float = Field(ge=0)
    """The members' own fit times, summed."""
    combine_seconds: float = Field(ge=0)
    select_seconds: float | None = Field(default=None, ge=0)
    """Trials of recipes, null where the recipe was asked for."""
    driver_cpu_seconds: float | None = Field(default=None, ge=0)
    """The driver's part of ``cpu_seconds``."""
    driver_peak_memory_bytes: int | None = Field(default=None, ge=0)
    """Private memory of the driver at its peak during the fit."""
    evidence_seconds: float | None = Field(default=None, ge=0)
    """Out-of-partition predictions, null where none were made."""
    n_members: int = Field(ge=0)
    n_failed: int = Field(ge=0)
    n_dropped: int = Field(default=0, ge=0)
    """Members that are left out because somebody asked for it."""
    exactness: str
    """Against one model on all rows: ``exact``, ``exact in distribution`` or ``approximate``."""
    out_of_partition_score: float | None = None
    n_nodes: int = Field(ge=1)
    n_workers: int = Field(ge=1)
    """Members that were fitted at the same time."""


class LeaderboardEntry(_Record):
    """A recipe that was tried on training rows; nulls where the trial failed."""

    recipe: str
    score: float | None
    """Accuracy, or R², on training rows that were held back."""
    difference: float | None
    """To one model on the same rows, with its 95 % interval."""
    low: float | None
    high: float | None
    rows: int = Field(ge=1)
    """Rows that the recipe was fitted on."""
    fit_seconds: float = Field(ge=0)
    """Processor seconds of the trial's fit."""
    predict_seconds: float = Field(ge=0)
    chosen: bool
    failure: str | None


class DifferenceReport(_Record):
    """Ensemble minus single model in the metric's own units; nulls where the test rows cannot tell."""

    estimate: float
    low: float | None
    high: float | None
    level: float = Field(gt=0, lt=1)
    p_value: float | None = Field(ge=0, le=1)
    test: str
    n_resamples: int = Field(ge=0)


class AlternativeReport(ModelReport):
    """What a user could have instead of the ensemble, beside one model."""

    difference: DifferenceReport | None
    """The ensemble minus this one; null where the metric is not defined for one of them."""
    difference_to_single: DifferenceReport | None = None
    """This one minus the single model; null as above."""
    exactness: str = "approximate"
    """In what it is the single model on the same rows, and in what it is not."""
    startup_seconds: float | None = Field(default=None, ge=0)
    """What it took to start and end its own processes, in no fit time; null where it has none."""


class Training(_Record):
    """An ensemble: how it was made, what it took, and how well it does on test rows where there are some."""

    metric: str
    greater_is_better: bool
    task: Literal["classification", "regression"]
    learner: str
    partitions: int = Field(ge=1)
    partitioner: str
    combine: str
    replication: int = Field(default=1, ge=1)
    match_updates: bool = False
    recipe: str
    """How tables call cut and combination: their names, ``one model``, or ``3 models`` that have all rows each."""
    selection_reason: str | None = None
    """Why the data chose this recipe, null where it was asked for."""
    n_train: int = Field(ge=1)
    n_test: int = Field(ge=0)
    ensemble: EnsembleReport
    startup_seconds: float = Field(ge=0)
    """Ray's start and the workers' imports; in no fit time."""
    leaderboard: list[LeaderboardEntry] | None = None
    """What was tried where the data chose the recipe, null where it was asked for."""
    notes: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)


class TrialReport(_Record):
    """What became of one trial of a search."""

    number: int = Field(ge=0)
    params: dict[str, Any]
    state: Literal["finished", "pruned", "stopped", "failed", "timed_out"]
    scores: dict[int, float]
    """The metric after so many partitions, each row by members that never saw it."""
    cpu_seconds: float = Field(ge=0)
    """Processor time of its fits, and of asking its members."""
    n_fits: int = Field(ge=0)
    """Members that the process that ended it fitted for it: others were there."""
    started: float = Field(ge=0)
    """When it was begun, in seconds since the epoch."""
    reason: str = ""


class Configuration(_Record):
    """Parameters of which the ensemble has members, and how much these weigh."""

    params: dict[str, Any]
    weight: float = Field(gt=0)


class Tuning(Training):
    """A search: what was tried, what was found, and the ensemble of the best, judged once on the test rows."""

    sampler: str
    fidelity: Fidelity = "members"
    """What grew with a trial's partitions: the members of an ensemble, or the rows of one model."""
    reduction_factor: int = Field(ge=1)
    best_params: dict[str, Any]
    best_trial: int = Field(ge=0)
    best_score: float
    """Of the best trial on training rows, in the metric's own units: the best of many looks better than it is."""
    corrected_score: float | None
    """What it scores on training rows that judged no trial, or an estimate of it; null where one trial was judged."""
    kept: list[Configuration]
    n_fits: int = Field(ge=0)
    """Members that trials fitted; the ensemble takes over those of its configurations."""
    search_seconds: float = Field(ge=0)
    trials: list[TrialReport]
    importances: dict[str, float] = Field(default_factory=dict)
    """Share of the scores' variance that each parameter explains (fANOVA); empty where trials are too few."""


class Comparison(Training):
    """A single model and an ensemble on the same training and test rows."""

    n_test: int = Field(ge=1)
    single: ModelReport
    difference: DifferenceReport | None
    """Null where the metric is not defined for one of the models."""
    alternatives: dict[str, AlternativeReport] = Field(default_factory=dict)
    """Further models by name: ``incremental``, ``allreduce``."""

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def speedup(self) -> float | None:
        """Fit seconds of the single model over those of the ensemble; null where the latter is 0."""
        return self.single.fit_seconds / self.ensemble.fit_seconds if self.ensemble.fit_seconds else None

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def efficiency(self) -> float | None:
        """Share of the workers' time that was spent fitting, null where no time passed."""
        available = self.ensemble.n_workers * self.ensemble.members_seconds
        return self.ensemble.member_fit_seconds / available if available else None

    @computed_field(return_type=str)  # type: ignore[prop-decorator]  # as above
    @property
    def verdict(self) -> str:
        """One sentence: how much faster, and how much better or worse."""
        return verdict.sentence(self)

    def to_json(self) -> str:
        """Return the text of ``comparison.json``, derived values included."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Comparison":
        """Return the comparison in the text of a ``comparison.json``; what is derived is derived again.

        Raises
        ------
        InputError
            If the text is no JSON object, or not that of a comparison; all mistakes are listed.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"This is not JSON ({error}): give the comparison.json of a run directory.") from error
        if not isinstance(values, dict):
            raise InputError(f"Expected a JSON object, got {type(values).__name__}: give a run's comparison.json.")
        try:
            return cls.model_validate({name: value for name, value in values.items() if name not in _DERIVED})
        except ValidationError as error:
            mistakes = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise InputError("This is not the comparison.json of this version:\n" + "\n".join(mistakes)) from error


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of ``comparison.json`` as it is written."""
    return Comparison.model_json_schema(mode="serialization")
