"""How soon a run ends that is asked to, and how soon a finished run of many members is answered.

    python benchmarks/stopping.py

Ctrl-C reaches `partwise train` while its members are fitted; then the run is resumed to its end, and resumed once more
when there is nothing left to do. Prints a Markdown table.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from sklearn.datasets import make_classification

_STOP, _ANSWER = 5.0, 10.0
"""Seconds that stopping, and answering for a finished run, may take."""
_ROWS_A_MEMBER = 50


def main() -> None:
    """Measure, and print the table; exit with 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        X, y = make_classification(_ROWS_A_MEMBER * asked.members, random_state=0)
        pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]).assign(y=y).to_parquet(folder / "table.parquet")
        stopped = _stop(folder, asked.members)
        finishing = _resume(folder)
        answered = _resume(folder)
    sys.stdout.write(
        "| what | seconds | target |\n|---|---|---|\n"
        f"| Ctrl-C to the end of the process | {stopped:.1f} | at most {_STOP:.0f} |\n"
        f"| what was left of {asked.members} members, resumed | {finishing:.1f} | |\n"
        f"| the finished run, resumed | {answered:.1f} | at most {_ANSWER:.0f} |\n"
    )
    sys.exit(int(stopped > _STOP or answered > _ANSWER))


def _partwise(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "partwise", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _stop(folder: Path, members: int) -> float:
    arguments = ["train", "table.parquet", "--target", "y", "--learner", "extra_trees", "--partitions", str(members)]
    run = _partwise(folder, *arguments, "--storage", "store", "--output", "run", "--tracking-uri", "off")
    while not any((folder / "run" / "members").rglob("*.member")):
        if run.poll() is not None:
            sys.exit(f"The run ended before a member was kept:\n{run.stderr.read().decode()}")
        time.sleep(0.05)
    started = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate()
    seconds = time.monotonic() - started
    if run.returncode != 130:
        sys.exit(f"The run was not interrupted (exit code {run.returncode}):\n{said.decode()}")
    return seconds


def _resume(folder: Path) -> float:
    started = time.monotonic()
    run = _partwise(folder, "resume", "run")
    _, said = run.communicate()
    if run.returncode != 0:
        sys.exit(f"The run was not resumed (exit code {run.returncode}):\n{said.decode()}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
