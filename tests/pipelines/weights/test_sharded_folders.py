"""The folder that a sharded training writes is exported as one file of the same weights is."""

import io
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

pytest.importorskip("transformers")

import sharded_saving
from processes import together
from released import add_modules, clean, load, save

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.weights.distributed import Distributed, _Unpickler
from vlmloom.pipelines.weights.importing import import_released
from vlmloom.pipelines.weights.sources import PREFIXES


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An import with experts and a multi-token module, after two steps of two processes."""
    folder = tmp_path_factory.mktemp("sharded")
    add_modules(folder / "released", "glm4v_moe", save("glm4v_moe", folder / "released"))
    import_released(folder / "released", folder / "run")
    codes, errors = together(*[[sharded_saving.__file__, folder / "run"]] * 2)
    assert codes == [0, 0], "\n".join(errors)[-3000:]
    return folder / "run"


def test_every_process_has_written_its_share(run):
    assert len(list((run / "sharded.ckpt").glob("__*_0.distcp"))) == 2
    found = Distributed(run / "sharded.ckpt", PREFIXES)
    assert any(len(one.chunks) == 2 for one in map(found._of, found))


@pytest.mark.parametrize("folder", ["sharded.ckpt", "fsdp"])
def test_an_export_is_that_of_one_file(run, tmp_path, folder, capfd):
    assert main(["export", str(run / "whole.ckpt"), str(tmp_path / "from_file")]) == 0
    assert main(["export", str(run / folder), str(tmp_path / "from_folder")]) == 0
    assert "Warning" not in capfd.readouterr().err
    found, wanted = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("from_folder", "from_file")
    )
    assert found == wanted
    theirs, info = load("glm4v_moe", tmp_path / "from_folder")
    info["unexpected_keys"] = {name for name in info["unexpected_keys"] if "layers.3." not in name}
    assert clean(info), info
    trained = torch.load(run / "whole.ckpt", weights_only=True)["state_dict"]
    table = theirs.get_input_embeddings().weight
    assert torch.equal(table, trained["assembly.language.embed.weight"])
    (before,) = (
        tensors["language.embed.weight"]
        for file in run.glob("*.safetensors")
        if "language.embed.weight" in (tensors := load_file(file))
    )
    assert not torch.equal(table, before), "it has been trained"


def test_damaged_shares_are_refused(run, tmp_path, refused):
    folder = shutil.copytree(run, tmp_path / "run") / "sharded.ckpt"
    share = min(folder.glob("*.distcp"))
    whole = share.read_bytes()
    share.write_bytes(bytes(len(whole)))
    assert "cannot be read (" in refused("export", folder)
    share.write_bytes(whole[:-1])
    assert f"{share}: is cut off: {len(whole) - 1:,} bytes, where" in refused("export", folder)
    share.unlink()
    assert f"sharded.ckpt: 1 of 2 files missing: {share.name}" in refused("export", folder)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_numbers_that_are_not_finite_are_refused(run, tmp_path, refused):
    from torch.distributed import checkpoint

    shutil.copytree(run, tmp_path / "run")
    state = torch.load(run / "whole.ckpt", weights_only=True)["state_dict"]
    state["assembly.language.norm.weight"][3] = float("nan")
    checkpoint.save({"state_dict": state}, checkpoint_id=tmp_path / "run" / "bad", no_dist=True)
    said = refused("export", tmp_path / "run" / "bad")
    assert "run/bad: language.norm.weight holds numbers that are not finite; the file is damaged" in said


class _Asks:
    def __init__(self, kind, name):
        self.asked = (kind, name)

    def __reduce__(self):
        return getattr, self.asked


def test_metadata_may_name_members_of_enumerations_by_getattr_and_nothing_else():
    """As Python 3.11.0 to 3.11.3 pickle them."""
    member = next(iter(_MEM_FORMAT_ENCODING))
    written = pickle.dumps(_Asks(_MEM_FORMAT_ENCODING, member.name))
    assert _Unpickler(io.BytesIO(written)).load() is member
    for name in ("mro", "_member_map_"):
        with pytest.raises(pickle.UnpicklingError, match="it asks for builtins"):
            _Unpickler(io.BytesIO(pickle.dumps(_Asks(_MEM_FORMAT_ENCODING, name)))).load()
