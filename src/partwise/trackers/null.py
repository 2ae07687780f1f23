"""No tracking: the records stay in the run directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["NullTracker"]


class NullTracker:
    """Track nothing, where tracking is off."""

    uri: str | None = None
    run_id: str | None = None
    model_uri: str | None = None
    ui_command: str | None = None

    def open(self, directory: Path) -> None:
        """Begin, with nothing to reach."""

    def reach(self) -> None:
        """Do nothing: there is nothing to reach."""

    def resume(self, run_id: str | None) -> None:
        """Go on, with nothing to find."""

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take events and keep none."""

    def close(self, status: str) -> None:
        """End."""
