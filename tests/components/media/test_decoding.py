"""Pictures of every kind, sound and unsound, to frames or to one line."""

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from vlmloom.components.contracts.sample import CorruptPicture
from vlmloom.components.media import FileClip, FilePicture, decode, decoding, header, headers, picture_of


@pytest.fixture
def gradient():
    """uint8 [40, 60, 3], bright at its right end."""
    ramp = np.linspace(0, 255, 60).astype(np.uint8)
    return np.repeat(np.broadcast_to(ramp, (40, 60))[..., None], 3, axis=2)


def shades(folder, suffix, values, **options):
    """An animation of flat frames; its path."""
    frames = [Image.new("RGB", (20, 12), (value, value, value)) for value in values]
    path = folder / f"a.{suffix}"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], **({"duration": 100, "lossless": True} | options)
    )
    return path


def fault(path, chosen=(0,)):
    with pytest.raises(CorruptPicture) as caught:
        decode(path, chosen)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff", "ppm", "jp2", "avif"])
def test_formats(suffix, gradient, tmp_path):
    if suffix in ("jp2", "avif") and not features.check({"jp2": "jpg_2000", "avif": "avif"}[suffix]):
        pytest.skip("this Pillow cannot write it")
    Image.fromarray(gradient).save(tmp_path / f"a.{suffix}")
    picture = FilePicture(tmp_path / f"a.{suffix}")
    assert (picture.frames, picture.height, picture.width) == (1, 40, 60)
    pixels = picture.render()
    assert pixels.shape == (1, 40, 60, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels[0].astype(int) - gradient).mean() < 6


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
def test_exif_rotation_turns_size_and_pixels(suffix, orientation, gradient, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    gradient = gradient.copy()
    gradient[:5, :9] = (255, 0, 0)
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(gradient).save(path, exif=exif, **({} if suffix == "tiff" else {"quality": 100}))
    with Image.open(path) as given:
        expected = np.asarray(ImageOps.exif_transpose(given).convert("RGB"))
    assert (expected.shape[0] == 60) == (orientation in (5, 6, 7, 8))
    assert (decode(path)[0] == expected).all()
    assert (header(path).height, header(path).width) == expected.shape[:2]


def test_the_size_comes_from_the_header(tmp_path):
    for suffix in ("jpg", "png"):
        path = tmp_path / f"a.{suffix}"
        Image.effect_noise((60, 40), 90).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        picture = FilePicture(path)
        assert (picture.height, picture.width) == (40, 60)
        with pytest.raises(CorruptPicture, match=rf"a\.{suffix}: cannot be decoded \(.*truncated"):
            picture.render()


def test_one_pixel_and_one_row(tmp_path):
    for size in ((1, 1), (4000, 1), (1, 4000)):
        Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "a.png")
        pixels = decode(tmp_path / "a.png")
        assert pixels.shape == (1, size[1], size[0], 3) and (pixels == (9, 8, 7)).all()


def test_transparency_lies_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png") == 255).all()
    Image.new("LA", (4, 4), (0, 51)).save(tmp_path / "grey.png")
    assert (decode(tmp_path / "grey.png") == 204).all()
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 255, 255, 0, 0])
    palette.putdata([0, 1])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert decode(tmp_path / "palette.png")[0, 0].tolist() == [[255, 255, 255], [255, 0, 0]]
    palette.save(tmp_path / "some.png", transparency=bytes([255, 128]))
    assert decode(tmp_path / "some.png")[0, 0].tolist() == [[0, 0, 255], [255, 127, 127]]


def test_depths_and_colours_beside_rgb(tmp_path):
    def grey(values, suffix="tiff"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        return decode(tmp_path / f"a.{suffix}")[0, ..., 0].tolist()

    assert grey(np.array([[0, 30000], [45000, 60000]], np.uint16), "png") == [[0, 127], [191, 255]]
    assert grey(np.array([[-1, 0, 1]], np.float32)) == [[0, 127, 255]]
    assert grey(np.array([[7, 7]], np.int32)) == [[0, 0]]
    assert grey(np.array([[np.nan, 0, np.inf, 2]], np.float32)) == [[0, 0, 255, 255]]
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
    assert np.abs(decode(tmp_path / "ink.jpg")[0].astype(int) - (255, 0, 0)).max() <= 3
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    assert (decode(tmp_path / "bits.png") == 255).all()


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
@pytest.mark.parametrize("suffix", ["png", "mp4"])
def test_what_is_no_picture_is_said_in_one_line(suffix, make, message, tmp_path):
    if suffix == "mp4":
        pytest.importorskip("av")
    path = tmp_path / f"a.{suffix}"
    make(path)
    if path.is_dir() and suffix == "mp4":
        message = "there is no such picture"
    for picture in (FilePicture(path), FileClip(path), FileClip(path, "glm4v")):
        assert (picture.height, picture.width) == (32, 32), "it can be planned"
        with pytest.raises(CorruptPicture, match=f"^{path}: {message}"):
            picture.render()
    assert fault(path).startswith(message)


def test_two_hundred_megapixels_are_refused_before_decoding(tmp_path):
    """A file that says so in its header alone: nothing of that size is ever made."""
    for size in ((20000, 10000), (65535, 65535)):
        Image.new("1", (1, 1)).save(tmp_path / "a.bmp")
        data = bytearray((tmp_path / "a.bmp").read_bytes())
        data[18:26] = size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little")
        (tmp_path / "a.bmp").write_bytes(data)
        said = f"has {size[0]} x {size[1]} pixels, at most {headers.MOST_PIXELS} are decoded"
        assert fault(tmp_path / "a.bmp") == said


def test_a_large_jpeg_is_decoded_at_an_eighth(gradient, tmp_path, monkeypatch):
    from vlmloom.components.media import pillow

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient).save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(gradient).save(tmp_path / "a.png")
    for most, size in ((2400, (60, 40)), (2399, (30, 20)), (599, (15, 10)), (149, (8, 5))):
        monkeypatch.setattr(pillow, "MOST_PIXELS", most)
        picture = FilePicture(tmp_path / "a.jpg")
        assert (picture.height, picture.width) == size
        assert picture.render().shape == (1, *size, 3)
    monkeypatch.setattr(pillow, "MOST_PIXELS", 39)
    assert fault(tmp_path / "a.jpg").startswith("has 60 x 40 pixels")
    assert fault(tmp_path / "a.png").startswith("has 60 x 40 pixels")
    assert Image.MAX_IMAGE_PIXELS is not None, "Pillow's own guard stands again"


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_a_still_or_a_clip(suffix, tmp_path):
    path = shades(tmp_path, suffix, [0, 80, 160, 240])
    still, clip = picture_of(path), picture_of(path, clip=True)
    assert (still.frames, clip.frames) == (1, 4)
    assert still.render()[:, 0, 0, 0].tolist() == [0]
    assert clip.render().shape == (4, 12, 20, 3)
    assert clip.render()[:, 0, 0, 0].tolist() == [0, 80, 160, 240]
    assert clip.times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert decode(path, [1, 3, 3])[:, 0, 0, 0].tolist() == [80, 240, 240]


def test_frames_of_a_clip_are_sampled(tmp_path):
    """Forty frames in four seconds: GLM-4.1V looks twice a second."""
    path = shades(tmp_path, "gif", range(0, 240, 6))
    clip = FileClip(path, "glm4v")
    assert clip.frames == 8 and clip.chosen == [0, 5, 10, 15, 20, 25, 30, 35]
    assert clip.times == pytest.approx([number / 2 for number in range(8)])
    assert clip.render()[:, 0, 0, 0].tolist() == [6 * number for number in clip.chosen]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "jpg"])
def test_a_clip_of_one_frame(suffix, tmp_path):
    """A still; or two equal frames where frames are sampled in pairs."""
    Image.new("RGB", (20, 12), (9, 9, 9)).save(tmp_path / f"a.{suffix}")
    still, pair = FileClip(tmp_path / f"a.{suffix}"), FileClip(tmp_path / f"a.{suffix}", "glm46v")
    assert still.render().shape == (1, 12, 20, 3) and still.frames == 1 and still.times == []
    assert pair.render().shape == (2, 12, 20, 3) and pair.frames == 2 and pair.times == [0, 0]
    assert (pair.render()[0] == pair.render()[1]).all()


def test_frames_that_do_not_say_how_long_they_stay_last_a_tenth(tmp_path):
    assert header(shades(tmp_path, "gif", [0, 90], duration=0), moving=True).rate == pytest.approx(10)


def test_a_truncated_animation(tmp_path):
    rows = [np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8) for seed in range(3)]
    frames = [Image.fromarray(pixels) for pixels in rows]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: len(data) // 2])
    assert decode(tmp_path / "a.gif").shape == (1, 40, 40, 3), "its first frame is whole"
    with pytest.raises(CorruptPicture, match=r"a\.gif: cannot be decoded"):
        decode(tmp_path / "a.gif", [0, 1])


def test_a_clip_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_CLIP_PIXELS", 2 * 240)
    path = shades(tmp_path, "gif", [0, 80, 160])
    assert fault(path, [0, 1, 2]) == "3 frames of 20 x 12 have 720 pixels, at most 480 are decoded"
    assert decode(path, [0, 2, 2]).shape == (3, 12, 20, 3)


def test_keys_follow_the_file(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    key = FilePicture(tmp_path / "a.png").key
    assert FilePicture(tmp_path / "a.png").key == key
    Image.new("L", (10, 12)).save(tmp_path / "a.png")
    assert FilePicture(tmp_path / "a.png").key != key
