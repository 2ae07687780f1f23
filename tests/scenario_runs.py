"""Run a scenario of faults/scenarios.py in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

SCENARIOS = Path(__file__).parent / "faults" / "scenarios.py"


def run_scenario(*arguments):
    """Return what it prints."""
    command = [sys.executable, str(SCENARIOS), *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert said.returncode == 0, said.stderr[-3000:]
    return json.loads(said.stdout.splitlines()[-1])
