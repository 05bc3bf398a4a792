"""Files that are whole or not there: what stays of a writing that was cut short, and for how long."""

from vlmloom.pipelines.files import swept


def half_written(folder, name):
    file = folder / "checkpoints" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("half")
    return file


def test_only_who_holds_a_folder_sweeps_it(tmp_path):
    first = half_written(tmp_path, ".step=4.ckpt.0123abcd.part")
    others = [half_written(tmp_path, name) for name in ("notes.part", ".hidden", "step=4.ckpt")]
    with swept(tmp_path):
        assert not first.exists()
        being_written = half_written(tmp_path, ".step=8.ckpt.4567cdef.part")
        with swept(tmp_path):
            assert being_written.exists()
    with swept(tmp_path):
        assert not being_written.exists()
    assert all(other.exists() for other in others)
