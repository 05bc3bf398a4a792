"""Somebody's own captioned pictures in the contrastive stage, and what is wrong with them, in one line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_experiment, compose_experiment

TOWERS = Path(__file__).with_name("two_towers.yaml")


def own(folder, sets=(), broken=None):
    """A folder of forty captioned pictures, every other one in German too, and the call that trains on it."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number in range(40):
        Image.new("RGB", (48 + 8 * (number % 5), 48), (6 * number, 90, 20)).save(folder / f"{number}.png")
        lines.append({"image": f"{number}.png", "text": f"shade {number}"})
        if number % 2:
            lines.append({"image": f"{number}.png", "text": f"Farbton {number}", "language": "de"})
    text = "\n".join(map(json.dumps, lines))
    (folder / "captions.jsonl").write_text(text if broken is None else f"{text}\n{broken}")
    task = f"{{mine: {{use: task/folder, examples: {{use: source/folder, folder: {folder}}}}}}}"
    call = [
        "fit",
        "-c",
        str(TOWERS),
        "--out",
        str(folder / "run"),
        "--swap",
        f"data.suite=suite/nano,tasks={task}",
    ]
    return [*call, *(part for one in sets for part in ("--set", one))]


def test_own_captions_are_trained_on_in_their_languages(tmp_path, capsys):
    folder = tmp_path / "own"
    both = ("data.languages={en: 0.2, de: 0.8, zh: 0}", "budget.samples=12")
    call = own(folder, both)
    assert main(call) == 0, capsys.readouterr().err
    built, _ = build_experiment(compose_experiment(TOWERS, sets=both, swaps=[call[6]]))
    built.data.connect(built.assembly)
    view = built.data.view("captions", "train")
    seen = [view.plan(index) for index in range(200)]
    german = [sample.caption.startswith("Farbton") for sample in seen if len(sample.captions) == 2]
    assert 0.7 < sum(german) / len(german) < 0.9
    assert all(sample.caption.startswith("shade") for sample in seen if len(sample.captions) == 1)


@pytest.mark.parametrize(
    ("sets", "broken", "message"),
    [
        (["data.languages={zh: 1, en: 0}"], None, "has captions in en"),
        ([], '{"image": "0.png", "text": 3}', "captions.jsonl:61: text is 3, but should be a str"),
        ([], '{"image": "0.png"}', "captions.jsonl:61: text is missing"),
        (["assembly.text.max_positions=3"], None, "tokens, but text.max_positions is 3; a shorter caption"),
    ],
)
def test_every_mistake_in_own_captions_is_one_line(sets, broken, message, tmp_path, capsys):
    assert main(own(tmp_path / "own", sets, broken)) == 2
    told = capsys.readouterr().err.strip().splitlines()
    print(told[-1])
    assert message in told[-1] and not any("Traceback" in line for line in told)


def test_a_picture_without_a_caption_is_one_line(tmp_path, capsys):
    call = own(tmp_path / "own", ["data.languages={zh: 0}"])
    (tmp_path / "own" / "captions.jsonl").unlink()
    line = {"pictures": ["0.png"], "question": "what is this?", "answer": "a shade"}
    (tmp_path / "own" / "examples.jsonl").write_text(
        "\n".join(json.dumps(line | {"pictures": [f"{number}.png"]}) for number in range(40))
    )
    assert main(call) == 2
    told = capsys.readouterr().err.strip().splitlines()
    print(told[-1])
    assert "has no caption; one in en would be right" in told[-1] and "examples.jsonl:" in told[-1]
