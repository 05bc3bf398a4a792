"""Answers that try to be right without being so, verifier by verifier, and honest ones beside them."""

import pytest

from vlmloom.components.contracts.reward import Verifier, VerifierFailed
from vlmloom.components.contracts.sample import Reward, Sample, Scene
from vlmloom.registry import build, resolve

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
CLICK = "left_click(start_box='[500,500]')"
CHEATS = {
    "reward/exact": [
        *(
            ("?", ""),
            ("+", "-"),
            (">", "<"),
            ("C++", "C"),
            ("C", "C++"),
            ("C#", "C"),
            ("x=1", "x 1"),
            ("5", "5!"),
            ("A-12", "12"),
            ("A 4", "the 4"),
        ),
        *(("-3", "3"), ("3.5", "35"), ("dog", "dog/cat"), ("dog", "dog cat"), ("yes", "yes no"), ("a", "")),
    ],
    "reward/number": [
        *(("7", "7 or 8"), ("7", "7 8"), ("12", "1 2"), ("7", "6-7"), ("7", "7, 8"), ("7", "0 to 99")),
        *(("7", "nan"), ("7", "inf"), ("7", "7 maybe"), ("2020", "2021"), ("3 m", "3 km"), ("7", "-7")),
        *(("5", "5 wrong"), ("5", "5 isnt"), ("5", "5 dozen"), ("5", "5 half"), ("5", "5 hundredths")),
        *(("12345678901", "12345678912"), ("3", "3.0000000001"), ("1000000000001", "1e12")),
        *(
            ("4", "There are not 4."),
            ("4", "There are 4 of 9"),
            ("3", "minus 3"),
            ("5 m", "5M"),
            ("5", "in 5"),
        ),
        *(("5", ">5"), ("5", "<5"), ("5", "10/2"), ("5", "≠5"), ("5", "√5"), ("5 kg", "5 wrong")),
    ],
    "reward/choice": [
        ("B", "A B"),
        ("B", "B, or A"),
        ("B", "not B"),
        ("B", "ABCD"),
        ("B", ""),
        ("B", "-B"),
        ("B", "--B"),
        ("B", "A\ndog"),
        ("B", "A\tdog"),
    ],
    "reward/point": [
        ("[50, 60]", "[50, 60] or [70, 80]"),
        ("[50, 60]", "[50, 60, 50, 60]"),
        *(
            ("[50, 60]", text)
            for text in ("not [50, 60]", "[50, 60] is wrong", "WAIT 50 60", "wrong: [50, 60]")
        ),
        ("[50, 60]", "right_click(start_box='[50,60]')"),
    ],
    "reward/box": [
        ("[0, 0, 10, 10]", "0 0 1000 1000"),
        ("[0, 0, 10, 10]", "0 0 10 10 0 0 1000 1000"),
        *(
            ("[0, 0, 10, 10]", text)
            for text in ("not [0, 0, 10, 10]", "[0, 0, 10, 10] is wrong", "[0, 0, 10, 10")
        ),
        *(
            ("[0, 0, 10, 10]", text)
            for text in (
                '{"label": "not the dog", "bbox_2d": [0, 0, 10, 10]}',
                '{"label": "anything but this", "bbox_2d": [0, 0, 10, 10]}',
                '{"label": "nicht dies", "bbox_2d": [0, 0, 10, 10]}',
                '{"label": "dog", "bbox_2d": [0, 0, 10, 10], "wrong": true}',
                '[{"label": "a", "bbox_2d": [0, 0, 10, 10]}, {"label": "b", "bbox_2d": [9, 9, 20, 20]}]',
                "The box is not [0, 0, 10, 10].",
            )
        ),
    ],
    "reward/grid": [("0 1\n2 3", "0 1"), ("0 1\n2 3", "0 1\n2 3\n0 1"), ("0 1\n2 3", "01\n2x")],
    "reward/math": [
        *((r"\frac{V}{v}", "1"), ("x^2 + 1", "X^2 + 1"), ("x^2 + 1", r"x^2 + 1 \text{ is wrong}")),
        *(("x + 1", r"x + 1 \approx 1"), ("x > 2", r"x > 2 \mbox{ is false}"), (r"5\text{ cm}", "5 kg")),
        *(("8", "2^{3}"), ("2", r"0.5^{-1}"), ("x = 2, x = -3", "x = 2")),
        *(("5", "5!"), ("5!", "5"), ("(-5,-2)", r"\{-5,-2\}"), ("(-5,-2)", r"\{(-2,-5)\}")),
        *(("42", "17+25"), ("42", "50 - 8"), ("42", r"6 \cdot 7"), ("32", "2^5"), ("42", "6*(7)")),
        *(("2", "{2,3}"), ("2", "1 or 2"), ("2", r"\boxed{2}\boxed{3}"), ("(1,2)", "(2,1)")),
        *(("x = 2, x = -3", "(-3, 2)"), (r"x = \sqrt{2}, x = -\sqrt{2}", r"(-\sqrt{2}, \sqrt{2})")),
        *(("7", "84/12"), ("84", "12 ⋅ 7"), ("84", r"\frac{168}{2}"), ("84", r"\sqrt{7056}")),
        *(("84", r"\binom{9}{3}"), ("84", "84!/83!"), ("84", "y=84"), ("84", "84=y"), ("x = 84", "y = 84")),
        *(("x = 84", "x = 168/2"), ("x+1", "y = x+1"), ("2x", r"\frac{d}{dx} x^2"), ("2x", r"\int 2 dx")),
        *(("2x", r"\lim_{h \to 0} \frac{(x+h)^2-x^2}{h}"), ("3x", r"\sum_{k=1}^{2} kx")),
    ],
    "reward/table": [
        (TABLE, TABLE.replace("<table>", '<table style="font-size:0">')),
        *(
            (TABLE, TABLE.replace("<table>", text))
            for text in (
                "<table hidden>",
                "<table style='display: none'>",
                "<table style='text-decoration:line-through'>",
                "<table><caption>All of this is wrong</caption>",
                "<table>not this",
            )
        ),
        *((TABLE, TABLE.replace("<td>1</td>", f"<td><{tag}>1</{tag}></td>")) for tag in ("del", "s")),
    ],
    "reward/clock_time": [("12:26", "It is not 12:26."), ("3:05", "15:05"), ("12:26", "12:26 PM or AM")],
    "reward/interval": [("[1, 2]", '{"start": 2, "end": 1}'), ("[1, 2]", '{"not": 0, "start": 1, "end": 2}')],
    "reward/fen": [("8/8/8/4k3/8/8/4P3/4K3", "no FEN: 8/8/8/4k3/8/8/4P3/4K3")],
    "reward/latex": [(r"\frac{a}{b}", r"~~\frac{a}{b}~~")],
    "reward/json": [
        ('{"zip": "02134"}', '{"zip": 2134}'),
        ('{"id": "1e5"}', '{"id": 100000}'),
        ('{"a": 1}', 'The answer is not {"a": 1}'),
        ('{"card": 4539578763621486}', '{"card": 4539578763621400}'),
        ('{"phone": "2353585640"}', '{"phone": 2353585641}'),
    ],
    "reward/sequence": [
        ("crown, lemon, gear", "3. crown\n2. lemon\n1. gear"),
        ("crown, lemon, gear", "2) crown, 1) lemon, 3) gear"),
    ],
    "reward/desktop_action": [
        ("WAIT", "left_click(start_box='[1,1]')"),
        (CLICK, f"{CLICK}  # not this"),
        (CLICK, CLICK.replace("(", "(start_box='[9,9]', ")),
    ],
    "reward/smiles": [
        *(("CCO", "CCO.C"), ("CCO", "CCO CCO"), ("CCO", "C"), ("CCO", "CC\ud800O")),
        *(("C/C=C/CC=CCO", "C/C=C\\C/C=C/CO"), ("C/C=C/CC=CCO", "CC=CCC=CCO")),
    ],
}
HONEST = {
    "reward/exact": [("dog", "**Dog**."), ("C++", "c++"), ("?", " ? "), ("dog", "# The dog"), ("-3", "-3")],
    "reward/number": [
        ("7", "７"),  # noqa: RUF001
        ("1000", "1 000"),
        ("0.5", "1/2"),
        ("50%", "50 %"),
        ("7", "$7$"),
        ("435", "4.35e2"),
        ("1200000", "1.2 million"),
        *(
            ("4", "There are 4."),
            ("1996", "in 1996"),
            ("1996", "1996 AD"),
            ("1200000", "1.2M"),
            ("-3", "minus 3"),
        ),
        ("21\u00b0C", "21\u00baC"),
    ],
    "reward/choice": [("B", "(b)"), ("B", "The answer is B.")],
    "reward/clock_time": [("12:26", f) for f in ("12:26 PM", "0:26", "00:26", "It is 12:26.", "12:26 a.m.")],
    "reward/interval": [("[1, 2]", '{"start": 1, "end": 2}'), ("[1, 2]", '{"start": "0:01", "end": 2.0 }')],
    "reward/fen": [("8/8/8/4k3/8/8/4P3/4K3", f"FEN: {q}8/8/8/4k3/8/8/4P3/4K3{q}") for q in ("", "`", "**")],
    "reward/latex": [("a ~ b", "a ~~ b"), ("a ~~ b", "~~a b")],
    "reward/edit": [
        ("Main St.", text) for text in ("```\nMain St.\n```", "**Main St.**", "Answer: Main St.")
    ],
    "reward/math": [
        *((r"\frac{1}{2}", "2^{-1}"), ("0.25", "4^-1"), (r"\{-3, 2\}", r"x \in \{-3,2\}")),
        ("0.5", r"\frac{1}{2}"),
        ("1000", "10^3"),
        ("x = -2", "x=-2.0"),
        ("x = -2", "-2"),
        ("3/2", r"1\frac{1}{2}"),
        ("-3", "−3"),  # noqa: RUF001
        ("x+1", "1 + x"),
        ("4", "4"),
        *(("x = 2, x = -3", text) for text in ("x = -3 or 2", r"\{2, -3\}", "x_1 = 2, x_2 = -3", "2 and -3")),
        *(("(-5,-2)", r"\{(-5,-2)\}"), ("5!", "5!")),
    ],
    "reward/table": [
        (TABLE, f"Answer: {TABLE}"),
        (TABLE, TABLE.replace("<table>", "<table style='text-decoration: none; width: 0'>")),
    ],
    "reward/json": [
        ('{"card": 4539578763621486}', '{"card": "4539578763621486"}'),
        *(('{"a": 1}', found) for found in ('Answer: {"a": 1.0}', 'The answer is:\n{"a": 1}')),
    ],
    "reward/sequence": [("crown, lemon", "1. crown\n2. lemon"), ("crown, lemon", "1. crown\n1. lemon")],
    "reward/smiles": [
        ("CCO", "OCC"),
        ("C/C=C/CC=CCO", "C/C=C/C/C=C/CO"),
        ("C/C=C/CC=CCO", "OC/C=C\\C/C=C/C"),
    ],
    "reward/point": [
        *(("[50, 60]", text) for text in ("50 60", "point: (50, 60)", '{"point_2d": [50, 60]}')),
        ("[50, 60]", "left_click(start_box='[50,60]', element_info='Chapter 2')"),
    ],
    "reward/box": [
        *(("[0, 0, 10, 10]", text) for text in ("0,0,10,10", "bbox: [0,0,10,10]", "(0,0),(10,10)")),
        ("[0, 0, 10, 10]", '```json\n[{"bbox_2d": [0, 0, 10, 10]}]\n```'),
        ("[0, 0, 10, 10]", '[{"label": "dog", "bbox_2d": [0, 0, 10, 10]}]'),
        ("[0, 0, 10, 10]", '{"bbox_2d": [0, 0, 10, 10], "label": "the north-east dog"}'),
        ("[0, 0, 10, 10]", "The box is [0, 0, 10, 10]."),
    ],
}
PAIRS = [(name, *pair) for name, pairs in CHEATS.items() for pair in pairs]
GOOD = [(name, *pair) for name, pairs in HONEST.items() for pair in pairs]


def judged(name: str, gold: str, answer: str) -> Reward:
    (reward,) = build({"use": name}).judge(Sample("t", "test", 0, [], gold, Scene("")), [answer])
    assert reward.error is None
    return reward


@pytest.mark.parametrize(("name", "gold", "answer"), PAIRS)
def test_a_cheat_is_worth_nothing(name, gold, answer):
    assert judged(name, gold, answer).value == 0.0


DOGS = "How many dogs are left of the cat?"


@pytest.mark.parametrize(
    ("name", "asked", "gold", "answer", "value"),
    [
        *(
            ("reward/number", DOGS, "4", *pair)
            for pair in (("There are 4 dogs.", 1), ("4 cats", 0), ("4 dozen", 0))
        ),
        *(
            ("reward/box", "Box of the dog?", "[1, 2, 3, 4]", *pair)
            for pair in (
                ('{"label": "dog", "bbox_2d": [1, 2, 3, 4]}', 1),
                ('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', 1),
                ('{"label": "no dog", "bbox_2d": [1, 2, 3, 4]}', 0),
                ('{"label": "dog", "bbox_2d": [4, 3, 2, 1]}', 0),
            )
        ),
    ],
)
def test_an_answer_may_name_what_the_question_names_and_nothing_else(name, asked, gold, answer, value):
    (reward,) = build({"use": name}).judge(Sample("t", "test", 0, [asked], gold, Scene("")), [answer])
    assert reward.error is None and reward.value == value, reward.reason


@pytest.mark.parametrize(("name", "gold", "answer"), GOOD)
def test_an_honest_answer_is_worth_all(name, gold, answer):
    assert judged(name, gold, answer).value == 1.0


WRAPPED = (
    "**Answer:** {}",
    "**Answer: {}**",
    "<think>or 8?</think>\n{}",
    "<think></think><answer>{}</answer>",
    f"<think>{'or 8? ' * 2_000}</think>\n<|begin_of_box|>{{}}<|end_of_box|>",
    "So the answer is <|begin_of_box|>{}<|end_of_box|>.",
    "### Answer\n{}",
    "Result: {}",
    "Therefore, the answer is {}",
    "Certainly! Below is the requested information:\n```\n{}\n```",
    "````\r\n{}\r\n````",
    "~~~\n{}\n~~~",
    "```\n{}",
    "\ufeff{}",
)


@pytest.mark.parametrize("name", ["reward/markdown", "reward/table"])
def test_words_about_styles_and_styles_that_show_are_no_hiding(name):
    gold = TABLE.replace("<td>a", "<td>clip at position: 5")
    for style in ("font-size: 0.9em", "border: 1px solid #000; padding: 0", "color: rgb(9, 9, 9)"):
        assert judged(name, gold, gold.replace("<table>", f"<table style='{style}'>")).value == 1.0
    for style in ("font-size: 0", "display:none", "color: rgba(0,0,0,0)", "margin-left:-999px"):
        assert judged(name, gold, gold.replace("<table>", f"<table style='{style}'>")).value == 0.0


def test_an_answer_is_too_long_without_its_thoughts_or_with_more_than_may_be_read():
    thoughts = [f"<think>{'x' * length}</think>" for length in (900_000, 1_000_000)]
    said = [judged("reward/choice", "B", f"{thought}B") for thought in thoughts]
    assert [one.value for one in said] == [1.0, 0.0]
    assert said[1].reason == "1,000,016 characters with the thoughts; at most 1,000,000 are judged"
    assert judged("reward/choice", "B", "x" * 2001).reason == "2,001 characters; at most 2,000 are judged"


@pytest.mark.parametrize("name", sorted({name for name, *_ in GOOD}))
def test_what_stands_round_an_answer_changes_nothing(name):
    gold = HONEST[name][0][0]
    for form in WRAPPED:
        if form.endswith("}**") and name in ("reward/json", "reward/table"):
            continue  # Emphasis round a structure is none of it.
        assert judged(name, gold, form.format(gold)).value == 1.0, form


READ = [
    (
        "dial",
        "28",
        {"unit": "V"},
        ("28.0", "28 V", "28 volts", "28v"),
        ("28 K", "28 bar", ">28", "27", "56/2"),
    ),
    ("dial", "300", {"unit": "K"}, ("300 K", "300", "300 kelvin"), ("300 V", "300000")),
    ("dial", "0.4", {"unit": "bar"}, ("0.40", "0.4 bar", ".4"), ("4", "0.4 psi")),
    (
        "dial",
        "-5",
        {"unit": "\u00b0C"},
        ("\u22125 \u00b0C", "-5 degrees Celsius", "-5.0"),
        ("5", "-5 \u00b0F"),
    ),
    ("geometry", "60", {"unit": "\u00b0"}, ("60 degrees", "60\u00b0", "60.0"), ("60 cm", "61 degrees")),
    ("picture_arithmetic", "-7", {}, ("\u22127", "-7", "-7.0"), ("7", "12 - 19", "-14/2")),
    ("maze", "12", {}, ("12", "12.0"), ("13", "12 or 13", "24/2")),
    ("count_where", "3", {}, ("3", "3.0"), ("4", "3 or 4")),
    ("count_over_time", "3", {}, ("3", "3.0"), ("4", "6/2")),
    ("clock", "3:05", {}, ("03:05", "3:05"), ("3:50", "5:03", "15:05")),
]


@pytest.mark.parametrize(("task", "gold", "truth", "right", "wrong"), READ)
def test_tasks_with_numbers_take_every_way_to_write_them(task, gold, truth, right, wrong):
    verifier = build(resolve(f"task/{task}").judge(None))
    sample = Sample("t", "test", 0, [], gold, Scene(""), truth=truth)
    rewards = verifier.judge(sample, [*right, *wrong])
    assert [reward.value for reward in rewards] == [1.0] * len(right) + [0.0] * len(wrong)


CAPTION = {
    "attributes": ["red hat", "blue sofa", ["hat left of sofa", "sofa right of hat"]],
    "absent": ["dog"],
}


@pytest.mark.parametrize(
    ("caption", "value"),
    [
        ("A red hat is to the left of a blue sofa.", 1.0),
        ("On the left is a red hat; right of it a blue sofa.", 1.0),
        ("A red hat; to its right is a blue sofa.", 1.0),
        ("A blue sofa stands to the right of the red hat without a dog.", 1.0),
        ("red hat is missing; blue sofa is missing; hat left of sofa is false", 0.0),
        ("The red hat is not there, the blue sofa isn't there.", 0.0),
        ("A red hat is to the right of a blue sofa.", 2 / 3),
        ("A red hat left of a blue sofa, no red shoes.", 1.0),
        ("A red hat left of a blue sofa, without hats anywhere.", 1 / 3),
        ("A red hat left of a blue sofa, possibly outdoors.", 1.0),
        ("A red hat left of a blue sofa, which may be in a house.", 1.0),
        ("A red hat left of a blue sofa, which may be in a hat.", 0.0),
        ("A red hat left of a blue sofa, possibly a green one.", 0.0),
        ("A red or green hat left of a blue sofa.", 0.0),
    ],
)
def test_a_caption_is_worth_what_it_says_and_does_not_deny(caption, value):
    sample = Sample("t", "test", 0, [], "", Scene(""), truth=CAPTION)
    assert build({"use": "reward/attributes"}).judge(sample, [caption])[0].value == pytest.approx(value)


@pytest.mark.parametrize(
    ("wording", "caption", "value"),
    [
        *(("猫", "有猫，没有狗。", 1.0), ("猫", "有猫，没有猫。", 0.0), ("黑猫", "黑猫，没有猫。", 0.0)),
        *(("红帽子", "红帽子，没有红鞋子。", 1.0), ("红帽子", "红帽子，没有帽子。", 0.0)),
        ("sombrero rojo", "Un sombrero rojo, sin rojos zapatos.", 1.0),
        ("sombrero rojo", "Un sombrero rojo, no hay sombrero alguno.", 0.0),
        ("roter hut", "Ein roter Hut, keine roter Schuh.", 1.0),
        ("roter hut", "Ein roter Hut, kein Hut ist da.", 0.0),
    ],
)
def test_a_denial_of_another_thing_costs_nothing(wording, caption, value):
    sample = Sample("t", "test", 0, [], "", Scene(""), truth={"attributes": [wording]})
    assert build({"use": "reward/attributes"}).judge(sample, [caption])[0].value == value


@pytest.mark.parametrize(
    ("caption", "value"),
    [
        ("no entry above england", 1.0),
        ("No entry stands over England.", 1.0),
        ("there is no no entry above england", 1 / 3),
        ("england above no entry", 1 / 3),
    ],
)
def test_names_that_deny_are_names_also_within_longer_ones(caption, value):
    truth = {
        "attributes": ["no entry", "england", ["no entry above england", "no entry over england"]],
        "absent": ["no smoking", "england above no entry"],
    }
    sample = Sample("t", "test", 0, [], "", Scene(""), truth=truth)
    assert build({"use": "reward/attributes"}).judge(sample, [caption])[0].value == pytest.approx(value)


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("cat, dog", "cat and dog", 1.0),
        ("cat, dog", "cat > dog", 1.0),
        ("cat, dog", "cat, then dog", 1.0),
        ("salt and pepper, dog", "salt and pepper and dog", 1.0),
        ("cat, dog", "dog and cat", 0.0),
        ("cat, dog", "cat or dog", 0.0),
    ],
)
def test_a_sequence_may_be_said_in_words(gold, answer, value):
    sample = Sample("t", "test", 0, [], gold, Scene(""))
    assert build({"use": "reward/sequence", "whole": True}).judge(sample, [answer])[0].value == value


class Given(Verifier):
    """Fails on `fail`, else gives the same value."""

    def __init__(self, value: float, on_error) -> None:
        super().__init__(on_error=on_error)
        self.value = value

    def score(self, sample, response):
        if response == "fail":
            raise OSError("broken")
        return Reward(self.value)


def wholes(part, other, policy) -> dict[str, Verifier]:
    from vlmloom.components.reward.boxed import Boxed
    from vlmloom.components.reward.combine import All, First, Mean, Product
    from vlmloom.components.reward.rule_then_judge import RuleThenJudge

    parts = {"one": part, "other": other}
    part.on_error = policy if part.on_error is None else part.on_error
    return {
        "all": All(parts=parts, on_error=policy),
        "mean": Mean(parts=parts, on_error=policy),
        "product": Product(parts=parts, on_error=policy),
        "first": First(parts=parts, on_error=policy),
        "rule then judge": RuleThenJudge(rule=Given(0.5, "skip"), judge=part),
        "boxed": Boxed(verifier=part, strict=False, on_error=policy),
    }


@pytest.mark.parametrize("name", ["all", "mean", "product", "first", "rule then judge", "boxed"])
@pytest.mark.parametrize("inner", ["skip", "raise", 0.25])
@pytest.mark.parametrize("outer", ["skip", "raise", 0.25])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_failure_is_told_by_every_whole_and_is_never_a_verdict(name, inner, outer, value):
    """Whatever the two policies are, the value is none or theirs, and its neighbours are as they were."""
    whole = wholes(Given(value, inner), Given(0.5, inner), outer)[name]
    sample = Sample("t", "test", 0, [], "x", Scene(""))
    wrap = "<|begin_of_box|>{}<|end_of_box|>".format if name == "boxed" else str
    answers = [wrap("good"), wrap("fail"), wrap("good")]
    alone = [whole.judge(sample, [answer])[0] for answer in answers[::2]]
    assert all(reward.error is None for reward in alone)
    try:
        found = whole.judge(sample, answers)
    except VerifierFailed as error:
        assert "raise" in (inner, outer) and "broken" in str(error)
        return
    assert [found[0], found[2]] == alone
    assert "broken" in found[1].error
    assert found[1].value in (None, 0.25) and (found[1].value is None or 0.25 in (inner, outer))
