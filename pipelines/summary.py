"""What a model is made of and what it costs, without running it: the document behind `vlmloom show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from vlmloom.assemblies.assembly import Assembly
from vlmloom.assemblies.flops import forward_flops
from vlmloom.components.contracts.spec import Spec

Summary = dict[str, Any]


def summarise(assembly: Assembly, *, context: int, image: tuple[int, int]) -> Summary:
    """Parts, shapes, parameters, FLOPs and bytes of an assembly; a meta one will do.

    Args:
        assembly: the model.
        context: tokens of the text that a token's FLOPs are an average over.
        image: height and width in pixels of the picture whose FLOPs are told.

    Returns:
        `parameters`: `total`; `active`, which are those of the language part that one token of text uses
        (routed experts count the top k, the embedding not at all); beside them `embedding`, `output_head`,
        `other_heads` (multi-token ones), `vision`, `projector`, `rest`; and the total `without_other_heads`.
        `flops`, forward: `per_token` of text with a target each, `per_image` with its tokens in the language
        part, the same by part, and the `context`, `image` and `visual_tokens` that they hold for.
        `bytes`: `weights`, `gradients` and `optimizer` (AdamW's two moments of each trained parameter), and
        `bf16`: the weights in two bytes each.
        `tree`: of the root: `name`, `use`, `class_path`, `parameters`, `output` (`stream`, `width`, `tokens`,
        or null where none is declared), `blocks` (how many there are and their parameters, or null) and
        `children`, each the same. Here `active` is all but the experts that a token is not sent to.
    """
    shapes = _shapes(assembly)
    return {
        "parameters": _parameters(assembly),
        "flops": _flops(assembly, context, image),
        "bytes": _bytes(assembly),
        "tree": _tree("", assembly, shapes),
    }


def _parameters(assembly: Assembly) -> Summary:
    parts = assembly.parts()
    language = parts.get("language")
    embedding = 0 if language is None else _total(language.embed)  # type: ignore[arg-type]
    told = {
        "total": _total(assembly),
        "active": 0 if language is None else active_parameters(language) - embedding,
        "embedding": embedding,
        "output_head": sum(_total(part) for name, part in parts.items() if name == "head.lm"),
        "other_heads": sum(
            _total(part) for name, part in parts.items() if name.startswith("head.") and name != "head.lm"
        ),
        "vision": _total(parts["vision"]) if "vision" in parts else 0,
        "projector": _total(parts["projector"]) if "projector" in parts else 0,
    }
    named = sum(told[name] for name in ("output_head", "other_heads", "vision", "projector"))
    told["rest"] = told["total"] - named - (0 if language is None else _total(language))
    told["without_other_heads"] = told["total"] - told["other_heads"]
    return told


def _total(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def active_parameters(module: nn.Module) -> int:
    """Parameters that one token uses: all but the experts that it is not sent to."""
    return _total(module) - sum(_total(block) - block.active_parameters() for block in _routed(module))


def _routed(module: nn.Module) -> Iterator[Any]:
    if callable(getattr(module, "active_parameters", None)):
        yield module
        return
    for child in module.children():
        yield from _routed(child)


def _flops(assembly: Assembly, context: int, image: tuple[int, int]) -> Summary:
    text = assembly.forward_flops([context], [], context)
    told: Summary = {
        "context": context,
        "per_token": forward_flops(assembly, [context], [], context) // context,
        "per_token_by_part": {part: flops // context for part, flops in text.items()},
        "image": list(image),
        "visual_tokens": 0,
        "per_image": 0,
        "per_image_by_part": {},
    }
    spec = assembly.patch_specs().get("vision")
    if spec is not None:
        grid = spec.grid(1, *image)
        frames, rows, columns = assembly.merged_grids([grid])[0]
        told["visual_tokens"] = frames * rows * columns
        lengths = [told["visual_tokens"]]
        told["per_image"] = forward_flops(assembly, lengths, [grid], 0)
        told["per_image_by_part"] = assembly.forward_flops(lengths, [grid], 0)
    return told


def _bytes(module: nn.Module) -> Summary:
    parameters = list(module.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in module.buffers())
    return {
        "weights": sum(one.numel() * one.element_size() for one in parameters) + buffers,
        "gradients": sum(one.numel() * one.element_size() for one in trained),
        "optimizer": sum(2 * one.numel() * max(4, one.element_size()) for one in trained),
        "bf16": sum(2 * one.numel() for one in parameters) + buffers,
    }


def _shapes(assembly: Assembly) -> dict[int, Spec]:
    """What each part declares to give, by the part's id, noted while the assembly chains its shapes."""
    noted: dict[int, Spec] = {}
    wrapped: list[nn.Module] = []

    def note(module: nn.Module, declared: Any) -> Any:
        def shapes(spec: Spec) -> Spec:
            noted[id(module)] = given = declared(spec)
            return given

        return shapes

    for module in assembly.modules():
        declared = getattr(module, "shapes", None)
        if callable(declared) and module is not assembly:
            # In the instance's own dictionary it hides the method, and is taken away again below.
            module.__dict__["shapes"] = note(module, declared)
            wrapped.append(module)
    try:
        assembly.dry_run()
    finally:
        for module in wrapped:
            del module.__dict__["shapes"]
    return noted


def _tree(name: str, module: nn.Module, shapes: dict[int, Spec]) -> Summary:
    spec = shapes.get(id(module))
    output = None
    if spec is not None:
        tokens = sum(frames * rows * columns for frames, rows, columns in spec.grids) or None
        output = {"stream": spec.stream, "width": spec.width, "tokens": tokens}
    return {
        "name": name,
        "use": getattr(module, "registered_name", None),
        "class_path": f"{type(module).__module__}.{type(module).__qualname__}",
        "parameters": {"total": _total(module), "active": active_parameters(module)},
        "output": output,
        "blocks": _blocks(module),
        "children": [_tree(path, child, shapes) for path, child in _parts_below(module)],
    }


def _blocks(module: nn.Module) -> Summary | None:
    """The layers of a part that has some."""
    blocks = getattr(module, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        return None
    counts = {"total": _total(blocks), "active": active_parameters(blocks)}
    return {"count": len(blocks), "parameters": counts}


def _parts_below(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The nearest registered components, with their paths from `module`."""
    for name, child in module.named_children():
        if getattr(child, "registered_name", None):
            yield f"{prefix}{name}", child
        else:
            yield from _parts_below(child, f"{prefix}{name}.")
