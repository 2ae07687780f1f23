"""Nearest neighbours: each part keeps its rows, and a query asks them all for their nearest (Cover and Hart 1967)."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from sklearn.utils.validation import check_is_fitted, validate_data

from partwise.errors import InputError
from partwise.merging.nearest import BLOCK, nearest

__all__ = ["MergedKNeighborsClassifier", "MergedKNeighborsRegressor", "NeighbourPart", "NeighboursMerge"]

_LEARNED_METRICS = {"seuclidean": "V", "mahalanobis": "VI"}
_SHARED = ("algorithm", "leaf_size", "metric", "p", "metric_params", "n_jobs")


class NeighbourPart(BaseEstimator):
    """The rows of one partition, indexed by scikit-learn, and their targets.

    Parameters
    ----------
    index
        An unfitted ``NearestNeighbors``.
    """

    def __init__(self, index: NearestNeighbors) -> None:
        self.index = index

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Index the rows.

        Raises
        ------
        InputError
            If rows have weights, which nearest neighbours cannot use.
        """
        if sample_weight is not None:
            raise InputError(
                "sample_weight is given, and nearest neighbours weigh by distance alone. Fit without it, or choose "
                "another learner."
            )
        # Names are checked once, here and in the merged model; the index itself sees nameless arrays.
        self.index_ = clone(self.index).fit(validate_data(self, X, **_checks(self.index)))
        self.targets_ = np.asarray(y)
        return self


class NeighboursMerge:
    """k nearest neighbours: the nearest of all rows are among the nearest of each part (Cover and Hart 1967)."""

    takes: tuple[type, ...] = (KNeighborsClassifier, KNeighborsRegressor)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        if template.metric == "precomputed":
            return "metric='precomputed' has columns for all rows, and a part knows only its own. Name a metric."
        need = _LEARNED_METRICS.get(template.metric) if isinstance(template.metric, str) else None
        if need is not None and need not in (template.metric_params or {}):
            return (
                f"metric={template.metric!r} without {need} would take it from each part's own rows. Set "
                f"metric_params={{{need!r}: ...}}."
            )
        return None

    def part(self, template: Any, index: int, n_parts: int) -> NeighbourPart:  # noqa: ARG002 - all parts are alike
        """Return the unfitted rows of one part."""
        return NeighbourPart(_index(template))

    def merge(
        self,
        template: Any,
        parts: Sequence[NeighbourPart],
        rows: Sequence[NDArray[np.int64]],
        n_classes: int | None,
    ) -> "MergedKNeighborsClassifier | MergedKNeighborsRegressor":
        """Return the model of all parts; its ``to_single()`` is what ``template.fit`` would give."""
        kind = MergedKNeighborsRegressor if n_classes is None else MergedKNeighborsClassifier
        return kind(clone(template)).join(parts, rows)


class _MergedNeighbours(BaseEstimator):
    """Partitions that are searched one by one and vote as one.

    Neighbours at equal distance count in the order of their rows; scikit-learn leaves that order open.

    Parameters
    ----------
    estimator
        The unfitted ``KNeighborsClassifier`` or ``KNeighborsRegressor`` whose settings count.

    Attributes
    ----------
    parts_
        A fitted ``NearestNeighbors`` for each partition.
    places_
        For each partition the places of its rows among all rows.
    targets_
        Class codes or values of all rows, in order.
    voter_
        scikit-learn's own estimator, which is told the neighbours that were found and does the rest.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on one part that has all rows."""
        part = NeighbourPart(_index(self.estimator)).fit(X, y)
        return self.join([part], [np.arange(len(part.targets_))])

    def join(self, parts: Sequence[NeighbourPart], rows: Sequence[NDArray[np.int64]]) -> Self:
        """Take fitted parts; ``rows`` has for each the sorted global positions of its rows."""
        order = np.argsort(np.concatenate(rows))
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        self.places_ = np.split(places, np.cumsum([len(own) for own in rows])[:-1])
        self.parts_ = [part.index_ for part in parts]
        # scikit-learn compares all distances where k is half of all rows or more; a part cannot know that.
        if self.estimator.algorithm == "auto" and self.estimator.n_neighbors >= len(order) // 2:
            self.parts_ = [clone(part).set_params(algorithm="brute").fit(_rows_of(part)) for part in self.parts_]
        self.targets_ = np.concatenate([part.targets_ for part in parts])[order]
        self.voter_ = clone(self.estimator).set_params(metric="precomputed", algorithm="brute", metric_params=None)
        # The voter asks for a square table of distances to fit; it never looks at them.
        self.voter_.fit(_graph(np.zeros((len(order), 1)), np.arange(len(order))[:, None], len(order)), self.targets_)
        self.n_samples_fit_ = len(order)
        self.n_features_in_ = parts[0].n_features_in_
        if hasattr(parts[0], "feature_names_in_"):
            self.feature_names_in_ = parts[0].feature_names_in_
        return self

    def kneighbors(self, X: Any, n_neighbors: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return distances and places of the nearest rows, each of shape (queries, neighbours), nearest first.

        Parameters
        ----------
        n_neighbors
            The estimator's own where it is None.

        Raises
        ------
        InputError
            If there are fewer rows than neighbours.
        """
        found = list(self._blocks(X, n_neighbors))
        return np.concatenate([distances for distances, _ in found]), np.concatenate([places for _, places in found])

    def to_single(self) -> Any:
        """Return scikit-learn's own estimator, fitted on all rows in order; it predicts without partwise."""
        check_is_fitted(self)
        order = np.argsort(np.concatenate(self.places_))
        tables = [_rows_of(part) for part in self.parts_]
        rows = sparse.vstack(tables, format="csr") if sparse.issparse(tables[0]) else np.concatenate(tables)
        single = clone(self.estimator).fit(rows[order], self.targets_)
        if hasattr(self, "feature_names_in_"):
            single.feature_names_in_ = self.feature_names_in_
        return single

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.estimator.metric == "nan_euclidean"
        return tags

    def _voted(self, method: str, X: Any) -> Any:
        """Return what the voter's method says about each block of queries, with the neighbours that were found."""
        ask = getattr(self.voter_, method)
        ranked = self.estimator.weights in (None, "uniform")
        return np.concatenate(
            [
                ask(_graph(_ranks(distances) if ranked else distances, places, self.n_samples_fit_))
                for distances, places in self._blocks(X, None)
            ]
        )

    def _blocks(self, X: Any, n_neighbors: int | None) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        check_is_fitted(self)
        k = self.estimator.n_neighbors if n_neighbors is None else n_neighbors
        if k > self.n_samples_fit_:
            raise InputError(
                f"n_neighbors={k} is more than the {self.n_samples_fit_} rows of the model. Set it lower, or fit on "
                "more rows."
            )
        X = validate_data(self, X, reset=False, **_checks(self.estimator))
        size = max(1, BLOCK // sum(min(k + 1, len(places)) for places in self.places_))
        for start in range(0, X.shape[0], size):
            yield nearest(self.parts_, self.places_, X[start : start + size], k)


class MergedKNeighborsClassifier(ClassifierMixin, _MergedNeighbours):
    """A ``KNeighborsClassifier`` whose rows lie in partitions."""

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels, in the order of the probabilities."""
        return self.voter_.classes_

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of most weight among the neighbours, shape (queries,)."""
        return self._voted("predict", X)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the shares of the classes among the neighbours, shape (queries, classes)."""
        return self._voted("predict_proba", X)


class MergedKNeighborsRegressor(RegressorMixin, _MergedNeighbours):
    """A ``KNeighborsRegressor`` whose rows lie in partitions."""

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the mean of the neighbours, shape (queries,), or (queries, targets)."""
        return self._voted("predict", X)


def _index(estimator: Any) -> NearestNeighbors:
    settings = {name: getattr(estimator, name) for name in _SHARED}
    # Without k the choice between a tree and comparing all does not depend on how many rows a part has.
    return NearestNeighbors(n_neighbors=None, **settings)


def _checks(estimator: Any) -> dict[str, Any]:
    """Return how scikit-learn's neighbours check a table."""
    finite: bool | str = "allow-nan" if estimator.metric == "nan_euclidean" else True
    return {"accept_sparse": "csr", "order": "C", "ensure_all_finite": finite}


def _rows_of(index: NearestNeighbors) -> Any:
    return index._fit_X  # noqa: SLF001 - public in trees alone, and a second copy would double the memory


def _ranks(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0, 1, 2, ... for each query: order alone counts, and a distance may be NaN."""
    return np.broadcast_to(np.arange(distances.shape[1], dtype=np.float64), distances.shape)


def _graph(distances: NDArray[np.float64], places: NDArray[np.int64], n_rows: int) -> Any:
    """Return the sparse table, shape (queries, rows), that scikit-learn takes as precomputed neighbours."""
    queries, k = places.shape
    # Zero distances must stay stored, so the arrays are given as they are.
    starts = np.arange(0, queries * k + 1, k)
    return sparse.csr_matrix((distances.ravel(), places.ravel(), starts), shape=(queries, n_rows))
