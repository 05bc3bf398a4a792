"""What the command line calls a target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.evaluate_suite.endpoint import Endpoint
from vlmloom.pipelines.evaluate_suite.local import Checkpoint, Transformers
from vlmloom.pipelines.evaluate_suite.target import POLICIES, Policy, Target
from vlmloom.pipelines.folders import CONFIG
from vlmloom.registry.errors import UserError


@dataclass(frozen=True)
class Settings:
    """What applies to the targets that it means something to.

    Attributes:
        model: of an endpoint.
        key_env: the environment variable with an endpoint's key.
        concurrency: questions under way at an endpoint.
        timeout: seconds of one try there.
        tries: of a question there.
        tokens: the longest answer; None leaves it to the target.
        batch: questions at a time of a model in this process; None leaves it to the target.
        oracle: a cascade with perfect perception.
    """

    model: str | None = None
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 120.0
    tries: int = 5
    tokens: int | None = None
    batch: int | None = None
    oracle: bool = False


def target(text: str, suite: Suite, settings: Settings) -> Target:
    """A policy, the folder of a run, an import or a transformers model, or an endpoint `URL` or `URL#MODEL`.

    Raises:
        UserError: it is none of these.
    """
    if text in POLICIES:
        return Policy(text, suite)
    limits = {} if settings.tokens is None else {"tokens": settings.tokens}
    if text.startswith(("http://", "https://")):
        url, _, model = text.partition("#")
        if not (model := model or settings.model or ""):
            raise UserError(f"{text} needs --model NAME, or {text}#NAME, to say which model there")
        return Endpoint(
            url,
            model,
            key_env=settings.key_env,
            concurrency=settings.concurrency,
            timeout=settings.timeout,
            tries=settings.tries,
            **limits,
        )
    packed = {} if settings.batch is None else {"batch": settings.batch}
    folder = Path(text)
    if (folder / "config.json").is_file() and not (folder / CONFIG).is_file():
        return Transformers(text, **limits, **packed)
    if folder.is_dir():
        return Checkpoint(folder, oracle=settings.oracle, **limits, **packed)
    raise UserError(
        f"{text} is no target; {', '.join(POLICIES)}, the folder of a run, an import or a "
        "transformers model, or http://HOST/v1 would be right"
    )


def named(texts: Sequence[str], targets: Sequence[Target]) -> dict[str, Target]:
    """Targets by names that tell them apart: their own, or what the command line called them."""
    names = [target.name for target in targets]
    found = {}
    for text, one in zip(texts, targets, strict=True):
        name = text.rstrip("/") if names.count(one.name) > 1 else one.name
        if name in found:
            raise UserError(f"{text} stands twice; each target once would be right")
        found[name] = one
    return found


def file_name(name: str) -> str:
    """A name as a file can have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "target"
