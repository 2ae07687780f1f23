"""Facts about predictions that are sent in blocks."""

import time

import numpy as np
import pytest

from partwise.executors import InlineExecutor
from partwise.prediction import predict_outputs


class Doubles:
    """A predictor that notes the rows of each call, and may take some time for one."""

    block_rows = 1_000

    def __init__(self, seconds=0.0):
        self.seconds, self.calls = seconds, []

    def outputs(self, X):
        self.calls.append(len(X))
        time.sleep(self.seconds)
        return 2.0 * X


class Slots:
    """Three slots to which sending costs little, in this process; notes the rows of each block that was sent."""

    slots, nodes, overhead_seconds = 3, 1, 0.001

    def run(self, work, shared, tasks, *, members=False):
        self.sent = []
        for task in tasks:
            self.sent.append(len(task.payload))
            yield from InlineExecutor().run(work, shared, [task], members=members)


ROWS = np.arange(10_000.0).reshape(5_000, 2)


def test_rows_come_back_in_their_order():
    """What is predicted here and what is sent are joined as the rows were."""
    np.testing.assert_array_equal(predict_outputs(Doubles(0.01), ROWS, Slots()), 2.0 * ROWS)


def test_few_rows_tell_of_a_slow_predictor():
    """Where the first rows take long enough, no more are predicted here while the slots wait."""
    executor, predictor = Slots(), Doubles(0.01)
    predict_outputs(predictor, ROWS, executor)
    assert predictor.calls[0] == len(ROWS) - sum(executor.sent) == 32


def test_every_slot_gets_as_many_rows():
    """Blocks are of one size, and as many for each slot."""
    executor = Slots()
    predict_outputs(Doubles(0.01), ROWS, executor)
    assert (len(executor.sent) % 3, max(executor.sent) - min(executor.sent) < 12) == (0, True)


def test_blocks_are_no_larger_than_the_predictor_asks_for():
    """A predictor that needs much memory for a row says how many rows it takes at once."""
    executor, predictor = Slots(), Doubles(0.01)
    predictor.block_rows = 100
    predict_outputs(predictor, ROWS, executor)
    assert max(executor.sent) == 100


@pytest.mark.parametrize("n_rows", [0, 1, 256])
def test_few_rows_are_one_call(n_rows):
    """Where there are few, one call here does."""
    predictor = Doubles()
    assert predict_outputs(predictor, ROWS[:n_rows], Slots()).shape == (n_rows, 2)
    assert predictor.calls == [n_rows]


def test_nothing_is_tried_where_sending_cannot_pay():
    """An executor of this process takes blocks as large as they may be."""
    predictor = Doubles()
    predict_outputs(predictor, ROWS, InlineExecutor())
    assert predictor.calls == [1_000] * 5
