"""How much memory verbs of the command take in a process of their own: `peak_memory.py STEPS OUT`.

STEPS is a JSON list of verbs with their arguments. OUT is a JSON list that says of each how many bytes
more than before the first were held at most: resident, in it or any step before; and in it alone, without the
pages of mapped files.
"""

import json
import re
import sys
import threading
from pathlib import Path

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.weights import exporting, importing  # noqa: F401

EVERY = 0.002
"""Seconds between two looks at what has no record of its own."""


def now(line: str) -> int:
    """A line of /proc/self/status, in bytes."""
    found = re.search(rf"^{line}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, line
    return int(found[1]) * 1024


class Anonymous(threading.Thread):
    """Looks again and again at the memory that is no file's, of which the kernel keeps no record."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            self.most = max(self.most, now("RssAnon"))


def measure(steps: list[list[str]]) -> list[list[int]]:
    """Run them."""
    found, watch = [], Anonymous()
    resident, anonymous = now("VmRSS"), now("RssAnon")
    watch.start()
    for step in steps:
        watch.most = 0
        assert main(step) == 0, step
        found.append([now("VmHWM") - resident, watch.most - anonymous])
    watch.ended.set()
    watch.join()
    return found


if __name__ == "__main__":
    peaks = measure(json.loads(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(peaks))
