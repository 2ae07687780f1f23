"""What was given to `fit` as arrays or frames, and from it the encoded table."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from partwise.encoders import fit_encoder, make_encoder
from partwise.protocols import Encoder
from partwise.records import Part
from partwise.tables.kinds import kinds_of_frame
from partwise.tables.memory import MemoryTable

__all__ = ["GivenRows", "as_frame"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRows:
    """Rows in memory that were checked, and are not encoded yet; ``targets`` are class codes or values."""

    features: Any
    targets: NDArray[Any]
    labels: NDArray[Any] | None
    weights: NDArray[Any] | None
    groups: Any = None
    time: Any = None

    @property
    def kinds(self) -> dict[str, str] | None:
        """What kind of values each column holds; None for an array."""
        return kinds_of_frame(self.features)

    def encoded(self, encoder: str | Encoder | None, seed: int) -> tuple[Any, MemoryTable]:
        """Return the fitted encoder, None where there is none, and the table of what it makes of the rows."""
        if encoder is None:
            fitted, matrix = None, self.features
        else:
            frame = as_frame(self.features)
            fitted = fit_encoder(make_encoder(encoder), frame, seed)
            matrix = fitted.transform(frame)
        rows = Part(0, matrix, self.targets, self.weights)
        return fitted, MemoryTable(rows, self.labels, groups=self.groups, time=self.time)


def as_frame(X: Any) -> pd.DataFrame:
    """Return the columns as an encoder takes them; those of an array are named x0, x1 and so on."""
    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
