"""Prepared folders survive kills, races, damage and full disks."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from small_disk import small_disk

from vlmloom.components.media.cache_root import cache_root
from vlmloom.components.source.cache import CacheError, intact, prepared


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder, tick):
    for number in range(4):
        tick(number + 1, 4)
        (folder / f"{number}.bin").write_bytes(bytes([number]) * 1000)


def left_over(cache):
    return [path.name for path in cache.iterdir() if path.name.startswith(".part-")]


def start(code, cache, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "VLMLOOM_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def test_made_once_and_again_for_other_settings():
    calls = []

    def make(folder, tick):
        calls.append(folder)
        write(folder, tick)

    first = prepared("thing", {"size": 1}, make)
    assert prepared("thing", {"size": 1}, make) == first and len(calls) == 1
    assert prepared("thing", {"size": 2}, make) != first and len(calls) == 2
    assert (first / "3.bin").read_bytes() == b"\x03" * 1000


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"\x09" * 1000),
        lambda file: file.write_bytes(b"\x01" * 10),
        lambda file: file.unlink(),
        lambda file: (file.parent / "manifest.json").write_text("{"),
    ],
    ids=["changed", "cut", "gone", "manifest"],
)
def test_a_damaged_folder_is_made_again(damage, capfd):
    folder = prepared("thing", {}, write)
    damage(folder / "1.bin")
    assert not intact(folder)
    assert prepared("thing", {}, write) == folder and intact(folder)
    assert f"{folder}: does not match its checksums, making it again" in capfd.readouterr().err


def test_a_failure_leaves_nothing_behind(cache):
    def fail(folder, tick):
        write(folder, tick)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        prepared("thing", {}, fail)
    assert not left_over(cache) and not list(cache.glob("thing-*"))


def test_killed_half_way_then_repaired(cache):
    process = start(
        """
        import time
        from vlmloom.components.source.cache import prepared
        def make(folder, tick):
            (folder / "0.bin").write_bytes(b"half")
            print("half", flush=True)
            time.sleep(60)
        prepared("thing", {}, make)
        """,
        cache,
    )
    assert process.stdout.readline().strip() == "half"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert left_over(cache) and not list(cache.glob("thing-*"))
    folder = prepared("thing", {}, write)
    assert intact(folder) and not left_over(cache)
    assert (folder / "0.bin").read_bytes() == b"\x00" * 1000


def test_two_processes_at_once_prepare_once(cache, tmp_path):
    code = f"""
        import os, time
        from vlmloom.components.source.cache import intact, prepared
        def make(folder, tick):
            with open({str(tmp_path / "log")!r}, "a") as log:
                log.write("made\\n")
            (folder / "a.bin").write_bytes(b"a" * 1000)
            time.sleep(0.5)
            (folder / "b.bin").write_bytes(b"b" * 1000)
        folder = prepared("thing", {{}}, make)
        assert intact(folder), "half-written"
        print(folder)
    """
    processes = [start(code, cache) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1
    assert (tmp_path / "log").read_text() == "made\n"


FILL = """
    from vlmloom.components.source.cache import CacheError, prepared
    def make(folder, tick):
        with (folder / "big.bin").open("wb") as file:
            for _ in range(64):
                file.write(b"x" * 65536)
    try:
        prepared("thing", {}, make)
    except CacheError as error:
        print(error)
"""


def test_no_space_is_one_line_and_leaves_nothing(cache):
    process = start(
        FILL, cache, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    )
    out, err = process.communicate(timeout=60)
    assert out.strip() == (
        f"cache folder {cache}: no space left; free some space or set VLMLOOM_CACHE to another folder"
    ), err
    assert not left_over(cache) and not list(cache.glob("thing-*"))


def test_a_really_full_disk(tmp_path):
    with small_disk(tmp_path) as disk:
        out, err = start(FILL, disk / "cache").communicate(timeout=60)
        assert f"cache folder {disk / 'cache'}: no space left" in out, err
        assert not left_over(disk / "cache")


def test_a_cache_that_cannot_be_a_folder(cache):
    cache.write_text("a file stands here")
    with pytest.raises(CacheError, match=r"cache folder .*cache: cannot be written .*set VLMLOOM_CACHE"):
        prepared("thing", {}, write)


def test_a_cache_that_cannot_be_made(monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", "/proc/nowhere")
    with pytest.raises(CacheError, match=r"cache folder /proc/nowhere: cannot be written \(No such file"):
        prepared("thing", {}, write)


def test_whoever_shares_the_cache_can_read_it(cache):
    folder = prepared("thing", {}, write)
    (cache / "plain").mkdir()
    assert folder.stat().st_mode == (cache / "plain").stat().st_mode


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("VLMLOOM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/vlmloom")


def test_opening_is_fast():
    folder = prepared("thing", {}, write)
    begin = time.perf_counter()
    for _ in range(20):
        assert intact(folder)
    assert time.perf_counter() - begin < 1
