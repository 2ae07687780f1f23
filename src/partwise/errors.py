"""The error tree of partwise.

PartwiseError
├── InputError (ValueError)          something that was given is wrong; the command line exits with 2
│   ├── ConfigurationError           several wrong settings, reported together
│   └── UnwritableError              a file cannot be written, such as for want of room
├── MemberFitError (RuntimeError)    a member could not be fitted
├── SearchError (RuntimeError)       no trial of a search gave a score, or its database failed
├── PredictionError (RuntimeError)   a member gave outputs that cannot be combined
├── StepTimeoutError (RuntimeError)  a step other than a member's fit took longer than it may
├── ClusterError (RuntimeError)      Ray cannot be started, or lacks what was asked for
│   └── AddressError (InputError)    no cluster can be joined at the address that was given
├── TrackerUnavailableError (InputError)  the tracking server does not answer; a run goes on without it
├── TableError (RuntimeError)        a table cannot be read, or its partitions cannot be stored
├── MissingExtraError (ImportError)  an optional dependency is not installed
└── ModelStoreError (RuntimeError)   a stored model cannot be written, or is refused on reading
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from partwise.records import MemberFailure

__all__ = [
    "AddressError",
    "ClusterError",
    "ConfigurationError",
    "InputError",
    "MemberFitError",
    "MissingExtraError",
    "Mistakes",
    "ModelStoreError",
    "PartwiseError",
    "PredictionError",
    "SearchError",
    "StepTimeoutError",
    "TableError",
    "TrackerUnavailableError",
    "UnwritableError",
    "several_values",
    "unknown_choice",
]

Made = TypeVar("Made")


class PartwiseError(Exception):
    """Base class of every error that partwise raises on purpose."""


class InputError(PartwiseError, ValueError):
    """Something that was given is wrong: the message has the value, the valid values and the next step."""


class ConfigurationError(InputError):
    """Several settings are wrong at once; ``mistakes`` lists one message for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))

    def __reduce__(self) -> tuple[type["ConfigurationError"], tuple[tuple[str, ...]]]:
        return type(self), (self.mistakes,)


class UnwritableError(InputError):
    """A file cannot be written, such as for want of room; what was finished before stays."""


class Mistakes:
    """What several checks complain about, to be told together; ``found`` lists one message for each mistake."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, make: Callable[[], Made]) -> Made | None:
        """Return what a function makes, None where it complains."""
        try:
            return make()
        except ConfigurationError as error:
            self.found += error.mistakes
        except InputError as error:
            self.found.append(str(error))
        return None

    def tell(self) -> None:
        """Raise all of them, each once.

        Raises
        ------
        ConfigurationError
            If there are some.
        """
        if self.found:
            raise ConfigurationError(list(dict.fromkeys(self.found)))


class MemberFitError(PartwiseError, RuntimeError):
    """One or more members could not be fitted; ``failures`` has a record for each."""

    def __init__(self, failures: Sequence[MemberFailure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n".join(failure.describe() for failure in self.failures))

    def __reduce__(self) -> tuple[type["MemberFitError"], tuple[tuple[MemberFailure, ...]]]:
        return type(self), (self.failures,)


class SearchError(PartwiseError, RuntimeError):
    """No trial of a hyperparameter search gave a score; the message has what the first of them said."""


class PredictionError(PartwiseError, RuntimeError):
    """A member gave outputs that cannot be combined, such as NaN or a wrong number of columns."""


class StepTimeoutError(PartwiseError, RuntimeError):
    """A step of a run other than the fit of a member took longer than ``--step-timeout`` allows."""


class ClusterError(PartwiseError, RuntimeError):
    """Ray cannot be started, or the cluster lacks what was asked for."""


class AddressError(ClusterError, InputError):
    """No cluster can be joined at the address that was given."""


class TrackerUnavailableError(InputError):
    """The tracking server does not answer, or its database is locked: it may be there again later."""


class TableError(PartwiseError, RuntimeError):
    """A table cannot be read, or its partitions cannot be stored or read back."""


class MissingExtraError(PartwiseError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class ModelStoreError(PartwiseError, RuntimeError):
    """A stored model cannot be written, or is refused on reading."""


def unknown_choice(what: str, value: object, valid: Iterable[str], *, hint: str = "") -> InputError:
    """Return the error for a value that is none of the valid ones, with the nearest match as next step."""
    names = sorted(valid)
    near = get_close_matches(str(value), names, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(f"Unknown {what} {value!r}. Valid: {', '.join(names)}.{suggestion}{' ' + hint if hint else ''}")


def several_values(name: str, kind: object) -> str:
    """Return what is wrong with a feature that holds several values in a row."""
    return (
        f"The feature {name!r} is of type {kind}. Valid: one value in each row. Leave it out (--drop {name}, "
        f"partwise.scan(…, drop=[{name!r}])), or make columns of its values."
    )
