"""Processes of one training, started side by side as a launcher does."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def together(*commands: Sequence[str | Path], timeout: float = 240) -> tuple[list[int], list[str]]:
    """Run Python with these arguments, a process each; their exit statuses and standard errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(commands))}
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | world | {"NODE_RANK": "0", "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, command in enumerate(commands)
    ]
    try:
        errors = [process.communicate(timeout=timeout)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], errors
