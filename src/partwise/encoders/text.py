"""Category columns of many levels and free text: a few coordinates in place of a column for each level."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import Pipeline, make_pipeline

from partwise.encoders.reading import distinct_texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Embedding"]

# skrub's StringEncoder hashes into 2**20 buckets, whose 30 coordinates take 126 MB for each column; its vocabulary of
# n-grams took 60 MB. At 2**12 a column takes half a megabyte, whatever its texts.
_N_BUCKETS = 2**12

# The axes settle with some thousand texts, and their cost grows with each.
_N_FITTED = 20_000


class Embedding(BaseEstimator):
    """Encode texts by latent semantic analysis of their three- and four-letter pieces.

    It is the method of ``skrub.StringEncoder``, on hashed pieces, and fitted on distinct texts, so that a frequent
    text counts once. Texts unseen at fit lie near those that look like them; a missing value is 0 everywhere. The
    block of features has total variance 1.
    """

    def __init__(self, *, n_components: int = 30, random_state: int = 0) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the weights of the pieces and the axes."""
        texts = distinct_texts(column)[1]
        if len(texts) > _N_FITTED:
            random = np.random.default_rng(self.random_state)
            texts = texts[np.sort(random.choice(len(texts), _N_FITTED, replace=False))]
        self.pipeline_: Pipeline = make_pipeline(
            HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), n_features=_N_BUCKETS),
            TfidfTransformer(),
            TruncatedSVD(n_components=self.n_components, random_state=self.random_state),
        )
        spread = float(np.sqrt(self.pipeline_.fit_transform(texts).var(axis=0).sum()))
        self.scale_ = spread or 1.0
        return self

    def transform(self, column: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return the coordinates, shape (rows, components)."""
        codes, texts = distinct_texts(column)
        coordinates = np.zeros((len(texts) + 1, self.n_components))
        if len(texts):
            coordinates[:-1] = self.pipeline_.transform(texts) / self.scale_
        return coordinates[codes]

    def names(self, name: str) -> list[str]:
        """Return the names of the features."""
        return [f"{name}_{component:02d}" for component in range(self.n_components)]
