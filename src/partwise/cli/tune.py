"""partwise tune."""

import sys
from typing import Any

from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, find_modules, say, say_where


@app.command(epilog="Example: partwise tune flights.parquet --target late --learner xgboost --budget 10m")
@o.of_a_fit
def tune(  # noqa: PLR0913 - the options are the interface
    *,
    trials: o.Trials = 50,
    budget: o.Budget = None,
    sampler: o.Sampler = "tpe",
    space: o.Space = None,
    fidelity: o.Fidelity = "members",
    reduction_factor: o.ReductionFactor = 2,
    keep: o.Keep = 1,
    one_by_one: o.OneByOne = False,
    study: o.Study = None,
    evidence: o.Evidence = False,
    as_json: o.Json = False,
    **options: Any,
) -> None:
    """Search the learner's parameters on partitions, and fit the ensemble of the best, or one model."""
    own = {
        "trials": trials,
        "budget": budget,
        "sampler": sampler,
        "space": space,
        "fidelity": fidelity,
        "reduction_factor": reduction_factor,
        "keep": keep,
        "one_by_one": one_by_one,
        "study": study,
        "evidence": evidence,
    }
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.tuning_table import tuning_table  # noqa: PLC0415
    from partwise.config import TuneConfig  # noqa: PLC0415
    from partwise.experiment import configured  # noqa: PLC0415
    from partwise.experiment import tune as run_search  # noqa: PLC0415

    config = configured(TuneConfig, o.settings(options | own))
    find_modules(config.ship)
    run = run_search(config, say, show_progress=True)
    if as_json:
        sys.stdout.write(run.tuning.model_dump_json(indent=2) + "\n")
    else:
        Console().print(tuning_table(run.tuning))
    say_where(run.directory, run.tracking_uri, run.tracking_fault, run.ui_command)
