"""Learners for tests of searches: top-level, so that workers can unpickle them by name."""

import os
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB


class NotesFits(LogisticRegression):
    """Adds a line to a file whenever it is fitted: its C, and the sum of its rows, which tells partitions apart."""

    def __init__(self, place=None, C=1.0):
        super().__init__(C=C)
        self.place = place

    def fit(self, X, y, sample_weight=None):
        with Path(self.place).open("a") as file:
            file.write(f"{self.C!r} {X.sum():.9e}\n")
        return super().fit(X, y, sample_weight)


class InterruptedOnce(NotesFits):
    """Is interrupted, as by Ctrl-C, in the third fit of all."""

    def fit(self, X, y, sample_weight=None):
        marker = Path(f"{self.place}.interrupted")
        if not marker.exists() and Path(self.place).exists() and len(Path(self.place).read_text().splitlines()) == 2:
            marker.touch()
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


class Memorises(ClassifierMixin, BaseEstimator):
    """Knows the label of each row that it was fitted on for sure, and calls all others 'no', but hardly.

    One that knows thus outvotes all that do not.
    """

    def __init__(self, unused=0):
        self.unused = unused

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.known_ = {row.tobytes(): label for row, label in zip(np.asarray(X), y, strict=True)}
        return self

    def predict_proba(self, X):
        unknown = 0.49 + 0.02 * (np.arange(len(self.classes_)) == 0)
        known = [self.known_.get(row.tobytes()) for row in np.asarray(X)]
        return np.array([unknown if label is None else (self.classes_ == label) * 1.0 for label in known])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class NotesRows(Memorises):
    """Adds a line to a file whenever it is fitted: ``unused``, and the first column, which is to number its rows."""

    def __init__(self, place=None, unused=0):
        super().__init__(unused=unused)
        self.place = place

    def fit(self, X, y):
        with Path(self.place).open("a") as file:
            file.write(f"{self.unused} {' '.join(str(int(number)) for number in X[:, 0])}\n")
        return super().fit(X, y)


class Misbehaves(GaussianNB):
    """Does what ``how`` says: fit, raise, give NaN, end its process, hang or nap; notes its fits in a file, if any."""

    def __init__(self, how="fits", place=None, var_smoothing=1e-9):
        super().__init__(var_smoothing=var_smoothing)
        self.how = how
        self.place = place

    def fit(self, X, y):
        if self.place is not None:
            with Path(self.place).open("a") as file:
                file.write(f"{self.how} {self.var_smoothing!r} {X.sum():.9e}\n")
        if self.how == "raises":
            raise ValueError("not with these parameters")
        if self.how == "crashes":
            os._exit(1)
        if self.how == "hangs":
            time.sleep(3_600)
        if self.how == "naps":
            time.sleep(0.25)
        return super().fit(X, y)

    def predict_proba(self, X):
        probabilities = super().predict_proba(X)
        return np.full_like(probabilities, np.nan) if self.how == "gives_nan" else probabilities


class SaysItsNumber(ClassifierMixin, BaseEstimator):
    """Learns nothing: what it says about a row depends on the row and on ``number`` alone, not on any label."""

    def __init__(self, number=0):
        self.number = number

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        return self

    def predict_proba(self, X):
        first = (np.sin(np.asarray(X) @ np.arange(1.0, X.shape[1] + 1.0) * (1_000.0 + self.number)) + 1.0) / 2.0
        return np.column_stack([first, 1.0 - first])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
