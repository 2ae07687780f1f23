"""Toy estimators and stand-ins: top-level, so that workers can unpickle them by name."""

import ctypes
import math
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_wine
from sklearn.tree import DecisionTreeClassifier

from fake_work import die_once
from partwise.attempts import attempt
from partwise.executors import InlineExecutor
from partwise.pool import MemberPool
from partwise.records import Member, MemberEvidence


class NearestMean(ClassifierMixin, BaseEstimator):
    """Predict the class with the nearest mean; has neither probabilities nor decision values."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        distances = ((np.asarray(X)[:, np.newaxis, :] - self.means_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


class Centre(RegressorMixin, BaseEstimator):
    """Predict the mean of the targets, a weight of which averages are models."""

    def averaging_refusal(self):
        return None

    def fit(self, X, y):
        self.n_features_in_ = np.shape(X)[1]
        self.mean_ = np.mean(y)
        return self

    def averaged(self, others, shares):
        whole = Centre()
        whole.mean_ = np.dot(shares, [each.mean_ for each in [self, *others]])
        return whole

    def predict(self, X):
        return np.full(len(X), self.mean_)


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


class CrashesOnNegative(NearestMean):
    """Reads memory that is not its own where the first feature is negative; leaves a line for each such fit."""

    def __init__(self, place=None):
        self.place = place

    def fit(self, X, y):
        if (X[:, 0] < 0).any():
            with Path(self.place).open("a") as file:
                file.write("fit\n")
            ctypes.string_at(0)
        return super().fit(X, y)


class Waits(NearestMean):
    """Never ends a fit while a file is there; beside it is one for each process that waits."""

    def __init__(self, while_there=""):
        self.while_there = while_there

    def fit(self, X, y):
        while Path(self.while_there).exists():
            Path(f"{self.while_there}.{os.getpid()}").touch()
            time.sleep(0.05)
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


def evidence_of(scores, n_classes=None, n_rows=600):
    """Return evidence in which each member has this accuracy, or R², on the rows that it never saw.

    Member i saw every row of fold i. Scores in steps of 0.005 come out as they are.
    """
    n_members = len(scores)
    rng = np.random.default_rng(0)
    folds = rng.permutation(n_rows) % n_members
    y = rng.normal(size=n_rows) if n_classes is None else rng.integers(n_classes, size=n_rows)
    outputs = np.full((n_members, n_rows, n_classes or 1), np.nan)
    for place, score in enumerate(scores):
        unseen = rng.permutation(np.flatnonzero(folds != place))
        if n_classes is None:
            off = np.sqrt((1.0 - score) * y.var()) * np.where(np.arange(len(unseen)) % 2, 1.0, -1.0)
            outputs[place, unseen, 0] = y[unseen] + off
        else:
            wrong = np.arange(len(unseen)) >= round(score * len(unseen))
            said = (y[unseen] + wrong * rng.integers(1, n_classes, size=len(unseen))) % n_classes
            outputs[place, unseen] = 0.1 / (n_classes - 1)
            outputs[place, unseen, said] = 0.9
    return MemberEvidence(rows=np.arange(n_rows), outputs=outputs, y=y, weights=None, folds=folds)


@dataclass
class PoolContext:
    """A fit context with a pool and, as evidence, members of the given scores; counts how often it was asked."""

    pool: MemberPool
    scores: tuple[float, ...] = ()
    asked: int = 0

    @property
    def partitions(self):
        raise AssertionError("a combiner of samples needs no partitions")

    @property
    def positions(self):
        raise AssertionError("a combiner of samples needs no rows")

    @property
    def template(self):
        raise AssertionError("a combiner of samples needs no learner")

    def evidence(self):
        self.asked += 1
        return evidence_of(self.scores, self.pool.n_classes)


class TellsProcess(RegressorMixin, BaseEstimator):
    """Predicts the id of the process that predicts, and takes its time."""

    def fit(self, X, y):  # noqa: ARG002 - scikit-learn's signature
        self.fitted_ = True
        return self

    def predict(self, X):
        time.sleep(1e-4 * len(X))
        return np.full(len(X), float(os.getpid()))


class CountsFits(BaseEstimator):
    """An encoder that counts its fits, and doubles what it is given."""

    fits = 0

    def fit(self, table):
        type(self).fits += 1
        self.rows_ = len(table)
        return self

    def transform(self, table):
        return 2.0 * table.to_numpy(dtype=float)


class SlowTree(DecisionTreeClassifier):
    """A tree that takes its time in workers of Ray, so that every node gets to fit some."""

    def fit(self, X, y, **settings):
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
            time.sleep(0.3)
        return super().fit(X, y, **settings)


def wine_table():
    """178 wines with a column of text, one of dates and gaps; each four times, so that 8 partitions have rows."""
    data = load_wine(as_frame=True)
    table = pd.concat([data.data.iloc[:, :4]] * 4, ignore_index=True)
    table["grower"] = [f"grower {number % 9}" for number in range(len(table))]
    table["bottled"] = pd.date_range("2020-01-01", periods=len(table), freq="D").astype(str)
    table.loc[::10, "alcohol"] = None
    table["cultivar"] = pd.concat([data.target] * 4, ignore_index=True).map(
        {0: "barolo", 1: "grignolino", 2: "barbera"}
    )
    return table


def stop_after(n_trials):
    """Return an observer that interrupts the search as Ctrl-C would, when so many trials have ended."""
    seen = []

    def observe(trial):
        seen.append(trial)
        if len(seen) == n_trials:
            raise KeyboardInterrupt

    return observe


@dataclass(frozen=True)
class TakesAll:
    """An executor that takes all tasks that it is given, and whose workers are ready in any order."""

    slots: int = 3
    seed: int = 0
    cpus_per_task: int = 1
    under_way: list[int] = field(default_factory=list)
    """How many fits were under way, each time that more could begin."""

    nodes = 1
    overhead_seconds = math.inf
    warm, lend = InlineExecutor.warm, InlineExecutor.lend

    def run(self, work, shared, tasks, *, members=False):
        order, waiting, under_way = np.random.default_rng(self.seed), iter(tasks), []
        while True:
            under_way += [(task, attempt(work, shared, task)) for task in waiting]
            if members:
                self.under_way.append(len(under_way))
            if not under_way:
                return
            yield under_way.pop(order.integers(len(under_way)))[1]
