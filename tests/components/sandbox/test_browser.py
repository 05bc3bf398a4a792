"""Pages that try to get out, to hang or to grow, in a real Chromium; and one that is killed."""

import os
import signal
import socket
import threading
import time

import psutil
import pytest
from chromium_here import need_chromium

from vlmloom.components.sandbox.browsers import Browsers, BrowsersBusy, allowed
from vlmloom.components.sandbox.chromium import (
    BrowserMissing,
    BrowserOverran,
    BrowserStopped,
    Chromium,
    version,
)
from vlmloom.components.sandbox.page import Page
from vlmloom.registry.errors import UserError

pytestmark = pytest.mark.browser
SIZE = {"width": 200, "height": 150}
SECRET = "the-secret-of-the-host"


@pytest.fixture(scope="module")
def page():
    need_chromium()
    page = Page(Chromium(seconds=10))
    yield page
    page.browser.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("host") / "secret.html"
    path.write_text(f"<body>{SECRET}</body>")
    return path


@pytest.fixture
def server():
    """A real server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        yield listening.getsockname()[1], listening


def silent(listening) -> bool:
    try:
        listening.accept()
    except TimeoutError:
        return True
    return False


def test_a_page_is_drawn_and_read(page):
    page.show("<body style='margin:0;background:#00ff00'><p>one</p></body>", **SIZE)
    assert page.screenshot().shape == (150, 200, 3)
    assert tuple(page.screenshot()[140, 190]) == (0, 255, 0)
    assert page.evaluate("document.body.innerText") == "one"
    page.show("<div style='height:400px;background:red'></div>", **SIZE)
    assert page.screenshot(whole=True).shape[0] >= 400


def test_a_long_text_is_typed_soon_and_ends_with_keys(page, tmp_path):
    pressed = "onkeydown='this.title = 1 + Number(this.title)'"
    (tmp_path / "a.html").write_text(f"<textarea autofocus {pressed}></textarea>")
    page.show(folder=tmp_path, path="a.html", scripts=True, **SIZE)
    page.click(20, 20)
    began = time.monotonic()
    for text in ("ab\n", "c" * 3000):
        page.type(text)
    assert time.monotonic() - began < 10
    field = "document.querySelector('textarea')"
    assert page.evaluate(f"{field}.value") == "ab\n" + "c" * 3000
    assert page.evaluate(f"{field}.title") == str(3 + 100)


def test_scripts_of_an_answer_do_not_run(page):
    page.show("<body onload='document.title=1'><script>document.title = 'ran'</script>x", **SIZE)
    assert page.evaluate("document.title") == ""


EMBEDDINGS = (
    "<iframe src='{0}'></iframe>", "<img src='{0}'>", "<object data='{0}'></object>", "<embed src='{0}'>",
    "<link rel=stylesheet href='{0}'>", "<style>@import url('{0}');</style>", "<video src='{0}'></video>",
    "<meta http-equiv=refresh content='0;url={0}'>", "<base href='{0}'><img src='a.png'>",
    "<svg xmlns='http://www.w3.org/2000/svg'><image href='{0}' width='9' height='9'/></svg>",
)  # fmt: skip
SCRIPTS = (
    "location = '{0}'", "fetch('{0}')", "window.open('{0}')", "new WebSocket('{0}'.replace('http', 'ws'))",
    "navigator.sendBeacon('{0}', 'x')", "new Worker('{0}')",
    "document.body.append(Object.assign(document.createElement('script'), {{src: '{0}'}}))",
)  # fmt: skip
INSIDE = """document.documentElement.innerText + [...document.querySelectorAll('iframe,object')].map(
    frame => { try { return frame.contentDocument.body.innerText } catch (e) { return '' } })"""


@pytest.mark.parametrize("scripts", [False, True])
def test_nothing_is_fetched_from_the_host_or_the_network(page, secret, server, scripts):
    port, listening = server
    later = "<script>addEventListener('load', () => {{ {} }})</script>"
    ways = [later.format(one) for one in SCRIPTS] if scripts else EMBEDDINGS
    for target in (secret.as_uri(), f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"):
        for way in ["".join(ways), ways[7 % len(ways)]]:
            text = way.replace("{0}", target).replace("{{", "{").replace("}}", "}")
            page.show(f"<body>kept{text}</body>", scripts=scripts, **SIZE)
            page.settle(0.1)
            seen = page.evaluate(INSIDE)
            assert SECRET not in seen and "kept" in seen
    assert silent(listening)


def test_an_svg_fetches_nothing_either(page, secret, server):
    port, listening = server
    for target in (secret.as_uri(), f"http://127.0.0.1:{port}/a.png"):
        inner = f"<iframe xmlns='http://www.w3.org/1999/xhtml' src='{target}'/>"
        svg = (
            "<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'>"
            f"<image href='{target}' width='9' height='9'/>"
            f"<foreignObject width='9' height='9'>{inner}</foreignObject>"
            "<rect y='50' width='50' height='49' fill='red'/></svg>"
        )
        page.show(svg, kind="image/svg+xml", **SIZE)
        assert tuple(page.screenshot()[75, 25]) == (255, 0, 0)
    assert silent(listening)


def test_files_of_ours_are_served_from_their_folder_alone(page, tmp_path, secret):
    (tmp_path / "index.html").write_text(
        "<link rel=stylesheet href='a.css'><iframe src='../secret.html'></iframe>"
        "<iframe src='/link.html'></iframe>"
    )
    (tmp_path / "a.css").write_text("body { background: rgb(0, 0, 255) }")
    (tmp_path / "link.html").symlink_to(secret)
    page.show(folder=tmp_path, path="index.html", **SIZE)
    assert tuple(page.screenshot()[140, 190]) == (0, 0, 255)
    assert any("link.html" in url for url in page.blocked)
    with pytest.raises(FileNotFoundError, match=r"^page nowhere\.html: "):
        page.show(folder=tmp_path, path="nowhere.html", **SIZE)


HANGS = {
    "a loop": "<script>setTimeout(() => { while (true) {} }, 20)</script>",
    "dialogs without end": "<script>while (true) alert('x')</script>",
    "memory": "<script>let a = []; while (true) a.push(new Uint8Array(1e7).fill(7))</script>",
    "huge canvases": """<script>let a = []; while (true) { let c = document.createElement('canvas');
        c.width = c.height = 8000; let x = c.getContext('2d'); x.fillRect(0, 0, 8000, 8000);
        a.push(x.getImageData(0, 0, 8000, 8000)) }</script>""",
}


@pytest.mark.parametrize("name", HANGS)
def test_what_hangs_or_grows_is_killed_whole(name):
    need_chromium()
    page = Page(Chromium(seconds=1.2, memory=600 << 20))
    page.show("<p>well</p>", **SIZE)
    pid = page.browser.pid
    family = psutil.Process(pid).children(recursive=True)
    start = time.monotonic()
    with pytest.raises(BrowserStopped):
        page.show(HANGS[name], scripts=True, **SIZE)
        page.settle(0.1)
        page.screenshot()
    assert time.monotonic() - start < 8
    alive = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not psutil.pid_exists(pid) and alive == []


def test_a_page_that_never_loads_is_given_up(monkeypatch):
    need_chromium()
    page = Page(Chromium())
    page.show("<p>well</p>", **SIZE)
    monkeypatch.setattr(page, "_serve", lambda session, parameters: None)
    ended = pytest.raises(BrowserOverran, match=r"^the browser took longer than 1 s and was ended$")
    with ended, page.browser.within(1):
        page.show("<p>never</p>", **SIZE)
    monkeypatch.undo()
    page.show("<p>again</p>", **SIZE)
    assert page.evaluate("document.body.innerText") == "again"
    page.browser.close()


def test_a_killed_browser_is_started_again_and_no_work_is_lost():
    need_chromium()
    browsers = Browsers(count=2)
    killed = []

    def work(number):
        def draw(page):
            page.show(f"<p>{number}</p>", **SIZE)
            if number == 2 and not killed:
                killed.append(page.browser.pid)
                os.kill(page.browser.pid, signal.SIGKILL)
            return page.evaluate("document.body.innerText")

        return draw

    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: browsers.run(work(n))})) for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: str(n) for n in range(5)} and len(killed) == 1
    assert (browsers.counts["stopped"], browsers.counts["retried"], browsers.counts["lost"]) == (1, 1, 0)

    def always(page):
        page.show("<p>x</p>", **SIZE)
        os.kill(page.browser.pid, signal.SIGKILL)
        page.screenshot()

    with pytest.raises(BrowserStopped, match=r"^the browser ended by itself$"):
        browsers.run(always)
    assert browsers.counts["lost"] == 1
    browsers.close()


def test_too_many_at_once_are_told_in_one_line():
    need_chromium()
    browsers = Browsers(count=1, seconds=0.01)
    page = browsers.lend()
    with pytest.raises(BrowsersBusy, match=r"^all 1 browsers are lent out; .*VLMLOOM_BROWSERS"):
        browsers.lend()
    browsers.give_back(page)
    assert browsers.lend() is page


def test_no_chromium_is_one_line(monkeypatch):
    monkeypatch.setenv("VLMLOOM_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(
        BrowserMissing, match=r"^browser: VLMLOOM_CHROMIUM=/nowhere/chromium is no program; .*"
    ):
        Browsers().lend()
    monkeypatch.delenv("VLMLOOM_CHROMIUM")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BrowserMissing, match=r"^browser: no Chromium was found; apt-get install chromium"):
        Browsers().lend()


def test_a_program_that_is_no_browser_is_told_in_one_line(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("VLMLOOM_CHROMIUM", str(program))
    with pytest.raises(
        BrowserMissing, match=rf"^browser: {program} ended as soon as it was started; [^\n]*$"
    ):
        Chromium().start()
    version.cache_clear()
    with pytest.raises(BrowserMissing, match=rf"^browser: {program} --version: [^\n]* would be right$"):
        version()


def test_nothing_is_left_behind(page):
    page.show("<p>x</p>", **SIZE)
    folder = page.browser._folder
    assert folder.is_dir()
    page.browser.close()
    assert not folder.exists()


@pytest.mark.parametrize("text", ["abc", "0", "-1", ""])
def test_a_number_of_browsers_that_is_none_is_told(text, monkeypatch):
    monkeypatch.setenv("VLMLOOM_BROWSERS", text)
    with pytest.raises(UserError, match=f"VLMLOOM_BROWSERS is {text!r}; a whole number"):
        allowed()
