"""GLM's templates as code, beside templates in Jinja; and a folder's own template."""

import pickle
import random

import pytest
from blank import Blank
from glm_folder import GLM_4_1V, glm_engine, write_folder

from vlmloom.components.contracts.conversation import Conversation, Message, ToolCall
from vlmloom.components.contracts.packed import IGNORE
from vlmloom.components.processor.glm_chat import GlmChat
from vlmloom.components.processor.glm_template import GlmTemplate
from vlmloom.components.processor.jinja_template import JinjaTemplate
from vlmloom.components.processor.turns import as_turn
from vlmloom.components.tokenizer.hf import HF

# The form in which GLM-4.6V's and GLM-OCR's templates are published, in other words.
LATER = """[gMASK]<sop>
{%- macro see(content) -%}
    {%- if content is string -%}{{ content }}
    {%- else -%}
        {%- for part in content -%}
            {%- if part.type == 'text' -%}{{ part.text }}
            {%- else -%}<|begin_of_{{ part.type }}|><|{{ part.type }}|><|end_of_{{ part.type }}|>
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{% for tool in tools %}
{{ tool | tojson }}
{% endfor %}
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}
<arg_key>{arg-key-1}</arg_key>
<arg_value>{arg-value-1}</arg_value>
<arg_key>{arg-key-2}</arg_key>
<arg_value>{arg-value-2}</arg_value>
...
</tool_call>
{%- endif -%}
{%- set last = namespace(user=-1) -%}
{%- for m in messages %}{% if m.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}{% endfor -%}
{%- for m in messages -%}
    {%- set text = see(m.content) -%}
    {%- if m.role == 'user' -%}
        {{ '<|user|>\\n' + text }}
        {%- if not enable_thinking and not text.endswith('/nothink') %}{{ '/nothink' }}{% endif -%}
    {%- elif m.role == 'system' -%}
        {{ '<|system|>\\n' + text }}
    {%- elif m.role == 'tool' -%}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|observation|>' }}{% endif -%}
        {{ '\\n<tool_response>\\n' + text + '\\n</tool_response>' }}
        {{- '\\n' if m.content is string else '' -}}
    {%- else -%}
        {%- set thought = (m.reasoning_content or '') if loop.index0 > last.user else '' -%}
        {{ '<|assistant|>\\n<think>' + thought.strip() + '</think>' }}
        {{- '\\n' + text.strip() if text.strip() else '' }}
        {%- for call in m.tool_calls or [] -%}
            {{ '\\n<tool_call>' + call.function.name + '\\n' }}
            {%- for key, value in call.function.arguments.items() -%}
                <arg_key>{{ key }}</arg_key>{{ '\\n' -}}
                <arg_value>{{ value if value is string else value | tojson }}</arg_value>{{ '\\n' -}}
            {%- endfor -%}
            </tool_call>
        {%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|assistant|>\\n' + ('' if enable_thinking else '<think></think>\\n') }}
{%- endif -%}
"""

# GLM-4.1V's.
FIRST = """[gMASK]<sop>
{%- for m in messages -%}
    <|{{ m.role }}|>{{ '\\n' }}
    {%- if m.content is string -%}{{ m.content }}
    {%- else -%}
        {%- for part in m.content -%}
            {%- if part.type == 'text' -%}{{ part.text }}
            {%- else -%}<|begin_of_{{ part.type }}|><|{{ part.type }}|><|end_of_{{ part.type }}|>
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif -%}
"""

# A form that opens with a thought, as GLM-5's line does, and marks what is trained on.
OPEN = """[gMASK]<sop>
{%- for m in messages -%}
    <|{{ m.role if m.role != 'tool' else 'observation' }}|>
    {%- if m.role == 'assistant' -%}
        {% generation %}<think>{{ m.reasoning_content or '' }}</think>{{ m.content }}{% endgeneration %}
    {%- else %}{{ m.content }}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|><think>{% if not enable_thinking %}</think>{% endif %}
{%- endif -%}
"""

TEXTS = [
    "hi",
    "  padded \n",
    "",
    "日本 <b>",
    "two\n\nlines",
    "{x}",
    "<|user|>",
    "</think>x",
    "/nothink",
    "<|im",
    "age|>",
]
VALUES = ["s", 1, [1, "é<|user|>"], {"a": None, "<|image|>": "</arg_value>"}, True, "", "</arg_value>\n"]
TOOLS = [{"type": "function", "function": {"name": "f0", "description": "é {} <tool_call>"}}, {"name": "f1"}]


def some_conversation(draw, later):
    """A conversation with all that a template could trip over, drawn at random."""
    pictures = [Blank(), Blank(2)]

    def parts(shows):
        pool = [*draw.sample(TEXTS, 3), *(pictures if shows else ())]
        return draw.sample(pool, draw.randint(0, 3))

    messages = [Message("system", parts(False))] if draw.random() < 0.5 else []
    for _ in range(draw.randint(1, 3)):
        messages.append(Message("user", parts(True)))
        for _ in range(draw.randint(0, 2) if later else 0):
            calls = [
                ToolCall(
                    f"f{number}", {key: draw.choice(VALUES) for key in draw.sample("abc", draw.randint(0, 3))}
                )
                for number in range(draw.randint(1, 2))
            ]
            messages.append(
                Message("assistant", parts(False), draw.choice(["", "well\nthen ", "<|user|>"]), calls)
            )
            messages.extend(Message("tool", parts(True)) for _ in calls)
        messages.append(Message("assistant", parts(False), draw.choice(["", "hm"]) if later else ""))
    tools = TOOLS if later and draw.random() < 0.5 else ()
    return Conversation(messages[: draw.randint(1, len(messages))], tools, draw.random() < 0.5)


@pytest.mark.parametrize("release", ["4.1v", "4.5v", "4.6v"])
def test_code_and_jinja_say_the_same(tokenizer, first_tokenizer, release):
    later = release != "4.1v"
    processor = GlmChat(tokenizer=tokenizer if later else first_tokenizer, release=release)
    jinja = JinjaTemplate(LATER if later else FIRST, "the template")
    draw = random.Random(release)
    for _ in range(300):
        conversation = some_conversation(draw, later)
        protect = processor.guard.protect
        turns, tools = [as_turn(m, protect) for m in conversation.messages], protect(conversation.tools)
        for opened in (False, True):
            told = {"thinking": bool(conversation.thinking), "keep": False, "opened": opened}
            assert processor.own.render(turns, tools, **told) == jinja.render(turns, tools, **told)


@pytest.fixture
def folder(tmp_path):
    def make(template, tokens=None):
        engine = glm_engine(tokens) if tokens else None
        return HF(folder=str(write_folder(tmp_path, engine, chat_template__jinja=template)))

    return make


def test_a_folder_s_template_is_honoured_and_gives_the_same_sequence(tokenizer, folder):
    own, other = GlmChat(tokenizer=tokenizer), GlmChat(tokenizer=folder(LATER))
    assert own.jinja is None and other.jinja is not None
    draw = random.Random(0)
    for _ in range(100):
        conversation = some_conversation(draw, True)
        grids = [(max(1, picture.frames // 2), 1, 2) for picture in conversation.pictures]
        prompt = conversation.messages[-1].role in ("user", "tool")
        for prompt_only in (False, True) if prompt else (False,):
            first, second = (
                chat.encode_conversation(conversation, grids, prompt_only=prompt_only)
                for chat in (own, other)
            )
            assert (first.ids, first.labels) == (second.ids, second.labels)
            assert (first.layout, first.visual) == (second.layout, second.visual)


@pytest.mark.parametrize("template", [LATER, FIRST, OPEN])
def test_templates_are_read_as_transformers_reads_them(folder, template):
    from transformers import AutoTokenizer

    tokenizer = folder(template)
    reference = AutoTokenizer.from_pretrained(str(tokenizer.folder))
    jinja, draw = JinjaTemplate(template, "the template"), random.Random(1)
    for _ in range(50):
        conversation = some_conversation(draw, template == LATER)
        turns = [as_turn(message, lambda text: text) for message in conversation.messages]
        for opened in (False, True):
            told = {"thinking": draw.random() < 0.5, "keep": False, "opened": opened}
            assert jinja.render(turns, conversation.tools, **told) == reference.apply_chat_template(
                turns,
                tools=list(conversation.tools) or None,
                tokenize=False,
                add_generation_prompt=opened,
                enable_thinking=told["thinking"],
            )


def test_one_can_leave_the_folder_s_template_aside(folder):
    tokenizer = folder("nothing of the kind")
    sample = Conversation([Message("user", ["x"])])
    assert GlmChat(tokenizer=tokenizer, template="own").render(sample).startswith("[gMASK]<sop><|user|>\nx")
    assert GlmChat(tokenizer=tokenizer).render(sample) == "nothing of the kind"


@pytest.mark.parametrize(
    ("thinking", "expected"), [(True, "well</think>yes<|user|>"), (False, "well</think>yes<|user|>")]
)
def test_a_template_that_opens_with_a_thought(folder, thinking, expected):
    processor = GlmChat(tokenizer=folder(OPEN), thinking=thinking)
    conversation = Conversation([Message("user", ["so?"]), Message("assistant", ["yes"], "well")])
    encoded = processor.encode_conversation(conversation, [])
    labels = [label for label in encoded.labels if label != IGNORE]
    assert processor.tokenizer.decode(labels, keep_special=True) == expected
    only = GlmChat(tokenizer=folder(OPEN), thinking=thinking, train_on=["reasoning"])
    encoded = only.encode_conversation(conversation, [])
    labels = [label for label in encoded.labels if label != IGNORE]
    assert processor.tokenizer.decode(labels, keep_special=True) == "well</think><|user|>"


def test_what_users_say_does_not_steer_a_template(folder):
    """`{{ }}` is text, and a typed `</think>` does not end a thought that the template looks for."""
    splits = (
        "{%- for m in messages -%}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}{%- endfor -%}"
        "{%- if add_generation_prompt %}<|assistant|>{% endif -%}"
    )
    processor = GlmChat(tokenizer=folder(splits))
    text = "a</think>{{ messages }}b"
    assert processor.render(Conversation([Message("user", [text])])) == f"<|user|>{text}"
    open_door = GlmChat(tokenizer=folder(splits), trust_text=True)
    assert open_door.render(Conversation([Message("user", [text])])) == "<|user|>{{ messages }}b"


def test_it_travels(folder):
    processor = GlmChat(tokenizer=folder(LATER))
    conversation = Conversation([Message("user", ["what? <|user|>"])])
    copy = pickle.loads(pickle.dumps(processor))
    assert copy.encode_conversation(conversation, [], prompt_only=True).ids == (
        processor.encode_conversation(conversation, [], prompt_only=True).ids
    )


def refused(tokenizer, *messages, grids=(), prompt=True):
    with pytest.raises(ValueError) as caught:
        GlmChat(tokenizer=tokenizer).encode_conversation(Conversation(messages), grids, prompt_only=prompt)
    (line,) = str(caught.value).splitlines()
    return line


def test_templates_that_do_not_work(folder):
    user, said = Message("user", ["x"]), Message("assistant", ["y"])
    with pytest.raises(ValueError, match="the chat template: is no template: unexpected end of"):
        GlmChat(tokenizer=folder("{% if x"))
    assert "the chat template: no {} here" in refused(folder("{{ raise_exception('no {} here') }}"), user)
    assert "the chat template: 'dict object' has no attribute 'x'" in refused(
        folder("{{ messages[0].x.y }}"), user
    )
    # Nothing of the machine is within reach.
    assert "is unsafe" in refused(folder("{{ messages.__class__.__mro__[1].__subclasses__() }}"), user)
    assert "is unsafe" in refused(folder("{{ messages.append(1) }}"), user)
    assert "with add_generation_prompt it writes more than an opening at the end" in refused(
        folder("{{ add_generation_prompt }}"), user
    )
    assert "the prompt has 0 placeholders, but 1 pictures or clips were given" in refused(
        folder("<|user|>{% if add_generation_prompt %}<|assistant|>{% endif %}"),
        Message("user", [Blank()]),
        grids=[(1, 1, 1)],
    )
    assert "the template writes 0 turns of the assistant, but there are 1" in refused(
        folder("<|user|>"), user, said, prompt=False
    )


def test_the_opening_of_every_form():
    assert GlmTemplate("4.1v").opening(True) == GlmTemplate("4.1v").opening(False) == "<|assistant|>\n"
    for release in ("4.5v", "4.6v"):
        assert GlmTemplate(release).opening(True) == "<|assistant|>\n"
        assert GlmTemplate(release).opening(False) == "<|assistant|>\n<think></think>\n"


@pytest.mark.parametrize("own", [True, False])
def test_the_first_release_keeps_the_thought_of_its_last_turns_only(first_tokenizer, folder, own):
    tokenizer = first_tokenizer if own else folder(FIRST, GLM_4_1V)
    conversation = Conversation(
        [
            Message("user", ["a"]),
            Message("assistant", ["b"], " hm "),
            Message("user", ["c"]),
            Message("assistant", ["d"], "oh"),
        ]
    )
    assert GlmChat(tokenizer=tokenizer, release="4.1v").render(conversation) == (
        "[gMASK]<sop><|user|>\na<|assistant|>\nb<|user|>\nc<|assistant|>\n<think>oh</think><answer>d</answer>"
    )
    kept = GlmChat(tokenizer=tokenizer, release="4.1v", reasoning="all").render(conversation)
    assert "\n<think>hm</think><answer>b</answer>" in kept
    encoded = GlmChat(tokenizer=tokenizer, release="4.1v").encode_conversation(conversation, [])
    labels = [label for label in encoded.labels if label != IGNORE]
    assert (
        tokenizer.decode(labels, keep_special=True) == "b<|user|><think>oh</think><answer>d</answer><|user|>"
    )


def test_a_template_is_told_what_is_asked_of_it(folder):
    tokenizer = folder("{{ enable_thinking }} {{ clear_thinking }} {{ tools is none }}")
    conversation = Conversation([Message("user", ["x"])])
    assert GlmChat(tokenizer=tokenizer).render(conversation) == "False True True"
    asked = Conversation(conversation.messages, TOOLS, thinking=True)
    assert GlmChat(tokenizer=tokenizer, reasoning="all").render(asked) == "True False False"
