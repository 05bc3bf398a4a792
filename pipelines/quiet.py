"""Libraries' chatter that says nothing to whoever runs an experiment."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def quiet() -> None:
    """Keep Lightning's hardware lines, the hub's retries and third-party deprecations off the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torchdata\..*", r"torch\..*"):
        warnings.filterwarnings("ignore", module=module)


def plain_console(*, stderr: bool = True) -> Console:
    """A console for lines that a user may copy: none is folded at the width of the terminal, or coloured."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)
