"""The wheel is what users install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the built wheel's content, installed by pip without dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    return target


def test_wheel_is_typed(installed):
    """Type checkers find the marker."""
    assert (installed / "partwise" / "py.typed").exists()


def test_wheel_has_the_command(installed):
    """The command of the installed wheel answers, from the wheel's own files."""
    surroundings = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, str(installed / "bin" / "partwise"), "compare", "--help"]
    said = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True, timeout=60)
    assert "--partitions" in said.stdout
