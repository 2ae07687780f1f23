"""Samplers, and the numbers of partitions at which trials are judged."""

import optuna
import pytest

from partwise.errors import InputError
from partwise.learners.spaces import Choice, Range
from partwise.search.sampling import SAMPLERS, check_space, make_pruner, make_sampler, open_study, rungs_of, silent
from partwise.search.spaces import Space

SPACE = Space({"x": Range(-4.0, 4.0), "y": Range(-4.0, 4.0)})


def _drawn(sampler, n_trials, seed=0, sign=1.0):
    """Return what a sampler asks for, one trial after another, where the best is x = y = 1 (or nowhere)."""
    study = optuna.create_study()
    for number in range(n_trials):
        study.sampler = make_sampler(sampler, seed, number)
        trial = study.ask(SPACE.distributions)
        study.tell(trial, sign * sum((value - 1.0) ** 2 for value in trial.params.values()))
    return study


def _distance(trials):
    return sum(trial.value for trial in trials) / len(trials)


@pytest.mark.parametrize(
    ("n_partitions", "reduction_factor", "rungs"),
    [
        (8, 2, [1, 2, 4, 8]),
        (6, 2, [1, 2, 4, 6]),
        (8, 3, [1, 3, 8]),
        (9, 3, [1, 3, 9]),
        (2, 2, [1, 2]),
        (8, 1, [8]),
        (4, 100, [1, 4]),
    ],
)
def test_rungs(n_partitions, reduction_factor, rungs):
    """Trials are judged on 1, f, f² partitions and so on, and on all of them; with a factor of 1 on all alone."""
    assert rungs_of(n_partitions, reduction_factor) == rungs


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_draws_depend_on_the_seed_alone(sampler):
    """The same seed draws the same trials, another one others, and no trial is drawn twice."""
    with silent():
        first, again, other = ([trial.params for trial in _drawn(sampler, 12, seed).get_trials()] for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len({str(each) for each in first}) == 12


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_that_learn(sampler):
    """Trials come nearer to the best place than random ones are."""
    with silent():
        learned, random = _drawn(sampler, 60), _drawn("random", 60)
    assert _distance(learned.trials[40:]) < 0.5 * _distance(random.trials[40:])


def test_random_does_not_learn():
    """Random search draws the same whatever the scores are."""
    with silent():
        up, down = (_drawn("random", 12, sign=sign) for sign in (1.0, -1.0))
    assert [trial.params for trial in up.trials] == [trial.params for trial in down.trials]


def test_cmaes_needs_two_numbers():
    """CMA-ES is refused where it would draw at random without a word; the error names the others."""
    space = Space({"x": Range(0.0, 1.0), "kernel": Choice(("a", "b"))})
    with pytest.raises(InputError, match=r"2 or more.*has 1.*tpe, random, grid"):
        check_space("cmaes", space)
    for sampler in set(SAMPLERS) - {"cmaes"}:
        check_space(sampler, space)


def _n_that_go_on(scores, reduction_factor):
    study = optuna.create_study(direction="maximize", pruner=make_pruner(reduction_factor))
    went_on = 0
    for score in scores:
        trial = study.ask()
        trial.report(score, 1)
        pruned = trial.should_prune()
        went_on += not pruned
        study.tell(trial, None if pruned else 0.0, optuna.trial.TrialState.PRUNED if pruned else None)
    return went_on


@pytest.mark.parametrize(("reduction_factor", "rising", "falling", "mixed"), [(1, 8, 8, 8), (2, 8, 1, 5), (4, 8, 1, 4)])
def test_who_goes_on(reduction_factor, rising, falling, mixed):
    """A trial goes on that is among the best of all so far, one in a factor's number; the first one always does."""
    with silent():
        assert _n_that_go_on(range(8), reduction_factor) == rising
        assert _n_that_go_on(range(0, -8, -1), reduction_factor) == falling
        assert _n_that_go_on([4, 0, 5, 1, 6, 5.5, 3, 7], reduction_factor) == mixed


def test_a_grid_that_cannot_be_counted():
    """A grid of more points than can be numbered is refused, and others are drawn from without being written down."""
    space = Space({f"x{place}": Range(0.0, 1.0) for place in range(24)})
    with pytest.raises(InputError, match=r"24 parameters.*sampler='random'"):
        check_space("grid", space)
    check_space("random", space)


def test_a_locked_database_is_waited_for(tmp_path):
    """Others may have the file for over a minute: the connection waits for it."""
    study = open_study(f"sqlite:///{tmp_path}/study.db", make_pruner(2), "this", maximize=True)
    with study._storage._backend.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() >= 60_000


def test_passwords_of_a_database_are_not_told():
    """A database that cannot be used is named without the password of its address."""
    with pytest.raises(InputError, match="cannot be kept in") as caught:
        open_study("postgresql+nothing://ann:secret@nowhere/db", make_pruner(2), "this", maximize=True)
    assert "secret" not in str(caught.value)
