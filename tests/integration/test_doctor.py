"""`partwise doctor`: real Ray, real places."""

import json
import sqlite3
from contextlib import closing

import pytest

from partwise.cli import main
from partwise.doctor import DoctorConfig, examine


def _asked(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments, "--json"])
    return ended.value.code, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("ray_session")
def test_a_sound_place_is_good_and_stays_as_it_was(capsys, tmp_path, monkeypatch):
    """Exit code 0; machine, places, Ray and its node were looked at; no file is left."""
    monkeypatch.chdir(tmp_path)
    code, checks = _asked(capsys)
    assert code == 0
    assert {"software", "Ray's token", "run directory", "partition store", "tracking", "Ray"} <= set(checks)
    kinds = {name.rpartition(": ")[2] for name in checks if "/" in name.partition(":")[0]}
    assert {"versions", "clock", "partition store"} <= kinds
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("ray_session")
def test_places_that_cannot_be_written_to_are_bad(capsys):
    """Exit code 1, and each line says the mend."""
    code, checks = _asked(capsys, "--storage", "/proc/store", "--output", "/proc/run", "--tracking-uri", "off")
    assert code == 1
    assert "--storage" in checks["partition store"]["mend"]
    assert "--output" in checks["run directory"]["mend"]


def test_a_cluster_that_is_not_there_is_bad(tmp_path):
    """The other lines are there all the same."""
    config = DoctorConfig(address="127.0.0.1:9", storage=str(tmp_path / "store"), tracking_uri="off", output=tmp_path)
    checks = {check.name: check for check in examine(config)}
    assert checks["Ray"].state == "bad"
    assert "127.0.0.1:9" in checks["Ray"].found
    assert checks["run directory"].state == "good"


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["closed port", "locked database"])
def test_a_tracking_server_that_cannot_be_reached_is_bad(kind, tmp_path):
    """A run would go on without it, says the mend."""
    database = tmp_path / "runs.db"
    with closing(sqlite3.connect(database)) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        uri = "http://127.0.0.1:9" if kind == "closed port" else f"sqlite:///{database}"
        config = DoctorConfig(storage=str(tmp_path / "store"), tracking_uri=uri, output=tmp_path)
        checks = {check.name: check for check in examine(config)}
    assert checks["tracking"].state == "bad"
    assert "partwise sync" in checks["tracking"].mend
