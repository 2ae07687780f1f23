"""Fixtures for all tests: one Ray for the whole session."""

import os
import sys
from pathlib import Path

import pytest

# Before SciPy is imported: scikit-learn skips its check of array API input otherwise.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
_TESTS = str(Path(__file__).parent)
# Workers unpickle the fakes by their name, so that they must find them as they find a user's installed package.
sys.path.insert(0, _TESTS)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_TESTS, os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def ray_session():
    """One Ray on this machine, started by the library itself and ended with the session."""
    import ray  # noqa: PLC0415 - tests that need no Ray shall not load it

    from partwise.executors.ray_cluster import connect  # noqa: PLC0415 - as above

    connect(None, ())
    yield
    ray.shutdown()
