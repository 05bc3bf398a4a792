"""The catalogue: which components there are, found without importing one.

Files of the installed folders and of plug-ins are read by `ast` for literal `@register("kind/name")`
decorators; `resolve` imports the one module that a name needs.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmloom.registry.errors import UserError, named, nearest, one_line, show_path
from vlmloom.registry.register import DuplicateName

FOLDERS = ("components", "assemblies", "pipelines")
"""The folders of the package that hold registered classes."""

GROUP = "vlmloom.components"
"""The entry-point group of plug-ins; an entry's value is a module."""


@dataclass(frozen=True)
class Entry:
    """A registered class that may not have been imported.

    Attributes:
        name: `kind/name`.
        kind: the role.
        summary: the first line of the docstring.
        module: to import.
        qualname: the class in it.
        file: where it stands.
        line: where in the file.
        bases: names of the classes it is written to derive from.
    """

    name: str
    kind: str
    summary: str
    module: str
    qualname: str
    file: Path
    line: int
    bases: frozenset[str] = frozenset()

    @property
    def class_path(self) -> str:
        """Dotted path of the class."""
        return f"{self.module}.{self.qualname}"

    @property
    def family(self) -> str:
        """The folder within its kind's that it stands in, as tasks do; empty for one that stands in none."""
        folder, above = self.file.parent, self.file.parent.parent
        return folder.name if (above.parent.name, above.name) == ("components", self.kind) else ""

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{show_path(self.file)}:{self.line}"


class Catalog:
    """All names, and the classes behind them."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._seen: set[str] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take entries in.

        Raises:
            DuplicateName: a name is claimed in two places.
        """
        for entry in entries:
            known = self.entries.get(entry.name)
            if known is not None and (known.file, known.line) != (entry.file, entry.line):
                raise DuplicateName(f"{entry.name} is registered twice: {known.place} and {entry.place}")
            self.entries[entry.name] = entry

    def add_plugin(self, plugin: str, beside: Path | None = None) -> None:
        """Take in what a module (`my_lab.parts`) or a file (`parts/soft.py`) registers.

        Args:
            plugin: a module's name, or a path that ends in `.py`.
            beside: the folder that a relative path starts from; the working directory by default.

        Raises:
            UserError: there is no such module or file, or it cannot be read.
        """
        if plugin.endswith(".py"):
            path = ((beside or Path.cwd()) / plugin).resolve()
            if not path.is_file():
                raise UserError(f"plugin {plugin}: there is no file {show_path(path)}")
            if str(path) not in self._seen:
                digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
                self._take(plugin, scan_file(path, f"vlmloom_plugin_{path.stem}_{digest}"))
                self._seen.add(str(path))
            return
        if plugin in self._seen:
            return
        try:
            found = importlib.util.find_spec(plugin)
        except (ImportError, ValueError) as error:
            raise UserError(f"plugin {plugin}: cannot be found: {one_line(error)}") from error
        if found is None:
            raise UserError(f"plugin {plugin}: no module of this name is installed; a file ends in .py")
        entries: list[Entry] = []
        if found.submodule_search_locations:
            for folder in found.submodule_search_locations:
                entries += scan_folder(Path(folder), plugin)
        elif found.has_location and found.origin and found.origin.endswith(".py"):
            entries += scan_file(Path(found.origin), plugin)
        self._take(plugin, entries)
        self._seen.add(plugin)

    def _take(self, plugin: str, entries: Sequence[Entry]) -> None:
        if not entries:
            raise UserError(
                f"plugin {plugin}: registers nothing; a class at the top of a file with "
                '@register("kind/name") would be right'
            )
        self.add(entries)

    def kinds(self) -> Sequence[str]:
        """The kinds that have a component."""
        return sorted({entry.kind for entry in self.entries.values()})

    def list(self, pattern: str | None = None) -> Sequence[Entry]:
        """Entries of a kind, or whose names match a wildcard (`projector/*`, `*mtp*`), by name.

        Raises:
            UserError: nothing matches.
        """
        entries = [self.entries[name] for name in sorted(self.entries)]
        if pattern is None:
            return entries
        wanted = pattern if any(sign in pattern for sign in "*?[/") else f"{pattern}/*"
        chosen = [entry for entry in entries if fnmatch.fnmatchcase(entry.name, wanted)]
        if not chosen:
            what = "component matches" if wanted == pattern else "kind is called"
            options = self.entries if "/" in pattern else self.kinds()
            raise UserError(f"no {what} {pattern!r}; {nearest(pattern, options)}")
        return chosen

    def explain_unknown(self, name: str, kinds: Iterable[str] = ()) -> str:
        """What is wrong with a name that is not in the catalogue, and what would be right."""
        wanted = set(kinds)
        options = [entry.name for entry in self.entries.values() if not wanted or entry.kind in wanted]
        kind, slash, _ = name.partition("/")
        if not slash:
            options_by_short = {entry.name.partition("/")[2]: entry.name for entry in self.entries.values()}
            hint = options_by_short.get(name)
            return f"{name!r} is no component; " + (
                f"did you mean {hint}?" if hint else nearest(name, options) or "nothing is registered"
            )
        if kind not in self.kinds():
            return f"{name!r} is no component: no kind is called {kind!r}; {nearest(kind, self.kinds())}"
        same = [option for option in options if option.startswith(f"{kind}/")]
        return f"{name!r} is no component; {nearest(name, same or options)}"

    def resolve(self, name: str) -> type:
        """The class of a name; imports the one module that it needs.

        Raises:
            UserError: there is no such component, or its module cannot be imported.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise UserError(self.explain_unknown(name))
        try:
            module = _import(entry)
        except (Exception, SystemExit) as error:
            raise UserError(f"{name} cannot be imported ({entry.place}): {named(error)}") from error
        found: Any = module
        for part in entry.qualname.split("."):
            found = getattr(found, part)
        return found

    def deriving_from(self, base: str) -> Sequence[Entry]:
        """Entries whose written bases lead to a class of this name, by name; imports nothing."""
        parents = _parents(frozenset(entry.file for entry in self.entries.values()))

        def leads(above: frozenset[str], seen: frozenset[str] = frozenset()) -> bool:
            seen = seen | above
            return base in above or any(leads(parents.get(name, frozenset()) - seen, seen) for name in above)

        return [entry for entry in self.list() if leads(entry.bases)]


@functools.cache
def _parents(files: frozenset[Path]) -> dict[str, frozenset[str]]:
    """Class -> the bases that it is written with, in these files and in all of the package's."""
    found: dict[str, frozenset[str]] = {}
    package = {path.resolve() for folder in FOLDERS for path in (package_folder() / folder).rglob("*.py")}
    for path in files | package:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, OSError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = found.get(node.name, frozenset()) | _bases(node)
    return found


def _import(entry: Entry) -> Any:
    if not entry.module.startswith("vlmloom_plugin_"):
        return importlib.import_module(entry.module)
    if entry.module in sys.modules:
        return sys.modules[entry.module]
    spec = importlib.util.spec_from_file_location(entry.module, entry.file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{entry.file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[entry.module] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[entry.module]
        raise
    return module


def scan_folder(folder: Path, package: str) -> Iterator[Entry]:
    """Entries of every Python file below a folder that is the package `package`."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        yield from scan_file(path, ".".join((package, *parts)))


def scan_file(path: Path, module: str) -> list[Entry]:
    """Entries of one file.

    Raises:
        UserError: the file is no Python, or a decorator's name is no literal.
    """
    try:
        source = path.read_text(encoding="utf-8")
        # Most of the package's files register nothing, and parsing them would be half of what `ls` takes.
        if "register(" not in source and module.startswith("vlmloom."):
            return []
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError, OSError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{show_path(path)}{line}: cannot be read as Python: {one_line(error)}") from error
    entries = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            name = _registered_name(decorator, path)
            if name is not None:
                summary = (ast.get_docstring(node) or "").strip().split("\n")[0]
                kind = name.partition("/")[0]
                place = path.resolve()
                entries.append(
                    Entry(name, kind, summary, module, node.name, place, node.lineno, _bases(node))
                )
    return entries


def _bases(node: ast.ClassDef) -> frozenset[str]:
    return frozenset(filter(None, map(_last_name, node.bases)))


def _registered_name(decorator: ast.expr, path: Path) -> str | None:
    if not isinstance(decorator, ast.Call) or _last_name(decorator.func) != "register":
        return None
    argument = decorator.args[0] if decorator.args else None
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise UserError(
        f"{show_path(path)}:{decorator.lineno}: @register needs a literal name such as 'projector/mlp', "
        f"found {ast.unparse(decorator)}"
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def package_folder() -> Path:
    """The folder of the installed package."""
    return Path(importlib.import_module("vlmloom").__path__[0])


@functools.cache
def catalog() -> Catalog:
    """The catalogue of this process: the package and the installed plug-ins.

    Raises:
        DuplicateName: two classes claim one name.
        UserError: a plug-in cannot be read.
    """
    found = Catalog()
    for folder in FOLDERS:
        found.add(scan_folder(package_folder() / folder, f"vlmloom.{folder}"))
    for point in importlib.metadata.entry_points(group=GROUP):
        found.add_plugin(point.value.partition(":")[0])
    return found


def resolve(name: str) -> type:
    """The class that is registered under `kind/name`; see `Catalog.resolve`."""
    return catalog().resolve(name)
