"""Facts about the public surface."""

import subprocess
import sys

import pytest

import partwise

PUBLIC = {
    "Addition",
    "Auto",
    "Checkpoint",
    "Choice",
    "Clustered",
    "Greedy",
    "Grouped",
    "InlineExecutor",
    "InputError",
    "Mean",
    "Median",
    "Member",
    "MemberFailure",
    "MemberFitError",
    "NumericEncoder",
    "Ordered",
    "PartitionedClassifier",
    "PartitionedRegressor",
    "PartitionedSearchCV",
    "PartwiseError",
    "Pool",
    "Range",
    "RayExecutor",
    "Replicated",
    "Route",
    "Shuffled",
    "Soft",
    "Stack",
    "Stratified",
    "TableEncoder",
    "Vote",
    "Weighted",
    "scan",
    "__version__",
}


def _loaded_by(statement):
    script = f"{statement}\nimport sys\nprint(*(name for name in sys.modules if '.' not in name))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_public_surface_is_this():
    """Names are promises: one more or one less is a decision, written down here."""
    assert set(partwise.__all__) == PUBLIC
    assert list(partwise.__all__) == sorted(partwise.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name):
    """Each name can be imported, and what it names has a docstring."""
    found = getattr(partwise, name)
    assert name == "__version__" or (found.__name__ == name and found.__doc__)


def test_an_unknown_name_is_an_attribute_error():
    """A name that does not exist fails as in any module, so that hasattr works."""
    assert not hasattr(partwise, "Partitoned")


def test_dir_lists_the_public_names():
    """Completion offers the names before they are loaded."""
    assert set(dir(partwise)) >= PUBLIC


def test_import_is_light():
    """`import partwise` loads none of the heavy packages."""
    assert not _loaded_by("import partwise") & {"ray", "mlflow", "sklearn", "matplotlib", "pandas", "numpy", "skrub"}


def test_the_estimators_load_no_cluster_and_no_tracker():
    """Importing an estimator loads neither Ray nor MLflow."""
    assert not _loaded_by("from partwise import PartitionedClassifier, PartitionedRegressor") & {"ray", "mlflow"}


def test_fitting_in_process_loads_no_cluster():
    """With `executor="inline"` Ray stays unloaded from the fit to the prediction."""
    fit = (
        "from sklearn.datasets import load_iris\n"
        "from sklearn.naive_bayes import GaussianNB\n"
        "from partwise import PartitionedClassifier\n"
        "X, y = load_iris(return_X_y=True)\n"
        "model = PartitionedClassifier(GaussianNB(), n_partitions=2, executor='inline', out_of_partition=True)\n"
        "model.fit(X, y).predict(X)"
    )
    assert not _loaded_by(fit) & {"ray", "mlflow"}
