"""An imported checkpoint is asked and evaluated in its own words, as transformers would answer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from released_whole import save

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.media import picture_of
from vlmloom.pipelines.answering import Answerer
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import load_run

pytest.importorskip("transformers")

QUESTION = "what is in the picture?"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """By family, transformers' model and processor and the folder of the import."""
    known = {}

    def get(family):
        if family not in known:
            folder = tmp_path_factory.mktemp(family)
            known[family] = *save(folder / "released", family), folder / "ours"
            assert main(["import", str(folder / "released"), str(folder / "ours")]) == 0
        return known[family]

    return get


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Noise larger than the budget, so that it has to be made smaller."""
    file = tmp_path_factory.mktemp("picture") / "noise.png"
    noise = torch.randint(0, 256, (60, 90, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(file)
    return file


def theirs(model, processor, picture, tokens):
    """The answer of transformers' `generate`, greedy, without what an answer of ours may not hold."""
    content = [{"type": "image", "image": Image.open(picture)}, {"type": "text", "text": QUESTION}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    never = [processor.tokenizer.convert_tokens_to_ids(token) for token in ("<|image|>", "<|video|>")]
    ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, suppress_tokens=never)
    return ids[0, inputs["input_ids"].shape[1] :].tolist(), inputs


@pytest.mark.parametrize("family", ["glm_ocr", "glm4v", "glm4v_moe", "glm46v"])
def test_the_answer_is_transformers_own(imported, picture, capsys, monkeypatch, family):
    model, processor, folder = imported(family)
    ids, inputs = theirs(model, processor, picture, 40)
    prompts = []
    prompt = Answerer.prompts
    monkeypatch.setattr(
        Answerer, "prompts", lambda self, samples: prompts.append(prompt(self, samples)) or prompts[0]
    )
    capsys.readouterr()
    assert main(["ask", str(folder), str(picture), QUESTION, "--tokens", "40"]) == 0
    assert prompts[0].ids.tolist() == inputs["input_ids"][0].tolist()
    found = load_run(folder).data.processor
    assert found.release == ("4.1v" if family == "glm4v" else "4.6v")
    assert set(model.generation_config.eos_token_id) == set(found.stops)
    assert capsys.readouterr().out.strip() == found.answer(ids) != ""
    assert len(set(ids)) > 3, "an answer of several words"


def test_an_answer_ends_where_the_checkpoint_says(imported, picture, tmp_path):
    """By the command itself, with a token of the answer added to the stops, from a folder that was moved."""
    model, processor, folder = imported("glm_ocr")
    ids, _ = theirs(model, processor, picture, 40)
    cut = next(place for place in range(5, 40) if ids[place] not in ids[:place])
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    stops = {"eos_token_id": [*model.generation_config.eos_token_id, ids[cut]]}
    (moved / "hf" / "generation_config.json").write_text(json.dumps(stops))
    command = [sys.executable, "-m", "vlmloom", "ask", str(moved), str(picture), QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = load_run(folder).data.processor.answer
    assert done.stdout.strip() == said(ids[:cut]) != said(ids)


def test_stops_outlive_the_folder_they_stand_in(imported, tmp_path):
    from vlmloom.components.tokenizer.hf import HF

    _, _, folder = imported("glm_ocr")
    first = HF(folder=str(folder / "hf"))
    first.save(tmp_path / "tokenizer.json")
    assert len(first.stops) == 3
    assert HF(folder=str(tmp_path)).stops == first.stops


def test_half_precision_answers(picture, tmp_path, capsys):
    """In the type of the files, and as near to full precision as transformers is."""
    model, processor = save(tmp_path / "released", "glm_ocr", torch.bfloat16)
    assert main(["import", str(tmp_path / "released"), str(tmp_path / "ours")]) == 0
    capsys.readouterr()
    assert main(["ask", str(tmp_path / "ours"), str(picture), QUESTION]) == 0
    assert capsys.readouterr().out.strip()
    experiment = load_run(tmp_path / "ours")
    ours = experiment.assembly
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    still = picture_of(picture, clip=False, sampling="all")
    sample = Sample("ask", "test", 0, [still, QUESTION], "", Scene(""))
    batch, inputs = Answerer(experiment).prompts([sample]), theirs(model, processor, picture, 1)[1]
    with torch.no_grad():
        half = ours.logits(ours.hidden(batch)[0]), model(**inputs).logits[0]
        full = ours.float().logits(ours.hidden(batch)[0]), model.float()(**inputs).logits[0]
    error, their_error = ((one - two).abs().mean() for one, two in zip(half, full, strict=True))
    assert 0 < error < 1.5 * their_error


def few(folder):
    """Leave two tasks to be asked."""
    config = folder / "config.yaml"
    tasks = "{count: {use: task/count}, arithmetic: {use: task/arithmetic}}"
    suite = f"    suite: {{use: suite/nano, things: 4, tasks: {tasks}}}\n"
    config.write_text(config.read_text().replace("  swap:\n", f"  swap:\n{suite}"))


def test_it_is_evaluated(imported, tmp_path, capsys):
    folder = Path(shutil.copytree(imported("glm_ocr")[2], tmp_path / "copy"))
    few(folder)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--items", "2", "--other-items", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["category"], row["items"]) for row in rows if row["split"] == "test"} >= {
        ("count", 2),
        ("arithmetic", 2),
    }
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_a_model_of_text_is_evaluated_and_asked_without_a_picture(picture, tmp_path, capsys):
    import released
    from glm_folder import write_folder

    vision, words = released.CONFIGS["glm_moe_dsa"]
    released.save("glm_moe_dsa", tmp_path / "released", sizes=(vision, {**words, "vocab_size": 512}))
    write_folder(tmp_path / "released")
    assert main(["import", str(tmp_path / "released"), str(tmp_path / "ours")]) == 0
    few(tmp_path / "ours")
    assert main(["evaluate", str(tmp_path / "ours"), "--items", "1", "--other-items", "1"]) == 0
    line = refused(capsys, "ask", tmp_path / "ours", picture, QUESTION)
    assert line == f"ask: {tmp_path}/ours sees no pictures; a model with a vision part would be right"
    assert main(["ask", str(tmp_path / "ours"), QUESTION, "--tokens", "8"]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["ask", str(tmp_path / "ours"), QUESTION * 100, "--tokens", "8"]) == 0, "no name of a file"
    line = refused(capsys, "ask", tmp_path / "ours", picture)
    assert line == f"ask: there is no question about {picture}; one behind it would be right"


def refused(capsys, *call):
    """What a refused call says."""
    capsys.readouterr()
    assert main([str(word) for word in call]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_is_missing_or_wrong_is_one_line(imported, picture, tmp_path, capsys):
    folder = Path(shutil.copytree(imported("glm_ocr")[2], tmp_path / "copy"))
    ask = ("ask", folder, picture, QUESTION)
    assert refused(capsys, *ask, "--tokens", "0") == "ask: --tokens is 0; 1 or more would be right"
    (folder / "hf" / "generation_config.json").write_text('{"eos_token_id": ["<|user|>"]}')
    assert "generation_config.json: eos_token_id is ['<|user|>']; an id or a list" in refused(capsys, *ask)
    (folder / "hf" / "generation_config.json").unlink()
    engine = json.loads((folder / "hf" / "tokenizer.json").read_text())
    engine["added_tokens"] = engine["added_tokens"][:3]
    (folder / "hf" / "tokenizer.json").write_text(json.dumps(engine))
    assert "processor/glm_chat: tokenizer/hf: " in (line := refused(capsys, *ask))
    assert f"{folder}/hf lacks the special tokens" in line
    (folder / "hf" / "tokenizer.json").unlink()
    for verb in (ask, ("evaluate", folder)):
        assert refused(capsys, *verb) == (
            f"{folder}/hf: lacks tokenizer.json, without which ids are no words; the file that belongs to "
            "the released checkpoint would be right there"
        )
    (folder / "config.yaml").unlink()
    assert refused(capsys, *ask) == (
        f"{folder}: lacks config.yaml; the folder of a finished run or of an import would be right"
    )


def test_a_template_that_fails_is_one_line(imported, picture, tmp_path, capsys):
    """This one knows no clips; others fail while they are rendered."""
    folder = Path(shutil.copytree(imported("glm_ocr")[2], tmp_path / "copy"))
    clip = tmp_path / "clip.gif"
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue")]
    frames[0].save(clip, save_all=True, append_images=frames[1:])
    line = refused(capsys, "ask", folder, clip, QUESTION, "--clip")
    assert "the prompt has 0 placeholders, but 1 pictures or clips were given" in line
    for template, text in (
        ("{{ 1 / 0 }}", "division by zero"),
        ("", "the template writes 0 turns of the assistant"),
    ):
        (folder / "hf" / "chat_template.jinja").write_text(template)
        assert text in refused(capsys, "ask", folder, picture, QUESTION)


def test_a_training_begins_with_it(imported, tmp_path, capsys):
    """With a part swapped, from the file that lies beside the weights, wherever both are moved to."""
    folder, out = tmp_path / "moved", tmp_path / "run"
    config = Path(shutil.copytree(imported("glm_ocr")[2], folder)) / "config.yaml"
    assert str(imported("glm_ocr")[2]) not in config.read_text()
    few(folder)
    swap = ["--swap", "assembly.projector=projector/mlp,hidden=24", "--set", "stages.0.train=[projector]"]
    assert main(["validate", str(config), *swap]) == 0
    few_steps = ["--trainer.max_steps=2", "--trainer.enable_progress_bar=false"]
    assert main(["fit", "-c", str(config), "--out", str(out), *swap, *few_steps]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "taken vision, language, head at random projector unused projector" in told
    assert json.loads((out / "started_from.json").read_text())["folder"] == str(folder)
    run = load_run(out)
    assert run.answer_tokens == 256
    assert run.data.processor.stops == load_run(folder).data.processor.stops


def test_its_tower_teaches(imported):
    from vlmloom.registry.build import build

    folder = imported("glm_ocr")[2]
    teacher = build({"use": "teacher/run", "folder": str(folder)})
    ours = load_run(folder).assembly.vision.state_dict()
    found = teacher.tower.module.state_dict()
    assert found.keys() == ours.keys() and all(torch.equal(found[name], ours[name]) for name in ours)


def test_its_language_part_becomes_a_tower(imported):
    from vlmloom.registry.build import build

    folder = imported("glm_ocr")[2]
    tower = build({"use": "vision/llm_init", "language": {"use": "language/run", "folder": str(folder)}})
    ours = load_run(folder).assembly.language.state_dict()
    found = tower.language.state_dict()
    assert found.keys() == ours.keys() - {"embed.weight"}
    assert all(torch.equal(found[name], ours[name]) for name in found)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (None, None),
        ("folder", "there is no such checkpoint; the folder of a run or of an import would be right"),
        (
            "yaml",
            "has neither assembly.yaml nor config.yaml; the folder of a run or of an import would be right",
        ),
        ("weights", "holds no weights yet; a finished run, an import or a checkpoint would be right"),
    ],
)
def test_validate_looks_at_the_weights_folder(imported, tmp_path, capsys, lost, said):
    """Together with all else that is wrong, and without opening what may be large."""
    folder = Path(shutil.copytree(imported("glm_ocr")[2], tmp_path / "copy"))
    config = Path(shutil.copy(folder / "config.yaml", tmp_path / "config.yaml"))
    text = config.read_text().replace("assembly.yaml", f"{folder}/assembly.yaml")
    text = text.replace("${here}", str(folder))
    config.write_text(text)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if line == f"  folder: {folder}")
    if lost == "folder":
        config.write_text(config.read_text().replace(f"  folder: {folder}\n", f"  folder: {folder}/none\n"))
    elif lost == "yaml":
        (tmp_path / "empty").mkdir()
        config.write_text(text.replace(f"  folder: {folder}\n", f"  folder: {tmp_path}/empty\n"))
    elif lost == "weights":
        (folder / "model.safetensors.index.json").unlink()
    capsys.readouterr()
    if lost is None:
        assert main(["validate", str(config)]) == 0
        return
    config.write_text(config.read_text().replace("lr: 1.0e-05", "lr: none"))
    assert main(["validate", str(config)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and "stages.0.optimizer.lr" in lines[1]
    assert lines[0].startswith(f"{config}:{number}: weights.folder: ") and lines[0].endswith(said)
