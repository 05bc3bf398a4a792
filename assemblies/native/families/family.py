"""`Family`: one architecture of released checkpoints, its settings and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vlmloom.assemblies.native.families import decoders, keys, settings
from vlmloom.assemblies.native.families.keys import Link, Shape, Sizes
from vlmloom.assemblies.native.families.reading import to_ours
from vlmloom.assemblies.native.families.settings import ABSENT, Ours, Setting, Tree, Unfit, dig
from vlmloom.assemblies.native.families.settings import Row as Line
from vlmloom.registry.catalog import catalog
from vlmloom.registry.plan import defaults

MTP = "head.mtp"
"""Where an imported assembly has its multi-token head."""

PICTURES = ("min_patches", "max_patches", "size", "mean", "std", "resize", "sampling")
FREE = {
    "assembly/native": (),
    "vision/cogvit": (*PICTURES, "attention"),
    "vision/aimv2_glm": (*PICTURES, "attention"),
    "language/glm": ("attention", "init_std"),
    "language/glm_dsa": ("attention", "index_loss", "init_std", "mrope_sections"),
    "ffn/swiglu": ("init_std",),
    "moe/sigmoid_bias": ("balance_loss", "backend", "init_std"),
    "head/lm": ("init_std",),
    "head/mtp": ("depth", "shared", "modules", "own_tables", "loss_weight", "init_std"),
    "head/mmtp": (
        *("depth", "shared", "modules", "own_tables", "loss_weight", "init_std"),
        *("assign", "balance_loss"),
    ),
}
"""Arguments that change how a part trains, or how its pictures are cut, but not what it computes.

What a multi-token head reads at visual slots (`visual_input`) is none: files mean the shared token.
"""


@dataclass(frozen=True)
class Table:
    """Rows that hold once, or for each of a number of layers.

    Attributes:
        rows: with names below the prefixes.
        ours: prefix of our names; `{n}` is the number of the layer.
        theirs: prefix of theirs; `{n}` is the number, from `start` on.
        count: our place that says how many there are; empty is once.
        start: our place that says where their numbers begin.
    """

    rows: tuple[keys.Row, ...]
    ours: str = ""
    theirs: str = ""
    count: str = ""
    start: str = ""

    def spread(self, assembly: Tree) -> Iterator[keys.Row]:
        """The rows for all layers."""
        count = dig(assembly, self.count) if self.count else 1
        start = dig(assembly, self.start) if self.start else 0
        for number in range(0 if count is ABSENT else count):
            for row in self.rows:
                yield row.under(
                    self.ours.replace("{n}", str(number)), self.theirs.replace("{n}", str(start + number))
                )


def decoder_tables(block: tuple[keys.Row, ...], prefix: str) -> tuple[Table, ...]:
    """The tables of a decoder, its output matrix and its multi-token modules.

    Args:
        block: rows of one layer.
        prefix: of the language part in a file.
    """
    layer = prefix + "layers.{n}."
    modules = {"count": f"{MTP}.modules", "start": "language.depth"}
    return (
        Table(decoders.ENDS, "language.", prefix),
        Table(decoders.OUTPUT, "head.lm."),
        Table(block, "language.blocks.{n}.", layer, count="language.depth"),
        Table(decoders.MTP, f"{MTP}.steps.{{n}}.", layer, **modules),
        Table(block, f"{MTP}.steps.{{n}}.block.", layer, **modules),
    )


@dataclass(frozen=True)
class Family:
    """An architecture that transformers has a class for.

    Attributes:
        model_type: as config.json says it.
        architecture: the class.
        settings: config.json and our assembly.
        tables: the tensors.
        read_layers: config.json -> what each layer is, in words.
        write_layers: what each layer is -> settings of config.json.
        layer_kind: the description of one of our layers -> what it is.
        sizes: our description -> the sizes that rows speak of.
        mtp: the component of the multi-token head, where checkpoints may have one.
        language: prefix of the language part in a file.
        depth: the place in config.json that counts its layers.
        older: prefixes that files have had, and today's; the first that fits holds.
        skeleton: what a config.json says beside the settings.
        left: prefixes of tensors that have no component here and are left behind.
    """

    model_type: str
    architecture: str
    settings: tuple[Line, ...]
    tables: tuple[Table, ...]
    read_layers: Callable[[Mapping[str, Any]], list[str]]
    write_layers: Callable[[Sequence[str]], Tree]
    layer_kind: Callable[[Mapping[str, Any]], str]
    sizes: Callable[[Tree], Sizes]
    language: str = "model.language_model."
    depth: str = "text_config.num_hidden_layers"
    mtp: str = ""
    older: tuple[tuple[str, str], ...] = ()
    skeleton: tuple[tuple[str, Any], ...] = ()
    left: tuple[str, ...] = ()

    def today(self, name: str) -> str:
        """A tensor's name as today's files have it."""
        for before, now in self.older:
            if name.startswith(before):
                return now + name.removeprefix(before)
        return name

    def assembly(
        self,
        config: Mapping[str, Any],
        *,
        steps: int = 0,
        tables: bool = False,
        most: Mapping[str, int] = MappingProxyType({}),
    ) -> Tree:
        """The assembly that a config.json describes, as a YAML would hold it.

        Args:
            config: config.json.
            steps: how many multi-token modules the checkpoint holds.
            tables: whether these have an embedding and an output matrix of their own.
            most: the largest count that a place of ours may hold, where the checkpoint bounds it.

        Raises:
            Unfit: a value is missing, cannot be meant, or is not what our parts compute.
        """
        rows = [row for row in self.settings if steps or not self._of_head(row)]
        tree = to_ours(rows, config, self._kinds, most)
        if steps:
            settings.put(tree, f"{MTP}.depth", steps)
            settings.put(tree, f"{MTP}.shared", steps == 1)
            settings.put(tree, f"{MTP}.own_tables", tables)
        return _ordered(tree)

    def config(self, assembly: Tree, base: Mapping[str, Any] | None = None) -> Tree:
        """The config.json of an assembly; it counts the multi-token modules that the assembly has.

        Args:
            assembly: ours, every argument with its value (`registry.plan.values`).
            base: the config.json that it came from, of which everything else is kept.

        Raises:
            Unfit: the family has no place for a part or a value; all of them.
        """
        faults = list(self._foreign(assembly, ""))
        if faults:
            raise Unfit(faults)
        kinds = [self.layer_kind(layer) for layer in dig(assembly, "language.layers")]
        head = assembly["head"].get("mtp")
        rows = [row for row in self.settings if head or not self._of_head(row)]
        written = settings.to_theirs(rows, assembly, kinds, base or {})
        config: Tree = _copied(base) if base else {}
        for place, value in () if base else self.skeleton:
            settings.put(config, place, value)
        for place, value in written.items():
            settings.put(config, place, value)
        if not base or self._kinds(config) != kinds:
            for place, value in self.write_layers(kinds).items():
                settings.put(config, place, value)
        modules = head["modules"] if head else 0
        place = self.depth.replace("num_hidden_layers", "num_nextn_predict_layers")
        if dig(config, place) != modules and (modules or dig(config, place) not in (ABSENT, None)):
            settings.put(config, place, modules)
        return config

    def links(self, assembly: Tree, shapes: Mapping[str, Shape]) -> list[Link]:
        """How the tensors of an assembly and of a file correspond.

        Args:
            assembly: its description.
            shapes: of its state, by name.
        """
        rows = [row for table in self.tables for row in table.spread(assembly)]
        return keys.link(rows, shapes, self.sizes(assembly))

    def _kinds(self, config: Mapping[str, Any]) -> list[str]:
        try:
            return self.read_layers(config)
        except ValueError as fault:
            raise Unfit([str(fault)]) from None

    @staticmethod
    def _of_head(row: Line) -> bool:
        place = row.ours if isinstance(row, Setting) else row.place if isinstance(row, Ours) else ""
        return place.startswith(f"{MTP}.")

    def _foreign(self, node: Any, path: str) -> Iterator[str]:
        """Parts and values for which the family has no place."""
        if isinstance(node, list | tuple):
            for number, child in enumerate(node):
                yield from self._foreign(child, f"{path}.{number}")
            return
        if not isinstance(node, Mapping):
            return
        use = node.get("use")
        if use is not None:
            wanted = self._wanted(path)
            if use not in wanted:
                fits = f"{' or '.join(wanted)} would fit" if wanted else "it has no such part"
                yield f"{path or 'the top'} is {use}; {fits}"
                return
        optional = {} if use is None else defaults(catalog().resolve(use))
        for key, value in node.items():
            inside = f"{path}.{key}".lstrip(".")
            if key == "use" or (use is not None and key in FREE.get(use, ())):
                continue
            if isinstance(value, Mapping | list) and value:
                yield from self._foreign(value, inside)
            elif settings.uncovered(self.settings, inside) and (
                key not in optional or settings.row_differs(optional[key], value)
            ):
                yield f"{inside} is {value!r}, for which there is no place"

    def _wanted(self, path: str) -> list[str]:
        """The components that may stand at a path."""
        return list(dict.fromkeys(settings.fixed(self.settings, f"{path}.use".lstrip("."))))


def _copied(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _ordered(tree: Tree) -> Tree:
    """Parts in the order of the flow, `use` first in each."""

    def sort(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        first = ("use", "vision", "projector", "language", "head")
        keys = sorted(node, key=lambda key: first.index(key) if key in first else len(first))
        return {key: sort(node[key]) for key in keys}

    return sort(tree)
