import doctest
import re
from dataclasses import replace

import pytest

from vlmloom.pipelines.report import build_document, page, plots, render, svg, wording


@pytest.fixture(scope="module")
def document(comparison):
    return build_document(comparison, resamples=200)


@pytest.fixture(scope="module")
def html(document, comparison):
    return render(document, comparison.examples)


@pytest.mark.parametrize("module", [wording, svg])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_what_models_wrote_is_text_and_never_markup(html):
    assert "<script" not in html.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;hot&lt;/b&gt; dog" in html


def test_names_are_escaped_in_plots(document):
    hostile = "<img src=x onerror=alert(1)>"
    row = document["differences"][0]
    plot = plots.forest(document, [(hostile, row)], "n", hostile + '"', [row["design"]], (-1, 1))
    assert "<img" not in plot
    assert 'onerror=alert(1)>"' not in plot


def test_page_asks_for_nothing_from_outside(html):
    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!data:|#)[^"]*"', html) == []
    assert "@import" not in html
    assert "url(" not in html


def test_verdict_is_made_from_the_numbers(document):
    sentences = wording.verdict(document)
    lead = wording.between(document, "native", "adapter", "test")
    assert sentences[0].startswith(f"native leads: {wording.points(lead['difference'])} points over adapter")
    assert any(sentence.startswith("cascade gains +") and "over blind" in sentence for sentence in sentences)


def test_verdict_says_when_designs_cannot_be_told_apart(document):
    even = [
        row | {"low": -0.01, "high": 0.03}
        if {row["design"], row["against"]} == {"native", "adapter"}
        else row
        for row in document["differences"]
    ]
    sentences = wording.verdict(document | {"differences": even})
    assert any(sentence.startswith("native and adapter cannot be told apart: ") for sentence in sentences)


def test_verdict_says_when_seeds_disagree(document):
    apart = [
        row | {"low": 0.01, "high": 0.03, "points": [{"seed": 0, "difference": -0.01}]}
        if (row["design"], row["against"]) == ("native", "adapter")
        else row
        for row in document["differences"]
    ]
    assert (
        "over adapter (+1.0 to +3.0), though not in every seed"
        in wording.verdict(document | {"differences": apart})[0]
    )


def test_partial_report_says_so_first(make_comparison):
    done = [(design, 0) for design in ("native", "adapter", "cascade", "blind", "oracle")]
    partial = make_comparison(done=done, items=20, splits=("test",))
    html = render(build_document(partial, resamples=100), partial.examples)
    assert html.index("Partial report.") < html.index('id="accuracy"')
    assert "native (seed 1)" in html
    assert "tuxpaint-stamps is not installed" in html


def test_complete_report_does_not_call_itself_partial(html):
    assert "Partial report." not in html


def test_configurations_are_compared_with_the_first(html):
    assert "native → adapter" in html
    assert '<span class="removed">-  projector: {use: projector/merger}</span>' in html
    assert '<span class="added">+  projector: {use: projector/mlp}</span>' in html


def test_pictures_that_are_not_png_are_refused(document, comparison):
    with pytest.raises(ValueError, match="pictures of examples are PNG files") as caught:
        render(document, [replace(comparison.examples[0], pictures=[b"GIF89a"])])
    print(caught.value)


def test_two_designs_and_no_reference(make_comparison):
    pair = replace(make_comparison(designs=["native", "adapter"], items=20), reference=None, oracles={})
    html = render(build_document(pair, resamples=100), [])
    assert "No design was trained with pictures withheld" in html
    assert 'data-plot="difference-native-adapter"' in html


def test_many_designs_are_compared_with_the_first_only(make_comparison):
    many = replace(make_comparison(items=20, splits=("test",)), reference=None, oracles={})
    titles = [panel["title"] for panel in page._forests(build_document(many, resamples=100))[1:]]
    assert [title.split()[-1] for title in titles] == ["native"] * 4


def test_curves_are_thinned_within_a_stage():
    places = [(float(index), 1.0, "a" if index < 900 else "b") for index in range(1800)]
    thin = plots._thin(places, smooth=True)
    assert len(thin) <= plots.CURVE_POINTS
    assert thin[-1] == places[-1]
    assert [place[2] for place in thin] == sorted(place[2] for place in thin)
    assert (899.0, 1.0, "a") in thin


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.034, 0.71), (0, 1.92e13), (3, 3), (-1e-4, 2e-4)])
def test_ticks_are_few_round_and_inside(low, high):
    axis = svg.Axis(low, high, 0, 100)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 11
    assert all(axis.low - 1e-9 <= tick <= axis.high * (1 + 1e-9) + 1e-9 for tick in ticks)
