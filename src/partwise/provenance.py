"""Where results come from: versions of software, the commit, a digest of the data."""

import getpass
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

__all__ = ["data_digest", "digest_of", "git_commit", "user_name", "versions"]

_PACKAGES = ("partwise", "ray", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "skrub", "skops", "mlflow")
_EXTRAS = ("xgboost", "lightgbm", "catboost", "torch", "skorch")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *_EXTRAS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the commit of the working directory, with ``-dirty`` where files differ from it; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - constant
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def user_name() -> str:
    """Return the name of the user, or the number where the user has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def digest_of(texts: Iterable[str]) -> str:
    """Return 16 hexadecimal digits that depend on texts and their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} {text}".encode())
    return digest.hexdigest()[:16]


def data_digest(*tables: pd.DataFrame) -> str:
    """Return 16 hexadecimal digits that depend on column names, values and the order of rows."""
    digest = hashlib.sha256()
    for table in tables:
        for name, column in table.items():
            digest.update(str(name).encode())
            try:
                hashes = pd.util.hash_pandas_object(column, index=False)
            except TypeError:  # lists and other objects without a hash
                hashes = pd.util.hash_pandas_object(column.astype(str), index=False)
            digest.update(np.ascontiguousarray(hashes.to_numpy()).tobytes())
    return digest.hexdigest()[:16]
