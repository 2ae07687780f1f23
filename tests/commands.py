"""Commands of partwise in the process of the tests, for facts that need no process of their own."""

import io
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout

import cloudpickle
import pytest

from partwise.cli import main


def run_here(folder, *arguments):
    """Run a command in a folder, on the session's Ray where there is one; return its exit code and what it prints."""
    given, out, err = [*map(str, arguments)], io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "path", [*sys.path])  # commands add the folder that they run in
        with pytest.raises(SystemExit) as ended:
            main(given)
    _forget_files()
    return subprocess.CompletedProcess(given, ended.value.code, out.getvalue(), err.getvalue())


def _forget_files():
    """Unload the files that were named as learners: those of the next folder may have the same names."""
    for name in cloudpickle.list_registry_pickle_by_value() & sys.modules.keys():
        cloudpickle.unregister_pickle_by_value(sys.modules.pop(name))
