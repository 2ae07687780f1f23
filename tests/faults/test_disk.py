"""Disks that are full or cannot be written to: no file is torn, the path is named, nothing is fitted in vain."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

from commands import run_here
from partwise import PartitionedClassifier, PartitionedSearchCV, Range, scan
from partwise.config import CompareConfig
from partwise.errors import InputError
from partwise.experiment import compare
from partwise.stores import PartitionStore

MOUNT = shutil.which("mount")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 kB, which can be made larger."""
    if os.geteuid():
        pytest.skip("mounting a small file system takes root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run([shutil.which("umount"), str(place)], check=True)


@pytest.fixture
def table(tmp_path):
    """A table of which a forest's member takes 400 kB."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4_000, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(frame["a"] + rng.normal(size=4_000) > 0, "x", "y")
    frame.to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def _partwise(place, *arguments):
    command = [sys.executable, "-m", "partwise", *map(str, arguments)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=250, check=False)


@pytest.mark.long
def test_a_full_disk_tears_no_file(small_disk, table, tmp_path):
    """The error names path and reason; with more room, resume fits what lacks, and the members are the usual ones."""
    options = ["compare", table, "--target", "kind", "--learner", "random_forest", "--partitions", "6"]
    options += ["--tracking-uri", "off", "--output"]
    said = _partwise(tmp_path, *options, small_disk / "run")
    assert said.returncode == 1
    assert "No space left on device" in said.stderr
    assert f"{small_disk / 'run' / 'members'}/" in said.stderr
    assert not list(small_disk.rglob("*.tmp"))
    assert not (small_disk / "run" / "comparison.json").exists()
    subprocess.run([MOUNT, "-o", "remount,size=60m", str(small_disk)], check=True)
    said = _partwise(tmp_path, "resume", small_disk / "run")
    assert said.returncode == 0, said.stderr
    assert _partwise(tmp_path, *options, tmp_path / "elsewhere").returncode == 0
    resumed, usual = (
        [member["content_digest"] for member in json.loads((place / "members.json").read_text())]
        for place in (small_disk / "run", tmp_path / "elsewhere")
    )
    assert resumed == usual


LEARNER = """
from pathlib import Path

from sklearn.naive_bayes import GaussianNB


class Noted(GaussianNB):
    def fit(self, X, y):
        Path("fitted").touch()
        return super().fit(X, y)
"""


@pytest.fixture
def read_only_disk(small_disk):
    """The same file system, which even root may only read."""
    subprocess.run([MOUNT, "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


@pytest.mark.parametrize("command", ["compare", "train"])
def test_a_disk_that_can_only_be_read_is_told_before_anything_is_fitted(command, read_only_disk, table, tmp_path):
    """Exit code 2 with the path, and no learner was asked to fit."""
    (tmp_path / "noted.py").write_text(LEARNER)
    said = run_here(
        tmp_path,
        *(command, table, "--target", "kind", "--learner", "noted.py:Noted"),
        *("--tracking-uri", "off", "--output", read_only_disk / "run"),
    )
    assert said.returncode == 2
    assert f"{read_only_disk / 'run'} cannot be written to" in " ".join(said.stderr.split())
    assert not (tmp_path / "fitted").exists()


def test_a_store_that_can_only_be_read_is_told_before_one_model_is_paid_for(
    read_only_disk, table, tmp_path, monkeypatch
):
    """And before there is a run directory."""
    monkeypatch.setattr(
        "partwise.experiment.pipeline.fit_in_fresh_process", lambda *_: pytest.fail("one model was paid for")
    )
    settings = {"data": str(table), "target": "kind", "learner": "tree", "tracking_uri": "off"}
    config = CompareConfig.checked(**settings, storage=str(read_only_disk / "store"), output=tmp_path / "run")
    with pytest.raises(InputError, match=r"store' cannot be written to(.|\n)*--storage"):
        compare(config)
    assert not (tmp_path / "run").exists()


def test_a_store_that_holds_tables_may_be_one_that_can_only_be_read(small_disk):
    """They are used again, and nothing has to be written for it."""
    subprocess.run([MOUNT, "-o", "remount,size=60m", str(small_disk)], check=True)
    rows = pd.DataFrame({"a": np.arange(100.0), "kind": np.arange(100) % 2})
    model = PartitionedClassifier(
        GaussianNB(), n_partitions=2, executor="inline", storage=str(small_disk / "store"), random_state=0
    )
    model.fit(scan(rows, target="kind"))
    subprocess.run([MOUNT, "-o", "remount,ro", str(small_disk)], check=True)
    PartitionStore(str(small_disk / "store")).check_usable()
    assert len(model.fit(scan(rows, target="kind")).members_) == 2


def test_a_full_disk_ends_no_trial(small_disk, tmp_path):
    """The search stops and says why; with more room the same search goes on, and no trial has failed."""
    X, y = make_classification(n_samples=2_000, flip_y=0.3, random_state=0)
    search = PartitionedSearchCV(
        RandomForestClassifier(n_estimators=60),
        {"max_features": Range(0.1, 1.0)},
        n_trials=4,
        n_partitions=2,
        executor="inline",
        random_state=0,
        study=f"sqlite:///{tmp_path}/study.db",
        checkpoint=str(small_disk / "members"),
    )
    with pytest.raises(InputError, match="No space left on device"):
        search.fit(X, y)
    subprocess.run([MOUNT, "-o", "remount,size=60m", str(small_disk)], check=True)
    assert {trial.state for trial in search.fit(X, y).trials_} <= {"finished", "pruned"}
