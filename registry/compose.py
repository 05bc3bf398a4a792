"""Composition: a YAML with `extends`, `set` and `swap` becomes one tree, every value with its file and line.

Order: what a file extends comes first, then the file's own keys overlay it, then its `swap`, then its `set`;
then the command line's. Values over depth and `${...}` are resolved last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlmloom.registry.catalog import catalog, package_folder
from vlmloom.registry.depth import expand, merge
from vlmloom.registry.errors import ConfigError, Mark, Problem, UserError, nearest, one_line, show_path
from vlmloom.registry.interpolate import mount, resolve_references
from vlmloom.registry.marked import Node, describe, load
from vlmloom.registry.overrides import apply_command_line, apply_mapping
from vlmloom.registry.register import DuplicateName

DIRECTIVES = ("extends", "set", "swap")
HERE = "${here}"
"""In a file's values: the folder that the file lies in."""


@dataclass
class Composed:
    """A composed configuration.

    Attributes:
        root: the tree.
        source: the file or name that it was made from.
        plugins: what it asked to be loaded.
        problems: what a lenient composition found wrong; `check` tells it with all else.
    """

    root: Node
    source: str
    plugins: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def compose(
    source: str | Path | Node,
    *,
    scale: str = "nano",
    sets: Sequence[str] = (),
    swaps: Sequence[str] = (),
    lenient: bool = False,
) -> Composed:
    """Compose a file, or what goes by a name.

    Args:
        source: a path that ends in .yaml, a name (`native`, `ablations/...`, `nano/native`), or a tree.
        scale: which size a name without one stands for.
        sets: `key=value` from the command line.
        swaps: `part=kind/name,key=value` from the command line.
        lenient: leave what can be left to `Composed.problems`, so that `check` can tell all errors at once.

    Raises:
        ConfigError: anything is wrong with it, all of it at once.
        UserError: there is no such name, or an override cannot be read.
    """
    composer = _Composer(scale)
    if isinstance(source, Node):
        root = composer.open_tree(source.copy(), Path.cwd())
        name = source.mark.file
    else:
        path = find(str(source), scale)
        name = show_path(path)
        root = composer.open_file(path)
    composer.problems.extend(apply_command_line(root, sets, swaps))
    # A depth may be a reference, and layers may hold references that can be followed only once they are made.
    resolve_references(root, composer.problems, only="depth")
    root = expand(root, (), composer.problems)
    resolve_references(root, composer.problems)
    if composer.problems and (composer.lost or not lenient):
        raise ConfigError(composer.problems)
    return Composed(root, name, composer.plugins, composer.problems)


def find(name: str, scale: str = "nano", beside: Path | None = None) -> Path:
    """The file that a name or a path means.

    Args:
        name: a path that ends in .yaml or .yml, or a name.
        scale: which size a name without one stands for.
        beside: the folder that a relative path starts from; the working directory by default.

    Raises:
        UserError: nothing goes by this name.
    """
    if name.endswith((".yaml", ".yml")):
        return (beside or Path.cwd()) / name
    folder = package_folder()
    words = name.split("/")
    spelled = Path(*words) if all(word.strip(".") for word in words) else None
    if spelled is not None:
        family = folder / "assemblies" / spelled
        places = [
            family / f"{scale}.yaml",
            folder / "assemblies" / "ablations" / f"{spelled}.yaml",
            folder / "assemblies" / f"{spelled}.yaml",
            folder / "configs" / f"{spelled}.yaml",
        ]
        if not family.is_dir():
            places.extend(sorted((folder / "configs").rglob(f"{spelled}.yaml")))
        for place in places:
            if place.is_file():
                return place
        if family.is_dir():
            scales = sorted(path.stem for path in family.glob("*.yaml"))
            raise UserError(f"{name} has no scale {scale!r}; {nearest(scale, scales) or 'it has none yet'}")
    raise UserError(f"nothing is called {name!r}; {nearest(name, names())} (a path ends in .yaml)")


def names() -> list[str]:
    """The names that `extends` and the command line know."""
    return sorted(_names())


def _names() -> Iterator[str]:
    folder = package_folder()
    for path in sorted((folder / "assemblies").rglob("*.yaml")):
        relative = path.relative_to(folder / "assemblies")
        yield relative.stem if relative.parts[0] == "ablations" else relative.parts[0]
    for path in sorted((folder / "configs").rglob("*.yaml")):
        yield path.relative_to(folder / "configs").with_suffix("").as_posix()


class _Composer:
    """Follows `extends`, and collects what is wrong on the way."""

    def __init__(self, scale: str) -> None:
        self.scale = scale
        self.problems: list[Problem] = []
        self.plugins: list[str] = []
        self.lost = False
        """Whether a file that others build on could not be had, so that the rest would be told in vain."""

    def open_file(self, path: Path, chain: tuple[Path, ...] = ()) -> Node:
        resolved = path.resolve()
        return self.open_tree(load(path), resolved.parent, (*chain, resolved))

    def open_tree(self, root: Node, folder: Path, chain: tuple[Path, ...] = ()) -> Node:
        """Compose the whole of a file; `chain` holds the files that led here."""
        if not isinstance(root.value, dict):
            text = f"found {describe(root)}; the top of a file is a mapping of keys"
            raise ConfigError([Problem(root.mark, "", text)])
        plugins = root.value.pop("plugins", None)
        if plugins is not None:
            self.load_plugins(plugins, folder)
        named = root.value.get("assembly")
        if named is not None and isinstance(named.value, str) and "${" not in named.value:
            # An experiment may say `assembly: native` for `assembly: {extends: native}`.
            root.value["assembly"] = Node({"extends": Node(named.value, named.mark)}, named.mark)
        return self.compose_mapping(root, folder, chain, ())

    def compose_mapping(self, node: Node, folder: Path, chain: tuple[Path, ...], at: tuple[str, ...]) -> Node:
        """Compose a mapping that stands at `at` in its file: what it extends, its keys, swap, set."""
        directives = {key: node.value.pop(key) for key in DIRECTIVES if key in node.value}
        children = {key: self.visit(child, folder, chain, (*at, key)) for key, child in node.value.items()}
        own = Node(children, node.mark)
        prefix = "".join(f"{key}." for key in at)
        if "extends" in directives:
            base = self.extend(directives["extends"], folder, chain, f"{prefix}extends")
            if base is not None:
                mount(base, at)
                own = merge(base, own)
        elif directives and at:
            for key, value in directives.items():
                text = (
                    f"`{key}` stands at the top of a file or beside `extends`; there {key}: {{{prefix}...}}"
                )
                self.problems.append(Problem(value.mark, f"{prefix}{key}", text))
            return own
        for what in ("swap", "set"):
            if what in directives:
                changes = self.visit(directives[what], folder, chain, (*at, what))
                self.problems.extend(apply_mapping(own, what, changes, prefix))
        return own

    def visit(self, node: Node, folder: Path, chain: tuple[Path, ...], at: tuple[str, ...]) -> Node:
        """Compose whatever extends something somewhere below a file's top."""
        if isinstance(node.value, list):
            items = [self.visit(child, folder, chain, (*at, str(i))) for i, child in enumerate(node.value)]
            return Node(items, node.mark)
        if isinstance(node.value, str) and HERE in node.value:
            return Node(node.value.replace(HERE, str(folder)), node.mark)
        if not isinstance(node.value, dict):
            return node
        return self.compose_mapping(node, folder, chain, at)

    def extend(self, extends: Node, folder: Path, chain: tuple[Path, ...], where: str) -> Node | None:
        """The composed base; None, and a problem noted, where there is none."""
        try:
            path = self.base(extends, folder, chain)
            return self.open_file(path, chain)
        except ConfigError as error:
            self.problems.extend(error.problems)
        except UserError as error:
            self.problems.append(Problem(extends.mark, where, one_line(error)))
        self.lost = True
        return None

    def base(self, extends: Node, folder: Path, chain: tuple[Path, ...]) -> Path:
        """The file that `extends` means.

        Raises:
            UserError: there is none, or it leads back here.
        """
        if not isinstance(extends.value, str):
            raise UserError(f"found {describe(extends)}; the name or the path of one file is needed")
        path = find(extends.value, self.scale, folder)
        if path.resolve() in chain:
            circle = (*chain[chain.index(path.resolve()) :], path)
            raise UserError(f"a cycle: {' -> '.join(map(show_path, circle))}")
        if not path.exists():
            raise UserError(f"there is no file {show_path(path)}")
        return path

    def load_plugins(self, plugins: Node, folder: Path) -> None:
        listed = plugins.value if isinstance(plugins.value, list) else [plugins]
        for item in listed:
            if not isinstance(item.value, str):
                text = f"found {describe(item)}; a module's name or a path that ends in .py is needed"
                self.problems.append(Problem(item.mark, "plugins", text))
                continue
            is_file = item.value.endswith(".py")
            name = str((folder / item.value).resolve()) if is_file else item.value
            self.problems.extend(load_plugins([name], item.mark))
            if name not in self.plugins:
                self.plugins.append(name)


def load_plugins(plugins: Iterable[str], mark: Mark) -> list[Problem]:
    """Take plug-ins into the catalogue; what cannot be taken is returned."""
    problems = []
    for plugin in plugins:
        try:
            catalog().add_plugin(plugin)
        except (UserError, DuplicateName) as error:
            problems.append(Problem(mark, "plugins", one_line(error)))
    return problems
