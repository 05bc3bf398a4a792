"""A user's own pictures and questions."""

import json

import pytest
from PIL import Image

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.source.folder import Folder
from vlmloom.components.task.folder import FolderTask


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


def test_an_animation_is_a_clip_where_that_is_asked_for(tmp_path):
    frames = [Image.new("RGB", (20, 16), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    line = json.dumps({"pictures": ["a.gif"], "clips": ["a.gif"], "question": "q", "answer": "a"})
    still, clip = write(tmp_path, line).load()[0].pictures
    assert (still.frames, clip.frames) == (1, 3)
    assert clip.render()[:, 0, 0, 0].tolist() == [0, 90, 180] and (still.render() == clip.render()[:1]).all()
    (tmp_path / "examples.jsonl").write_text(line)
    assert Folder(folder=str(tmp_path), sampling="glm4v").load()[0].pictures[1].frames == 2, (
        "two equal frames"
    )


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
        (
            '{"question": "q", "answer": "a", "clips": [1]}',
            "clips is [1], but should be a list of file names",
        ),
        ("", "examples.jsonl: is empty"),
    ],
)
def test_a_bad_line_is_named(line, message, tmp_path):
    with pytest.raises(ValueError) as caught:
        write(tmp_path, line).load()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def captioned(folder, *lines):
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Folder(folder=str(folder))


def test_captions_of_one_picture_in_several_languages_are_one_example(tmp_path):
    lines = [("a", "a dog", None), ("b", "a cat", "en"), ("a", "ein Hund", "de"), ("a", "a hound", "en")]
    records = [
        {"image": f"{name}.png", "text": text} | ({"language": lang} if lang else {})
        for name, text, lang in lines
    ]
    source = captioned(tmp_path, *map(json.dumps, records), "")
    found = [(example.pictures[0].path.name, dict(example.captions)) for example in source.load()]
    assert found == [
        ("a.png", {"en": "a dog", "de": "ein Hund"}),
        ("b.png", {"en": "a cat"}),
        ("a.png", {"en": "a hound"}),
    ]
    (tmp_path / "examples.jsonl").write_text(
        '{"pictures": ["a.png"], "question": "q", "answer": "a", "caption": "c"}'
    )
    both = Folder(folder=str(tmp_path)).load()
    assert len(both) == 4 and both[0].captions == {"en": "c"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "captions.jsonl:2: is no JSON (Expecting property name enclosed in double quotes at column 2)"),
        ('"a.png"', "captions.jsonl:2: is a str, but a caption is an object"),
        ('{"image": "a.png"}', "captions.jsonl:2: text is missing"),
        ('{"image": "a.png", "text": " "}', "captions.jsonl:2: text is missing"),
        ('{"text": "a dog"}', "captions.jsonl:2: image is missing"),
        ('{"image": ["a.png"], "text": "a"}', "captions.jsonl:2: image is ['a.png'], but should be a str"),
        (
            '{"image": "a", "caption": "b"}',
            "captions.jsonl:2: unknown key 'caption'; a caption has image",
        ),
    ],
)
def test_a_broken_line_of_captions_is_named(line, message, tmp_path):
    with pytest.raises(ValueError) as caught:
        captioned(tmp_path, '{"image": "a.png", "text": "a dog"}', line).load()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_captions_without_any_or_without_letters_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"captions\.jsonl: is empty; it needs at least one caption"):
        captioned(tmp_path, "").load()
    (tmp_path / "captions.jsonl").write_bytes(b'{"image": "\xff"}')
    with pytest.raises(ValueError, match=r"captions\.jsonl: is not UTF-8 \(byte 11\); text would be right"):
        Folder(folder=str(tmp_path)).load()


def test_a_folder_without_examples(tmp_path):
    with pytest.raises(SourceMissing, match=r"examples\.jsonl is not there"):
        Folder(folder=str(tmp_path)).load()
