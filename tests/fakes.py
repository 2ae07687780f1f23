"""Toy estimators, work for executors, and stand-ins: top-level, so that workers can unpickle them by name."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from partwise.ensemble import PartitionedClassifier
from partwise.pool import MemberPool
from partwise.records import Evidence, Member


class NearestMean(ClassifierMixin, BaseEstimator):
    """Predict the class with the nearest mean; has neither probabilities nor decision values."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        distances = ((np.asarray(X)[:, np.newaxis, :] - self.means_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


class FitReturnsNothing(NearestMean):
    """An estimator whose `fit` forgets to return itself, as those of some libraries do."""

    def fit(self, X, y):
        super().fit(X, y)


class RaisesOnNegative(NearestMean):
    """Refuses rows whose first feature is negative."""

    def fit(self, X, y):
        if (X[:, 0] < 0).any():
            raise ValueError("the first feature is negative")
        return super().fit(X, y)


class DiesOnce(NearestMean):
    """Kills its process in the first fit of all, and leaves the marker behind."""

    def __init__(self, marker=None):
        self.marker = marker

    def fit(self, X, y):
        die_once(self.marker, None)
        return super().fit(X, y)


class PredictsNaN(NearestMean):
    """Gives NaN for the probability of the first row."""

    def predict_proba(self, X):
        probabilities = np.full((len(X), len(self.classes_)), 1.0 / len(self.classes_))
        probabilities[0] = np.nan
        return probabilities


class KeepsWhatItSaw(RegressorMixin, BaseEstimator):
    """Remembers its rows; predicts the mean of the targets."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class WritesIntoItself(KeepsWhatItSaw):
    """Keeps a running mean in an array that `partial_fit` writes into, as GaussianNB and MLP do."""

    def fit(self, X, y, sample_weight=None):
        self.means_ = np.asarray(X, dtype=float).mean(axis=0)
        return super().fit(X, y, sample_weight)

    def partial_fit(self, X, y=None):  # noqa: ARG002 - scikit-learn's signature
        self.means_ += np.asarray(X).mean(axis=0)
        return self


@dataclass
class Probabilities:
    """A fitted classifier that gives these probabilities, one row after another."""

    table: np.ndarray

    def predict_proba(self, X):
        return np.asarray(self.table, dtype=float)[np.asarray(X)[:, 0].astype(int)]


@dataclass
class Decisions:
    """A fitted classifier that gives these decision values."""

    table: np.ndarray

    def decision_function(self, X):
        return np.asarray(self.table, dtype=float)[np.asarray(X)[:, 0].astype(int)]


@dataclass
class Labels:
    """A fitted classifier that can do nothing but name a class."""

    labels: np.ndarray
    classes_: np.ndarray

    def predict(self, X):
        return np.asarray(self.labels)[np.asarray(X)[:, 0].astype(int)]


@dataclass
class Values:
    """A fitted regressor that predicts these values."""

    table: np.ndarray

    def predict(self, X):
        return np.asarray(self.table, dtype=float)[np.asarray(X)[:, 0].astype(int)]


def row_numbers(n_rows):
    """Return the features for the scripted models above: each row is its own number."""
    return np.arange(n_rows)[:, np.newaxis]


def member(partition, model, classes=None, weight=1.0):
    """Return a member of this model; ``classes`` are its codes in the pool's label space."""
    codes = None if classes is None else np.asarray(classes)
    return Member(partition=partition, estimator=model, classes=codes, content_digest="", weight=weight)


@dataclass
class PoolContext:
    """A fit context with a pool and, as evidence, the given scores of its members."""

    pool: MemberPool
    member_scores: np.ndarray | None = None
    asked: list = field(default_factory=list)

    def evidence(self, predictor):
        self.asked.append(predictor)
        return Evidence(outputs=np.zeros((0, 0)), member_scores=np.asarray(self.member_scores, dtype=float))


class UnpicklableError(Exception):
    """An exception that survives no process boundary."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.lock = Lock()


@dataclass
class NotesLoading:
    """Adds a line to a file whenever it is unpickled."""

    path: str

    def __setstate__(self, state):
        self.__dict__.update(state)
        with Path(self.path).open("a") as file:
            file.write(f"{os.getpid()}\n")


def die():
    """End this process as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def scale(shared, payload):
    """Return the product."""
    return shared * payload


def scale_or_fail(shared, payload):
    """Return the product, but raise for negative payloads."""
    if payload < 0:
        raise ValueError(f"{payload} is negative")
    return shared * payload


def fail_strangely(shared, payload):
    """Raise what cannot be pickled."""
    raise UnpicklableError(shared, payload)


def note_and_fail(path, payload):
    """Add a line to the file, then raise."""
    with Path(path).open("a") as file:
        file.write(f"{payload}\n")
    raise ValueError("always")


def die_once(marker, payload):
    """Kill this process unless the marker exists; leave it behind."""
    if not Path(marker).exists():
        Path(marker).touch()
        die()
    return payload


def die_on(deadly, payload):
    """Kill this process for one payload."""
    if payload == deadly:
        die()
    return payload


def nap(_shared, seconds):
    """Sleep, and return for how long."""
    time.sleep(seconds)
    return seconds


def thread_counts(_shared, _payload):
    """Return how many threads each native library of this process would use."""
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


def note_process(directory):
    """Leave a file with this process' id as its name."""
    (Path(directory) / str(os.getpid())).touch()


def ignore(_shared, payload):
    """Return the payload."""
    return payload


def fit_on_ray(seed):
    """Fit and predict on Ray, from wherever this is called; return the members' digests."""
    X, y = load_iris(return_X_y=True)
    model = PartitionedClassifier(LogisticRegression(max_iter=500), n_partitions=3, random_state=seed).fit(X, y)
    model.predict(X)
    return [each.content_digest for each in model.members_]


def nap_with(_shared, seconds):
    """Sleep."""
    time.sleep(seconds)


def thread_lock(_shared, wanted):
    """Return a lock, which cannot be pickled, where it is wanted."""
    return Lock() if wanted else None


def note_nothing(_shared):
    """Do nothing."""


class Keeper:
    """An actor with a memory."""

    def put(self, value):
        self.value = value

    def get(self):
        return self.value
