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
  vlmloom fit -c nano/native --set weights.folder=runs/native --swap assembly.projector=projector/linear
      start from the weights of a run or an import; what was swapped starts at random
  vlmloom fit -c my.yaml --trainer.max_steps=100 --trainer.accelerator=gpu --trainer.devices=2
      any flag of Lightning's Trainer (`vlmloom fit --trainer.help` lists them)

one component by itself; what the run's model knows of it (widths, vocabulary) is left out:
  vlmloom fit --model moe/sigmoid_bias,experts=8,top_k=2,hidden=64 --trunk runs/native \\
      --objective objective/imitate,part=language.blocks.0.ffn --budget samples=20000 --out runs/moe
      a mixture of experts that imitates a trained dense block
  vlmloom fit --model head/mtp,depth=2 --objective objective/on_trunk --trunk runs/adapter --out runs/mtp
      a multi-token head on a frozen model
  vlmloom fit --model projector/mlp --objective objective/align --trunk runs/adapter --out runs/projector
      a projector between a frozen tower and frozen word embeddings
  vlmloom fit --model vision/cogvit,width=64,depth=2,heads=2,patch=16 --data data/nano \\
      --objective 'objective/distil,teachers={run: {use: teacher/run, folder: runs/native}}' --out runs/tower
      a small tower that predicts a trained one's features of pictures it sees in part (`teacher/dinov3`,
      `teacher/siglip2`, `teacher/timm`, ... in place of `teacher/run`, as many as you like)
  vlmloom fit --model vision/cogvit,width=64,depth=2,heads=2,patch=8 --data data/nano \\
      --objective 'objective/dinov3,crops={size: 8, local_size: 4, local: 4}' --out runs/dino
      a small tower that teaches itself, without labels
"""

BUDGET = "samples=20000"
OPTIMIZER = "optimizer/muon_adamw,lr=0.003,muon_lr=0.004"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's own options; what it does not know goes to Lightning's command line."""
    parser = verb_parser(subparsers, "fit", SUMMARY, EPILOG)
    parser.add_argument("-c", "--config", help="an experiment: a YAML's path, or its name in configs/")
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME)")
    add_composition(parser)
    alone = parser.add_argument_group("one component by itself, in place of --config")
    component = "KIND/NAME[,KEY=VALUE]"
    alone.add_argument("--model", metavar=component, help="the component")
    alone.add_argument("--objective", metavar=component, help="what it is trained for")
    alone.add_argument(
        "--trunk", metavar="RUN", help="the folder of a finished run that the objective stands on"
    )
    alone.add_argument(
        "--data", metavar="NAME", help="a file of data, such as data/nano (default: the data of --trunk)"
    )
    alone.add_argument("--optimizer", metavar=component, help=f"the recipe (default: {OPTIMIZER})")
    alone.add_argument(
        "--budget", metavar="UNIT=AMOUNT", help=f"flops, samples or seconds (default: {BUDGET})"
    )
    alone.add_argument("--seed", type=int, help="of weights and data (default: 0)")
    parser.set_defaults(run=run, passes_on=True)
    return parser


def run(args: argparse.Namespace, rest: Sequence[str] = ()) -> int:
    """Train; `rest` are flags of the Trainer."""
    if "--trainer.help" in rest:
        trainer_help()
        return 0

    from vlmloom.pipelines.loading import build_training, compose_training
    from vlmloom.pipelines.quiet import plain_console, quiet
    from vlmloom.pipelines.run import train

    quiet()
    composed = compose_training(source(args), sets=args.sets, swaps=args.swaps, scale=args.scale)
    factory = trainer_factory(rest)
    flags = composed.root.plain().get("trainer") or {}
    # `train` builds whole what turns out not to be shared out.
    in_shards = any("fsdp2" in str(one).lower() for one in (*rest, flags.get("strategy")))
    training, resolved = build_training(composed, in_shards=in_shards)
    folder = args.out or Path("runs") / training.name
    console = plain_console()
    ledger = train(training, folder, resolved=resolved, make_trainer=factory, console=console)
    if hasattr(training.subject, "generate"):
        then = f"vlmloom evaluate {folder}"
    elif hasattr(training.subject, "vision"):
        then = f"vlmloom evaluate-vision {folder}"
    else:
        then = f'load_component("{folder}")'
    console.print(
        f"{folder}: {ledger.samples:,} samples, {ledger.flops:.3g} FLOPs, {ledger.seconds:,.0f} s; "
        f"next: {then}"
    )
    return 0


def source(args: argparse.Namespace) -> Any:
    """What is to be trained: a file or a name, or the tree that `--model` and what belongs to it make.

    Raises:
        UserError: neither is given, or both, or one of the options that belong together is missing.
    """
    from vlmloom.registry.errors import UserError

    options = ("objective", "trunk", "data", "optimizer", "budget", "seed")
    given = [f"--{name}" for name in options if getattr(args, name) is not None]
    if args.config is not None and (args.model is not None or given):
        other = "--model" if args.model is not None else given[0]
        raise UserError(f"fit: found --config and {other}; a file says all of it, --set and --swap change it")
    if args.config is not None:
        return args.config
    if args.model is None or args.objective is None:
        lacks = "--model" if args.model is None else "--objective"
        both = args.model is None and not given and args.objective is None
        raise UserError(
            "fit: --config is needed, or --model and --objective" if both else f"fit: {lacks} is needed"
        )
    return tree(args)


def tree(args: argparse.Namespace) -> Any:
    """The experiment that `--model` and the options beside it say."""
    from vlmloom.pipelines.verbs.compare import parse_budget
    from vlmloom.registry.catalog import catalog
    from vlmloom.registry.errors import Mark
    from vlmloom.registry.marked import Node, mark_all
    from vlmloom.registry.overrides import read_component

    def component(name: str, text: str) -> Node:
        return read_component(text, f"--{name} {text}")

    model, objective = component("model", args.model), component("objective", args.objective)
    if args.trunk is not None:
        trunk = {"use": "trunk/run", "folder": str(args.trunk)}
        objective.value.setdefault("trunk", mark_all(trunk, Mark(f"--trunk {args.trunk}")))
    use = objective.value["use"].value
    views = getattr(catalog().resolve(use), "views", ()) if use in catalog().entries else ()
    unit, amount = parse_budget(args.budget or BUDGET) or ("", 0)
    rest: dict[str, Any] = {
        "budget": {unit: amount},
        "trainer": {"precision": "auto"},
        "seed": args.seed or 0,
    }
    rest["name"] = str(model.value["use"].value).replace("/", "-")
    if args.data is not None:
        rest["data"] = {"extends": args.data}
    made = mark_all(rest, Mark("fit"))
    stage = mark_all({"name": "alone", "view": views[0] if views else "question"}, Mark("fit"))
    stage.value |= {"objective": objective, "optimizer": component("optimizer", args.optimizer or OPTIMIZER)}
    made.value |= {"model": model, "stages": Node([stage], Mark("fit"))}
    return made


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
