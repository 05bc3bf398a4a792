"""Every backend does what attention/sdpa does, or says in one line why it cannot.

Kernels that need CUDA are stood in for by one that is written down token by token from the kernel's own
arguments; with a CUDA device the real ones are compared.
"""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attended import EQUAL, LONG, MASKS, RAGGED, SINGLE, dense, inputs, sees

from vlmloom.components.attention import SDPA, Auto, Flex, Varlen, XFormers, varlen, xformers
from vlmloom.components.attention.auto import pick
from vlmloom.components.attention.ranges import rows_and_columns
from vlmloom.components.contracts.mask import Bidirectional, Causal, MessageTree, SlidingWindow
from vlmloom.registry.errors import UserError

PLAIN = ["bidirectional", "causal", "window", "wide_window"]
HAS_XFORMERS = importlib.util.find_spec("xformers") is not None


def plain(total, dtype=torch.float32, **arguments):
    return [part.detach().to(dtype) for part in inputs(total, **arguments)]


# --- flex -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "name"),
    [(RAGGED, name) for name in MASKS] + [(LONG, name) for name in ("causal", "images", "tree")],
)
def test_flex_equals_sdpa(lengths, name):
    total = sum(lengths)
    mask, parts = MASKS[name](total), plain(total)
    torch.testing.assert_close(Flex(compiled=False)(*parts, lengths, mask), SDPA()(*parts, lengths, mask))


def test_flex_takes_a_scale_and_equal_heads():
    parts = plain(sum(RAGGED), heads=2, kv_heads=2)
    got = Flex(compiled=False)(*parts, RAGGED, Causal(), scale=0.3)
    torch.testing.assert_close(got, SDPA()(*parts, RAGGED, Causal(), scale=0.3))


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKS)
def test_flex_compiled_equals_sdpa(name):
    total = sum(LONG)
    mask, parts = MASKS[name](total), plain(total, size=16)
    torch.testing.assert_close(Flex()(*parts, LONG, mask), SDPA()(*parts, LONG, mask))


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("lengths", [RAGGED, EQUAL, SINGLE, LONG], ids=["ragged", "equal", "single", "long"])
def test_blocks_of_flex_hold_all_that_is_seen_and_full_ones_nothing_else(name, lengths):
    total, block = sum(lengths), 4
    mask = MASKS[name](total)
    seen = np.zeros((total, total), dtype=bool)
    start = 0
    for length in lengths:
        for query in range(length):
            for key in range(length):
                seen[start + query, start + key] = sees(mask, query, key, start)
        start += length
    count = -(-total // block)
    padded = np.zeros((count * block, count * block), dtype=bool)
    padded[:total, :total] = seen
    tiles = padded.reshape(count, block, count, block).transpose(0, 2, 1, 3)
    real = np.minimum(block, total - block * np.arange(count))
    whole = np.array([[tiles[r, c, : real[r]].all() for c in range(count)] for r in range(count)])
    visited = {}
    for kind, (numbers, columns) in zip(
        ("partial", "full"), rows_and_columns(mask, lengths, block), strict=True
    ):
        visited[kind] = np.zeros((count, count), dtype=bool)
        for row in range(count):
            visited[kind][row, columns[row, : numbers[row]]] = True
    assert not (visited["partial"] & visited["full"]).any()
    assert (visited["full"] <= whole).all()
    assert (tiles.any((2, 3)) <= (visited["partial"] | visited["full"])).all()
    if name in ("causal", "bidirectional", "block", "window"):
        assert (visited["full"] == whole).all()


def test_flex_has_no_backward_pass_on_a_cpu():
    with pytest.raises(UserError, match="no backward pass on a CPU; attention/sdpa would be right"):
        Flex()(*inputs(5), (5,), Causal())


# --- varlen -----------------------------------------------------------------------------------------------


def written_down(query, key, value, edges, other_edges, longest, other_longest, **options):
    """FlashAttention of packed segments from its own arguments, token by token."""
    assert edges is other_edges and edges.dtype == torch.int32
    lengths = edges.diff().tolist()
    assert longest == other_longest == max(lengths) and min(lengths) > 0
    back, ahead = options["window_size"]
    assert options.pop("causal", ahead == 0) == (ahead == 0)
    assert options.pop("enable_gqa", True) == (query.shape[1] != key.shape[1]) or "softmax_scale" in options
    assert ahead in (0, -1)
    mask = Bidirectional() if ahead else SlidingWindow(back + 1) if back >= 0 else Causal()
    scale = options.get("scale", options.get("softmax_scale"))
    parts = (part.double() for part in (query, key, value))
    return dense(*parts, lengths, mask, scale).to(query.dtype)


@pytest.fixture(params=["torch", "flash_attn"])
def kernels(request, monkeypatch):
    """Each kernel of attention/varlen, written down."""
    if request.param == "torch":

        def varlen_attn(
            q, k, v, edges, others, longest, other, *, scale=None, window_size=(-1, -1), enable_gqa=False
        ):
            return written_down(
                q,
                k,
                v,
                edges,
                others,
                longest,
                other,
                scale=scale,
                window_size=window_size,
                enable_gqa=enable_gqa,
            )

        monkeypatch.setitem(
            sys.modules, "torch.nn.attention.varlen", SimpleNamespace(varlen_attn=varlen_attn)
        )
        run = varlen.of_torch()
    else:
        module = SimpleNamespace(flash_attn_varlen_func=written_down)
        monkeypatch.setitem(sys.modules, "flash_attn", module)
        run = varlen.of_flash_attn()
    monkeypatch.setattr(varlen, "kernel", lambda: run)
    monkeypatch.setattr(Varlen, "available", classmethod(lambda cls: None))


@pytest.mark.parametrize("name", PLAIN)
def test_varlen_tells_its_kernel_the_mask(kernels, name):
    mask, parts = MASKS[name](sum(RAGGED)), plain(sum(RAGGED), torch.bfloat16)
    expected = dense(*(part.double() for part in parts), RAGGED, mask, 0.2)
    got = Varlen()(*parts, RAGGED, mask, scale=0.2)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), expected, atol=0.02, rtol=0.02)


def test_varlen_runs_in_the_precision_of_autocast(kernels):
    parts = plain(sum(RAGGED))
    with torch.autocast("cpu", torch.bfloat16):
        assert Varlen()(*parts, RAGGED, Causal()).dtype == torch.bfloat16
    with pytest.raises(UserError, match="found float32, but FlashAttention takes float16 and bfloat16"):
        Varlen()(*parts, RAGGED, Causal())


def test_an_old_torch_has_no_kernel_to_offer(monkeypatch):
    old = SimpleNamespace(
        varlen_attn=lambda query, key, value, edges, others, longest, other, is_causal=False: None
    )
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", old)
    assert varlen.of_torch() is None


# --- xformers ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_XFORMERS, reason="xformers is not installed")
@pytest.mark.parametrize("heads", [(4, 2), (2, 2)], ids=["grouped", "equal"])
@pytest.mark.parametrize("name", PLAIN)
def test_xformers_is_told_the_mask(monkeypatch, name, heads):
    import xformers.ops

    def attention(query, key, value, attn_bias, scale):
        bias = attn_bias.materialize((query.shape[1], key.shape[1]), dtype=torch.float64)
        query, key, value = (part[0].flatten(1, -2) for part in (query, key, value))
        scores = torch.einsum("qhs,khs->hqk", query, key) * (scale or query.shape[-1] ** -0.5) + bias
        out = torch.einsum("hqk,khs->qhs", scores.softmax(-1), value)[None]
        return out if heads[0] == heads[1] else out.unflatten(2, (heads[1], -1))

    monkeypatch.setattr(xformers.ops, "memory_efficient_attention", attention)
    monkeypatch.setattr(XFormers, "available", classmethod(lambda cls: None))
    mask = MASKS[name](sum(RAGGED))
    parts = plain(sum(RAGGED), torch.float64, heads=heads[0], kv_heads=heads[1])
    for scale in (None, 0.3):
        got = XFormers()(*parts, RAGGED, mask, scale=scale)
        torch.testing.assert_close(got, dense(*parts, RAGGED, mask, scale))


def test_segments_without_tokens_do_not_reach_xformers(monkeypatch):
    asked = []
    monkeypatch.setattr(xformers, "bias_of", lambda mask, lengths, device: asked.append(lengths))
    module = SimpleNamespace(memory_efficient_attention=lambda query, key, value, attn_bias, scale: query)
    monkeypatch.setitem(sys.modules, "xformers.ops", module)
    monkeypatch.setitem(sys.modules, "xformers", SimpleNamespace(ops=module))
    monkeypatch.setattr(XFormers, "available", classmethod(lambda cls: None))
    query, key, value = plain(7)
    out = XFormers()(query, key, value, (3, 0, 4, 0), Causal())
    assert asked == [(3, 4)] and torch.equal(out, query)
    query, key, value = plain(7, heads=2)
    assert torch.equal(XFormers()(query, key, value, (7,), Causal()), query)


# --- auto -------------------------------------------------------------------------------------------------


def test_auto_is_sdpa_on_a_cpu_and_tells_so():
    attention, parts = Auto(), inputs(sum(RAGGED))
    for _ in range(2):
        torch.testing.assert_close(attention(*parts, RAGGED, Causal()), SDPA()(*parts, RAGGED, Causal()))
    assert attention.picks == {"attention (Causal, float64, cpu)": "attention/sdpa"}
    assert not list(attention.parameters())


@pytest.mark.parametrize(
    ("there", "dtype", "mask", "size", "picked"),
    [
        ((Varlen, XFormers), torch.bfloat16, Causal(), 64, "varlen"),
        ((XFormers,), torch.float16, SlidingWindow(3), 64, "xformers"),
        ((), torch.bfloat16, Bidirectional(), 64, "flex"),
        ((Varlen, XFormers), torch.bfloat16, MessageTree(torch.zeros(3)), 64, "flex"),
        ((Varlen, XFormers), torch.float32, Causal(), 64, "sdpa"),
        ((Varlen, XFormers), torch.bfloat16, Causal(), 8, "sdpa"),
    ],
)
def test_auto_picks_on_cuda_by_what_is_there_precision_mask_and_size(
    monkeypatch, there, dtype, mask, size, picked
):
    for backend in (Varlen, XFormers):
        lacking = None if backend in there else "not here"
        monkeypatch.setattr(backend, "available", classmethod(lambda cls, lacking=lacking: lacking))
    assert pick("cuda", dtype, mask, size) == picked
    assert pick("cpu", dtype, mask, size) == "sdpa"


# --- all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [SDPA, Flex, Auto])
@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_nothing_to_attend_to(backend, lengths):
    assert backend()(*plain(0), lengths, Causal()).shape == (0, 4, 8)


@pytest.mark.parametrize("backend", [Varlen, XFormers])
def test_a_mask_that_a_backend_cannot_do_is_one_line(backend):
    with pytest.raises(
        UserError, match="found mask MessageTree, but it does Bidirectional, Causal, Sliding"
    ) as told:
        backend()(*plain(5), (5,), MASKS["tree"](5))
    assert len(told.value.lines) == 1 and told.value.lines[0].endswith("sdpa would be right")


@pytest.mark.parametrize("backend", [Varlen, XFormers, Flex])
def test_what_is_no_mask(backend):
    with pytest.raises(TypeError, match="str is not a mask"):
        backend()(*plain(5), (5,), "causal")


@pytest.mark.parametrize("backend", [Varlen, XFormers, Flex])
@pytest.mark.parametrize(
    ("lengths", "heads", "mask", "message"),
    [
        ((3, 3), 4, Causal(), "lengths sum to 6, but there are 5 tokens"),
        ((5,), 3, Causal(), "2 kv heads do not divide 3 heads"),
        ((5,), 4, SlidingWindow(0), "a window holds at least the token itself"),
    ],
)
def test_errors_are_one_line(monkeypatch, backend, lengths, heads, mask, message):
    monkeypatch.setattr(backend, "available", classmethod(lambda cls: None))
    with pytest.raises(ValueError, match=message) as caught:
        backend()(*plain(5, heads=heads), lengths, mask)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "cuda", "told"),
    [
        (Varlen, False, "attention/varlen: runs on CUDA alone, and this machine has no CUDA device"),
        (
            Varlen,
            True,
            "attention/varlen: this PyTorch has no torch.nn.attention.varlen with windows; a newer one",
        ),
        (XFormers, False, 'attention/xformers: xformers is not installed; pip install "vlmloom'),
    ],
)
def test_a_backend_that_is_not_there_says_how_to_get_it(monkeypatch, backend, cuda, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(varlen, "kernel", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        backend()(*plain(5), (5,), Causal())
    (line,) = caught.value.lines
    print(line)
    assert line.startswith(told)


@pytest.mark.gpu
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("backend", [Flex, Varlen, XFormers, Auto])
def test_on_cuda_forward_and_backward_equal_sdpa(backend, name):
    if backend.available() is not None:
        pytest.skip(backend.available())
    mask = MASKS[name](sum(LONG))
    if not isinstance(mask, backend.masks):
        pytest.skip("it has no such mask")
    if hasattr(mask, "picture"):
        mask = type(mask)(mask.picture.cuda(), everywhere=mask.everywhere)
    if hasattr(mask, "branch"):
        mask = type(mask)(mask.branch.cuda())
    parts = [part.detach().to("cuda", torch.bfloat16).requires_grad_() for part in inputs(sum(LONG), size=64)]
    got, expected = backend()(*parts, LONG, mask), SDPA()(*parts, LONG, mask)
    torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
    towards = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(got, parts, towards), torch.autograd.grad(expected, parts, towards), strict=True
    ):
        torch.testing.assert_close(one, other, atol=5e-2, rtol=5e-2)
