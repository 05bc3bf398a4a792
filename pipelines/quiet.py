"""Libraries' chatter that says nothing to whoever runs an experiment."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Keep Lightning's hardware lines, tips and third-party deprecations off the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torchdata\..*", r"torch\..*"):
        warnings.filterwarnings("ignore", module=module)
