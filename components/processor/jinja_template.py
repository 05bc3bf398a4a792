"""A checkpoint's own `chat_template.jinja`: messages to the text of a prompt."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vlmloom.components.processor.glm_template import Turn


class JinjaTemplate:
    """A template in the dialect of transformers, rendered where it can change and reach nothing.

    Args:
        source: the text of the template.
        name: where it comes from, for messages.

    Raises:
        ValueError: it is no template.
    """

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationBlock]
        )
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ValueError(f"{name}: is no template: {' '.join(str(error).split())}") from None

    def opening(
        self, turns: Sequence[Turn], tools: Sequence[Any], *, thinking: bool, keep: bool, rendered: str
    ) -> str:
        """What this template lets an assistant's turn begin with, before the model writes.

        Args:
            turns: as for `render`.
            tools: as for `render`.
            thinking: as for `render`.
            keep: as for `render`.
            rendered: what `render` gives for them.

        Raises:
            ValueError: the opening does not come last.
        """
        opened = self.render(turns, tools, thinking=thinking, keep=keep, opened=True)
        if not opened.startswith(rendered):
            raise ValueError(
                f"{self.name}: with add_generation_prompt it writes more than an opening at the end"
            )
        return opened[len(rendered) :]

    def render(
        self, turns: Sequence[Turn], tools: Sequence[Any], *, thinking: bool, keep: bool, opened: bool
    ) -> str:
        """The text of a conversation; the arguments are those of `GlmTemplate.render`.

        Raises:
            ValueError: the template refuses, or fails.
        """
        try:
            return self._template.render(
                messages=list(turns),
                tools=list(tools) or None,
                add_generation_prompt=opened,
                enable_thinking=thinking,
                clear_thinking=not keep,
            )
        except Exception as error:  # A template can raise anything.
            raise ValueError(f"{self.name}: {' '.join(str(error).split())}") from None

    def __reduce__(self) -> tuple[Callable[..., JinjaTemplate], tuple[str, str]]:
        return JinjaTemplate, (self.source, self.name)


class GenerationBlock(Extension):
    """`{% generation %}`, by which templates mark what is trained on; here it is just what it holds."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """The body of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's filter of this name, without its escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def refuse(message: str) -> None:
    """What a template calls to refuse a conversation."""
    raise TemplateError(message)
