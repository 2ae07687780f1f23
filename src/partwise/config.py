"""The settings of a comparison, checked together: all mistakes are reported at once."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from partwise.combiners import COMBINERS
from partwise.errors import ConfigurationError
from partwise.partitioners import PARTITIONERS

__all__ = ["CompareConfig", "TaskName"]

TaskName = Literal["auto", "classification", "regression"]


class CompareConfig(BaseModel):
    """What ``partwise compare`` is asked to do; the field names are those of the options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    target: str | None = None
    learner: str = "hist_gradient_boosting"
    param: tuple[str, ...] = ()
    partitions: Annotated[int, Field(ge=1)] = 8
    partitioner: str | None = None
    combine: str | None = None
    task: TaskName = "auto"
    metric: str | None = None
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Path | None = None
    split_column: str | None = None
    time: str | None = None
    weight: str | None = None
    group: str | None = None
    drop: tuple[str, ...] = ()
    encode: bool = True
    evidence: bool = True
    address: str | None = None
    cpus_per_member: Annotated[int, Field(ge=1)] = 1
    ship: tuple[str, ...] = ()
    tracking_uri: str | None = None
    experiment: str = "partwise"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    output: Path | None = None

    @classmethod
    def checked(cls, **settings: Any) -> "CompareConfig":
        """Return the configuration.

        Raises
        ------
        ConfigurationError
            If settings are wrong; every mistake is listed with the value and the valid ones.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigurationError([_sentence(dict(mistake)) for mistake in error.errors()]) from error

    @model_validator(mode="after")
    def _together(self) -> "CompareConfig":
        mistakes = []
        if self.partitioner is not None and self.partitioner not in PARTITIONERS:
            mistakes.append(f"--partitioner {self.partitioner!r} is unknown. Valid: {', '.join(PARTITIONERS)}.")
        if self.combine is not None and self.combine not in COMBINERS:
            mistakes.append(f"--combine {self.combine!r} is unknown. Valid: {', '.join(COMBINERS)}.")
        holdouts = {"--test": self.test, "--split-column": self.split_column, "--time": self.time}
        given = [name for name, value in holdouts.items() if value is not None]
        if self.test is not None and self.split_column is not None:
            mistakes.append(f"{' and '.join(given)} each say which rows are the test. Give one of them.")
        if self.partitioner == "grouped" and self.group is None:
            mistakes.append("--partitioner grouped needs --group COLUMN.")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self


def _sentence(mistake: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in mistake["loc"])
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if not place:
        return message
    return f"--{place.replace('_', '-')} {mistake['input']!r} is wrong: {message}."
