"""An mkdocs hook: one page a kind, read from the registry and from the sources, importing no component."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmloom.registry.catalog import FOLDERS, Entry, catalog, package_folder

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

HEADING = re.compile(
    r"^(Args|Attributes|Returns|Yields|Raises|Reference|References|Example|Examples):\s*(.*)$"
)
ARXIV = re.compile(r"arXiv[:\s]+(\d{4}\.\d{4,5})")


# --- what mkdocs calls -----------------------------------------------------------------------------------


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append a page a kind to the section "Components"."""
    section = next(
        item["Components"] for item in config.nav or [] if isinstance(item, dict) and "Components" in item
    )
    section.extend({kind: f"components/{kind}.md"} for kind in catalog().kinds())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for kind, text in pages().items():
        files.append(File.generated(config, f"components/{kind}.md", content=text))
    return files


# --- the classes of the package, by name ------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A class as it is written."""

    node: ast.ClassDef
    file: Path

    @property
    def bases(self) -> list[str]:
        """Names of the classes it is written to derive from."""
        return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in self.node.bases]

    @property
    def methods(self) -> dict[str, ast.FunctionDef]:
        """Its methods by name."""
        return {item.name: item for item in self.node.body if isinstance(item, ast.FunctionDef)}


@functools.cache
def sources() -> dict[str, list[Source]]:
    """All top-level classes of the package by name."""
    found: dict[str, list[Source]] = {}
    for folder in FOLDERS:
        for file in sorted((package_folder() / folder).resolve().rglob("*.py")):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, []).append(Source(node, file))
    return found


def source_of(name: str, near: Path) -> Source | None:
    """The class of this name; where there are several, the one whose file is nearest."""

    def shared(source: Source) -> int:
        return sum(a == b for a, b in zip(source.file.parts, near.parts, strict=False))

    return max(sources().get(name, ()), key=shared, default=None)


def lineage(source: Source) -> Iterator[Source]:
    """A class and its ancestors within the package, nearest first."""
    yield source
    for name in source.bases:
        parent = source_of(name, source.file)
        if parent is not None and parent.node is not source.node:
            yield from lineage(parent)


def contract_of(kind: str, entries: list[Entry]) -> Source | None:
    """The abstract class that the components of a kind keep to: the one of its name, or the broadest."""
    chains = [list(lineage(start)) for entry in entries if (start := source_of(entry.qualname, entry.file))]
    kept = [
        source
        for chain in chains
        for source in chain
        if source.file.parent.name == "contracts" or source.node.name == "Assembly"
    ]
    broad = [source for source in kept if source.node.name not in ("Component", "ABC")]
    named = [source for source in broad if source.node.name.lower() == kind]
    return next(iter(named + broad[-1:] + kept), None)


# --- docstrings and signatures as Markdown -----------------------------------------------------------------


def sections(docstring: str) -> dict[str, str]:
    """A Google docstring by section; what stands before the first heading is under the empty key."""
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for line in docstring.splitlines():
        heading = HEADING.match(line)
        if heading:
            current = heading[1]
            parts[current] = [heading[2]] if heading[2] else []
        else:
            parts[current].append(line)
    return {name: "\n".join(lines).strip("\n") for name, lines in parts.items()}


def entries_of(section: str) -> dict[str, str]:
    """`name: text` entries of a section such as Args, continuation lines joined."""
    found: dict[str, str] = {}
    indent = None
    for line in section.splitlines():
        depth = len(line) - len(line.lstrip())
        match = re.match(r"\s*\*{0,2}([\w.]+)(?:\s*\([^)]*\))?:\s*(.*)$", line)
        if match and (indent is None or depth <= indent):
            indent = depth
            last = match[1]
            found[last] = match[2]
        elif found and line.strip():
            found[last] += f" {line.strip()}"
    return found


def linked(text: str) -> str:
    """Text on one line, arXiv ids as links."""
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", " ".join(text.split()))


def prose(docstring: str, *without: str) -> str:
    """A docstring as Markdown: indented examples as code, sections as lists."""
    parts = sections(docstring)
    for name in without:
        parts.pop(name, None)
    blocks = [fenced(parts.pop(""))]
    for name, text in parts.items():
        listed = entries_of(text)
        if listed and name not in ("Reference", "References"):
            blocks.append(
                f"**{name}**\n\n" + "\n".join(f"- `{key}`: {linked(value)}" for key, value in listed.items())
            )
        else:
            blocks.append(f"**{name}**: {linked(text)}")
    return "\n\n".join(block for block in blocks if block)


def fenced(text: str) -> str:
    """Paragraphs, those that are indented or doctests as code."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        code = block.startswith(("    ", ">>>"))
        blocks.append(f"```text\n{block}\n```" if code else block)
    return "\n\n".join(blocks)


@dataclass(frozen=True)
class Parameter:
    """An argument of a constructor."""

    name: str
    type: str
    default: str
    text: str


def parameters(source: Source) -> list[Parameter]:
    """What the constructor takes: of its own `__init__`, of a dataclass, or of the nearest ancestor."""
    for owner in lineage(source):
        init = owner.methods.get("__init__")
        if init is not None:
            told = entries_of(sections(ast.get_docstring(owner.node) or "").get("Args", ""))
            return list(_arguments(init, told))
        if any("dataclass" in ast.unparse(decorator) for decorator in owner.node.decorator_list):
            return list(_fields(owner.node))
    return []


def _arguments(init: ast.FunctionDef, told: dict[str, str]) -> Iterator[Parameter]:
    documented = told | entries_of(sections(ast.get_docstring(init) or "").get("Args", ""))
    plain = init.args.args[1:]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(init.args.defaults))
    defaults = missing + list(init.args.defaults)
    for argument, default in zip(plain + init.args.kwonlyargs, defaults + init.args.kw_defaults, strict=True):
        yield Parameter(
            argument.arg,
            ast.unparse(argument.annotation) if argument.annotation else "",
            ast.unparse(default) if default else "",
            documented.get(argument.arg, ""),
        )


def _fields(node: ast.ClassDef) -> Iterator[Parameter]:
    documented = entries_of(sections(ast.get_docstring(node) or "").get("Attributes", ""))
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            default = ast.unparse(item.value) if item.value else ""
            name = item.target.id
            yield Parameter(name, ast.unparse(item.annotation), default, documented.get(name, ""))


def table(rows: list[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def signature(function: ast.FunctionDef) -> str:
    """A method as one would declare it, without its body."""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    line = f"def {function.name}({ast.unparse(function.args)}){returns}"
    if len(line) <= 76:
        return line
    parts = re.split(r", (?![^\[(]*[\])])", ast.unparse(function.args))
    return f"def {function.name}(\n    " + ",\n    ".join(parts) + f",\n){returns}"


# --- pages ------------------------------------------------------------------------------------------------


def importable(entry: Entry) -> str:
    """The shortest import of a class: from its folder where that hands the name on."""
    package = entry.file.parent / "__init__.py"
    names: set[str] = set()
    if package.is_file() and package != entry.file:
        for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
    module = entry.module.rpartition(".")[0] if entry.qualname in names else entry.module
    return f"from {module} import {entry.qualname}"


def reference(source: Source) -> str:
    """The `Reference:` of a class or of its constructor."""
    for node in (source.node, source.methods.get("__init__")):
        parts = sections(ast.get_docstring(node) or "") if node else {}
        text = parts.get("Reference") or parts.get("References")
        if text:
            return linked(text)
    return ""


def component(entry: Entry) -> str:
    """The section of one component."""
    source = source_of(entry.qualname, entry.file)
    assert source is not None, entry
    takes = parameters(source)
    package = "/__init__" if entry.file.name == "__init__.py" else ""
    place = f"{'/'.join(entry.module.split('.')[1:])}{package}.py"
    blocks = [
        f"## {entry.name}",
        prose(ast.get_docstring(source.node) or "", "Args"),
        f"```python\n{importable(entry)}\n```",
    ]
    if takes:
        rows = [
            (
                f"`{item.name}`",
                f"`{item.type}`",
                f"`{item.default}`" if item.default else "required",
                linked(item.text),
            )
            for item in takes
        ]
        blocks.append(table(rows, ("argument", "type", "default", "")))
    blocks.append(f"Defined in `{place}`.")
    return "\n\n".join(blocks)


def contract(source: Source) -> str:
    """The section of a kind's contract."""
    blocks = [f"## The contract: `{source.node.name}`", prose(ast.get_docstring(source.node) or "")]
    for name, method in source.methods.items():
        if name.startswith("_"):
            continue
        abstract = any("abstract" in ast.unparse(decorator) for decorator in method.decorator_list)
        note = "" if abstract else "  # has a default"
        blocks.append(f"```python\n{signature(method)}{note}\n```")
        blocks.append(prose(ast.get_docstring(method) or ""))
    return "\n\n".join(blocks)


def page(kind: str, entries: list[Entry]) -> str:
    """The page of one kind."""
    rows = []
    for entry in entries:
        source = source_of(entry.qualname, entry.file)
        anchor = entry.name.replace("/", "").lower()
        rows.append((f"[`{entry.name}`](#{anchor})", entry.summary, reference(source) if source else ""))
    blocks = [f"# {kind}", table(rows, ("component", "what it is", "paper or file"))]
    kept = contract_of(kind, entries)
    if kept is not None:
        blocks.append(contract(kept))
    blocks.extend(component(entry) for entry in entries)
    return "\n\n".join(blocks) + "\n"


def pages() -> dict[str, str]:
    """All pages by kind."""
    # What plug-ins have registered in this process is no part of the package.
    everything: dict[str, Any] = {
        kind: [entry for entry in catalog().list(kind) if entry.module.startswith("vlmloom.")]
        for kind in catalog().kinds()
    }
    return {kind: page(kind, entries) for kind, entries in everything.items()}
