"""How runs begin that have their rows here, or a sample of them: from a configuration to rows and setup."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from partwise.experiment.checking import check_before_reading
from partwise.experiment.compared_rows import ComparedRows
from partwise.experiment.preparing import (
    Settings,
    Setup,
    Tables,
    check_before_paying,
    make_setup,
    opened,
    with_defaults,
)
from partwise.experiment.recorded import GoesOn
from partwise.experiment.scanning import read_or_scanned

__all__ = ["Begun", "begun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(Generic[Settings]):
    """What is known before anything is fitted.

    Parameters
    ----------
    config
        The settings, with what the source itself says of its columns.
    setup
        What they ask for, checked against the task.
    rows
        The rows of both sides.
    facts
        What is recorded of the table.
    """

    config: Settings
    setup: Setup
    rows: ComparedRows
    facts: dict[str, Any]


def begun(
    config: Settings,
    say: Callable[[str], None],
    goes_on: GoesOn | None,
    check: Callable[[Settings, Setup, int | None], None],
) -> Begun[Settings]:
    """Open and read the table, and make the setup; all mistakes are told at once.

    Parameters
    ----------
    goes_on
        The run that was stopped and goes on; None begins a new one.
    check
        What the command checks besides, of settings, setup and the number of classes (None for numbers): before a row
        is read, and when the task is known.

    Raises
    ------
    InputError
        If something in the configuration or the table is wrong.
    """
    # 1. The table: which columns and which rows play which part.
    source = opened(config)
    config = with_defaults(config, source)
    tables, check = Tables(config, source), partial(check, config)
    check_before_reading(tables, check, is_new=goes_on is None)
    scanned = read_or_scanned(tables, say, in_memory=None if goes_on is None else goes_on.in_memory)
    dataset = scanned.dataset
    # 2. The setup, checked against the task.
    n_classes = None if dataset.labels is None else len(dataset.labels)
    setup = make_setup(config, dataset.task, n_classes, len(dataset.train))
    check(setup, n_classes)
    if scanned.train is None:
        check_before_paying(config, dataset, setup)
    return Begun(config=config, setup=setup, rows=ComparedRows(dataset, scanned.train), facts=scanned.facts)
