"""Facts about the one sentence."""

import pytest

from partwise.comparison import SCOPE, Comparison


def _verdict(*, fit=(20.0, 10.0), predict=(1.0, 1.0), metric="accuracy", up=True, difference=None, members=8):
    model = {"scores": {}, "cpu_seconds": 1.0, "encode_seconds": 0.0, "where": "here", "n_rows": 10}
    single = model | {"fit_seconds": fit[0], "predict_seconds": predict[0]}
    ensemble = model | {
        "fit_seconds": fit[1],
        "predict_seconds": predict[1],
        "partition_seconds": 0.0,
        "members_seconds": 1.0,
        "member_fit_seconds": 1.0,
        "combine_seconds": 0.0,
        "n_members": members,
        "n_failed": 0,
        "exactness": "approximate",
        "n_nodes": 1,
        "n_workers": 2,
    }
    if difference is not None:
        names = ("estimate", "low", "high", "p_value")
        difference = dict(zip(names, difference, strict=True)) | {"level": 0.95, "test": "t", "n_resamples": 9}
    return Comparison.model_validate(
        {
            "metric": metric,
            "greater_is_better": up,
            "task": "classification",
            "learner": "svc",
            "partitions": members,
            "partitioner": "shuffled",
            "combine": "mean",
            "recipe": "stratified, mean",
            "n_train": 10,
            "n_test": 5,
            "single": single,
            "ensemble": ensemble,
            "startup_seconds": 0.0,
            "difference": difference,
        }
    ).verdict


def test_the_whole_sentence():
    """Fitting, prediction and score stand in one sentence, with interval and p-value."""
    got = _verdict(fit=(27.9, 12.1), predict=(0.2, 0.6), difference=(-0.004, -0.006, -0.002, 0.0001))
    assert got == (
        "8 members fitted 2.3 times faster than one model (12.1 s against 27.9 s), and predict 3.0 times slower; "
        "accuracy is 0.4 points lower (95 % interval 0.2 to 0.6 lower, p < 0.001)."
    )


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        ((10.0, 20.0), "fitted 2.0 times slower than one model (20.0 s against 10.0 s)"),
        ((10.0, 10.4), "fitted about as fast as one model (10.4 s against 10.0 s)"),
        ((10.4, 10.0), "fitted about as fast as one model"),
        ((10.0, 10.6), "fitted 1.06 times slower"),
        ((0.05, 1.0), "fitted 20 times slower than one model (1.0 s against 50 ms)"),
    ],
)
def test_fitting_is_faster_slower_or_about_the_same(fit, words):
    """Times within 5 % are about the same; beyond, the factor is at least one and the word says which way."""
    assert words in _verdict(fit=fit)


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        ((1.0, 1.4), None),
        ((1.0, 1.6), "predict 1.6 times slower"),
        ((3.0, 1.0), "predict 3.0 times faster"),
    ],
)
def test_prediction_is_mentioned_where_it_differs_markedly(predict, words):
    """Prediction times within a factor of 1.5 are not worth a word."""
    got = _verdict(predict=predict)
    assert "predict " not in got if words is None else words in got


@pytest.mark.parametrize(
    ("estimate", "interval", "p_value"),
    [(0.01, (-0.01, 0.03), 0.4), (0.01, (0.001, 0.02), 0.06), (0.01, (0.0, 0.02), 0.04)],
)
def test_without_both_interval_and_test_the_two_are_not_told_apart(estimate, interval, p_value):
    """An interval with zero in it, or a p-value of 0.05 and more, is no difference."""
    assert "cannot be told apart in accuracy" in _verdict(difference=(estimate, *interval, p_value))


def test_an_interval_around_zero_names_both_sides():
    """Both ends of the interval carry their direction."""
    got = _verdict(difference=(0.01, -0.01, 0.03, 0.4))
    assert "(1.0 point higher, 95 % interval 1.0 lower to 3.0 higher, p = 0.400)" in got


@pytest.mark.parametrize(
    ("up", "sign", "words"), [(False, 1, "0.02 higher, which is worse"), (False, -1, "0.02 lower, which is better")]
)
def test_losses_say_which_way_is_better(up, sign, words):
    """Where lower is better the sentence says so, in the metric's own units."""
    low, high = sorted((sign * 0.01, sign * 0.03))
    got = _verdict(metric="log_loss", up=up, difference=(sign * 0.02, low, high, 0.001))
    assert f"log_loss is {words} (95 % interval 0.01 to 0.03" in got


def test_points_are_for_shares_alone():
    """R² and errors are stated in their own units, shares of rows in points."""
    assert "point" not in _verdict(metric="r2", difference=(0.02, 0.01, 0.03, 0.01))
    assert "1,234 lower" in _verdict(metric="rmse", up=False, difference=(-1234.4, -2000, -500, 0.01))
    assert "2.0 points higher" in _verdict(metric="precision_macro", difference=(0.02, 0.01, 0.03, 0.01))


def test_equal_predictions_are_the_same():
    """A difference of exactly nothing is called the same."""
    assert "accuracy is the same." in _verdict(difference=(0.0, 0.0, 0.0, 1.0))


def test_too_few_rows_and_undefined_metrics_are_said():
    """Without interval or without value the sentence claims nothing."""
    assert "too few for an interval" in _verdict(difference=(0.1, None, None, None))
    assert "accuracy is not defined for both" in _verdict(difference=None)


def test_one_member_is_singular():
    """One member fitted, and predicts."""
    got = _verdict(members=1, predict=(1.0, 2.0))
    assert got.startswith("1 member fitted")
    assert "predicts 2.0 times slower" in got


def test_the_scope_of_the_interval_is_stated():
    """The constant beside the interval says that new training rows would give other models."""
    assert "these two fitted models" in SCOPE
    assert "other training rows" in SCOPE
