"""`vlmloom doctor`: what this machine has and lacks."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "tell what this machine has and lacks"

EPILOG = """examples:
  vlmloom doctor
  vlmloom doctor --json

Nothing that is told as missing is needed for nano runs on a CPU unless its line says so. Exit status 1 where
something that they need is missing.
"""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SPACE = 2 * 10**9
"""Bytes that prepared data and a comparison need."""


class Finding(NamedTuple):
    """One line.

    Attributes:
        name: of what was looked for.
        state: `ok`, `missing` (would be good to have) or `needed`.
        detail: what was found, or what would bring it.
    """

    name: str
    state: str
    detail: str


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "doctor", SUMMARY, EPILOG)
    parser.add_argument("--json", action="store_true", help="a list of objects: name, state, detail")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Look, and tell."""
    found = [*_python(), *_torch(), *_extras(), *_backends(), *_browser(), *_sources(), *_disk()]
    if args.json:
        print(json.dumps([finding._asdict() for finding in found], indent=2))
    else:
        margin = max(len(finding.name) for finding in found) + 2
        for finding in found:
            print(f"{finding.state:<9}{finding.name:<{margin}}{finding.detail}")
    return int(any(finding.state == "needed" for finding in found))


def _python() -> Iterator[Finding]:
    import platform

    from vlmloom import __version__

    yield Finding(
        "vlmloom", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    )


def _torch() -> Iterator[Finding]:
    import importlib.metadata

    import psutil
    import torch

    versions = [f"torch {torch.__version__}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in ("lightning", "timm")]
    yield Finding("libraries", "ok", ", ".join(versions))
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    text = f"{cores} cores, {torch.get_num_threads()} threads in torch, {memory.available / 1e9:.1f} GB free"
    yield Finding("machine", "ok", text)
    yield Finding("CPU", "ok", f"{torch.backends.cpu.get_cpu_capability()}; {_features()}")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Finding("CUDA", "ok", f"{torch.version.cuda}: {', '.join(names)}")
    else:
        yield Finding("CUDA", "missing", "no CUDA device; nano runs on the CPU, larger scales need one")


def _features() -> str:
    """What of a CPU decides how fast matrices are multiplied in bf16."""
    try:
        listed = Path("/proc/cpuinfo").read_text(encoding="utf-8").lower()
    except OSError:
        return "features unknown"
    lines = (line for line in listed.splitlines() if line.startswith(("flags", "features")))
    flags = set(next(lines, "").split())
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "sve")
    return " ".join(flag for flag in wanted if flag in flags) or "no wide vectors"


def _extras() -> Iterator[Finding]:
    for module, use, bring in (
        ("transformers", "Hugging Face checkpoints, language/hf", 'pip install "vlmloom[hf]"'),
        ("av", "videos as clips", 'pip install "vlmloom[video]"'),
    ):
        version = _version(module)
        if version is None:
            yield Finding(module, "missing", f"{use}; {bring}")
        else:
            yield Finding(module, "ok", f"{version}; {use}")


def _backends() -> Iterator[Finding]:
    """Attention and experts: what can run here, and how the others would be had."""
    from vlmloom.components.moe.experts import GroupedMM
    from vlmloom.registry.catalog import catalog

    for kind in ("attention", "moe"):
        for entry in catalog().list(kind):
            available = getattr(catalog().resolve(entry.name), "available", None)
            if available is not None:
                lacking = available()
                detail = entry.summary if lacking is None else lacking.removeprefix(f"{entry.name}: ")
                yield Finding(entry.name, "missing" if lacking else "ok", detail)
    backends = "loop, grouped_mm" if GroupedMM is not None else "loop; grouped_mm needs a newer torch"
    yield Finding("experts", "ok", f"{backends}; auto is the loop on a CPU and grouped_mm on CUDA")


def _version(module: str) -> str | None:
    import importlib.metadata
    import importlib.util

    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def _browser() -> Iterator[Finding]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    bundled = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    if found is None and bundled.is_dir():
        found = next((str(path) for path in sorted(bundled.glob("chromium*"))), None)
    if found is None:
        yield Finding("chromium", "missing", "only tests of the report need it; apt-get install chromium")
    else:
        yield Finding("chromium", "ok", found)


def _sources() -> Iterator[Finding]:
    from vlmloom.registry.build import build
    from vlmloom.registry.catalog import catalog
    from vlmloom.registry.errors import UserError, one_line
    from vlmloom.registry.hints import REQUIRED, signature

    for entry in catalog().list():
        if entry.kind != "source":
            continue
        try:
            wanted = signature(catalog().resolve(entry.name)).parameters.values()
            asked = [parameter.name for parameter in wanted if parameter.default is REQUIRED]
            if asked:
                yield Finding(entry.name, "ok", f"{entry.summary} Asks for: {', '.join(asked)}.")
                continue
            lacks = build({"use": entry.name}).available()
        except (UserError, ImportError, OSError) as error:
            lacks = one_line(error)
        yield Finding(entry.name, "missing" if lacks else "ok", lacks or entry.summary)


def _disk() -> Iterator[Finding]:
    from vlmloom.components.media.cache_root import cache_root

    folder = cache_root()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK):
        yield Finding("cache", "needed", f"{text}, but not writable; set VLMLOOM_CACHE to a folder that is")
    elif free < SPACE:
        yield Finding(
            "cache", "needed", f"{text}; {SPACE / 1e9:.0f} GB are needed, set VLMLOOM_CACHE elsewhere"
        )
    else:
        yield Finding("cache", "ok", text)
