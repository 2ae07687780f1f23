"""Who started a run, and from which commit."""

import getpass
import os
import shutil
import subprocess

__all__ = ["git_commit", "user_name"]


def user_name() -> str:
    """Return the name of the user, or the number where the user has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def git_commit() -> str | None:
    """Return the commit of the working directory, None where it is no checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    found = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return found.stdout.strip() if found.returncode == 0 else None
