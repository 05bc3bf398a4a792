"""Words without a layout, and layouts that lose their words, on pages of `task/design2code`."""

import re

import pytest
from chromium_here import need_chromium
from scenes import task

from vlmloom.registry import build

TEXT = re.compile(r">([^<>]*[^<>\s][^<>]*)<")
STYLE = re.compile(r" style=(['\"]).*?\1", re.DOTALL)
ITEMS = (0, 3, 4)


@pytest.fixture(scope="module")
def worth():
    """A function that judges answers to one item."""
    need_chromium()
    verifier = build({"use": "reward/html"})

    def judged(index, *answers):
        rewards = verifier.judge(task("design2code").plan("test", index), answers)
        assert [reward.error for reward in rewards] == [None] * len(answers)
        return [reward.value for reward in rewards]

    return judged


def page(index):
    return task("design2code").plan("test", index).answer


def texts(html):
    return [found[1].strip() for found in TEXT.finditer(html)]


def put(html, place, text):
    """The page with another text at a place, negative from the end."""
    found = list(TEXT.finditer(html))[place]
    return html[: found.start(1)] + text + html[found.end(1) :]


def longest(html):
    place = max(range(len(texts(html))), key=lambda n: len(texts(html)[n]))
    words = texts(html)[place].split()
    return place, " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def fewer(html, steps):
    """The page, and with more and more of its last texts gone."""
    pages, count = [html], len(texts(html))
    for step in range(1, steps + 1):
        for _ in range(count * step // steps - count * (step - 1) // steps):
            html = put(html, -1, "")
        pages.append(html)
    return pages


@pytest.mark.browser
@pytest.mark.parametrize("index", ITEMS)
def test_a_heap_of_words_is_worth_what_a_page_without_words_is(worth, index):
    words = " ".join(texts(page(index))).split()
    heap, lines = " ".join(words), "\n".join(texts(page(index)))
    heaps = [f"<p>{heap}</p>", f"<h1>{heap}</h1>", f"<body>{heap}</body>", f"<pre>{lines}</pre>"]
    heaps += [f"<p style='font-size:11px;width:300px'>{heap}</p>"]
    parts = [f"<p>{' '.join(words[: len(words) * n // 8])}</p>" for n in range(8, -1, -1)]
    values = worth(index, "<body></body>", *heaps)
    assert max(values) < 0.25 and max(values) <= values[0] + 1e-9
    shorter = worth(index, *parts)
    assert shorter == sorted(shorter, reverse=True)


@pytest.mark.browser
@pytest.mark.parametrize("index", ITEMS)
def test_the_more_of_a_layout_the_better(worth, index):
    gold = page(index)
    sections = "".join(f"<p>{' '.join(texts(line))}</p>" for line in gold.split("\n")[1:-1])
    lines = "".join(f"<div>{text}</div>" for text in texts(gold))
    spot = "".join(f"<div style='position:absolute;top:240px'>{text}</div>" for text in texts(gold))
    larger = re.sub(r"font-size:(\d+)px", lambda size: f"font-size:{1.4 * int(size[1]):.0f}px", gold)
    whole, large, bare, lined, heap, piled = worth(
        index, gold, larger, STYLE.sub("", gold), lines, sections, spot
    )
    assert whole == 1 and 0.5 < large < 0.8 and piled < large
    assert heap < min(bare, lined) and max(bare, lined) < 0.55 and heap < 0.3


@pytest.mark.browser
@pytest.mark.parametrize("index", ITEMS)
def test_less_of_a_page_is_worth_less(worth, index):
    gold = page(index)
    styles = list(STYLE.finditer(gold))
    plainer = [gold]
    for count in (len(styles) // 4, len(styles) // 2, len(styles)):
        html = gold
        for style in reversed(styles[-count:]):
            html = html[: style.start()] + html[style.end() :]
        plainer.append(html)
    for pages in (fewer(gold, 5), plainer):
        values = worth(index, *pages)
        assert values == sorted(values, reverse=True) and len(set(values)) == len(pages)


@pytest.mark.browser
@pytest.mark.parametrize("index", ITEMS)
def test_a_paragraph_that_is_split_or_wraps_otherwise_stays_nearly_whole(worth, index):
    gold = page(index)
    place, first, second = longest(gold)
    spans, blocks, narrow = worth(
        index,
        put(gold, place, f"<span>{first}</span> <span>{second}</span>"),
        put(gold, place, f"<div>{first}</div><div>{second}</div>"),
        put(gold, place, f"<span style='display:inline-block;max-width:120px'>{first} {second}</span>"),
    )
    assert spans > 0.98 and blocks > 0.85 and narrow > 0.94


@pytest.mark.browser
def test_a_list_with_line_breaks_is_the_list(worth):
    gold = page(0)
    found = re.search(r"<ul[^>]*>.*?</ul>", gold, re.S)
    items = re.findall(r"<li[^>]*>(.*?)</li>", found[0])
    style = "line-height:20px;font-size:13px;padding-left:20px"
    broken = gold.replace(found[0], f"<div style='{style}'>{'<br>'.join(items)}</div>")
    assert len(items) > 1 and worth(0, broken)[0] > 0.98
