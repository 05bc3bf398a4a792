"""`vlmloom fit`: train an experiment, or one component by itself, with every flag of Lightning's Trainer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_composition, verb_parser

SUMMARY = "train an experiment, stage by stage, under its budget"

EPILOG = """examples:
  vlmloom fit -c nano/native --out runs/native
      train the native design at nano scale; run it again to go on after an interruption
  vlmloom fit -c nano/native --swap assembly.projector=projector/linear --set budget.flops=1e12
      swap a part, set a value
  vlmloom fit -c my.yaml --trainer.max_steps=100 --trainer.accelerator=gpu --trainer.devices=2
      any flag of Lightning's Trainer (`vlmloom fit --trainer.help` lists them)
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's own options; what it does not know goes to Lightning's command line."""
    parser = verb_parser(subparsers, "fit", SUMMARY, EPILOG)
    parser.add_argument(
        "-c", "--config", required=True, help="an experiment: a YAML's path, or its name in configs/"
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME)")
    add_composition(parser)
    parser.set_defaults(run=run, passes_on=True)
    return parser


def run(args: argparse.Namespace, rest: Sequence[str] = ()) -> int:
    """Train; `rest` are flags of the Trainer."""
    if "--trainer.help" in rest:
        trainer_help()
        return 0
    from rich.console import Console

    from vlmloom.pipelines.loading import build_experiment, compose_experiment
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.run import train

    quiet()
    composed = compose_experiment(args.config, sets=args.sets, swaps=args.swaps, scale=args.scale)
    factory = trainer_factory(rest)
    experiment, resolved = build_experiment(composed)
    folder = args.out or Path("runs") / experiment.name
    console = Console(stderr=True, highlight=False)
    ledger = train(experiment, folder, resolved=resolved, make_trainer=factory, console=console)
    console.print(
        f"{folder}: {ledger.samples:,} samples, {ledger.flops:.3g} FLOPs, {ledger.seconds:,.0f} s; "
        f"next: vlmloom evaluate {folder}"
    )
    return 0


def trainer_factory(rest: Sequence[str]) -> Any:
    """A function that makes a Trainer of keyword arguments and, over them, of the command line's flags.

    Raises:
        UserError: LightningCLI refuses a flag.
    """
    from lightning.pytorch.callbacks import Checkpoint, ProgressBar

    from vlmloom.registry.errors import UserError

    unknown = [flag for flag in rest if flag.startswith("-") and not flag.startswith("--trainer")]
    if unknown:
        raise UserError(f"fit: unknown option {unknown[0]}; Trainer flags are written --trainer.NAME=VALUE")
    cli = _cli(rest)
    given = {
        flag.lstrip("-").split("=")[0].removeprefix("trainer.").split(".")[0]
        for flag in rest
        if flag.startswith("--trainer.")
    }

    def make(**flags: Any) -> Any:
        typed = cli.config_init["trainer"]
        kept = {key: value for key, value in flags.items() if key not in given}
        for key in ("callbacks", "plugins"):
            more = typed[key] if key in given else None
            kept[key] = [*flags[key], *(more if isinstance(more, list) else [] if more is None else [more])]
        if "enable_progress_bar" in given and not typed["enable_progress_bar"]:
            kept["callbacks"] = [one for one in kept["callbacks"] if not isinstance(one, ProgressBar)]
        if "enable_checkpointing" in given and not typed["enable_checkpointing"]:
            kept["callbacks"] = [one for one in kept["callbacks"] if not isinstance(one, Checkpoint)]
        return cli.instantiate_trainer(**kept)

    return make


def trainer_help() -> None:
    """Print every flag of the Trainer."""
    try:
        _cli(["--help"])
    except SystemExit:
        pass


def _cli(rest: Sequence[str]) -> Any:
    """LightningCLI over the Trainer's flags; the model and its data come from the experiment's YAML."""
    import contextlib
    import io

    from lightning.pytorch import LightningModule
    from lightning.pytorch.cli import LightningCLI

    from vlmloom.registry.errors import UserError

    class TrainerCLI(LightningCLI):
        """Reads `--trainer.*`; makes no model."""

        def instantiate_classes(self) -> None:
            self.config_init = self.parser.instantiate_classes(self.config)

    stderr = io.StringIO()
    asked = "--help" in rest
    try:
        with contextlib.redirect_stderr(stderr):
            return TrainerCLI(
                LightningModule,
                run=False,
                save_config_callback=None,
                args=list(rest),
                auto_configure_optimizers=False,
                seed_everything_default=False,
                parser_kwargs={"prog": "vlmloom fit"},
            )
    except SystemExit:
        if asked:
            raise
        raise UserError(f"fit: {told(stderr.getvalue())}") from None


def told(text: str) -> str:
    """The point of what LightningCLI prints below its usage, on one line.

    >>> told("usage: ... error: Parser key 'trainer.max_steps': Expected a <class 'int'>.")
    "--trainer.max_steps: Expected a <class 'int'>."
    """
    import re

    said = " ".join(text.rpartition("error: ")[2].split()) or "refused"
    said = re.sub(r"""Parser key ["']([\w.]+)["']:""", r"--\1:", said)
    said = re.sub(r"Does not validate against any of the Union subtypes Subtypes: .* Errors: - ", "", said)
    return re.sub(r" Given value type: <class '\w+'>", "", said).replace("typing.", "")
