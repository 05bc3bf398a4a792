"""Videos by PyAV."""

import sys

import numpy as np
import pytest

from vlmloom.components.contracts.sample import CorruptPicture
from vlmloom.components.media import FileClip, decode, header, picture_of


def film(path, count=25, rate=5, size=(48, 32), codec="mpeg4"):
    """Flat frames, each brighter than the one before; the path."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            pixels = np.full((size[1], size[0], 3), 8 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_is_a_clip(suffix, tmp_path):
    path = film(tmp_path / f"a.{suffix}")
    found = header(path)
    assert (found.height, found.width, found.frames, found.rate) == (32, 48, 25, 5)
    clip = picture_of(path, sampling="glm4v")
    assert isinstance(clip, FileClip) and (clip.frames, clip.height, clip.width) == (10, 32, 48)
    assert clip.chosen == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23]
    assert clip.times == [number / 5 for number in clip.chosen]
    pixels = clip.render()
    assert pixels.shape == (10, 32, 48, 3)
    assert np.abs(pixels.mean((1, 2, 3)) - [8 * number for number in clip.chosen]).max() < 6


def test_a_video_of_one_frame(tmp_path):
    path = film(tmp_path / "a.mkv", count=1)
    assert FileClip(path).frames == 1 and FileClip(path).render().shape == (1, 32, 48, 3)
    assert FileClip(path, "glm46v").chosen == [0, 0] and FileClip(path, "glm46v").render().shape[0] == 2


def test_a_truncated_video_repeats_what_there_is(tmp_path):
    path = film(tmp_path / "a.mkv")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    pixels = decode(path, [0, 24])
    assert pixels.shape == (2, 32, 48, 3) and pixels[1].mean() < 8 * 24


def test_a_file_without_a_video_stream(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(CorruptPicture, match=r"a\.mkv: holds no video"):
        decode(tmp_path / "a.mkv")


def test_without_pyav_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(
        CorruptPicture, match=r"a\.mp4: reading a video needs PyAV.*pip install 'vlmloom\[video\]'"
    ):
        decode(tmp_path / "a.mp4")
