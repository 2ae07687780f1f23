"""A study in PostgreSQL: searched, refused to a second search, and gone on with."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB

from partwise import PartitionedSearchCV, Range
from partwise.errors import InputError
from partwise.search.claiming import claimed

pytest.importorskip("psycopg", reason="needs the extra postgresql")

X, Y = make_classification(n_samples=300, n_features=5, flip_y=0.1, random_state=0)


def _programs():
    """Return the folder of the server's programs: not all systems have it on the path."""
    found = shutil.which("pg_ctl")
    return Path(found).parent if found else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def study():
    """The address of a database of a server that is reached by a socket alone."""
    programs = _programs()
    if programs is None:
        pytest.skip("the extra postgresql is there, but no server: install one, such as Debian's postgresql")
    as_user = {"user": "postgres"} if os.geteuid() == 0 else {}  # it does not run as root
    with TemporaryDirectory() as folder:
        if as_user:
            shutil.chown(folder, **as_user)

        def call(program, *arguments):
            subprocess.run([programs / program, *arguments], check=True, capture_output=True, cwd=folder, **as_user)

        call("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "partwise")
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        call("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", settings, "start")
        try:
            yield f"postgresql://partwise@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")


def _search(study, **settings):
    space = {"var_smoothing": Range(1e-9, 1.0, log=True)}
    always = {"n_partitions": 2, "executor": "inline", "random_state": 0, "study": study}
    return PartitionedSearchCV(GaussianNB(), space, **always | settings)


def test_a_study_in_postgresql_is_gone_on_with(study):
    """More trials are added to those that are there; they are those of a search without a database."""
    first = _search(study, n_trials=3).fit(X, Y)
    more = _search(study, n_trials=6).fit(X, Y)
    at_once = _search(None, n_trials=6).fit(X, Y)
    assert [trial.scores for trial in more.trials_[:3]] == [trial.scores for trial in first.trials_]
    assert [trial.params for trial in more.trials_] == [trial.params for trial in at_once.trials_]


def test_a_second_search_in_postgresql_is_refused(study):
    """As long as the first holds it, and no longer."""
    with claimed(study), pytest.raises(InputError, match="Another process searches in"), claimed(study):
        pytest.fail("two searches had the study at once")
    with claimed(study):
        pass
