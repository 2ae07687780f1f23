"""What a check found."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Check", "State", "bad", "good", "warning"]

State = Literal["good", "warning", "bad"]


class Check(BaseModel):
    """One thing that was looked at: what was found, and where it is not good, what mends it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    found: str
    state: State
    mend: str = ""


def good(name: str, found: str) -> Check:
    """Return that all is well."""
    return Check(name=name, found=found, state="good")


def warning(name: str, found: str, mend: str) -> Check:
    """Return what may go wrong."""
    return Check(name=name, found=found, state="warning", mend=mend)


def bad(name: str, found: str, mend: str) -> Check:
    """Return what will go wrong."""
    return Check(name=name, found=found, state="bad", mend=mend)
