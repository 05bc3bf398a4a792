"""`vlmloom fit --model`: one component by itself, on a trained model or a trained tower."""

import csv
import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from vlmloom.components.teacher.cached import digest_of
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_training, compose_training, connect, load_component, load_run
from vlmloom.pipelines.precision import choose
from vlmloom.pipelines.run import train
from vlmloom.registry import build
from vlmloom.registry.errors import ConfigError, UserError

TINY = Path(__file__).with_name("tiny.yaml")
DENSE = "objective/imitate,part=language.blocks.0.ffn"
EXPERTS = "moe/sigmoid_bias,experts=4,top_k=2,hidden=16"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["fit", "-c", str(TINY), "--out", str(folder), "--set", "budget.samples=100"]) == 0
    return str(folder)


def calls(tiny: str) -> dict[str, list[str]]:
    tower = "{use: teacher/run, folder: " + tiny + "}"
    scenes = f"{Path(tiny).parent}/scenes.yaml"
    return {
        "experts": ["--model", EXPERTS, "--objective", DENSE, "--trunk", tiny],
        "head": ["--model", "head/mtp,depth=2", "--objective", "objective/on_trunk", "--trunk", tiny],
        "mmtp": [
            "--model",
            "head/mmtp,visual_input=shared_set,set_tokens=4,assign=router",
            "--objective",
            "objective/on_trunk",
            "--trunk",
            tiny,
        ],
        "projector": ["--model", "projector/mlp", "--objective", "objective/align", "--trunk", tiny],
        "tower": [
            *("--model", "vision/cogvit,width=8,depth=1,heads=2,patch=8"),
            *("--objective", f"objective/distil,teachers={{run: {tower}}}", "--data", scenes),
        ],
        "itself": [
            *("--model", "vision/cogvit,width=8,depth=1,heads=2,patch=8"),
            "--objective",
            "objective/dinov3,crops={size: 4, local_size: 2, local: 2},gram={start: 4},prototypes=16",
            *("--data", scenes),
        ],
        "specialist": [
            *("--model", "specialist/tagger,width=8,depth=1"),
            *("--objective", "objective/specialist", "--data", scenes),
        ],
    }


@pytest.fixture(scope="module")
def scenes(tiny) -> None:
    """The data of the tiny run as a file, for what stands on no run."""
    import yaml

    resolved = yaml.safe_load((Path(tiny) / "config.yaml").read_text())
    (Path(tiny).parent / "scenes.yaml").write_text(yaml.safe_dump(resolved["data"]))


@pytest.mark.parametrize("name", ["experts", "head", "mmtp", "projector", "tower", "itself", "specialist"])
def test_a_component_trains_with_what_an_assembly_has(tiny, scenes, tmp_path, name, capsys, monkeypatch):
    # What is printed is for copying: no terminal is too narrow for a line.
    monkeypatch.setenv("COLUMNS", "40")
    call = ["fit", *calls(tiny)[name], "--out", str(tmp_path), "--budget", "samples=60"]
    flags = ["--set", "stages.0.pack_tokens=256", "--trainer.log_every_n_steps=1"]
    assert main([*call, *flags]) == 0, capsys.readouterr().err
    told = capsys.readouterr().err
    assert "model        trains" in told and "stage alone" in told
    assert f'load_component("{tmp_path}")' in told
    assert ("objective    trains" in told) == (name in ("projector", "tower", "itself"))
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert ledger["samples"] >= 60 and ledger["flops"] > 0 and ledger["curve"]
    with (tmp_path / "logs" / "csv" / "0-alone" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ledger["steps"] and all(float(row["train/loss"]) > 0 for row in rows)
    assert list((tmp_path / "logs" / "tensorboard" / "0-alone").glob("events*"))
    assert main(["validate", str(tmp_path / "config.yaml")]) == 0
    component = load_component(tmp_path)
    assert not component.training
    tower = {"use": "teacher/run", "folder": str(tmp_path)}
    if name in ("tower", "itself"):
        teacher = build(tower)
        assert digest_of(teacher.weights()) == digest_of(component.state_dict())
        assert teacher.shared_space() is None
    elif name in ("projector", "specialist"):
        with pytest.raises(ConfigError, match="has no vision tower"):
            build(tower)
    # Run again, it is finished.
    assert main([*call, *flags]) == 0 and "finished already" in capsys.readouterr().err


def test_a_row_of_the_log_is_of_its_own_step(tiny, tmp_path):
    losses = {}
    for every in (1, 3):
        out = tmp_path / str(every)
        call = ["fit", *calls(tiny)["head"], "--out", str(out), "--budget", "samples=60"]
        flags = ["--set", "stages.0.pack_tokens=256", "--set", "trainer.precision=32-true"]
        flags.append(f"--trainer.log_every_n_steps={every}")
        assert main([*call, *flags]) == 0
        with (out / "logs" / "csv" / "0-alone" / "metrics.csv").open() as file:
            losses[every] = {row["step"]: row["train/loss"] for row in csv.DictReader(file)}
    assert len(losses[3]) >= 2 and losses[3].items() <= losses[1].items()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU that has bf16 measures nothing")
def test_what_was_measured_when_a_run_began_is_kept_to(tmp_path):
    for matmul in ("medium", "highest"):
        (tmp_path / "precision.json").write_text(json.dumps({"matmul": matmul}))
        assert choose("auto", folder=tmp_path).matmul == matmul


def test_what_was_trained_is_what_is_loaded(tiny, tmp_path):
    experiment = load_run(Path(tiny))
    call = ["fit", *calls(tiny)["head"], "--out", str(tmp_path), "--budget", "samples=40"]
    assert main(call) == 0
    head = load_component(tmp_path)
    trunk = head.bound[0]
    # It is bound to a language part with the weights of the run, which the training has left as they were.
    for name, value in experiment.assembly.language.state_dict().items():
        assert torch.equal(value, trunk.state_dict()[name]), name


class Stop(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps -= 1
        if not self.steps:
            raise ConnectionError("the power went off")


@pytest.mark.parametrize(
    ("name", "tokens"), [("tower", 256), pytest.param("itself", 64, marks=pytest.mark.slow)]
)
def test_a_broken_run_goes_on_as_if_nothing_had_happened(tiny, scenes, tmp_path, name, tokens):
    """Parameters and state of the objective (a map to a teacher, averages) are part of every checkpoint."""
    from vlmloom.pipelines.cli import parser
    from vlmloom.pipelines.verbs.fit import source

    def go(folder: Path, *breaks: int) -> None:
        for steps in (*breaks, 0):
            args = parser("fit").parse_args(["fit", *calls(tiny)[name], "--budget", "samples=70"])
            composed = compose_training(
                source(args),
                sets=[
                    "checkpoint_every_n_steps=3",
                    f"stages.0.pack_tokens={tokens}",
                    "trainer.precision=32-true",
                ],
            )
            training, resolved = build_training(composed)
            connect(training, folder)
            try:
                train(training, folder, resolved=resolved, callbacks=[Stop(steps)] if steps else [])
            except ConnectionError:
                assert steps

    go(tmp_path / "whole")
    go(tmp_path / "broken", 5)
    states = [
        torch.load(tmp_path / name / "stages" / "0-alone.ckpt", weights_only=True)
        for name in ("whole", "broken")
    ]
    assert states[0]["ledger"]["steps"] == states[1]["ledger"]["steps"] > 5
    curves = [[{**point, "seconds": 0} for point in state["ledger"]["curve"]] for state in states]
    assert curves[0] == curves[1]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]


def test_the_same_as_a_file(tiny, tmp_path, capsys):
    """Two stages, the second with other data than the run's own view of it."""
    (tmp_path / "moe.yaml").write_text(
        f"""
name: moe
model: {{use: moe/sigmoid_bias, experts: 4, top_k: 2, hidden: 16}}
stages:
  - name: imitate
    objective: {{use: objective/imitate, trunk: {{use: trunk/run, folder: {tiny}}}, part:
        language.blocks.0.ffn}}
    optimizer: {{use: optimizer/muon_adamw}}
  - name: words
    view: described
    train: [router]
    objective: {{use: objective/imitate, trunk: {{use: trunk/run, folder: {tiny}}}, part:
        language.blocks.0.ffn}}
    optimizer: {{use: optimizer/adamw}}
budget: {{samples: 80}}
"""
    )
    assert main(["validate", str(tmp_path / "moe.yaml")]) == 0
    assert (
        main(["fit", "-c", str(tmp_path / "moe.yaml"), "--set", "model.experts=8", "--out", f"{tmp_path}/r"])
        == 0
    )
    assert "trains 128 of its" in capsys.readouterr().err
    assert len(load_component(tmp_path / "r").router) == 8


def wrong(tiny: str) -> list[tuple[list[str], str]]:
    moe, head = calls(tiny)["experts"], calls(tiny)["head"]
    distil = "objective/distil,teachers={run: {use: teacher/run, folder: " + tiny + "}}"
    return [
        ([], "fit: --config is needed, or --model and --objective"),
        (["--model", EXPERTS], "fit: --objective is needed"),
        (["--objective", DENSE], "fit: --model is needed"),
        (["-c", str(TINY), "--model", EXPERTS], "fit: found --config and --model; a file says all of it"),
        (["-c", str(TINY), "--trunk", tiny], "fit: found --config and --trunk; a file says all of it"),
        (["--model", "a=b", "--objective", DENSE], "--model a=b: a component is written kind/name,key=value"),
        ([*moe, "--budget", "steps=3"], "--budget steps=3: flops=2e13"),
        (
            ["--model", "moe/sigmoid", *moe[2:]],
            "'moe/sigmoid' is no component; did you mean moe/sigmoid_bias?",
        ),
        (
            ["--model", "optimizer/adamw", *moe[2:]],
            "found optimizer/adamw, which is of kind optimizer; needs",
        ),
        (
            ["--model", "attention/sdpa", *moe[2:]],
            "attention/sdpa has no parameters, so there is nothing to train",
        ),
        (
            ["--model", "assembly/native", *moe[2:]],
            "assembly/native is an assembly; `assembly:` in place of `model:` would be",
        ),
        (
            ["--model", "moe/sigmoid_bias,experts=4", *moe[2:]],
            "moe/sigmoid_bias needs a value for hidden, top_k",
        ),
        (
            [*moe[:1], f"{EXPERTS},width=8", *moe[2:]],
            "width is 8 here, but 16 where it is used; leave it out",
        ),
        (
            ["--model", "projector/mlp,in_width=8,out_width=8", *moe[2:]],
            "language.blocks.0.ffn is a feed-forward",
        ),
        (
            [*moe[:3], "objective/imitate,part=language.ffn", *moe[4:]],
            "objective/imitate: part 'language.ffn' is not there; one of vision, vision.blocks.0.ffn",
        ),
        (
            [*moe[:5], "/nowhere"],
            "/nowhere: is not there; the folder of a finished run or of an import",
        ),
        ([*moe[:4]], "objective/imitate needs a value for this key: component of class Trunk"),
        ([*head[:3], "objective/next_token", *head[4:]], "objective/next_token has no such key"),
        (
            ["--model", EXPERTS + ",width=8", "--objective", "objective/next_token"],
            "trains an assembly, and moe/",
        ),
        (
            ["--model", "vision/cogvit,width=8,depth=1,heads=2", "--objective", distil],
            "data: objective/distil brings none along; data: {extends: data/nano} would be right",
        ),
        (
            [*calls(tiny)["projector"], "--set", "stages.0.view=question"],
            "stages.0.view: found 'question'; objective/align takes 'captions'",
        ),
        (
            [*moe, "--set", "assembly.x=1"],
            "model: found beside `assembly`; an experiment trains one of them",
        ),
    ]


@pytest.mark.parametrize("number", range(22))
def test_every_mistake_is_one_line_and_leaves_nothing(tiny, tmp_path, number, capsys):
    call, message = wrong(tiny)[number]
    assert len(wrong(tiny)) == 22
    assert main(["fit", *call, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    print(line)
    assert message in line
    assert not (tmp_path / "out").exists()


def test_what_answers_nothing_is_not_evaluated_or_compared(tiny, tmp_path, capsys):
    assert main(["fit", *calls(tiny)["head"], "--out", str(tmp_path / "mtp"), "--budget", "samples=20"]) == 0
    for call in (
        ["evaluate", f"{tmp_path}/mtp"],
        ["compare", f"{tmp_path}/mtp/config.yaml", "--out", f"{tmp_path}/c"],
    ):
        capsys.readouterr()
        assert main(call) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        print(line)
        assert (
            "trains head/mtp by itself, which answers nothing; an experiment with `assembly:` would be"
            in line
        )
    with pytest.raises(UserError, match="holds an assembly; load_run would be right"):
        load_component(tiny)
