"""Facts about scores, intervals and paired tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression

from partwise.errors import InputError
from partwise.evaluation import (
    Outputs,
    Truth,
    curve_as_members_are_added,
    difference_between,
    mcnemar_mid_p,
    metric_value,
    reported_metrics,
    resamples_for,
    resolve_metric,
    score_intervals,
    scores_of,
)
from partwise.evaluation.resampling import resample, two_sided_p, within


def _classification(seed, n_classes, n_rows=60, *, ties=True, kind="probability"):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    y[:n_classes] = np.arange(n_classes)
    raw = rng.random((n_rows, n_classes)) + 0.8 * np.eye(n_classes)[y]
    raw = np.round(raw, 1) + 0.1 if ties else raw
    return Truth(y, n_classes), Outputs.from_array(raw / raw.sum(axis=1, keepdims=True), kind)


def _accuracy_pair(n_rows=400, *, seed=0, shares=(0.9, 0.85)):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n_rows)
    labels = [np.where(rng.random(n_rows) < share, y, 1 - y) for share in shares]
    return Truth(y, 2), *(Outputs(each, None, "vote") for each in labels)


def _weighted(name, truth, outputs, weights):
    metric = resolve_metric(name, truth.n_classes)
    return metric.prepare(truth, outputs)(weights)


def _sklearn_value(name, truth, outputs, weights):
    y, labels, scores = truth.y, outputs.labels, outputs.scores
    binary = truth.n_classes == 2
    values = {
        "accuracy": lambda: sk.accuracy_score(y, labels, sample_weight=weights),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(y, labels, sample_weight=weights),
        "f1": lambda: sk.f1_score(
            y, labels, average="binary" if binary else "macro", sample_weight=weights, zero_division=np.nan
        ),
        "roc_auc": lambda: (
            sk.roc_auc_score(y, scores[:, 1], sample_weight=weights)
            if binary
            else sk.roc_auc_score(y, scores, multi_class="ovr", sample_weight=weights)
        ),
        "log_loss": lambda: sk.log_loss(y, scores, sample_weight=weights),
        "brier": lambda: (
            np.average((y - scores[:, 1]) ** 2, weights=weights)
            if binary
            else np.average(((np.eye(truth.n_classes)[y] - scores) ** 2).sum(axis=1), weights=weights)
        ),
    }
    return values[name]()


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier"])
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 5), ties=st.booleans(), weigh=st.booleans())
@settings(max_examples=25, deadline=None)
def test_classification_scores_equal_those_of_scikit_learn(name, seed, n_classes, ties, weigh):
    """Each score equals scikit-learn's, with and without weights, with ties, for two and more classes."""
    truth, outputs = _classification(seed, n_classes, ties=ties)
    weights = np.random.default_rng(seed).uniform(0.1, 3, len(truth.y)) if weigh else None
    expected = _sklearn_value(name, truth, outputs, weights)
    assert _weighted(name, truth, outputs, weights) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier"])
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_counts_as_weights_are_a_resample(name, seed, n_classes):
    """Weighing rows by their counts gives the score of the resampled rows, absent rows and classes included."""
    truth, outputs = _classification(seed, n_classes, n_rows=12)
    counts = np.random.default_rng(seed).multinomial(12, [1 / 12] * 12)
    rows = np.repeat(np.arange(12), counts)
    drawn = Truth(truth.y[rows], n_classes)
    said = Outputs(outputs.labels[rows], outputs.scores[rows], "probability")
    expected = metric_value(resolve_metric(name, n_classes), drawn, said)
    got = _weighted(name, truth, outputs, counts.astype(float))
    assert got == pytest.approx(np.nan if expected is None else expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "function"),
    [("r2", sk.r2_score), ("rmse", sk.root_mean_squared_error), ("mae", sk.mean_absolute_error)],
)
@given(seed=st.integers(0, 10_000), n_targets=st.integers(1, 3), shift=st.sampled_from([0.0, 1e6]), weigh=st.booleans())
@settings(max_examples=25, deadline=None)
def test_regression_scores_equal_those_of_scikit_learn(name, function, seed, n_targets, shift, weigh):
    """Each score equals scikit-learn's, with and without weights, for one and more targets, far from zero too."""
    rng = np.random.default_rng(seed)
    y = shift + rng.normal(size=(30, n_targets))
    said = y + rng.normal(size=y.shape)
    if n_targets == 1:
        y, said = y[:, 0], said[:, 0]
    weights = rng.uniform(0.1, 3, 30) if weigh else None
    expected = function(y, said, sample_weight=weights)
    assert _weighted(name, Truth(y), Outputs(said, None, "value"), weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("offset", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_r2_of_a_constant_target_follows_scikit_learn(offset, expected):
    """R² of a target without variance is 1 where it is met, else 0."""
    y = np.full(5, 3.3)
    assert metric_value(resolve_metric("r2", None), Truth(y), Outputs(y + offset, None, "value")) == expected


def test_r2_of_one_row_is_not_defined():
    """One row has no variance to explain."""
    assert metric_value(resolve_metric("r2", None), Truth(np.ones(1)), Outputs(np.ones(1), None, "value")) is None


@pytest.mark.parametrize("n_classes", [2, 3, None])
def test_reported_metrics_equal_their_scorers(n_classes):
    """Each reported metric is what the scikit-learn scorer it names computes on a fitted estimator."""
    if n_classes is None:
        X, y = make_regression(80, 5, noise=9.0, random_state=0)
        model = LinearRegression().fit(X[:40], y[:40])
        outputs = Outputs.from_array(model.predict(X), "value")
    else:
        X, y = make_classification(80, 8, n_informative=5, n_classes=n_classes, flip_y=0.3, random_state=0)
        model = LogisticRegression().fit(X[:40], y[:40])
        outputs = Outputs.from_array(model.predict_proba(X), "probability")
    for metric in reported_metrics(n_classes):
        if metric.name == "brier" and n_classes == 3:
            continue  # scikit-learn has it for more than two classes only since 1.7
        value = metric_value(metric, Truth(y, n_classes), outputs)
        sign = 1 if metric.greater_is_better else -1
        assert value * sign == pytest.approx(sk.get_scorer(metric.scorer)(model, X, y)), metric.name


@pytest.mark.parametrize("kind", ["decision", "vote"])
def test_only_probabilities_have_log_loss_and_brier(kind):
    """Decision values and shares of votes are ranked, but are no probabilities."""
    scores = scores_of(*_classification(0, 3, kind=kind))
    assert scores["log_loss"] is None
    assert scores["brier"] is None
    assert scores["roc_auc"] is not None


def test_labels_alone_have_no_ranking():
    """Without scores there is no area under the ROC curve."""
    truth, single, _ = _accuracy_pair()
    assert scores_of(truth, single)["roc_auc"] is None


def test_a_class_without_test_rows_is_left_out_of_averages():
    """A class that no test row has does not count as badly predicted."""
    truth, outputs = _classification(1, 2)
    padded = Outputs(outputs.labels, np.pad(outputs.scores, ((0, 0), (0, 1))), "probability")
    wide = scores_of(Truth(truth.y, 3), padded)
    assert wide["balanced_accuracy"] == scores_of(truth, outputs)["balanced_accuracy"]
    assert wide["roc_auc"] == pytest.approx(scores_of(truth, outputs)["roc_auc"])


def test_a_class_without_training_rows_has_score_zero():
    """Fewer score columns than classes count as columns of zeros: a finite, heavy loss, and no crash."""
    truth = Truth(np.array([0, 1, 2, 2]), 3)
    scores = scores_of(truth, Outputs.from_array(np.full((4, 2), 0.5), "probability"))
    expected = (2 * np.log(2) - 2 * np.log(np.finfo(float).eps)) / 4
    assert scores["log_loss"] == pytest.approx(expected)
    assert scores["roc_auc"] == pytest.approx(0.5)


def test_test_rows_of_one_class_have_no_ranking():
    """The area under the ROC curve of rows of one class is not defined; accuracy is."""
    scores = scores_of(Truth(np.zeros(4, dtype=int), 2), Outputs.from_array(np.full((4, 2), 0.5), "probability"))
    assert scores["roc_auc"] is None
    assert scores["f1"] is None
    assert scores["accuracy"] == 1.0


def test_one_column_of_decision_values_is_the_second_class():
    """A single decision column for two classes ranks and labels like two columns."""
    truth = Truth(np.array([0, 1, 0, 1]), 2)
    decision = np.array([[-1.0], [2.0], [0.5], [0.7]])
    outputs = Outputs.from_array(decision, "decision")
    assert scores_of(truth, outputs) == scores_of(
        truth, Outputs.from_array(np.hstack([-decision, decision]), "decision")
    )


@pytest.mark.parametrize(
    ("name", "n_classes", "function"),
    [
        ("matthews_corrcoef", 3, lambda t, o: sk.matthews_corrcoef(t.y, o.labels)),
        ("average_precision", 2, lambda t, o: sk.average_precision_score(t.y, o.scores[:, 1])),
        ("roc_auc_ovo", 3, lambda t, o: sk.roc_auc_score(t.y, o.scores, multi_class="ovo")),
        ("precision_macro", 3, lambda t, o: sk.precision_score(t.y, o.labels, average="macro")),
    ],
)
def test_any_other_scorer_is_called_as_scikit_learn_would(name, n_classes, function):
    """A metric by scorer name equals scikit-learn's function on the labels or scores that it judges."""
    truth, outputs = _classification(3, n_classes)
    assert metric_value(resolve_metric(name, n_classes), truth, outputs) == pytest.approx(function(truth, outputs))


@pytest.mark.parametrize(
    ("name", "n_classes"), [("matthews_corrcoef", 3), ("roc_auc_ovo", 3), ("average_precision", 2)]
)
def test_other_scorers_weigh_rows_by_their_counts(name, n_classes):
    """A scorer's value under counts is its value on the repeated rows, whether or not it takes weights."""
    truth, outputs = _classification(4, n_classes)
    counts = np.random.default_rng(0).integers(0, 3, len(truth.y))
    rows = np.repeat(np.arange(len(truth.y)), counts)
    said = Outputs(outputs.labels[rows], outputs.scores[rows], "probability")
    expected = metric_value(resolve_metric(name, n_classes), Truth(truth.y[rows], n_classes), said)
    assert _weighted(name, truth, outputs, counts.astype(float)) == pytest.approx(expected)


def test_metrics_that_take_no_weights_see_repeated_rows():
    """The largest error under counts ignores rows that were not drawn."""
    truth, outputs = Truth(np.zeros(3)), Outputs(np.array([1.0, 5.0, 2.0]), None, "value")
    assert _weighted("neg_max_error", truth, outputs, np.array([2.0, 0.0, 1.0])) == 2.0


def test_errors_are_not_negated():
    """A negated scorer is reported under its own name, in its own units, with the way that is up."""
    metric = resolve_metric("neg_median_absolute_error", None)
    assert (metric.name, metric.greater_is_better) == ("median_absolute_error", False)
    assert metric_value(metric, Truth(np.zeros(2)), Outputs(np.ones(2), None, "value")) == 1.0


@pytest.mark.parametrize(
    ("asked", "n_classes", "name"),
    [
        (None, 2, "accuracy"),
        (None, None, "r2"),
        ("neg_log_loss", 2, "log_loss"),
        ("f1_macro", 3, "f1"),
        ("f1_macro", 2, "f1_macro"),
        ("roc_auc_ovr", 4, "roc_auc"),
        ("neg_root_mean_squared_error", None, "rmse"),
    ],
)
def test_scorer_names_resolve_to_reported_metrics(asked, n_classes, name):
    """A scorer's name gives the reported metric where both are the same; none gives the default."""
    assert resolve_metric(asked, n_classes).name == name


@pytest.mark.parametrize(
    ("name", "n_classes", "why"),
    [
        ("r2", 2, "judges regression"),
        ("neg_max_error", 2, "judges regression"),
        ("rmse", 3, "judges regression"),
        ("accuracy", None, "judges classification"),
        ("precision", 3, "Target is multiclass"),
        ("rand_score", 2, "clusterings"),
    ],
)
def test_a_metric_of_another_task_is_refused_before_fitting(name, n_classes, why):
    """The error says what the metric judges and lists valid ones."""
    with pytest.raises(InputError, match=rf"Metric '{name}' cannot judge .*{why}.*Valid: "):
        resolve_metric(name, n_classes)


def test_an_unknown_metric_has_a_suggestion():
    """A misspelt metric is refused with the nearest valid name."""
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        resolve_metric("acuracy", 2)


def test_mcnemar_mid_p_equals_the_published_example():
    """1 against 7 discordant pairs give 0.039, as in Fagerland, Lydersen and Laake (2013), table 1."""
    first = np.array([True] * 1 + [False] * 7 + [True] * 13)
    second = np.array([False] * 1 + [True] * 7 + [True] * 13)
    assert mcnemar_mid_p(first, second) == pytest.approx(0.0390625)
    assert mcnemar_mid_p(second, first) == pytest.approx(0.0390625)


def test_mcnemar_mid_p_of_equal_counts():
    """With as many rows on either side the mid-p value is one minus half the point probability."""
    first, second = np.array([True, False]), np.array([False, True])
    assert mcnemar_mid_p(first, second) == pytest.approx(0.75)


def test_mcnemar_holds_its_level():
    """Of models that are equally good, about one in twenty is told apart at p < 0.05."""
    rng = np.random.default_rng(0)
    p_values = [mcnemar_mid_p(*(rng.random((2, 300)) < 0.8)) for _ in range(1_000)]
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.07


def test_identical_predictions_are_not_told_apart():
    """Two equal models differ by 0, from 0 to 0, with p = 1, by either test."""
    truth, single, _ = _accuracy_pair()
    for name in ("accuracy", "balanced_accuracy"):
        difference = difference_between(resolve_metric(name, 2), truth, single, single)
        assert (difference.estimate, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_one_test_row_gives_no_interval():
    """A single row cannot tell how far its score would vary."""
    truth = Truth(np.array([1]), 2)
    right, wrong = (Outputs(np.array([code]), None, "vote") for code in (1, 0))
    difference = difference_between(resolve_metric("accuracy", 2), truth, right, wrong)
    assert (difference.estimate, difference.low, difference.high) == (-1, None, None)
    assert difference_between(resolve_metric("f1", 2), truth, right, right).p_value is None


def test_resamples_that_lack_a_class_are_left_out():
    """With two rows of the rare class some resamples have none; the interval comes from the others."""
    rng = np.random.default_rng(0)
    truth = Truth(np.array([1, 1] + [0] * 40), 2)
    models = [Outputs.from_array(rng.dirichlet([1, 1], 42), "probability") for _ in range(2)]
    difference = difference_between(resolve_metric("roc_auc", 2), truth, *models)
    assert 1_500 < difference.n_resamples < 2_000
    assert difference.low <= difference.estimate <= difference.high


def test_too_few_defined_resamples_give_no_interval():
    """Where most resamples have no value, what remains would mislead."""
    values = np.array([np.nan, np.nan, np.nan, 0.5])
    assert within(values, 0.95) == (None, None)
    assert two_sided_p(values) is None


def test_a_metric_without_a_value_gives_no_difference():
    """Log loss of votes is not defined, and so is its difference."""
    truth, single, ensemble = _accuracy_pair()
    assert difference_between(resolve_metric("log_loss", 2), truth, single, ensemble) is None


def test_the_difference_is_ensemble_minus_single():
    """An ensemble with the higher loss has a positive difference, which is worse."""
    truth, sharp = _classification(0, 2)
    flat = Outputs.from_array(np.full((len(truth.y), 2), 0.5), "probability")
    metric = resolve_metric("log_loss", 2)
    difference = difference_between(metric, truth, sharp, flat)
    expected = metric_value(metric, truth, flat) - metric_value(metric, truth, sharp)
    assert difference.estimate == pytest.approx(expected)
    assert not metric.greater_is_better


def test_the_same_seed_gives_the_same_interval():
    """The interval depends on the seed alone, and does depend on it."""
    truth, single, ensemble = _accuracy_pair()
    metric = resolve_metric("accuracy", 2)
    first, again, other = (difference_between(metric, truth, single, ensemble, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_the_interval_covers_the_true_difference():
    """A 95 % interval covers the true difference in about 95 % of simulated test sets."""
    metric = resolve_metric("accuracy", 2)
    covered = 0
    for seed in range(100):
        truth, single, ensemble = _accuracy_pair(200, seed=seed)
        statistics = [metric.prepare(truth, each) for each in (single, ensemble)]
        values = resample(truth, statistics, seed)
        low, high = within(values[:, 1] - values[:, 0], 0.95)
        covered += low <= -0.05 <= high
    assert 0.90 <= covered / 100 <= 0.99


def test_groups_are_drawn_whole():
    """Ten copies of each row in a group are no more evidence than one: the interval is that of the single rows."""
    truth, single, ensemble = _accuracy_pair(100)
    copies = np.repeat(np.arange(100), 10)
    grouped = Truth(truth.y[copies], 2, groups=copies.astype(str))
    repeated = [Outputs(each.labels[copies], None, "vote") for each in (single, ensemble)]
    metric = resolve_metric("accuracy", 2)
    whole = difference_between(metric, grouped, *repeated)
    alone = difference_between(metric, truth, single, ensemble)
    assert whole.test == "paired bootstrap of groups"
    assert whole.high - whole.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_missing_groups_are_a_group():
    """A missing group value does not drop its rows."""
    truth = Truth(np.array([0, 1, 1, 0]), 2, groups=np.array(["a", None, None, "b"], dtype=object))
    outputs = Outputs(np.array([0, 1, 0, 0]), None, "vote")
    interval = score_intervals([resolve_metric("accuracy", 2)], truth, {"single": outputs})["accuracy"]["single"]
    assert interval.low == 0.5


def test_the_work_of_the_bootstrap_is_bounded_by_sizes():
    """Resamples become fewer with rows and with costlier metrics, never more than 2,000 nor fewer than 200."""
    truth, outputs = _classification(0, 2)
    cheap, dear = (resolve_metric(name, 2).prepare(truth, outputs) for name in ("accuracy", "roc_auc"))
    assert resamples_for(1_000, [cheap] * 2) == 2_000
    assert 200 < resamples_for(400_000, [cheap] * 2) < 2_000
    assert resamples_for(200_000, [dear] * 2) < resamples_for(200_000, [cheap] * 2)
    assert resamples_for(10**9, [cheap] * 2) == 200


def test_score_intervals_hold_each_models_own_scores():
    """Each defined score of each model lies in its interval; undefined ones are left out."""
    truth, probability = _classification(0, 3)
    models = {"single": probability, "ensemble": Outputs(probability.labels, None, "vote")}
    intervals = score_intervals(reported_metrics(3), truth, models)
    assert set(intervals["log_loss"]) == {"single"}
    assert set(intervals["accuracy"]) == {"single", "ensemble"}
    for name, of_models in intervals.items():
        interval = of_models["single"]
        assert interval.low < interval.estimate < interval.high, name
        assert interval.estimate == scores_of(truth, probability)[name]


def test_the_curve_is_the_metric_of_running_means():
    """After k members the curve has the metric of the mean of the first k outputs, and each alone its own."""
    rng = np.random.default_rng(0)
    truth, _ = _classification(0, 3)
    members = rng.dirichlet([1, 1, 1], (5, 60)) + np.eye(3)[truth.y] * 0.2
    metric = resolve_metric("log_loss", 3)
    growth = curve_as_members_are_added(metric, truth, iter(members), "probability")
    means = [members[: k + 1].mean(axis=0) for k in range(5)]
    expected = [metric_value(metric, truth, Outputs.from_array(mean, "probability")) for mean in means]
    assert growth.together == pytest.approx(expected)
    assert growth.alone[3] == metric_value(metric, truth, Outputs.from_array(members[3], "probability"))


def test_the_curve_takes_another_way_to_combine():
    """A fold other than the mean decides what the members say together."""
    truth = Truth(np.array([1.0, 2.0]))
    members = np.array([[1.0, 1.0], [0.0, 2.0]])

    def highest(so_far, member, _):
        return member if so_far is None else np.maximum(so_far, member)

    growth = curve_as_members_are_added(resolve_metric("mae", None), truth, members, "value", fold=highest)
    assert growth.together == (0.5, 0.0)
    assert growth.alone == (0.5, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Truth(np.array([], dtype=int), 2), "no test rows"),
        (lambda: Truth(np.array([0, 2]), 2), "expected 0..1"),
        (lambda: Truth(np.array(["a", "b"]), 2), "expected codes"),
        (lambda: Truth(np.array([0, 1]), 2, groups=np.array([1])), "group values"),
        (lambda: scores_of(Truth(np.array([0, 1]), 2), Outputs(np.array([0]), None, "vote")), "1 outputs for 2"),
        (lambda: scores_of(Truth(np.ones(2)), Outputs(np.ones((2, 2)), None, "value")), "shape"),
        (lambda: scores_of(Truth(np.array([0, 1]), 2), Outputs.from_array(np.eye(2, 3), "vote")), "Scores have shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(make, message):
    """Outputs that cannot be about these rows raise an error that states both."""
    with pytest.raises(InputError, match=message):
        make()
