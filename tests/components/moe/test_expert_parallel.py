"""Experts on two processes equal the same experts on one, also where a process has no token."""

import pytest
import torch
from torch import distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from vlmloom.components.moe.experts import Experts, sort_by_expert
from vlmloom.components.moe.megablocks import MegaBlocksExperts

EXPERTS, WIDTH, CHOICES = 6, 16, 2
TOKENS = [(7, 12), (9, 0), (0, 0)]
"""Of both processes, in three batches."""
BACKENDS = ("loop", "grouped_mm")


def experts(backend: str) -> Experts:
    torch.manual_seed(0)
    return Experts(experts=EXPERTS, width=WIDTH, hidden=32, backend=backend, init_std=0.5)


def tokens(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, shares and chosen experts; the last expert is chosen by nobody."""
    torch.manual_seed(seed)
    x = torch.randn(count, WIDTH, requires_grad=True)
    shares = torch.rand(count, CHOICES, requires_grad=True)
    chosen = torch.rand(count, EXPERTS - 1).argsort(1)[:, :CHOICES]
    return x, shares, chosen


def run(layer: Experts, count: int, seed: int) -> list[torch.Tensor]:
    """Output and gradients by the tokens; those by the weights are added up in the layer."""
    x, shares, chosen = tokens(count, seed)
    out = layer(x, shares, sort_by_expert(chosen, EXPERTS), limit=2.0)
    out.square().sum().backward()
    return [out.detach(), x.grad, shares.grad]


def _rank(rank: int, rendezvous: str, results) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for backend in BACKENDS:
        layer = experts(backend)
        placed = layer.place(mesh)
        assert [parameter.to_local().shape[0] for parameter in placed] == [EXPERTS // 2] * 2
        assert not layer.are_few(torch.zeros(1, CHOICES, dtype=torch.long))
        found = [run(layer, counts[rank], seed=10 * rank + n) for n, counts in enumerate(TOKENS)]
        slopes = [parameter.grad for parameter in layer.parameters()]
        assert all(isinstance(slope, DTensor) for slope in slopes)
        whole = [slope.full_tensor() for slope in slopes]
        results[backend, rank] = [[part.numpy() for part in parts] for parts in (*found, whole)]
    distributed.barrier()
    distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(_rank, (str(tmp_path / "rendezvous"), results), nprocs=2)
        found = dict(results)
    for backend in BACKENDS:
        layer = experts(backend)
        for rank in range(2):
            *batches, slopes = found[backend, rank]
            for n, (counts, parts) in enumerate(zip(TOKENS, batches, strict=True)):
                for part, own in zip(parts, run(layer, counts[rank], seed=10 * rank + n), strict=True):
                    torch.testing.assert_close(torch.from_numpy(part), own)
        for slope, parameter in zip(slopes, layer.parameters(), strict=True):
            # The loss of a step is the mean over processes.
            torch.testing.assert_close(torch.from_numpy(slope), parameter.grad / 2)
            assert not parameter.grad[-1].any() and parameter.grad[0].any()


def test_megablocks_is_refused():
    layer = MegaBlocksExperts(experts=4, width=8, hidden=8, init_std=0.1)
    with pytest.raises(ValueError, match="keeps all experts; moe/sigmoid_bias would be right"):
        layer.place(None)
