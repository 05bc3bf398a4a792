"""What goes wrong is told in one line, and nothing is lost by it."""

import errno
import pickle
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from rich.console import Console
from small_disk import small_disk

from vlmloom.components.contracts.sample import CorruptPicture, Picture, Sample, Scene
from vlmloom.components.media import FilePicture
from vlmloom.pipelines.checkpoints import (
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_state,
    save_weights,
)
from vlmloom.pipelines.data.packing import Draw
from vlmloom.pipelines.data.views import CORRUPT
from vlmloom.pipelines.files import write_atomically
from vlmloom.pipelines.loading import build_experiment, compose_experiment, load_run
from vlmloom.pipelines.run import claim, train
from vlmloom.registry.errors import UserError

TINY = Path(__file__).with_name("tiny.yaml")


def prepared(folder: Path, *sets: str):
    experiment, resolved = build_experiment(compose_experiment(TINY, sets=list(sets)))
    experiment.data.connect(experiment.assembly)
    return experiment, resolved


class Poison(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            with torch.no_grad():
                pl_module.model.language.embed.weight.fill_(float("nan"))


def test_a_loss_that_is_not_finite_names_step_items_and_checkpoint(tmp_path):
    experiment, resolved = prepared(tmp_path)
    with pytest.raises(UserError) as caught:
        train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True), callbacks=[Poison(6)])
    (line,) = caught.value.lines
    print(line)
    assert "first: the loss is nan at step 6, on " in line
    assert "step=4.ckpt" in line and "#" in line
    kept = load_checkpoint(latest_checkpoint(tmp_path / "checkpoints" / "0-first"))
    assert all(value.isfinite().all() for value in kept["state_dict"].values() if value.is_floating_point())


class Broken(Picture):
    frames, height, width, key = 1, 64, 64, "photos/broken.png"

    def render(self):
        raise CorruptPicture("photos/broken.png: is truncated; a whole file would be right")


def break_some(experiment, monkeypatch, share=10):
    suite = experiment.data.suite
    plan = suite.plan

    def broken(split, index):
        sample = plan(split, index)
        if index % share == 3 % share and sample.pictures:
            sample.prompt = [Broken() if isinstance(part, Picture) else part for part in sample.prompt]
        return sample

    monkeypatch.setattr(suite, "plan", broken)


def test_corrupt_pictures_are_counted_named_once_and_skipped(tmp_path, monkeypatch, capsys):
    experiment, resolved = prepared(tmp_path)
    break_some(experiment, monkeypatch)
    ledger = train(experiment, tmp_path, resolved=resolved)
    told = capsys.readouterr().err
    print(told)
    assert ledger.corrupt["photos/broken.png: is truncated; a whole file would be right"] >= 3
    assert told.count("photos/broken.png: is truncated") == 1


def test_a_stage_whose_pictures_are_all_corrupt_stops_in_one_line(tmp_path, monkeypatch, capsys):
    path = TINY.with_name("two_towers.yaml")
    experiment, resolved = build_experiment(compose_experiment(path))
    experiment.data.connect(experiment.assembly)
    break_some(experiment, monkeypatch, share=1)
    with pytest.raises(UserError) as caught:
        train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    (line,) = caught.value.lines
    print(line)
    assert line.startswith(
        "contrast: not one picture of the last 20 steps could be decoded, the last of them "
    )
    assert "photos/broken.png: is truncated" in line
    assert capsys.readouterr().err.count("left out: photos/broken.png") == 1


def test_corrupt_pictures_are_fatal_where_asked(tmp_path, monkeypatch):
    experiment, resolved = prepared(tmp_path, "data.on_corrupt=raise")
    break_some(experiment, monkeypatch)
    with pytest.raises(UserError, match=r"count#\d+: photos/broken.png: is truncated.*on_corrupt: skip"):
        train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))


def test_a_picture_too_narrow_for_the_tower_is_corrupt_with_its_name(tmp_path):
    experiment, _ = prepared(tmp_path, "assembly.vision.resize={still: [1, 65536]}")
    Image.new("RGB", (4000, 1)).save(tmp_path / "wire.png")
    Image.new("RGB", (100, 1)).save(tmp_path / "stick.png")
    view = experiment.data.view("question", "test")

    def drawn(name):
        sample = Sample("ask", "test", 0, [FilePicture(tmp_path / name), "q"], "a", Scene(name))
        view.plan = lambda index: sample
        return view.size(0), view.draw(Draw(0, 1.0))

    size, item = drawn("wire.png")
    assert size == CORRUPT
    said = "4000 x 1 pixels are 4000 times as long as broad; at most 200 would be right"
    assert item.corrupt == f"{tmp_path / 'wire.png'}: {said}"
    size, item = drawn("stick.png")
    assert size.tokens == len(item.encoded) and item.corrupt is None
    assert view.collate([item]).visuals["vision"].shapes == [(1, 1, 100)]


class Code:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_checkpoint_with_code_is_refused(tmp_path, capsys):
    torch.save({"state_dict": Code()}, tmp_path / "step=1.ckpt")
    with pytest.raises(UserError, match="refused, since it holds more than weights"):
        load_checkpoint(tmp_path / "step=1.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Code()))
    with pytest.raises(UserError, match=r"plain\.ckpt"):
        load_checkpoint(tmp_path / "plain.ckpt")
    assert "never run" not in capsys.readouterr().out


@pytest.mark.parametrize("keep", [0, 100, 1000])
def test_a_truncated_checkpoint_is_told(tmp_path, keep):
    path = tmp_path / "step=1.ckpt"
    torch.save({"x": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"step=1\.ckpt: "):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def full(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"could not be written .*No space left"):
        write_atomically(path, full)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_really_full_disk_is_called_so(tmp_path):
    with small_disk(tmp_path) as disk:
        save_state({"x": torch.ones(100)}, disk / "step=1.ckpt")
        with pytest.raises(UserError) as caught:
            save_state({"x": torch.ones(1_000_000)}, disk / "step=1.ckpt")
        (line,) = caught.value.lines
        told = "could not be written ([Errno 28] No space left on device); free space or another --out"
        assert line == f"{disk / 'step=1.ckpt'}: {told} would be right"
        assert len(load_checkpoint(disk / "step=1.ckpt")["x"]) == 100
        assert list(disk.iterdir()) == [disk / "step=1.ckpt"]


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "written", lambda part: part.write_text("x"))
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_weights_that_do_not_fit_are_listed_in_full(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)).state_dict(), path)
    with pytest.raises(UserError) as caught:
        load_weights(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(3, 2)), path)
    (line,) = caught.value.lines
    assert "2 missing: 2.weight, 2.bias" in line
    assert "2 unknown: 1.bias, 1.weight" in line or "2 unknown: 1.weight, 1.bias" in line
    assert "0.weight [3, 2] for [4, 2]" in line


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match="the folder of a finished run or of an import would be right"):
        load_run(tmp_path / "nowhere")


def test_a_run_without_its_tokenizer_is_not_read_by_another(tmp_path):
    experiment, resolved = prepared(tmp_path, "budget.samples=20")
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    assert load_run(tmp_path).data.tokenizer.trained
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(
        UserError, match=r"lacks tokenizer\.json, and one trained anew might give words other ids"
    ):
        load_run(tmp_path)


def test_a_damaged_ledger_is_told_and_made_again_of_the_last_stage(tmp_path):
    experiment, resolved = prepared(tmp_path, "budget.samples=20")
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    ledger = tmp_path / "ledger.json"
    whole = ledger.read_text()
    for half in ("", "[]", "{}", whole[:50]):
        ledger.write_text(half)
        with pytest.raises(
            UserError, match=r"ledger\.json: is damaged .*; without the file a run makes it again"
        ):
            train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    ledger.unlink()
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    assert ledger.read_text() == whole


def test_the_same_experiment_from_another_folder_is_the_same(tmp_path, monkeypatch):
    experiment, resolved = prepared(tmp_path, "budget.samples=20")
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    monkeypatch.chdir(TINY.parent)
    _, again = build_experiment(compose_experiment(TINY, sets=["budget.samples=20"]))
    assert again != resolved, "the first line names the file as it is seen from here"
    claim(tmp_path, again)
    with pytest.raises(UserError, match="samples: 20', now 'samples: 21'"):
        claim(tmp_path, again.replace("samples: 20", "samples: 21"))


def test_what_a_checkpoint_takes_is_not_training_time(tmp_path):
    from vlmloom.pipelines.checkpoints import AtomicCheckpointIO

    told: list[float] = []
    AtomicCheckpointIO(told.append).save_checkpoint({"x": torch.ones(3)}, tmp_path / "step=1.ckpt")
    assert len(told) == 1 and told[0] > 0
    assert load_checkpoint(tmp_path / "step=1.ckpt")["x"].tolist() == [1, 1, 1]
