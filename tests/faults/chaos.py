"""Random faults until a run is done: workers, a node and the driver are killed, and the run is resumed.

    python tests/faults/chaos.py 1-50 --results chaos.jsonl

Each seed starts a cluster of two nodes on this machine and a training on it, kills at random times what its seed says,
and resumes until the run is finished. Its members must have the digests of a run without faults. Seeds whose result is
in the file are not run again. Prints a Markdown table; exits with 1 where a seed failed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from ray.cluster_utils import Cluster

LEARNER = """
import time

from sklearn.tree import DecisionTreeClassifier


class Slow(DecisionTreeClassifier):
    def fit(self, X, y):
        time.sleep(0.5)
        return super().fit(X, y)
"""
PARTITIONS = 24
MOST_STARTS = 40
MEAN_SECONDS = 8.0
"""Between two faults, on average."""


class Place:
    """A cluster of two nodes, a table, and a run that is started and resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        table = pd.DataFrame(rng.normal(size=(4_000, 4)), columns=list("abcd"))
        table["kind"] = np.where(table["a"] > table["b"], "x", "y")
        table.to_parquet(folder / "table.parquet")
        (folder / "slow.py").write_text(LEARNER)
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.second = self.cluster.add_node(num_cpus=1)
        self.cluster.wait_for_nodes()

    def start(self) -> subprocess.Popen[str]:
        """Start the run, or go on with it."""
        run = self.folder / "run"
        if (run / "run.json").exists():
            arguments = ["resume", "run", "--trust", "--address", self.cluster.address]
        else:
            arguments = ["train", "table.parquet", "--target", "kind", "--learner", "slow:Slow", "--output", "run"]
            arguments += ["--partitions", str(PARTITIONS), "--storage", "store", "--tracking-uri", "off"]
            arguments += ["--address", self.cluster.address, "--ship", "slow.py", "--max-attempts", "5"]
        return subprocess.Popen(
            [sys.executable, "-m", "partwise", *arguments],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill_worker(self, dice: random.Random) -> bool:
        """Kill a worker that has a task, if there is one."""
        raylets = {process.process.pid for node in self.cluster.list_all_nodes() for process in _raylets(node)}
        workers = [pid for pid, parent, name in _processes() if parent in raylets and name.startswith("ray::_run")]
        if not workers:
            return False
        os.kill(dice.choice(workers), signal.SIGKILL)
        return True

    def kill_node(self) -> bool:
        """Kill the second node, and let another one join."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self.cluster.add_node(num_cpus=1)
        return True

    def digests(self) -> list[str]:
        """Return the members' digests, by the run's record."""
        return [member["content_digest"] for member in json.loads((self.folder / "run" / "members.json").read_text())]


def _raylets(node: object) -> list:
    return getattr(node, "all_processes", {}).get("raylet", [])


def _processes() -> list[tuple[int, int, str]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            found.append((int(entry.name), parent, (entry / "cmdline").read_bytes().decode(errors="replace")))
        except (OSError, ValueError):
            continue
    return found


def ordeal(seed: int, *, faults: bool) -> dict:
    """Run one seed to its end; return the digests, and what happened."""
    dice = random.Random(seed)  # noqa: S311 - faults, no secrets
    fired = {"worker": 0, "node": 0, "driver": 0}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        place = Place(Path(folder))
        try:
            for starts in range(1, MOST_STARTS + 1):
                run = place.start()
                while run.poll() is None:
                    pause = time.monotonic() + dice.expovariate(1 / MEAN_SECONDS)
                    while run.poll() is None and (time.monotonic() < pause or not faults):
                        time.sleep(0.1)
                    if run.poll() is not None:
                        break
                    kind = dice.choice(["worker", "worker", "node", "driver"])
                    if kind == "worker":
                        fired[kind] += place.kill_worker(dice)
                    elif kind == "node":
                        fired[kind] += place.kill_node()
                    else:
                        run.kill()
                        fired[kind] += 1
                        run.wait()
                said = run.communicate()[1]
                if run.returncode == 0:
                    return {
                        "seed": seed,
                        "digests": place.digests(),
                        "fired": fired,
                        "starts": starts,
                        "seconds": time.monotonic() - began,
                    }
            return {"seed": seed, "digests": None, "fired": fired, "starts": MOST_STARTS, "said": said[-2_000:]}
        finally:
            place.cluster.shutdown()


def main() -> None:
    """Run the seeds that are asked for, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", help="FIRST-LAST")
    parser.add_argument("--results", type=Path, required=True)
    asked = parser.parse_args()
    first, last = map(int, asked.seeds.split("-"))
    known = {}
    if asked.results.exists():
        known = {each["seed"]: each for each in map(json.loads, asked.results.read_text().splitlines())}
    for seed in (0, *range(first, last + 1)):  # 0 is the run without faults
        if seed not in known:
            known[seed] = ordeal(seed, faults=seed != 0)
            with asked.results.open("a") as file:
                file.write(json.dumps(known[seed]) + "\n")
            sys.stderr.write(f"seed {seed}: {known[seed]['fired']}, {known[seed].get('seconds', 0):.0f} s\n")
    right = {seed: known[seed]["digests"] == known[0]["digests"] for seed in range(first, last + 1)}
    sys.stdout.write("| seed | workers | nodes | drivers | starts | s | members |\n|---|---|---|---|---|---|---|\n")
    for seed, same in right.items():
        told, fired = known[seed], known[seed]["fired"]
        counts = f"{fired['worker']} | {fired['node']} | {fired['driver']} | {told['starts']}"
        sys.stdout.write(f"| {seed} | {counts} | {told.get('seconds', 0):.0f} | {'the same' if same else 'OTHERS'} |\n")
    sys.stdout.write(f"\n{sum(right.values())} of {len(right)} ended with the members of the run without faults.\n")
    sys.exit(int(not all(right.values())))


if __name__ == "__main__":
    main()
