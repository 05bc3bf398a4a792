"""Where everything lies that is made once and kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`VLMLOOM_CACHE`, else `vlmloom` in the XDG cache folder."""
    chosen = os.environ.get("VLMLOOM_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlmloom"
