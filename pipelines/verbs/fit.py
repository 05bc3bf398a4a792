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

    from vlmloom.pipelines.loading import TOKENIZER, build_experiment, compose_experiment
    from vlmloom.pipelines.run import train

    composed = compose_experiment(args.config, sets=args.sets, swaps=args.swaps, scale=args.scale)
    factory = trainer_factory(rest)
    experiment, resolved = build_experiment(composed)
    folder = args.out or Path("runs") / experiment.name
    console = Console(stderr=True, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    experiment.data.connect(experiment.assembly, folder / TOKENIZER)
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
        kept = {
            key: value for key, value in flags.items() if key not in given or key in ("callbacks", "plugins")
        }
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
        lines = [line.strip() for line in stderr.getvalue().splitlines() if line.strip()]
        told = next(
            (line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "refused"
        )
        raise UserError(f"fit: {told.removeprefix('error: ')}") from None
