"""Models that were fitted elsewhere: what they must be, and what a combiner cannot ask of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.pool import MemberPool
from partwise.records import MemberEvidence, Partitions

__all__ = ["NoRows", "check_models"]


def check_models(models: Sequence[Any], sizes: Sequence[float] | None, attribute: str) -> None:
    """Refuse models that are no fitted models of the task, and sizes that are not one for each.

    Raises
    ------
    InputError
        If there are no models, one lacks ``attribute``, or the number of sizes is another.
    """
    if len(models) == 0:
        raise InputError("models is empty. Give at least one fitted model.")
    lacking = [index for index, model in enumerate(models) if not hasattr(model, attribute)]
    if lacking:
        raise InputError(f"Models {lacking} have no `{attribute}`: they are not fitted, or of another task.")
    if sizes is not None and len(sizes) != len(models):
        raise InputError(f"sizes has {len(sizes)} values for {len(models)} models. Give one for each.")


class NoRows:
    """The fit context of models that were fitted elsewhere: there are no training rows to ask."""

    def __init__(self, pool: MemberPool) -> None:
        self.pool = pool

    @property
    def partitions(self) -> Partitions:
        """Refused."""
        raise InputError("Models that were fitted elsewhere bring no partitions. Use 'soft', 'vote', 'mean', 'median'.")

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """Refused."""
        raise InputError("Models that were fitted elsewhere bring no rows. Use 'soft', 'vote', 'mean', 'median'.")

    @property
    def template(self) -> Any:
        """Refused."""
        raise InputError("Models that were fitted elsewhere are not merged. Use 'soft', 'vote', 'mean', 'median'.")

    def evidence(self) -> MemberEvidence:
        """Refused."""
        raise InputError(
            "This combiner learns from out-of-partition predictions, and models that were fitted elsewhere bring no "
            "training rows. Use 'soft', 'vote', 'mean', 'median', or 'weighted' with sizes."
        )
