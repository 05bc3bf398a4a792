"""Videos, by PyAV, which is FFmpeg in a package; it is needed only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlmloom.components.contracts.sample import CorruptPicture
from vlmloom.components.media.headers import MOST_PIXELS, Header, too_large


def header(path: Path) -> Header:
    """See `decoding.header`; the frames are counted where the container does not say."""
    with _open(path) as container:
        stream = _stream(path, container)
        rate = float(stream.average_rate or 0) or 1.0
        turn = _turn(next(container.decode(stream)))
        height, width = stream.codec_context.height, stream.codec_context.width
        count = stream.frames
    if not count:
        with _open(path) as container:
            count = sum(packet.size > 0 for packet in container.demux(_stream(path, container)))
    return Header(width, height, count, rate) if turn % 2 else Header(height, width, count, rate)


def decode(path: Path, chosen: Sequence[int]) -> np.ndarray:
    """See `decoding.decode`; where a container promises more frames than it has, the last one is repeated."""
    wanted, last = set(chosen), max(chosen)
    found: dict[int, np.ndarray] = {}
    latest = None
    with _open(path) as container:
        for number, frame in enumerate(container.decode(_stream(path, container))):
            if number in wanted or number == 0:
                latest = np.rot90(frame.to_ndarray(format="rgb24"), _turn(frame))
                found[number] = latest
            if number >= last:
                break
    if latest is None:
        raise CorruptPicture(f"{path}: cannot be decoded (it has no frame)")
    return np.stack([found.get(number, latest) for number in chosen])


def _open(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        import av
    except ImportError:
        raise CorruptPicture(
            f"{path}: reading a video needs PyAV, which is not here; `pip install 'vlmloom[video]'` brings it"
        ) from None
    return av.open(str(path))


def _stream(path: Path, container: Any) -> Any:
    if not container.streams.video:
        raise CorruptPicture(f"{path}: holds no video")
    stream = container.streams.video[0]
    height, width = stream.codec_context.height, stream.codec_context.width
    if height * width > MOST_PIXELS:
        raise too_large(path, height, width)
    return stream


def _turn(frame: Any) -> int:
    """Quarter turns, anticlockwise, that bring a frame upright."""
    return round(frame.rotation / 90) % 4
