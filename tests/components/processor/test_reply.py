"""What a model writes, taken apart: reasoning, content, boxes, calls with typed arguments, and faults."""

import random

import pytest

from vlmloom.components.contracts.conversation import Conversation, Message, Reply, ToolCall
from vlmloom.components.processor.arguments import Malformed, typed
from vlmloom.components.processor.glm_chat import GlmChat

ZOOM = {
    "type": "function",
    "function": {
        "name": "zoom",
        "parameters": {
            "type": "object",
            "properties": {
                "box": {"type": "array"},
                "factor": {"type": "number"},
                "times": {"type": "integer"},
                "sharp": {"type": "boolean"},
                "note": {"type": "string"},
                "style": {"enum": ["soft", "hard", 3]},
                "extra": {"anyOf": [{"type": "object"}, {"type": "null"}]},
                "either": {"type": ["string", "integer"]},
                "any": {},
            },
            "required": ["box"],
        },
    },
}
SEARCH = {
    "name": "search",
    "parameters": {"properties": {"text": {"type": "string"}}, "additionalProperties": False},
}
TOOLS = [ZOOM, SEARCH]


@pytest.fixture(scope="module")
def chat(tokenizer):
    return GlmChat(tokenizer=tokenizer, thinking=True)


def written(name, **arguments):
    pairs = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in arguments.items()
    )
    return f"<tool_call>{name}\n{pairs}</tool_call>"


@pytest.mark.parametrize("as_ids", [False, True])
def test_the_parts_of_a_turn(chat, as_ids):
    text = (
        "<think>\nsmall print\n</think>\nLet me look.\n"
        + written("zoom", box="[1, 2]", note="[3]")
        + "\n"
        + written("search", text="a\n b ")
    )
    reply = chat.reply(chat.tokenizer.encode(text + "<|observation|>never read") if as_ids else text, TOOLS)
    assert reply == Reply(
        "Let me look.",
        "small print",
        None,
        (ToolCall("zoom", {"box": [1, 2], "note": "[3]"}), ToolCall("search", {"text": "a\n b "})),
    )
    assert reply.message() == Message("assistant", ["Let me look."], "small print", reply.calls)


@pytest.mark.parametrize(
    ("text", "content", "reasoning", "boxed"),
    [
        ("dog", "dog", "", None),
        ("<think></think>\ndog", "dog", "", None),
        ("thought</think>dog", "dog", "thought", None),  # The prompt opened the thought.
        ("<think>cut off", "", "cut off", None),
        ("It is <|begin_of_box|>[1,2]<|end_of_box|>.", "It is [1,2].", "", "[1,2]"),
        ("<|begin_of_box|>1<|end_of_box|> or <|begin_of_box|> 2 <|end_of_box|>", "1 or  2", "", "2"),
        ("<think>a</think><answer>\nb</answer>", "b", "a", None),
        ("<think>a</think><answer>b", "b", "a", None),
        ("", "", "", None),
    ],
)
def test_reasoning_content_and_boxes(chat, first_tokenizer, text, content, reasoning, boxed):
    expected = Reply(content, reasoning, boxed)
    assert chat.reply(text) == expected
    assert chat.reply(chat.tokenizer.encode(text)) == expected
    # In GLM-4.1V these marks are plain text to the tokenizer.
    first = GlmChat(tokenizer=first_tokenizer, release="4.1v")
    assert first.reply(first_tokenizer.encode(text)) == expected
    assert expected.answer == (content if boxed is None else boxed)


def test_a_written_turn_comes_back(chat):
    """Whatever texts and arguments hold, control tokens spelt out too."""
    draw = random.Random(0)
    strings = [
        "",
        "x",
        " two\nlines ",
        "</arg_value>",
        "<tool_call>",
        "[1]",
        "null",
        '"',
        "日本",
        "<|user|>",
        "5",
    ]
    kinds = {
        "box": lambda: [draw.choice([1, "a", None, {"b": "</tool_call>"}])],
        "factor": lambda: draw.choice([1, 2.5, -3e-5]),
        "times": lambda: draw.choice([0, -7, 10**20]),
        "sharp": lambda: draw.random() < 0.5,
        "note": lambda: draw.choice(strings),
        "style": lambda: draw.choice(["soft", 3]),
        "extra": lambda: draw.choice([None, {}, {"<think>": [1]}]),
    }
    for _ in range(200):
        calls = []
        for _ in range(draw.randint(0, 3)):
            names = ["box", *draw.sample([name for name in kinds if name != "box"], draw.randint(0, 6))]
            calls.append(ToolCall("zoom", {name: kinds[name]() for name in names}))
        content = draw.choice(["done", "two\n\nlines", "<think>?", "</tool_call>"])
        turn = Message(
            "assistant", [content], draw.choice(["hm", "</think>", "a\n<tool_call>"]), tuple(calls)
        )
        start = Conversation([Message("user", ["so?"])], TOOLS)
        prompt = chat.encode_conversation(start, [], prompt_only=True)
        whole = chat.encode_conversation(Conversation([*start.messages, turn], TOOLS), [])
        reply = chat.reply(whole.ids[len(prompt) :], TOOLS)
        assert reply.errors == ()
        assert reply.message() == turn


def test_types_follow_the_schema(chat):
    def value(name, text):
        reply = chat.reply(written("zoom", box="[]", **{name: text}), TOOLS)
        assert reply.errors == ()
        found = reply.calls[0].arguments[name]
        return found, type(found)

    assert value("factor", "2") == (2, int) and value("factor", " 2.5 ") == (2.5, float)
    assert value("times", "3") == (3, int) and value("sharp", "true") == (True, bool)
    assert value("note", "3") == ("3", str) and value("note", "null") == ("null", str)
    assert value("style", "3") == (3, int) and value("style", "soft") == ("soft", str)
    assert value("extra", "null") == (None, type(None)) and value("extra", '{"a": 1}') == ({"a": 1}, dict)
    assert value("either", "3") == (3, int) and value("either", "x3") == ("x3", str)
    assert value("either", "[3]") == ("[3]", str)
    assert value("any", "3") == (3, int) and value("any", "x") == ("x", str)
    assert value("unknown", "[1]") == ([1], list)
    # Without specifications what reads as JSON is JSON.
    assert chat.reply(written("f", a="1", b="x y")).calls == (ToolCall("f", {"a": 1, "b": "x y"}),)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<tool_call>zoom\n", "zoom is not closed by </tool_call>"),
        ("<tool_call></tool_call>", "has no name"),
        ("<tool_call>\n<arg_key>a</arg_key></tool_call>", "has no name"),
        (written("zom", box="[]"), "no tool is called zom; did you mean zoom?"),
        (written("paint"), "no tool is called paint; there are zoom, search"),
        (
            "<tool_call>zoom\n<arg_key>box</arg_key>\n</tool_call>",
            "zoom: the argument box has no <arg_value>",
        ),
        (
            "<tool_call>zoom\n<arg_key>box</arg_key>x<arg_value>1</arg_value></tool_call>",
            "zoom: the argument box has no <arg_value>",
        ),
        ("<tool_call>zoom\n<arg_key>box</tool_call>", "zoom: <arg_key> is not closed by </arg_key>"),
        (
            "<tool_call>zoom\n<arg_key>box</arg_key><arg_value>[1]</tool_call>",
            "zoom: <arg_value> is not closed by </arg_value>",
        ),
        (
            "<tool_call>zoom\n<arg_value>[1]</arg_value></tool_call>",
            'zoom: found "<arg_value>" where <arg_key> would',
        ),
        (
            "<tool_call>zoom\n" + "<arg_key>box</arg_key><arg_value>[1]</arg_value>" * 2 + "</tool_call>",
            "zoom: the argument box is given twice",
        ),
        (
            "<tool_call>zoom\n<arg_key>box</arg_key><arg_value>[1]</arg_value>, so</tool_call>",
            'zoom: found ", so" where <arg_key> would be right',
        ),
        (written("zoom", note="x"), "zoom: lacks the argument box"),
        (written("zoom", box="[1, 2"), 'zoom: box is "[1, 2", but the schema wants array'),
        (written("zoom", box="[]", times="2.0"), 'zoom: times is "2.0", but the schema wants integer'),
        (written("zoom", box="[]", times="true"), 'zoom: times is "true", but the schema wants integer'),
        (written("zoom", box="[]", extra="5"), 'zoom: extra is "5", but the schema wants null or object'),
        (written("zoom", box="[]", style="mild"), 'zoom: style is "mild", but may be "soft", "hard", 3'),
        (written("zoom", box="9" * 99), f'zoom: box is "{"9" * 37}...", but the schema wants array'),
        (written("zoom", box="[]", factor="NaN"), 'zoom: factor is "NaN", but the schema wants number'),
        (written("zoom", box="[" * 99999), f'zoom: box is "{"[" * 37}...", but the schema wants array'),
        (written("zoom", box="[]", times="9" * 9999), f'zoom: times is "{"9" * 37}...", but the schema'),
        (written("search", words="x"), "search: takes no argument words; it takes text"),
    ],
)
def test_a_malformed_call_is_one_line(chat, text, line):
    for source in (text, chat.tokenizer.encode(text)):
        reply = chat.reply(source, TOOLS)
        assert reply.calls == () and len(reply.errors) == 1
        assert reply.errors[0].startswith(f"tool call 1: {line}")
        assert len(reply.errors[0].splitlines()) == 1


def test_what_is_well_formed_is_kept_beside_what_is_not(chat):
    reply = chat.reply(f"well{written('zom')}{written('search', text='x')}<|begin_of_box|>7", TOOLS)
    assert reply.calls == (ToolCall("search", {"text": "x"}),) and reply.content == "well7"
    assert reply.errors == (
        "tool call 1: no tool is called zom; did you mean zoom?",
        "<|begin_of_box|> is not closed by <|end_of_box|>",
    )
    assert reply.boxed is None


def test_calls_without_line_breaks_are_read_too(chat):
    text = "<tool_call>search<arg_key>text</arg_key><arg_value>x</arg_value></tool_call>"
    assert chat.reply(text, TOOLS).calls == (ToolCall("search", {"text": "x"}),)


def test_a_tool_without_a_name(chat):
    with pytest.raises(ValueError, match="a tool has no name, only type, description"):
        chat.reply("x", [{"type": "function", "description": ""}])


def test_schemas_without_types():
    assert typed("f", {"a": "1"}, {}) == {"a": 1}
    assert typed("f", {"a": "1"}, {"properties": {"a": {"anyOf": [{"type": "string"}, {}]}}}) == {"a": 1}
    with pytest.raises(Malformed, match="f: takes no argument a; it takes none"):
        typed("f", {"a": "1"}, {"additionalProperties": False})
