"""What the bar of a stage tells beside the pace."""

import io
from types import SimpleNamespace

import torch
from rich.console import Console
from torch import nn

from vlmloom.components.attention import Auto
from vlmloom.components.contracts.mask import Causal
from vlmloom.components.moe import SigmoidBias
from vlmloom.pipelines.progress import BudgetBar


def test_what_auto_picked_is_told_once():
    attention, moe = Auto(), SigmoidBias(width=8, hidden=4, experts=2, top_k=1)
    parts = torch.randn(3, 5, 2, 8)
    attention(*parts, (5,), Causal())
    moe(torch.randn(5, 8), [5])
    loom = SimpleNamespace(progress=0.0, model=nn.ModuleList([attention, attention, moe]))
    told = io.StringIO()
    bar = BudgetBar(Console(file=told))
    bar.on_train_start(None, loom)
    for step in range(3, 6):
        bar.on_train_batch_end(None, loom, None, None, step)
    assert told.getvalue().splitlines() == [
        "  attention (Causal, float32, cpu): attention/sdpa",
        "  experts (cpu): loop",
    ]
