"""The client of endpoints: what it asks again, how long it waits, and what it says when it gives up."""

import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from judge_server import serving

from vlmloom.components.endpoint import chat
from vlmloom.components.endpoint.chat import Chat, Completion, Failed

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "half a \ud800 character"}]}


@pytest.fixture
def waits(monkeypatch):
    """The pauses, of which none is made."""
    found = []
    monkeypatch.setattr(chat, "sleep", found.append)
    return found


def replies(*given):
    """One after the other, the last one for ever."""
    return lambda request, number: given[min(number, len(given)) - 1]


def test_a_completion_is_read_whatever_its_form():
    parts = [{"type": "text", "text": "a "}, {"type": "image_url"}, {"type": "text", "text": "cat"}]
    message = {"content": parts, "refusal": None}
    usage = {"prompt_tokens": 7, "completion_tokens_details": {}}
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode()
    with serving(replies("plain", (200, {}, raw))) as server:
        asking = Chat(server.url + "/")
        assert asking.ask(REQUEST) == Completion("plain", "", "stop")
        assert asking.ask(REQUEST) == Completion("a cat", "", "stop", {"prompt_tokens": 7})
    assert server.requests[0] == REQUEST and "Authorization" not in server.headers[0]


def test_pauses_double_or_are_as_long_as_the_server_asks(waits):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    faults = [
        (429, {"Retry-After": "3"}, b""),
        (503, {}, b""),
        (500, {"Retry-After": "nan"}, b""),
        (429, {"Retry-After": soon}, b""),
        (429, {"Retry-After": "9999"}, b""),
    ]
    with serving(replies(*faults, "there")) as server:
        assert Chat(server.url, tries=6, pause=0.05).ask(REQUEST) == Completion("there", "", "stop", tries=6)
    assert waits[0] == 3 and 0.07 < waits[1] < 0.13 and 0.14 < waits[2] < 0.26
    assert 15 < waits[3] <= 20 and waits[4] == chat.LONGEST_PAUSE


def test_what_is_refused_is_not_asked_again_and_the_key_is_not_told(waits):
    with serving(replies((401, {}, b"hush is\nno key"))) as server, pytest.raises(Failed) as fault:
        Chat(server.url).ask(REQUEST, "hush\n")
    assert str(fault.value) == "HTTP 401: [the key] is no key" and fault.value.tries == 1
    assert server.headers[0]["Authorization"] == "Bearer hush" and waits == []
    for key in ("hu\nsh", "hush\N{SNOWMAN}"):
        with pytest.raises(Failed, match="the key holds signs that no header can; ") as fault:
            Chat(server.url).ask(REQUEST, key)
        assert "hu" not in str(fault.value)


def test_the_last_fault_is_told_with_the_tries(waits):
    with serving(replies((500, {}, b""), (200, {}, b"<html>"))) as server, pytest.raises(Failed) as fault:
        Chat(server.url, tries=3).ask(REQUEST)
    assert str(fault.value) == "the endpoint answered '<html>', which is no chat completion"
    assert fault.value.tries == 3 and len(waits) == 2
    # Nobody listens any more.
    with pytest.raises(Failed, match="ConnectionRefusedError: ") as fault:
        Chat(server.url, tries=2).ask(REQUEST)
    assert fault.value.tries == 2


def test_time_and_size_are_bounded():
    def late(request, number):
        time.sleep(0.6)
        return "late"

    with serving(late) as server:
        with pytest.raises(Failed, match=r"no reply within 0\.2 seconds") as fault:
            Chat(server.url, tries=2, timeout=0.2, pause=0).ask(REQUEST)
        assert fault.value.tries == 2
        before = time.monotonic()
        with pytest.raises(Failed, match=r"no reply within 0\.3 seconds") as fault:
            Chat(server.url, tries=9, total=0.3).ask(REQUEST)
        assert fault.value.tries == 1 and time.monotonic() - before < 0.6
    with serving(replies((200, {}, b" " * 2000))) as server:
        with pytest.raises(Failed, match="a reply of more than 1,000 bytes") as fault:
            Chat(server.url, most_bytes=1000).ask(REQUEST)
        assert fault.value.tries == 1


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.0 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_trickles_is_cut_off_wherever_it_is(begins):
    def trickle():
        held, _ = listening.accept()
        with held:
            held.sendall(begins)
            while not over.wait(0.03):
                try:
                    held.sendall(b"a")
                except OSError:
                    return

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        before = time.monotonic()
        with pytest.raises(Failed, match=r"no reply within 0\.3 seconds"):
            Chat(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", tries=1, timeout=0.3).ask(REQUEST)
        assert time.monotonic() - before < 2
        over.set()
        thread.join()


@pytest.mark.parametrize("url", ["localhost", "ftp://x", "http:///v1"])
def test_an_address_is_an_address(url):
    with pytest.raises(ValueError, match=f"^{url} is no address; http://localhost:8000/v1 would be right$"):
        Chat(url)
