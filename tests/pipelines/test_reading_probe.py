"""The reading probe: gaps are found where there are some, in pairs, and the verb tells them."""

import json
from pathlib import Path

import pytest

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.source.fonts import PageFonts
from vlmloom.components.task.perception.name import Name
from vlmloom.components.task.reasoning.arithmetic import Arithmetic
from vlmloom.components.task.sheet import Face
from vlmloom.components.task.suite import Nano
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_suite.record import Reply
from vlmloom.pipelines.reading_probe import TEXT, probe, questions
from vlmloom.registry.errors import UserError

FACES = [
    Face(name, str(path))
    for name, path in PageFonts().load().items()
    if name in ("DejaVuSans", "DejaVuSerif")
]


@pytest.fixture(scope="module")
def tasks():
    suite = Nano(shift=[], tasks={"arithmetic": Arithmetic})
    hard = Nano(shift=[], tasks={"hard": lambda world: Arithmetic(world=world, largest=99)})
    return suite.tasks | hard.tasks


class Reader:
    """Right on text; on pixels in one font at one size, else for every second item."""

    def replies(self, samples):
        """Backwards, as an endpoint may."""
        for place, sample in reversed(list(enumerate(samples))):
            picture = next((part for part in sample.prompt if isinstance(part, Picture)), None)
            legible = picture is None or place % 2 == 0
            if picture is not None:
                (_, _, marks) = picture.what
                legible = legible or (marks[0][3].name, marks[0][4]) == ("DejaVuSans", 24)
            yield place, Reply(sample.answer if legible else "no idea")


class Silent:
    """Gives no answer."""

    def replies(self, samples):
        yield 0, Reply(None, error="refused")


def test_what_is_lost_is_told_by_font_and_size(tasks):
    samples = questions(tasks, 20, FACES, [12, 24])
    told = []
    rows = probe(Reader(), tasks, samples, FACES, [12, 24], tick=lambda *at: told.append(at))
    found = {(row.category, row.font, row.size): row for row in rows}
    assert len(rows) == 3 * 5 and {row.category for row in rows} == {"arithmetic", "hard", "all"}
    assert found["all", TEXT, 0].accuracy == 1 and found["all", TEXT, 0].gap is None
    assert found["all", "DejaVuSans", 24].gap[0] == 0 and found["all", "DejaVuSans", 24].items == 40
    for font, size in (("DejaVuSans", 12), ("DejaVuSerif", 12), ("DejaVuSerif", 24)):
        gap, low, high = found["hard", font, size].gap
        assert gap == pytest.approx(1 - found["hard", font, size].accuracy) == 0.5
        assert 0.2 < low < 0.5 < high < 0.8
    words, _, high = found["all", "DejaVuSerif", 12].words_gap
    assert words == -0.5 and high < 0, "two words for one where it has no idea"
    assert told[-1] == (200, 200) and told == sorted(told)
    with pytest.raises(UserError, match="probe-reading: arithmetic#0: refused"):
        probe(Silent(), tasks, samples, FACES, [12])


def test_questions_are_of_text_and_can_be_written(tasks):
    with pytest.raises(
        UserError, match="probe-reading: task name has pictures; tasks of text alone would be"
    ):
        questions(Nano(shift=[], tasks={"name": Name}).tasks, 2, FACES, [12])

    class Foreign(Arithmetic):
        def compose(self, draw, split):
            item = super().compose(draw, split)
            item.question = "\N{HIRAGANA LETTER A} " + item.question
            return item

    suite = Nano(shift=[], tasks={"foreign": Foreign})
    with pytest.raises(
        UserError, match="no question of foreign can be written in DejaVuSans, DejaVuSerif; oth"
    ):
        questions(suite.tasks, 2, FACES, [12])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe") / "run"
    assert (
        main(
            [
                "fit",
                "-c",
                str(Path(__file__).with_name("tiny.yaml")),
                "--out",
                str(folder),
                "--set",
                "budget.samples=40",
            ]
        )
        == 0
    )
    return str(folder)


def test_the_verb_asks_a_run(run, capsys):
    ask = [
        "probe-reading",
        run,
        "--tasks",
        "arithmetic",
        "--items",
        "3",
        "--fonts",
        "DejaVuSans",
        "--sizes",
        "12",
    ]
    assert main([*ask, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["category"], row["font"], row["size"], row["items"]) for row in rows] == [
        ("arithmetic", "text", 0, 3),
        ("arithmetic", "DejaVuSans", 12, 3),
    ]
    assert main(ask) == 0
    assert "DejaVuSans 12 px" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fonts", "Arial"], "probe-reading: Arial is no font here; DejaVuSans, DejaVuSans-Bold"),
        (["--items", "0"], "probe-reading: --items is 0; 1 or more would be right"),
        (["--tasks", "name"], "probe-reading: name is no task of text alone; arithmetic"),
        (["--sizes", "0"], "probe-reading: --sizes is 0; 1 or more would be right"),
    ],
)
def test_mistakes_are_told_in_one_line(run, options, message, capsys):
    assert main(["probe-reading", run, *options]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
