"""The command line: arguments in, exit code out; a command a file."""

from partwise.cli import compare, doctor, learners, predict, resume, store, sync, train, tune
from partwise.cli.main import main

__all__ = ["compare", "doctor", "learners", "main", "predict", "resume", "store", "sync", "train", "tune"]
