"""The rows of a comparison, as the models that are compared get them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from partwise.comparison.dataset import Dataset
from partwise.config import FitConfig
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.executors import with_one_cpu
from partwise.executors.ray_tasks import RayExecutor
from partwise.protocols import Table
from partwise.records import Part
from partwise.search import PartitionedSearchCV
from partwise.sources import Scan
from partwise.stores import PartitionStore
from partwise.tables import MemoryTable, ScannedRows

__all__ = ["ComparedRows"]

Model = PartitionedClassifier | PartitionedRegressor


@dataclass(frozen=True, slots=True)
class ComparedRows:
    """The rows of a comparison; where ``train`` is given the ensemble is fitted on it, from files."""

    dataset: Dataset
    train: Scan | None

    def fit(self, model: Model | PartitionedSearchCV, **options: Any) -> None:
        """Fit the ensemble, or search; ``options`` are further arguments of its fit."""
        data = self.dataset
        if self.train is not None:
            model.fit(self.train, **options)
            return
        targets = data.y_train if data.labels is None else data.labels[data.y_train]
        model.fit(data.train, targets, data.weights, groups=data.groups, time=data.times, **options)

    def table(self, model: Model, config: FitConfig, executor: RayExecutor) -> Table:
        """Return the training rows once more, as the fitted ensemble's encoder makes them."""
        data, encoder = self.dataset, model.encoder_
        if self.train is not None:
            store, one = PartitionStore(config.storage), with_one_cpu(executor)
            return ScannedRows(scan=self.train, task=data.task, store=store, executor=one).table(config.seed, encoder)
        matrix = data.train if encoder is None else encoder.transform(data.train)
        labels, targets = data.labels, data.y_train
        if labels is not None:
            present, targets = np.unique(targets, return_inverse=True)
            labels = labels[present]
        return MemoryTable(Part(0, matrix, targets, data.weights), labels)
