"""A user's own pictures and questions."""

import json

import numpy as np
import pytest
from PIL import Image

from vlmloom.components.contracts.sample import CorruptPicture
from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.source import folder as module
from vlmloom.components.source.folder import FilePicture, Folder
from vlmloom.components.task.folder import FolderTask


@pytest.fixture
def gradient():
    """uint8 [40, 60, 3], bright at its right end."""
    ramp = np.linspace(0, 255, 60).astype(np.uint8)
    return np.repeat(np.broadcast_to(ramp, (40, 60))[..., None], 3, axis=2)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif"])
def test_formats(suffix, gradient, tmp_path):
    Image.fromarray(gradient).save(tmp_path / f"a.{suffix}")
    picture = FilePicture(tmp_path / f"a.{suffix}")
    assert (picture.frames, picture.height, picture.width) == (1, 40, 60)
    pixels = picture.render()
    assert pixels.shape == (1, 40, 60, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels[0].astype(int) - gradient).mean() < 6


def test_exif_rotation_turns_size_and_pixels(gradient, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient).save(tmp_path / "turned.jpg", exif=exif)
    picture = FilePicture(tmp_path / "turned.jpg")
    assert (picture.height, picture.width) == (60, 40)
    pixels = picture.render()[0]
    assert pixels.shape == (60, 40, 3) and pixels[-1].mean() > 200 > 50 > pixels[0].mean()


def test_the_size_comes_from_the_header(tmp_path):
    Image.effect_noise((60, 40), 90).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    picture = FilePicture(tmp_path / "a.jpg")
    assert (picture.height, picture.width) == (40, 60)
    with pytest.raises(CorruptPicture, match=r"a\.jpg: cannot be decoded \(.*truncated"):
        picture.render()


def test_transparency_is_white_and_sixteen_bits_keep_their_range(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (FilePicture(tmp_path / "clear.png").render() == 255).all()
    Image.fromarray(np.array([[0, 30000], [45000, 60000]], np.uint16)).save(tmp_path / "deep.png")
    assert FilePicture(tmp_path / "deep.png").render()[0, ..., 0].tolist() == [[0, 127], [191, 255]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: None, "there is no such picture"),
        (lambda file: file.write_bytes(b""), "is no picture"),
        (lambda file: file.write_text("<html>"), "is no picture"),
        (lambda file: file.mkdir(), "is no picture"),
        (lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 30), "is no picture"),
    ],
    ids=["missing", "empty", "text", "folder", "damaged"],
)
def test_what_is_no_picture_is_said_in_one_line(make, message, tmp_path):
    make(tmp_path / "a.png")
    picture = FilePicture(tmp_path / "a.png")
    assert (picture.height, picture.width) == (32, 32), "it can be planned"
    with pytest.raises(CorruptPicture) as caught:
        picture.render()
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'a.png'}: {message}") and "\n" not in text


def test_a_huge_picture_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 99)
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(CorruptPicture, match="has 10 x 10 pixels, at most 99 are decoded"):
        FilePicture(tmp_path / "a.png").render()


def test_keys_follow_the_file(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    key = FilePicture(tmp_path / "a.png").key
    assert FilePicture(tmp_path / "a.png").key == key
    Image.new("L", (10, 12)).save(tmp_path / "a.png")
    assert FilePicture(tmp_path / "a.png").key != key


def write(folder, *lines):
    (folder / "examples.jsonl").write_text("\n".join(lines))
    return Folder(folder=str(folder))


def test_examples_become_samples_and_pictures_keep_to_one_split(tmp_path):
    records = []
    for number in range(60):
        Image.new("RGB", (20 + number, 16), (number, 0, 0)).save(tmp_path / f"{number}.png")
        for question in ("what is this?", "how wide?"):
            records.append({"pictures": [f"{number}.png"], "question": question, "answer": f"The {number}!"})
    task = FolderTask(
        world=type("World", (), {"seed": 0}), examples=write(tmp_path, *map(json.dumps, records))
    )
    assert task.splits() == ["train", "validation", "test"]
    shown = {
        split: {task.plan(split, index).pictures[0].path for index in range(200)} for split in task.splits()
    }
    assert (
        not shown["train"] & (shown["validation"] | shown["test"]) and len(set.union(*shown.values())) == 60
    )
    sample = task.plan("train", 5)
    assert sample.pictures[0].render().shape[1:3] == (16, sample.pictures[0].width)
    assert task.check(sample, sample.answer.lower()).value == 1 and task.check(sample, "x").value == 0
    rounds = len(task._by_split["train"])
    assert {task.plan("train", index).scene.key for index in range(rounds)} == {
        task.plan("train", index).scene.key for index in range(rounds, 2 * rounds)
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "examples.jsonl:1: is no JSON"),
        ("[]", "examples.jsonl:1: is a list, but an example is an object"),
        ('{"answer": "a"}', "examples.jsonl:1: question is missing"),
        ('{"question": "q", "answer": " "}', "examples.jsonl:1: answer is missing"),
        ('{"question": "q", "answer": 3}', "examples.jsonl:1: answer is 3, but should be a str"),
        ('{"question": "q", "answer": "a", "image": "x"}', "examples.jsonl:1: unknown key 'image'"),
        ('{"question": "q", "answer": "a", "pictures": [1]}', "should be a list of file names"),
        ("", "examples.jsonl: is empty"),
    ],
)
def test_a_bad_line_is_named(line, message, tmp_path):
    with pytest.raises(ValueError) as caught:
        write(tmp_path, line).load()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_examples(tmp_path):
    with pytest.raises(SourceMissing, match=r"examples\.jsonl is not there"):
        Folder(folder=str(tmp_path)).load()
