"""Facts about the pool: where outputs of members meet the classes of the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier

from fakes import Decisions, Labels, Probabilities, Values, member, row_numbers
from partwise.errors import InputError, PredictionError
from partwise.pool import MemberPool

TWO_ROWS = row_numbers(2)


def _pool(*members, n_classes=3):
    return MemberPool.of(tuple(members), n_classes)


def _constant():
    return DummyClassifier(strategy="most_frequent").fit(np.zeros((2, 1)), np.zeros(2, dtype=int))


@given(st.data())
def test_probabilities_go_to_their_classes(data):
    """Each probability stands in the column of its class, and a class that the member lacks has none."""
    n_classes = data.draw(st.integers(2, 8))
    classes = sorted(data.draw(st.sets(st.integers(0, n_classes - 1), min_size=2)))
    table = np.random.default_rng(0).dirichlet(np.ones(len(classes)), size=4)
    outputs = _pool(member(0, Probabilities(table), classes), n_classes=n_classes).outputs(row_numbers(4))
    assert outputs.shape == (1, 4, n_classes)
    np.testing.assert_array_equal(outputs[0][:, classes], table)
    np.testing.assert_allclose(outputs[0].sum(axis=1), 1.0)


def test_a_member_of_one_class_is_sure_of_it():
    """A member that saw one class alone gives it probability 1, whatever columns its estimator has."""
    pool = _pool(member(0, Probabilities([[0.4, 0.6]] * 2), [0, 1]), member(1, _constant(), [2]))
    assert pool.kind == "probability"
    assert pool.outputs(TWO_ROWS)[1].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_a_pool_of_members_of_one_class_each():
    """Where every member saw one class alone, probabilities still come out."""
    pool = _pool(member(0, _constant(), [1]), member(1, _constant(), [0]), n_classes=2)
    assert pool.outputs(TWO_ROWS).tolist() == [[[0, 1]] * 2, [[1, 0]] * 2]


def test_binary_decision_values_have_two_signs():
    """One decision value a row becomes one for each of the two classes; a class that lacks has the smallest."""
    pool = _pool(member(0, Decisions([2.0, -0.5]), [0, 2]))
    assert pool.kind == "decision"
    assert pool.outputs(TWO_ROWS)[0].tolist() == [[-2.0, -2.0, 2.0], [0.5, -0.5, -0.5]]


def test_decision_values_of_several_classes():
    """Each value stands in the column of its class, and a class that lacks has the smallest of the row."""
    pool = _pool(member(0, Decisions([[1.0, 3.0, -2.0], [0.0, -1.0, 5.0]]), [0, 1, 3]), n_classes=4)
    assert pool.outputs(TWO_ROWS)[0].tolist() == [[1.0, 3.0, -2.0, -2.0], [0.0, -1.0, -1.0, 5.0]]


def test_a_member_of_one_class_among_decision_values():
    """A member that saw one class alone gives it decision value 1 against -1."""
    pool = _pool(member(0, Decisions([2.0, -0.5]), [0, 2]), member(1, _constant(), [1]))
    assert pool.outputs(TWO_ROWS)[1].tolist() == [[-1, 1, -1]] * 2


def test_votes_go_to_their_classes():
    """A member that only names classes puts a one in the column of the class that it names."""
    pool = _pool(member(0, Labels([0, 1], np.array([0, 1])), [0, 2]), member(1, _constant(), [1]))
    assert pool.kind == "vote"
    assert pool.outputs(TWO_ROWS).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0]] * 2]


def test_votes_of_a_model_with_its_own_labels():
    """A model that was fitted elsewhere names its own labels; they are found in its `classes_`."""
    model = Labels(np.array(["yes", "no"]), np.array(["no", "yes"]))
    assert _pool(member(0, model, [0, 2])).outputs(TWO_ROWS)[0].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_all_speak_the_language_of_the_least():
    """One member without probabilities, and all give decision values; one with neither, and all vote."""
    both = type("Both", (Decisions,), {"predict_proba": lambda _self, X: np.full((len(X), 2), 0.5)})([1.0, 1.0])
    decides = Decisions([1.0, -1.0])
    names = Labels([0, 1], np.array([0, 1]))
    kinds = [
        _pool(*(member(i, model, [0, 1]) for i, model in enumerate(models)), n_classes=2).kind
        for models in ([both, both], [both, decides], [both, names])
    ]
    assert kinds == ["probability", "decision", "vote"]


def test_values_have_one_column_for_each_target():
    """A regressor of one target gives one column, one of two targets two."""
    one = _pool(member(0, Values([1.0, 2.0])), n_classes=None)
    two = _pool(member(0, Values([[1.0, 3.0], [2.0, 4.0]])), n_classes=None)
    assert one.kind == "value"
    assert one.outputs(TWO_ROWS).tolist() == [[[1.0], [2.0]]]
    assert two.outputs(TWO_ROWS).tolist() == [[[1.0, 3.0], [2.0, 4.0]]]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("model", [Probabilities, Decisions, Values])
def test_outputs_that_are_no_numbers_name_the_member(model, broken):
    """NaN and infinite outputs are refused with the partition and the number of rows."""
    table = [[0.5, 0.5], [broken, 0.5]]
    n_classes, classes = (None, None) if model is Values else (2, [0, 1])
    pool = _pool(member(0, model([[0.5, 0.5]] * 2), classes), member(7, model(table), classes), n_classes=n_classes)
    with pytest.raises(PredictionError, match=r"partition 7 (.|\n)* 1 of 2 rows"):
        pool.outputs(TWO_ROWS)


@pytest.mark.parametrize("wrong", [[0.7, 0.7], [0.2, 0.2], [1.2, -0.2]], ids=["more", "less", "negative"])
def test_probabilities_that_are_none_name_the_member(wrong):
    """Such a member would weigh more, or less, than others: it is refused with the partition and the number of rows."""
    pool = _pool(
        member(0, Probabilities([[0.5, 0.5]] * 2), [0, 1]),
        member(7, Probabilities([[0.5, 0.5], wrong]), [0, 1]),
        n_classes=2,
    )
    with pytest.raises(PredictionError, match=r"partition 7 (.|\n)*do not sum to 1 for 1 of 2 rows(.|\n)*vote"):
        pool.outputs(TWO_ROWS)


def test_probabilities_in_32_bits_are_probabilities():
    """Those of a thousand classes do not sum to 1 to the last bit."""
    table = np.random.default_rng(0).dirichlet(np.ones(1_000), size=2).astype(np.float32)
    pool = _pool(member(0, Probabilities(table), range(1_000)), n_classes=1_000)
    assert pool.outputs(TWO_ROWS).shape == (1, 2, 1_000)


@pytest.mark.parametrize("model", [Probabilities, Decisions])
def test_a_wrong_number_of_columns_names_the_member(model):
    """Outputs that cannot be told to classes, such as those of pairs of classes, are refused with the next step."""
    pool = _pool(member(4, model(np.ones((2, 6))), [0, 1, 2, 3]), n_classes=4)
    with pytest.raises(PredictionError, match=r"partition 4 gave 6 columns for 4 classes(.|\n)*combine='vote'"):
        pool.outputs(TWO_ROWS)


def test_members_stand_in_the_order_of_partitions():
    """The pool does not depend on which member came first."""
    members = [member(i, Values([float(i)])) for i in (2, 0, 1)]
    assert [each.partition for each in _pool(*members, n_classes=None).members] == [0, 1, 2]


def test_an_empty_pool_is_refused():
    """Without a member there is nothing to predict."""
    with pytest.raises(InputError, match="at least one member"):
        _pool()
