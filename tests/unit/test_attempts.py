"""What an attempt at a task tells of itself."""

import pytest

from partwise.attempts import moved_between
from partwise.records import TaskOutcome


@pytest.mark.parametrize(
    ("started", "finished", "expected"),
    [(12.0, 15.0, (12.0, 15.0, 0.0)), (112.0, 115.0, (17.0, 20.0, -95.0)), (2.0, 5.0, (10.0, 13.0, 8.0))],
    ids=["right", "ahead", "behind"],
)
def test_times_lie_between_those_of_who_sent_it(started, finished, expected):
    """A clock that is wrong moves neither the time that an attempt took nor the order of what happened to it."""
    outcome = TaskOutcome(id=0, rows=0, started=started, finished=finished, node="", process=0)
    moved = moved_between(outcome, 10.0, 20.0)
    assert (moved.started, moved.finished, moved.clock_shift) == expected
