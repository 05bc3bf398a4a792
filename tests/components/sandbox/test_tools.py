import numpy as np
import pytest

from vlmloom.components.sandbox.tools import BadCall, Bench, calculated, queried, read_call, spelled

TABLE = {"t": {"a": [1.0, 5.0, 3.0], "b": [1, 2, 3]}}


def test_a_call_is_read_as_it_is_spelled():
    for name, arguments in (
        ("calculate", {"expression": "1 < 2"}),
        ("crop_image", {"box": [1, 2, 3, 4]}),
        ("draw_boxes", {"boxes": [[1, 2, 3, 4], [5, 6, 7, 8]]}),
    ):
        if name != "calculate":
            assert read_call(f"I look.\n{spelled(name, arguments)}") == (name, arguments)
    assert read_call(spelled("calculate", {"expression": "1 + 2"})) == ("calculate", {"expression": "1 + 2"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "found 0 calls"),
        (spelled("calculate", {"expression": "1"}) * 2, "found 2 calls"),
        ("<tool_call>" + spelled("calculate", {"expression": "1"}), "one of the form"),
        (spelled("rm", {"path": "/"}), "there is no tool 'rm'"),
        (spelled("calculate", {}), "'expression' is a required property"),
        (spelled("calculate", {"expression": "1", "more": 2}), "Additional properties"),
        (spelled("crop_image", {"box": [1, 2, 3]}), "is too short"),
        (spelled("crop_image", {"box": [1, 2, 3, 4000]}), "greater than the maximum"),
        (spelled("crop_image", {"box": "all"}), "is not of type 'array'"),
        (spelled("draw_boxes", {"boxes": [[1, 2, 3, 4]] * 60}), "is too long"),
        ("<tool_call>calculate {'expression': 1}</tool_call>", "there is no tool"),
        (
            spelled("calculate", {"expression": "1"}).replace("</tool_call>", "x</tool_call>"),
            "not of the form",
        ),
    ],
)
def test_what_does_not_fit_is_told(text, reason):
    with pytest.raises(BadCall, match=reason):
        read_call(text)


def test_numbers_are_reckoned():
    assert calculated("(1.5 + 2) * -4 / 7") == -2.0 and calculated("0.1 + 0.2") == 0.3


@pytest.mark.parametrize(
    "text",
    ["", "1 / 0", "9 ** 9 ** 9", "__import__('os')", "a", "1 if 1 else 2", "'1' * 9", "(" * 900,
     "2 ** 0.5 ** -99", "(-8) ** 0.5", "1e308 * 1e308 ** 2", "True + True", "1000000 ** 64", "1e308 * 10"],
)  # fmt: skip
def test_what_is_no_sum_is_refused(text):
    with pytest.raises(BadCall, match=r"^calculate: "):
        calculated(text)


def test_tables_are_queried_in_the_sandbox():
    assert queried("SELECT MAX(a) FROM t WHERE b > 1", TABLE) == [[5.0]]
    assert queried("SELECT a FROM t ORDER BY a", TABLE) == [[1.0], [3.0], [5.0]]
    for sql in ("SELECT (((", "DROP TABLE t", "nonsense", "SELECT z FROM t", "SELECT a FROM other"):
        with pytest.raises(BadCall, match=r"^query_table: "):
            queried(sql, TABLE)


def test_tools_do_what_they_say():
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[50:, 100:] = 255
    bench = Bench(picture, [("one", (0, 0, 100, 100)), ("two", (500, 500, 600, 600))], TABLE)
    part = bench.use("crop_image", {"box": [500, 500, 1000, 1000]})
    assert part.shape == (100, 200, 3) and part.min() == 255
    assert bench.use("read_text", {"box": [400, 400, 700, 700]}) == "two"
    assert bench.use("read_text", {"box": [900, 900, 950, 950]}) == "nothing"
    assert bench.use("calculate", {"expression": "2 * 3"}) == "6"
    drawn = bench.use("draw_boxes", {"boxes": [[100, 100, 200, 300]]})
    assert tuple(drawn[10, 30]) == (255, 0, 0) and (picture[10, 30] == 0).all()
    assert bench.drawn == [[100, 100, 200, 300]]
    with pytest.raises(BadCall, match=r"^crop_image: found the box \[5, 5, 5, 5\]; x1 < x2 and y1 < y2"):
        bench.use("crop_image", {"box": [5, 5, 5, 5]})
    with pytest.raises(BadCall, match=r"^crop_image: there is no picture$"):
        Bench().use("crop_image", {"box": [0, 0, 5, 5]})
