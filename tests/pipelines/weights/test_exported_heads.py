"""Multi-token heads on their way out: how many config.json counts, and which the format cannot hold."""

import json
import shutil

import pytest

pytest.importorskip("transformers")

from damaged import edit
from released import classes, clean, load, save

from vlmloom.pipelines.weights.exporting import export_released
from vlmloom.pipelines.weights.importing import import_released

KEY = "num_nextn_predict_layers"


def changed(folder, was, now):
    """Change the assembly of an import."""
    file = folder / "assembly.yaml"
    text = file.read_text()
    assert text.count(was) == 1
    file.write_text(text.replace(was, now))


def words_of(folder):
    """What config.json says of the text model."""
    config = json.loads((folder / "config.json").read_text())
    return config.get("text_config", config)


@pytest.mark.parametrize("family", ["glm_ocr", "glm4v_moe", "glm_moe_dsa"])
@pytest.mark.parametrize("alone", [True, False], ids=["a config.json anew", "that of the import"])
def test_modules_are_counted(sound, tmp_path, family, alone):
    ours = shutil.copytree(sound / f"{family}-ours", tmp_path / "ours")
    if alone:
        shutil.rmtree(ours / "hf")
    export_released(ours, tmp_path / "back")
    assert words_of(tmp_path / "back")[KEY] == 1
    config = classes(family)[0].from_pretrained(tmp_path / "back").get_text_config()
    assert getattr(config, KEY) == 1, "transformers reads it"
    _, info = load(family, tmp_path / "back")
    assert clean({**info, "unexpected_keys": ()}), info


def test_an_older_count_does_not_stay(sound, tmp_path):
    like = shutil.copytree(sound / "glm_ocr", tmp_path / "like")
    for count, kept in ((3, 1), (1, 1)):
        edit(like / "config.json", lambda config, count=count: config["text_config"].update({KEY: count}))
        export_released(sound / "glm_ocr-ours", tmp_path / f"back{count}", like=like)
        assert words_of(tmp_path / f"back{count}")[KEY] == kept
    save("glm_ocr", tmp_path / "none")
    import_released(tmp_path / "none", tmp_path / "ours")
    export_released(tmp_path / "ours", tmp_path / "without", like=like)
    assert words_of(tmp_path / "without")[KEY] == 0


@pytest.mark.parametrize("visual", ["masked", "visual_embedding"])
def test_a_head_that_reads_something_else_at_visual_slots_is_refused(ours, refused, visual):
    changed(ours, "use: head/mmtp\n", f"use: head/mmtp\n    visual_input: {visual}\n")
    said = refused("export", ours)
    assert f"does not fit glm_ocr: head.mtp.visual_input is '{visual}', for which there is no place" in said


def test_how_often_a_shared_module_is_applied_is_told(ours, tmp_path):
    lines = []
    export_released(ours, tmp_path / "one", tell=lines.append)
    assert len(lines) == 1
    head = (ours / "assembly.yaml").read_text().partition("head:")[2]
    changed(ours, head, head.replace("depth: 1", "depth: 3"))
    export_released(ours, tmp_path / "three", tell=lines.append)
    assert lines[2:] == ["its multi-token module looks 3 tokens ahead here; files do not say how many"]
    import_released(tmp_path / "three", tmp_path / "again")
    assert "depth: 1" in (tmp_path / "again" / "assembly.yaml").read_text().partition("head:")[2]
