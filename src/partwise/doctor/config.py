"""What the doctor is asked to look at; what cannot be understood is told at once, before anything is looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from partwise.errors import ConfigurationError, InputError
from partwise.executors.ray_cluster import host_and_port, shipped_path

__all__ = ["DoctorConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorConfig:
    """The place of a run, by the options of the commands that fit; the directory ``output`` need not exist."""

    address: str | None = None
    storage: str | None = None
    tracking_uri: str | None = None
    output: str | Path | None = None
    ship: tuple[str, ...] = ()

    @classmethod
    def checked(cls, **settings: Any) -> Self:
        """Return the configuration.

        Raises
        ------
        ConfigurationError
            If settings make no sense; every mistake is listed with the value and the valid ones.
        """
        config = cls(**settings)
        mistakes = list(_mistakes(config))
        if mistakes:
            raise ConfigurationError(mistakes)
        return config

    @property
    def starts_ray(self) -> bool:
        """Whether a Ray of its own is started on this machine."""
        return self.address in {None, "local"}


def _mistakes(config: DoctorConfig) -> Iterator[str]:
    """Yield what no look is needed for: an address that nothing answers at is a finding, and no mistake."""
    checks: list[Callable[[], object]] = []
    if config.address not in {None, "auto", "local"}:
        checks.append(partial(host_and_port, str(config.address)))
    if config.tracking_uri is not None:
        checks.append(partial(_check_tracking_uri, config.tracking_uri))
    checks += [partial(shipped_path, each) for each in config.ship]
    for check in checks:
        try:
            check()
        except InputError as error:
            yield str(error)


def _check_tracking_uri(uri: str) -> None:
    if uri != "off" and not uri.startswith("databricks") and urlsplit(uri).scheme in {"", "file"}:
        raise InputError(
            f"--tracking-uri {uri!r} is a folder, where MLflow keeps runs no longer. Valid: sqlite:///runs.db, "
            "http://HOST:PORT, a database's URI, or off."
        )
