"""How many rows one model can be fitted on within a time: a pure rule, tested with fits of a known cost."""

import pytest

from partwise.comparison.affordable import affordable_rows


class _Fits:
    """Fits that take ``cost(rows)`` seconds on a clock of their own."""

    def __init__(self, cost):
        self.cost, self.now, self.sizes = cost, 0.0, []

    def __call__(self, n_rows):
        self.sizes.append(n_rows)
        self.now += self.cost(n_rows)

    def clock(self):
        return self.now


def _found(cost, n_rows, budget):
    fits = _Fits(cost)
    return affordable_rows(fits, n_rows, budget, fits.clock), fits


@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
def test_a_fit_on_the_rows_takes_most_of_the_time_and_no_more(power):
    """The time follows a power of the rows; it is found from fits on few of them."""

    def cost(rows):
        return 1e-3 * (rows / 1_000) ** power

    found, _ = _found(cost, 10**9, 60.0)
    assert 0.7 * 60.0 < cost(found.n_rows) < 60.0


def test_all_rows_are_had_where_they_fit():
    """No row is left out for nothing, and the time of the fit is foretold."""
    found, _ = _found(lambda rows: 1e-6 * rows, 1_000_000, 10.0)
    assert found.n_rows == 1_000_000
    assert found.whole_seconds == pytest.approx(1.0)


def test_a_constant_cost_does_not_hide_the_growth():
    """Where few rows take no longer than fewer, the time is still taken to grow with the rows."""
    found, _ = _found(lambda _: 1.0, 1_000_000, 10.0)
    assert found.n_rows <= 8_000


def test_finding_out_takes_a_small_part_of_the_time():
    """Fits on few rows stop in time, also where the cost grows fast."""
    _, fits = _found(lambda rows: 1e-3 * (rows / 1_000) ** 3, 10**9, 100.0)
    assert fits.now < 0.5 * 100.0


def test_a_small_table_is_fitted_once():
    """It has no fewer rows than the first trial."""
    found, fits = _found(lambda rows: 1e-6 * rows, 500, 10.0)
    assert (found.n_rows, fits.sizes) == (500, [500])


def test_at_least_a_thousand_rows_are_had():
    """However short the time: a model on fewer says nothing."""
    found, _ = _found(float, 50_000, 1.0)
    assert found.n_rows == 1_000
