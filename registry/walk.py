"""The walker: every node of a composed configuration against the signature of what it names.

It knows no component: it asks constructors for keys, and their annotations for types and kinds. All errors
are collected, each with its file and line.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection
from typing import Any

from vlmloom.registry.catalog import catalog
from vlmloom.registry.compose import Composed
from vlmloom.registry.depth import is_selector, over_depth
from vlmloom.registry.errors import ConfigError, Mark, Problem, UserError, named, nearest, one_line
from vlmloom.registry.hints import (
    REQUIRED,
    Signature,
    admits_none,
    arguments_of,
    container,
    describe_hint,
    is_slot,
    is_structure,
    members,
    signature,
    slots,
    template_of,
    unwrap,
)
from vlmloom.registry.leaf import WrongType, convert
from vlmloom.registry.marked import UNKNOWN, Node, describe
from vlmloom.registry.plan import Broken, Fields, Items, Leaf, Part, Plan

MISSING = "???"
"""What stands where a value has to be filled in."""


def check(
    root: Node | Composed, shape: Any = Any, *, dry: bool = True, supplied: Collection[str] = ()
) -> Plan:
    """Check a composed tree, and with `dry` build it on the meta device.

    Args:
        root: the tree; what a lenient `compose` found wrong is told together with the rest.
        shape: what the top is: Any for a component, or a dataclass such as an experiment's.
        dry: also build, so that what constructors and neighbouring shapes refuse is told.
        supplied: arguments of the top component that come from elsewhere.

    Returns:
        What `vlmloom.registry.plan.construct` builds.

    Raises:
        ConfigError: anything is wrong, all of it at once.
    """
    walker = Walker(supplied)
    if isinstance(root, Composed):
        walker.problems.extend(root.problems)
        root = root.root
    if shape is Any and not root.names_component():
        walker.note(
            root.mark, (), "the top names no component; it needs `use: assembly/...` or `extends: ...`"
        )
        raise ConfigError(walker.problems)
    plan = walker.visit(root, shape, ())
    if dry:
        from vlmloom.registry.dry import dry_build

        walker.problems.extend(dry_build(plan))
    if walker.problems:
        raise ConfigError(walker.problems)
    return plan


class Walker:
    """Visits nodes, notes problems, and returns what is to be built."""

    def __init__(self, supplied: Collection[str] = ()) -> None:
        self.problems: list[Problem] = []
        self.supplied = frozenset(supplied)

    def note(self, mark: Mark, path: tuple[str, ...], text: str, *children: Plan) -> Broken:
        """Remember a problem; what can be told of the children is told all the same."""
        self.problems.append(Problem(mark, ".".join(path), text))
        return Broken(list(children))

    def visit(self, node: Node, hint: Any, path: tuple[str, ...]) -> Plan:
        """Check one value against a type."""
        value = node.value
        if value is UNKNOWN:
            return Broken([])
        if isinstance(value, str) and value == MISSING:
            return self.note(node.mark, path, f"is left at ???; needs {describe_hint(hint)}")
        target = arguments_of(hint)
        if target is not None and isinstance(value, dict):
            taken = {key: node.value[key].value for key, _ in target.accepts if key in node.value}
            taken = {key: value for key, value in taken.items() if (key, value) in target.accepts}
            rest = Node({key: child for key, child in value.items() if key not in taken}, node.mark)
            checked = self._keywords(rest, signature(target.load()), path, target.path, complete=False)
            if isinstance(checked, Fields):
                checked.values.update({key: Leaf(one) for key, one in taken.items()})
            return checked
        if node.names_component():
            return self._component(node, hint, path)
        if value is None and admits_none(hint):
            return Leaf(None)
        options = members(hint)
        if any(unwrap(option) in (Any, object) for option in options):
            return self._anything(node, path)
        if isinstance(value, dict):
            return self._mapping(node, hint, options, path)
        if isinstance(value, (list, tuple)):
            return self._sequence(node, hint, options, path)
        return self._scalar(node, hint, options, path)

    def _anything(self, node: Node, path: tuple[str, ...]) -> Plan:
        if isinstance(node.value, dict):
            return Fields({key: self.visit(child, Any, (*path, key)) for key, child in node.value.items()})
        if isinstance(node.value, list):
            return Items([self.visit(child, Any, (*path, str(i))) for i, child in enumerate(node.value)])
        return Leaf(node.value)

    def _mapping(self, node: Node, hint: Any, options: list[Any], path: tuple[str, ...]) -> Plan:
        structure = next((option for option in options if is_structure(option)), None)
        if structure is not None:
            return self._keywords(node, signature(structure), path, structure.__name__, make=structure)
        held = [found for option in options if (found := container(unwrap(option))) and found[0] == "dict"]
        if held:
            inner = held[0][1]
            return Fields({key: self.visit(child, inner, (*path, key)) for key, child in node.value.items()})
        if over_depth(node) and any(container(unwrap(option)) for option in options):
            text = "is written over depth (slices, numbers or *), but no `depth` stands beside it"
            return self.note(node.mark, path, text)
        if any(map(is_selector, node.value)) and any(container(unwrap(option)) for option in options):
            right = "a slice as in Python, a number or * would be right"
            wrong = [
                self.note(child.mark, (*path, key), f"{key!r} selects no layers; {right}")
                for key, child in node.value.items()
                if not is_selector(key)
            ]
            if wrong:
                return wrong[0]
        children = [self.visit(child, Any, (*path, key)) for key, child in node.value.items()]
        if any(True for _ in slots(hint)):
            text = f"names no component; add `use:`, one of {self.candidates(hint)}"
            return self.note(node.mark, path, text, *children)
        return self.note(node.mark, path, f"found a mapping; needs {describe_hint(hint)}", *children)

    def _sequence(self, node: Node, hint: Any, options: list[Any], path: tuple[str, ...]) -> Plan:
        held = [found for option in options if (found := container(unwrap(option))) and found[0] != "dict"]
        fitting = [one for one in held if one[0] != "tuple" or len(one[1]) == len(node.value)]
        if not fitting:
            count = f"a list of {len(node.value)}"
            return self.note(node.mark, path, f"found {count}; needs {describe_hint(hint)}")
        name, inner = fitting[0]
        hints = inner if name == "tuple" else [inner] * len(node.value)
        items = [
            self.visit(child, wanted, (*path, str(i)))
            for i, (child, wanted) in enumerate(zip(node.value, hints, strict=True))
        ]
        return Items(items, list if name == "list" else tuple)

    def _scalar(self, node: Node, hint: Any, options: list[Any], path: tuple[str, ...]) -> Plan:
        value = node.value
        plain = [
            option for option in options
            if not (is_structure(option) or template_of(option) or container(unwrap(option)))
            and (not is_slot(option) or (not isinstance(value, (str, int, float)) and value is not None))
        ]  # fmt: skip
        try:
            if plain and not all(option is type(None) for option in plain):
                wanted = plain[0]
                for option in plain[1:]:
                    wanted = wanted | option
                return Leaf(convert(value, wanted))
        except WrongType:
            pass
        wanted_text = describe_hint(hint)
        if any(True for _ in slots(hint)):
            named = self.candidates(hint)
            wanted_text = named if named == wanted_text else f"a component, {named}"
            if isinstance(value, str) and value in catalog().entries:
                wanted_text = f"{{use: {value}}}"
        return self.note(node.mark, path, f"found {_show(value)}; needs {wanted_text}")

    def _component(self, node: Node, hint: Any, path: tuple[str, ...]) -> Plan:
        named = node.value.get("use") or node.value["class_path"]
        wanted = list(slots(hint))
        free = any(unwrap(option) in (Any, object) for option in members(hint))
        found = self._find_class(node, wanted, path)
        inner = node.value.get("init_args") if "class_path" in node.value else None
        arguments = inner if inner is not None else Node(
            {key: child for key, child in node.value.items() if key not in ("use", "class_path")}, named.mark
        )  # fmt: skip
        if not isinstance(arguments.value, dict):
            return self.note(
                arguments.mark, (*path, "init_args"), f"found {_shown(arguments)}; needs a mapping"
            )
        if found is None:
            return Broken([self._anything(child, (*path, key)) for key, child in arguments.value.items()])
        cls, name = found
        template = False
        if not free:
            fits = [template for base, template in wanted if _derives(cls, base)]
            if not fits:
                kind = name.partition("/")[0] if "/" in name else cls.__name__
                needs = f"needs {self.candidates(hint)}" if wanted else f"needs {describe_hint(hint)}"
                return self.note(named.mark, path, f"found {name}, which is of kind {kind}; {needs}")
            template = fits[0]
        elif "class_path" in node.value and not _is_part(cls):
            text = f"found class {name}, which is no torch module and not registered; it is not built here"
            return self.note(named.mark, path, text)
        lacking = _lacking(cls)
        if lacking:
            text = f"{name} lacks {', '.join(lacking)}, which its contract asks for"
            return self.note(named.mark, path, text)
        supplied = self.supplied if not path else frozenset()
        fields = self._keywords(
            Node(arguments.value, named.mark),
            signature(cls),
            path,
            name,
            complete=not template,
            given=supplied,
        )
        if isinstance(fields, Broken):
            return fields
        assert isinstance(fields, Fields)
        marks = {key: child.mark for key, child in arguments.value.items()}
        return Part(cls, fields.values, named.mark, ".".join(path), template, name, marks=marks)

    def _find_class(
        self, node: Node, wanted: list[tuple[type, bool]], path: tuple[str, ...]
    ) -> tuple[type, str] | None:
        use, class_path = node.value.get("use"), node.value.get("class_path")
        named = use or class_path
        if use is not None and class_path is not None:
            self.note(named.mark, path, "found both `use` and `class_path`; one of them names the component")
            return None
        if not isinstance(named.value, str):
            self.note(
                named.mark, (*path, "use"), f"found {_shown(named)}; needs a name such as projector/mlp"
            )
            return None
        try:
            if use is None:
                return _import_class(named.value), named.value
            if named.value not in catalog().entries:
                kinds = {entry.kind for base, _ in wanted for entry in catalog().deriving_from(base.__name__)}
                raise UserError(catalog().explain_unknown(named.value, kinds))
            return catalog().resolve(named.value), named.value
        except UserError as error:
            self.note(named.mark, (*path, "use" if use else "class_path"), one_line(error))
            return None

    def _keywords(
        self,
        node: Node,
        wanted: Signature,
        path: tuple[str, ...],
        owner: str,
        *,
        complete: bool = True,
        given: Collection[str] = (),
        make: Callable[..., Any] = dict,
    ) -> Plan:
        """Check a mapping's keys against a signature: unknown ones, missing ones, and each value."""
        before = len(self.problems)
        values: dict[str, Plan] = {}
        for key, child in node.value.items():
            parameter = wanted.parameters.get(key)
            if parameter is None and not wanted.open_ended:
                hint = nearest(key, wanted.parameters) or "it takes none"
                values[key] = self.note(child.mark, (*path, key), f"{owner} has no such key; {hint}")
            else:
                values[key] = self.visit(child, parameter.hint if parameter else Any, (*path, key))
        for name, parameter in wanted.parameters.items():
            missing = complete and parameter.default is REQUIRED and name not in node.value
            if missing and name not in given:
                text = f"{owner} needs a value for this key: {describe_hint(parameter.hint)}"
                self.note(node.mark, (*path, name), text)
        if len(self.problems) > before:
            return Broken(list(values.values()))
        marks = {key: child.mark for key, child in node.value.items()}
        return Fields(values, make, node.mark, ".".join(path), marks)

    def candidates(self, hint: Any) -> str:
        """The components that a slot takes."""
        names = [entry.name for base, _ in slots(hint) for entry in catalog().deriving_from(base.__name__)]
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return shown or describe_hint(hint)


def _derives(cls: type, base: type) -> bool:
    try:
        return issubclass(cls, base)
    except TypeError:
        return True


def _lacking(cls: type) -> list[str]:
    """What a class leaves abstract; a class without ABC as its metaclass is built all the same.

    One with a `__new__` of its own lacks nothing: what it builds is of another class (`language/run`).
    """
    if "__new__" in vars(cls):
        return []
    return [name for name in dir(cls) if getattr(getattr(cls, name, None), "__isabstractmethod__", False)]


def _is_part(cls: type) -> bool:
    """Whether a class named by its path alone may be built where no slot says what belongs there."""
    return hasattr(cls, "registered_name") or any(
        base.__module__.startswith("torch.nn") for base in cls.__mro__
    )


def _import_class(path: str) -> type:
    module, dot, name = path.rpartition(".")
    if not dot:
        raise UserError(f"found {path!r}; a class path is module.Class")
    try:
        found = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} cannot be imported: {named(error)}") from error
    if not inspect.isclass(found):
        raise UserError(f"{path} is no class; a class path is module.Class")
    return found


def _shown(node: Node) -> str:
    return describe(node) if isinstance(node.value, dict | list) else _show(node.value)


def _show(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
