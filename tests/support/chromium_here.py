"""Skips what needs a Chromium where there is none, or fails it where one is required."""

import os

import pytest

from vlmloom.components.sandbox.chromium import BrowserMissing, chromium


def need_chromium() -> None:
    """Skip with the reason, or fail under VLMLOOM_REQUIRE_BROWSER=1."""
    try:
        chromium()
    except BrowserMissing as error:
        if os.environ.get("VLMLOOM_REQUIRE_BROWSER") == "1":
            pytest.fail(f"VLMLOOM_REQUIRE_BROWSER=1, but {error}")
        pytest.skip(str(error))
