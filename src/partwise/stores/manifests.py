"""What a partition store knows of a table: written last, so that what has no manifest is not complete."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FORMAT", "Manifest", "StoredPart"]

FORMAT = 2
"""Changes whenever older partitions must not be taken: with their layout, or with what decides them."""


class StoredPart(BaseModel):
    """One partition: its file below the table's folder, size and digest of the footer, and what is known of its rows.

    ``n_counting`` is the number of rows that do not have weight zero; ``class_counts`` has the rows of each class, in
    the order of the manifest's labels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[0-9a-f]+/part-\d+\.parquet$")
    n_bytes: int = Field(ge=0)
    footer_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    n_rows: int = Field(ge=1)
    row_groups: int = Field(ge=1)
    n_counting: int = Field(ge=0)
    class_counts: list[int] | None = None
    target_mean: float | None = None
    target_variance: float | None = None


class Manifest(BaseModel):
    """A table that was cut into partitions.

    ``key`` tells tables and cuts apart: it follows from the sources' fingerprints and all settings of the cut.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2] = 2
    key: str
    name: str
    uri: str
    created: str
    method: str
    replication: int
    n_rows: int
    columns: dict[str, str]
    labels: list[Any] | None
    sources: list[str]
    parts: list[StoredPart]

    @property
    def n_bytes(self) -> int:
        """The size of all partitions."""
        return sum(part.n_bytes for part in self.parts)
