"""Real sources: what they hold, and what they say when something is missing."""

import json
import pickle
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.source.faker import FakerText
from vlmloom.components.source.fonts import Fonts, PageFonts
from vlmloom.components.source.noto_emoji import NotoEmoji
from vlmloom.components.source.openmoji import OpenMoji
from vlmloom.components.source.photos import Photos
from vlmloom.components.source.sprites import fit
from vlmloom.components.source.tables import Tables
from vlmloom.components.source.tuxpaint import TuxPaint


def dot(colour, size=(64, 64), box=(10, 20, 40, 30)):
    picture = Image.new("RGBA", size)
    picture.paste(colour, box)
    return picture


@pytest.fixture
def noto(tmp_path):
    """A package of three drawings, two of them alike."""
    folder = tmp_path / "emoji-datasource-google"
    (folder / "img/google/64").mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "16.0.0"}')
    records = []
    for name, code, category in (
        ("dog", "1F436", "Animals & Nature"),
        ("cat", "1F431", "Animals & Nature"),
        ("sunny", "2600-FE0F", "Travel & Places"),
        ("flag-de", "1F1E9-1F1EA", "Flags"),
    ):
        dot("blue" if name == "sunny" else "red").save(folder / "img/google/64" / f"{code.lower()}.png")
        records.append(
            {
                "short_name": name,
                "unified": code,
                "image": f"{code.lower()}.png",
                "category": category,
                "has_img_google": True,
            }
        )
    (folder / "emoji.json").write_text(json.dumps(records))
    return folder


def test_openmoji_is_there_named_and_distinct():
    sprites = OpenMoji().load()
    assert len(sprites) > 1500 and sprites.pixels.shape == (len(sprites), 64, 64, 4)
    assert isinstance(sprites.pixels, np.memmap) and not sprites.pixels.flags.writeable
    row = sprites.codes.index("1F436")
    assert sprites.names[row] == "dog face"
    left, top, right, bottom = sprites.extents[row]
    ys, xs = np.nonzero(sprites.pixels[row, ..., 3] > 16)
    assert abs(xs.min() - left) <= 1 and abs(xs.max() + 1 - right) <= 1
    assert abs(ys.min() - top) <= 1 and abs(ys.max() + 1 - bottom) <= 1
    rows = range(0, len(sprites), 7)
    assert len({sprites.pixels[row].tobytes() for row in rows}) == len(rows)
    assert not any("skin tone" in name for name in sprites.names)


def test_sprites_travel_without_their_pixels():
    sprites = OpenMoji().load()
    data = pickle.dumps(sprites)
    assert len(data) < 500_000
    assert np.array_equal(pickle.loads(data).pixels[3], sprites.pixels[3])


def test_noto_reads_the_npm_package(noto, tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path / "cache"))
    source = NotoEmoji(folder=str(noto))
    assert source.available() is None
    sprites = source.load()
    assert sprites.codes == ["1F431", "2600"], "the dog looks like the cat, flags are left out"
    assert sprites.names == ["cat", "sunny"]
    monkeypatch.setenv("VLMLOOM_NOTO_EMOJI", str(noto))
    assert NotoEmoji().available() is None


def test_tuxpaint_reads_captions(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "stamps"
    (folder / "food").mkdir(parents=True)
    dot("red").save(folder / "food/apple.png")
    (folder / "food/apple.txt").write_text("A red apple.\nde.utf8=Ein roter Apfel.\n", encoding="utf-8")
    dot("green").save(folder / "food/uncaptioned.png")
    sprites = TuxPaint(folder=str(folder)).load()
    assert sprites.names == ["red apple"] and sprites.style == "tuxpaint"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: NotoEmoji(folder=str(path)),
            "source/noto_emoji: npm pack emoji-datasource-google,"
            " and unpack it so that {path}/emoji.json is there",
        ),
        (
            lambda path: TuxPaint(folder=str(path / "x")),
            "source/tuxpaint: apt-get install --no-install-recommends tuxpaint-stamps-default"
            " (no stamps in {path}/x)",
        ),
    ],
)
def test_what_is_missing_says_what_to_install(make, message, tmp_path):
    source = make(tmp_path)
    assert source.available() == message.format(path=tmp_path)
    with pytest.raises(SourceMissing, match="source/"):
        source.load()


@pytest.mark.parametrize(
    ("source", "module", "message"),
    [
        (OpenMoji, "resvg_py", "source/openmoji: pip install resvg-py"),
        (Photos, "skimage", "source/photos: pip install scikit-image"),
        (Tables, "vega_datasets", "source/tables: pip install vega-datasets"),
        (Fonts, "matplotlib", "source/fonts: pip install matplotlib"),
        (PageFonts, "matplotlib", "source/page_fonts: pip install matplotlib"),
    ],
)
def test_a_missing_package_is_named(source, module, message, monkeypatch):
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    assert source().available() == message
    with pytest.raises(SourceMissing, match=message):
        source().load()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpenMoji(size=4), "source/openmoji: size is 4, but sprites are 16 to 512 pixels wide"),
        (lambda: Photos(side=8), "source/photos: side is 8, but photographs are at least 32 pixels wide"),
        (lambda: Tables(rows=1), "source/tables: rows is 1, but a table has at least 2"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_photos_and_digits():
    source = Photos()
    photos = source.load()
    assert {"astronaut", "coffee", "rocket", "china", "flower"} <= set(photos)
    assert all(photo.dtype == np.uint8 and min(photo.shape[:2]) == 160 for photo in photos.values())
    pixels, values = source.digits()
    assert pixels.shape == (1797, 8, 8) and set(values.tolist()) == set(range(10)) and pixels.max() == 255


def test_tables_are_real_numbers():
    tables = Tables().load()
    assert {"cars", "iris", "stocks"} <= {table.name for table in tables}
    for table in tables:
        for values in table.columns.values():
            assert len(values) >= 8 and np.isfinite(values).all() and np.ptp(values) > 0


def test_fonts_are_files_and_the_shifted_are_others():
    for source in (Fonts(), PageFonts()):
        train, shifted = source.load(), source.shifted()
        assert train and shifted and not set(train) & set(shifted)
        assert all(path.is_file() for path in (*train.values(), *shifted.values()))
    assert len(PageFonts().load()) == 8 and len(PageFonts().shifted()) == 4


def test_texts_depend_on_their_seed_alone():
    source = pickle.loads(pickle.dumps(FakerText()))
    texts = [source.write("name", seed) for seed in range(50)]
    assert len(set(texts)) > 45 and FakerText().write("name", 7) == texts[7]
    assert FakerText(locale="de_DE").write("city", 3) != source.write("city", 3)
    assert "\n" not in source.write("address", 5)


def test_a_seed_gives_the_same_date_on_every_day(monkeypatch):
    before = [FakerText().write("date", seed) for seed in range(20)]

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2060, 1, 1)

    monkeypatch.setattr("faker.providers.date_time.datetime", Later)
    assert [FakerText().write("date", seed) for seed in range(20)] == before and max(before) < "2026"


def test_what_faker_lacks_is_told(monkeypatch):
    with pytest.raises(ValueError, match="source/faker: 'nam' is no provider of Faker; name or sentence"):
        FakerText().write("nam", 0)
    with pytest.raises(ValueError, match="source/faker: locale 'xx_YY' is unknown to Faker; en_US would be"):
        FakerText(locale="xx_YY").write("name", 0)
    monkeypatch.setattr("vlmloom.components.source.faker.util.find_spec", lambda name: None)
    with pytest.raises(SourceMissing, match=r"source/faker: pip install faker \(extra: tasks\)"):
        FakerText().write("name", 0)


def test_fit_crops_centres_and_refuses_nothing():
    pixels, extent = fit(dot("red"), 32)
    assert extent == (0, 10, 32, 21) and pixels.shape == (32, 32, 4)
    assert pixels[15, 15].tolist() == [255, 0, 0, 255] and pixels[0, 0, 3] == 0
    assert fit(Image.new("RGBA", (8, 8)), 32) is None


def test_every_source_names_licence_and_package():
    for source in (
        OpenMoji(),
        NotoEmoji(),
        TuxPaint(),
        Photos(),
        Tables(),
        Fonts(),
        PageFonts(),
        FakerText(),
    ):
        assert source.licence and source.package and source.registered_name.startswith("source/")
