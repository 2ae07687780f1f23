"""Work for executors; apart from the fakes, so that a worker needs nothing heavy to unpickle it."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from threadpoolctl import threadpool_info


class UnpicklableError(Exception):
    """An exception that survives no process boundary."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.lock = Lock()


@dataclass
class NotesLoading:
    """Adds a line to a file whenever it is unpickled."""

    path: str

    def __setstate__(self, state):
        self.__dict__.update(state)
        with Path(self.path).open("a") as file:
            file.write(f"{os.getpid()}\n")


def die():
    """End this process as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def row_of(_shared, payload):
    """Return a row of what was lent."""
    lent, row = payload
    return lent()[row]


def scale(shared, payload):
    """Return the product."""
    return shared * payload


def compute_for(seconds, busy):
    """Compute for so long, or sleep."""
    if not busy:
        time.sleep(seconds)
        return
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass


def scale_or_fail(shared, payload):
    """Return the product, but raise for negative payloads."""
    if payload < 0:
        raise ValueError(f"{payload} is negative")
    return shared * payload


def fail_strangely(shared, payload):
    """Raise what cannot be pickled."""
    raise UnpicklableError(shared, payload)


def note_and_fail(path, payload):
    """Add a line to the file, then raise."""
    with Path(path).open("a") as file:
        file.write(f"{payload}\n")
    raise ValueError("always")


def _is_first(marker):
    """Make a file; return whether it was not there, of two workers that come at the same time to one."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_once(marker, payload):
    """Kill this process unless the marker exists; leave it behind."""
    if _is_first(marker):
        die()
    return payload


def die_on(deadly, payload):
    """Kill this process for one payload."""
    if payload == deadly:
        die()
    return payload


def nap(_shared, seconds):
    """Sleep, and return for how long."""
    time.sleep(seconds)
    return seconds


def thread_counts(_shared, _payload):
    """Return how many threads each native library of this process would use."""
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


def note_process(directory):
    """Leave a file with this process' id as its name."""
    (Path(directory) / str(os.getpid())).touch()


def ignore(_shared, payload):
    """Return the payload."""
    return payload


def fit_on_ray(seed):
    """Fit and predict on Ray, from wherever this is called; return the members' digests."""
    from sklearn.datasets import load_iris  # noqa: PLC0415 - heavy
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415 - as above

    from partwise.ensemble import PartitionedClassifier  # noqa: PLC0415 - as above

    X, y = load_iris(return_X_y=True)
    model = PartitionedClassifier(GaussianNB(), n_partitions=2, random_state=seed).fit(X, y)
    model.predict(X)
    return [each.content_digest for each in model.members_]


def nap_with(_shared, seconds):
    """Sleep."""
    time.sleep(seconds)


def thread_lock(_shared, wanted):
    """Return a lock, which cannot be pickled, where it is wanted."""
    return Lock() if wanted else None


def note_nothing(_shared):
    """Do nothing."""


class Keeper:
    """An actor with a memory."""

    def put(self, value):
        self.value = value

    def get(self):
        return self.value


def hang_once(marker, payload):
    """Sleep for ever unless the marker exists; leave it behind."""
    if _is_first(marker):
        time.sleep(3_600)
    return payload


def hang_on(shared, payload):
    """Sleep for ever for one payload, and note this process' id."""
    place, stuck = shared
    if payload == stuck:
        with Path(place).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(3_600)
    return payload


def kill_me(place, payload):
    """Note this process' id in a new file and wait to be killed; where the file exists, return the payload."""
    if _is_first(place):
        Path(place).write_text(str(os.getpid()))
        time.sleep(3_600)
    return payload


def sleep_for_long():
    """Wait for longer than any test does."""
    time.sleep(3_600)


@dataclass(frozen=True)
class Interrupted:
    """Reads rows that were sent with the task, but does something before it reads those of one partition."""

    partition: int
    instead: Callable[[], None]

    def part(self, payload):
        """Return the rows."""
        if payload.partition == self.partition:
            self.instead()
        return payload


def all_cpus():
    """Return the CPUs of the Ray that is connected."""
    import ray  # noqa: PLC0415 - workers that need it have it

    return int(ray.cluster_resources()["CPU"])
