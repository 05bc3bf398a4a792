"""Libraries' chatter that says nothing to whoever runs an experiment."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Keep Lightning's hardware lines, the hub's retries and third-party deprecations off the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torchdata\..*", r"torch\..*"):
        warnings.filterwarnings("ignore", module=module)
