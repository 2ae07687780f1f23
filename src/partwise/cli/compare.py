"""partwise compare."""

import sys
from typing import Any

from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, find_modules, say, say_where


@app.command(epilog="Example: partwise compare flights.parquet --target late --learner gradient_boosting")
@o.of_a_fit
def compare(
    *,
    baseline_budget: o.BaselineBudget = None,
    also: o.Also = None,
    as_json: o.Json = False,
    **options: Any,
) -> None:
    """Compare one model per partition, combined, with one model on all rows."""
    given = o.settings({**options, "baseline_budget": baseline_budget, "also": also})
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.table import comparison_table  # noqa: PLC0415
    from partwise.config import CompareConfig  # noqa: PLC0415
    from partwise.experiment import compare as run_comparison  # noqa: PLC0415
    from partwise.experiment import configured  # noqa: PLC0415

    config = configured(CompareConfig, given)
    find_modules(config.ship)
    run = run_comparison(config, say, show_progress=True)
    if as_json:
        sys.stdout.write(run.comparison.to_json())
    else:
        Console().print(comparison_table(run.comparison))
    say_where(run.directory, run.tracking_uri, run.tracking_fault, run.ui_command)
