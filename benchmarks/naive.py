"""The obvious Ray script for this job: shard, fit, vote. What partwise is measured against."""

from collections import Counter

import numpy as np
import ray
from sklearn.base import clone


@ray.remote
def fit_shard(estimator, X, y):
    """Fit a copy of the estimator on one shard."""
    return clone(estimator).fit(X, y)


def fit(estimator, X, y, n_shards, seed=0):
    """Return one fitted model for each random shard of the rows."""
    order = np.random.default_rng(seed).permutation(len(y))
    shards = np.array_split(order, n_shards)
    return ray.get([fit_shard.remote(estimator, X[rows], y[rows]) for rows in shards])


def predict(models, X):
    """Return the majority vote of the models, one model after the other."""
    votes = np.stack([model.predict(X) for model in models])
    return np.array([Counter(column).most_common(1)[0][0] for column in votes.T])
