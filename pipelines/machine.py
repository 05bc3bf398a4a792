"""What this machine and its packages are, for reports."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "vlmloom",
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "numpy",
    "tokenizers",
    "omegaconf",
    "jsonargparse",
)


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system."""
    import psutil

    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip()
            for line in information.read_text().splitlines()
            if "model name" in line
        ]
        cpu = names[0] if names else cpu
    return {
        "processor": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "accelerator": _accelerator(),
        "system": f"{platform.system()} {platform.release()}",
    }


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def versions() -> dict[str, str]:
    """Of Python and of what matters to a number in a report."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _accelerator() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
