"""Our runs in lmms-eval: found by the entry point, asked by its own code on a task of this machine."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmloom.components.task.suite import Nano
from vlmloom.pipelines.answering import Answerer
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.lmms import sample_of
from vlmloom.pipelines.loading import load_run

ROOT = Path(__file__).parents[3]
GROUP = "lmms_eval.models"
TASK = """
task: local_things
dataset_path: json
dataset_kwargs:
  data_files: {test: %s}
test_split: test
output_type: generate_until
doc_to_visual: !function seen.visual
doc_to_text: !function seen.text
doc_to_target: gold
generation_kwargs: {max_new_tokens: 3, until: ["@"], temperature: 0, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
SEEN = """
from PIL import Image
def visual(doc):
    return [Image.open(doc["path"]).convert("RGB")]
def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    tiny = Path(__file__).parents[1] / "tiny.yaml"
    assert main(["fit", "-c", str(tiny), "--out", str(folder), "--set", "budget.samples=40"]) == 0
    return folder


def test_lmms_eval_runs_our_checkpoint_on_a_local_task(trained, tmp_path):
    pytest.importorskip("lmms_eval")
    task = Nano(shift=[], things=8).tasks["count"]
    samples = [task.plan("test", index) for index in range(6)]
    answers = Answerer(load_run(trained), limit=3).answers(samples)
    rows = []
    for index, sample in enumerate(samples):
        path = tmp_path / f"{index}.png"
        Image.fromarray(sample.pictures[0].render()[0]).save(path)
        # Half of them are right: what the run is known to say.
        gold = answers[index] if index % 2 else "nothing that it would say"
        rows.append({"path": str(path), "question": sample.prompt[-1], "gold": gold})
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "local_things.yaml").write_text(TASK % (tmp_path / "rows.jsonl"))
    (tasks / "seen.py").write_text(SEEN)
    # What an installation of pyproject.toml as it stands would register.
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    installed = tmp_path / "site" / "vlmloom_lmms-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: vlmloom-lmms\nVersion: 0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (installed / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
    path = [str(installed.parent), str(ROOT / ".namespace"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "HF_HOME": str(tmp_path / "hf")}
    environment |= dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    command = [sys.executable, "-m", "lmms_eval", "--model", "vlmloom", "--tasks", "local_things"]
    command += ["--model_args", f"pretrained={trained}", "--batch_size", "4", "--include_path", str(tasks)]
    command += ["--output_path", str(tmp_path / "out"), "--log_samples"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (file,) = (tmp_path / "out").rglob("*results.json")
    results = json.loads(file.read_text())["results"]["local_things"]
    assert results["exact_match,none"] == pytest.approx(0.5)
    (log,) = (tmp_path / "out").rglob("*samples_local_things.jsonl")
    said = {row["doc_id"]: row["filtered_resps"] for row in map(json.loads, log.read_text().splitlines())}
    assert [said[index] for index in range(6)] == answers


def test_a_conversation_becomes_one_question(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = [
        {"type": "image", "url": Image.fromarray(pixels)},
        {"type": "text", "text": "and"},
        {"type": "image", "url": str(tmp_path / "a.png")},
    ]
    sample = sample_of([{"role": "system", "content": "look"}, {"role": "user", "content": content}], "k")
    one, other = sample.pictures
    assert [part for part in sample.prompt if isinstance(part, str)] == ["look", "and"]
    assert np.array_equal(one.render(), other.render()) and one.render().shape == (1, 20, 30, 3)
    with pytest.raises(ValueError, match="k: holds audio; text, image and video are known here"):
        sample_of([{"role": "user", "content": [{"type": "audio", "url": "x"}]}], "k")
