"""A folder, an index or a shard that is damaged or leads astray is one clear line, and nothing is written."""

import json
import pickle
import shutil
import struct
import subprocess
import sys

import pytest
from damaged import INDEX, edit, flip, reheader, rewrite, shard_of
from safetensors.torch import load_file

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.weights.shards import sha256

EMBED = "model.language_model.embed_tokens.weight"
NORM = "model.language_model.norm.weight"


def test_what_is_sound_passes(released, ours, tmp_path):
    assert main(["import", str(released), str(tmp_path / "in")]) == 0
    assert main(["export", str(ours), str(tmp_path / "out")]) == 0


def test_no_folder_or_no_checkpoint(released, refused, tmp_path):
    assert "nowhere: is not there; the folder of a checkpoint" in refused("import", tmp_path / "nowhere")
    assert "config.json: is a file; the folder" in refused("import", released / "config.json")
    (tmp_path / "empty").mkdir()
    assert "is no checkpoint; it has no config.json" in refused("import", tmp_path / "empty")


def test_one_shard_is_missing(released, refused):
    shard_of(released, EMBED).unlink()
    name = shard_of(released, EMBED).name
    assert f"released: 1 of 16 shards missing: {name}\n" in refused("import", released)


def test_the_command_says_it_in_one_line(released, tmp_path):
    name = shard_of(released, EMBED).name
    (released / name).unlink()
    command = [sys.executable, "-m", "vlmloom", "import", str(released), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{released}: 1 of 16 shards missing: {name}\n"
    assert not (tmp_path / "out").exists()


def test_a_shard_is_no_file(released, refused):
    shard = shard_of(released, EMBED)
    shard.unlink()
    shard.mkdir()
    assert f"1 of 16 shards missing: {shard.name}" in refused("import", released)


def test_no_weights_at_all(released, refused):
    for path in released.glob("*.safetensors"):
        path.unlink()
    assert "shards missing" in refused("import", released)
    (released / INDEX).unlink()
    assert "holds no weights; model.safetensors, or" in refused("import", released)
    (released / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    assert "holds pickled weights (pytorch_model.bin), which can run code" in refused("import", released)


def test_weights_in_one_file_and_in_shards(released, refused):
    shutil.copy(shard_of(released, EMBED), released / "model.safetensors")
    assert "holds both model.safetensors and model.safetensors.index.json" in refused("import", released)


def moved(found):
    found["weight_map"][EMBED] = "model-9.safetensors"


def invented(found):
    found["weight_map"]["ghost.weight"] = found["weight_map"][EMBED]


def forgotten(found):
    del found["weight_map"][EMBED]


def numbered(found):
    found["weight_map"][EMBED] = 7


def misnamed(found):
    found["weight_map"]["two\nlines"] = found["weight_map"][EMBED]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved, "1 of 17 shards missing: model-9.safetensors"),
        (invented, "names what its shards do not hold: ghost.weight"),
        (forgotten, f"{EMBED} lies in model-00010-of-00015.safetensors, but the index has it nowhere"),
        (numbered, f"puts '{EMBED}' into 7; the plain name of a .safetensors file"),
        (misnamed, r"names a tensor 'two\nlines'"),
        (lambda found: found.update(weight_map=[]), "has no weight_map of tensors to files"),
        (lambda found: found.update(weight_map={}), "has no weight_map of tensors to files"),
        (lambda found: found.pop("weight_map"), "has no weight_map of tensors to files"),
        (lambda found: found.update(metadata=[1]), "has no weight_map of tensors to files"),
    ],
)
def test_an_index_that_disagrees_with_its_shards(released, refused, change, message):
    edit(released / INDEX, change)
    assert message in refused("import", released)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1, 2]", "holds no JSON object"),
        (b"", "is no sound JSON"),
        (b'{"weight_map": {', "is no sound JSON"),
        (b'{"weight_map": "\xff\xfe"}', "is no sound JSON"),
        (b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "'a' stands twice"),
        (b"[" * 100_000, "is no sound JSON"),
        (b'{"weight_map": NaN}', "NaN is no number of JSON"),
    ],
)
@pytest.mark.parametrize("name", [INDEX, "config.json"])
def test_files_that_are_no_json_object(released, refused, name, text, message):
    (released / name).write_bytes(text)
    said = refused("import", released)
    assert f"released/{name}: " in said and message in said


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors", "/etc/passwd", "{folder}/secret.safetensors", "a/../../secret.safetensors",
        "..\\secret.safetensors", ".safetensors", "", ".", "config.json", "x.safetensors\n", "\0.safetensors",
    ],
)  # fmt: skip
def test_an_index_does_not_lead_out_of_its_folder(released, refused, tmp_path, name):
    """Not even to a sound file that holds the very tensor."""
    name = name.replace("{folder}", str(tmp_path))
    shutil.copy(shard_of(released, EMBED), tmp_path / "secret.safetensors")
    edit(released / INDEX, lambda found: found["weight_map"].update({EMBED: name}))
    assert f"puts '{EMBED}' into {name!r}; the plain name" in refused("import", released)


def test_nor_do_links(released, refused, tmp_path):
    files = (
        shard_of(released, EMBED),
        *(released / name for name in (INDEX, "config.json", "tokenizer.json")),
    )
    (released / "tokenizer.json").write_text("{}")
    for path in files:
        secret = tmp_path / f"secret-{path.name}"
        path.rename(secret)
        for target in (secret, f"../{secret.name}"):
            path.symlink_to(target)
            said = refused("import", released)
            assert f"{path}: is a link out of its folder, to {secret}; the file itself would be right" in said
            path.unlink()
        secret.rename(path)


def test_a_link_to_itself_is_no_file(released, refused):
    shard = shard_of(released, EMBED)
    shard.unlink()
    shard.symlink_to(shard)
    assert f"1 of 16 shards missing: {shard.name}" in refused("import", released)


def test_links_of_the_hub_s_cache_are_followed(released, tmp_path):
    snapshot = tmp_path / "models--zai--tiny" / "snapshots" / "0a1b"
    (tmp_path / "models--zai--tiny" / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(released.iterdir())):
        path.rename(tmp_path / "models--zai--tiny" / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert main(["import", str(snapshot), str(tmp_path / "out")]) == 0


def test_a_tensor_lies_in_two_shards(released, refused):
    tensor = load_file(shard_of(released, EMBED))[EMBED]
    rewrite(shard_of(released, NORM), lambda held: held.update({EMBED: tensor}))
    said = refused("import", released)
    assert EMBED in said and "lies in" in said


def test_the_old_and_the_new_name_of_one_tensor(released, refused):
    old = EMBED.replace("model.language_model.", "language_model.model.")
    shard = shard_of(released, EMBED)
    rewrite(shard, lambda held: held.update({old: held[EMBED].clone()}))
    edit(released / INDEX, lambda found: found["weight_map"].update({old: shard.name}))
    assert f"holds {EMBED} twice, as {old} and as {EMBED}" in refused("import", released)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1, -4, -1000])
def test_a_shard_is_cut_off(released, refused, keep):
    shard = shard_of(released, EMBED)
    shard.write_bytes(shard.read_bytes()[:keep])
    assert f"{shard}: is cut off" in refused("import", released)


def test_a_shard_that_goes_on_behind_its_data(released, refused):
    shard = shard_of(released, EMBED)
    shard.write_bytes(shard.read_bytes() + b"more")
    assert "holds more than its header says" in refused("import", released)


def entry(**values):
    """The header with other values for one tensor; None takes a key away."""

    def change(header):
        one = {key: value for key, value in {**header[EMBED], **values}.items() if value is not None}
        return {**header, EMBED: one}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry(dtype="F16"), "bytes, but 3904 by its shape and type"),
        (entry(dtype="F99"), "is of type 'F99'"),
        (entry(dtype=["F32"]), "its header is damaged"),
        (entry(shape=[61, 33]), "but 8052 by its shape and type"),
        (entry(shape=[-61, -32]), "a shape or a place that is no number"),
        (entry(shape=[10**30, 10**30]), "by its shape and type"),
        (entry(shape=[61.0, 32]), "a shape or a place that is no number"),
        (entry(shape=None), f"{EMBED} has no shape"),
        (entry(dtype=None), f"{EMBED} has no dtype"),
        (entry(data_offsets=None), f"{EMBED} has no data_offsets"),
        (entry(data_offsets=[4, 7812]), "is not where it should begin"),
        (entry(data_offsets=[0, 10**18]), "by its shape and type"),
        (entry(data_offsets=[0]), "its header is damaged"),
        (entry(data_offsets="ab"), "its header is damaged"),
        (lambda header: {**header, EMBED: 3}, "its header is damaged"),
        (lambda header: {"a\nb" if name == EMBED else name: one for name, one in header.items()}, r"'a\nb'"),
        (lambda header: [1, 2], "its header is damaged"),
        (lambda header: {}, "holds more than its header says"),
    ],
)
def test_a_header_is_damaged(released, refused, change, message):
    shard = shard_of(released, EMBED)
    reheader(shard, change)
    said = refused("import", released)
    assert f"{shard}: " in said and message in said


@pytest.mark.parametrize("length", [0, 1, 2**16, 2**40, 2**63, 2**64 - 1])
def test_a_header_is_as_long_as_it_says(released, refused, length):
    shard = shard_of(released, EMBED)
    shard.write_bytes(struct.pack("<Q", length) + shard.read_bytes()[8:])
    assert f"{shard}: " in refused("import", released)


def test_a_flipped_bit_of_a_header(released, refused, tmp_path):
    """Every byte of the length, every third of what follows: told, or no harm to what is imported."""
    shard = shard_of(released, EMBED)
    raw = shard.read_bytes()
    end = 8 + struct.unpack("<Q", raw[:8])[0]
    harmless = raw.index(b'{"format"'), raw.index(b"}") + 1
    places = [*range(8), *(place for place in range(8, end, 3) if not harmless[0] <= place < harmless[1])]
    for place in places:
        if raw[place] == ord(" "):
            continue
        damaged = bytearray(raw)
        damaged[place] ^= 1 << place % 7
        shard.write_bytes(damaged)
        refused("import", released)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_flipped_bit_that_makes_a_number_no_number(released, refused, number):
    shard = shard_of(released, NORM)
    rewrite(shard, lambda held: held[NORM][3:4].fill_(number))
    assert f"{shard}: {NORM} holds numbers that are not finite; the file is damaged" in refused(
        "import", released
    )


@pytest.mark.parametrize("told_by", ["sidecar", "sums", "hub"])
def test_any_flipped_bit_where_a_checksum_is_known(released, refused, told_by):
    """A number that stays a number can be found by nothing else."""
    shard = shard_of(released, EMBED)
    digest = sha256(shard)
    if told_by == "hub":
        note = released / ".cache" / "huggingface" / "download" / f"{shard.name}.metadata"
        note.parent.mkdir(parents=True)
        note.write_text(f"0a1b\n{digest}\n1700000000.0\n")
    else:
        name = f"{shard.name}.sha256" if told_by == "sidecar" else "SHA256SUMS"
        (released / name).write_text(f"{digest}  {shard.name}\n")
    flip(shard, -2)
    assert f"{shard}: is damaged: its SHA-256 is" in refused("import", released)


def test_missing_unknown_and_misshapen_tensors_are_all_listed(released, refused):
    lost, gained, bent = [], [], []
    for path in released.glob("*.safetensors"):

        def change(held):
            for name in sorted(held):
                if name.endswith("norm2.weight"):
                    held[name + "s"] = held.pop(name)
                    lost.append(name)
                    gained.append(name + "s")
                elif name.endswith("q_proj.weight"):
                    held[name] = held[name][1:].clone()
                    bent.append(name)
                elif name.endswith("k_proj.weight"):
                    held[name] = held[name].int()

        rewrite(path, change)
    index = {name: path.name for path in released.glob("*.safetensors") for name in load_file(path)}
    (released / INDEX).write_text(json.dumps({"weight_map": index}))
    said = refused("import", released)
    assert len(lost) == 2 and len(bent) == 3
    assert "released: its tensors are not those of glm_ocr: 2 missing, 2 unknown, 3 misshapen, 6 of a" in said
    for name in lost:
        assert f"  missing: {name} [32]\n" in said
    for name in gained:
        assert f"  unknown: {name} [32]\n" in said
    for name in bent:
        assert f"  misshapen: {name} [63, 32], where [64, 32] would fit\n" in said
    assert said.count("k_proj.weight I32, where BF16, F16, F32 would fit\n") == 3
