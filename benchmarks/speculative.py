"""Self-speculative decoding over our own greedy decoding, by a model that knows its text."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.batches import Ragged, pack
from benchmarks.models import Shape
from benchmarks.timing import contests, precision
from vlmloom.assemblies.generation import Acceptance
from vlmloom.assemblies.native.native import Native
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head.lm import LMHead
from vlmloom.components.head.mtp import MTPHead
from vlmloom.components.language import GLM, Layer

GOALS = {"fp32": 1.3}
DRAFTS = 3
ALPHABET = 256


def text(characters: int) -> str:
    """The beginning of Python's own reference, as `help()` prints it."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))[:characters]


def tokenize(written: str, vocab: int) -> tuple[Tokenizer, Tensor]:
    """A byte-level tokenizer of this text, and its ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([written], trainer)
    return tokenizer, torch.tensor(tokenizer.encode(written).ids)


def build(shape: Shape) -> Native:
    """A dense decoder with one multi-token module for all depths, as GLM-OCR has it."""
    torch.manual_seed(0)
    layers: list[Layer] = [{"ffn": partial(SwiGLU, hidden=shape.dense)} for _ in range(shape.depth)]
    return Native(
        language=GLM(
            vocab=shape.vocab, width=shape.width, depth=shape.depth, heads=shape.heads,
            kv_heads=shape.kv_heads, layers=layers,
        ),
        head={"lm": LMHead, "mtp": partial(MTPHead, depth=DRAFTS, shared=True, loss_weight=1.0)},
    )  # fmt: skip


def windows(ids: Tensor, shape: Shape, model: Native, starts: list[int], length: int) -> Packed:
    """Runs of the text, packed."""
    texts = [[ids[start : start + length]] for start in starts]
    return pack(Ragged(texts, [[] for _ in texts], torch.empty(0, 3 * shape.patch**2)), shape, model)


def train(model: Native, ids: Tensor, shape: Shape, steps: int, length: int, count: int) -> list[float]:
    """Learn the text; gives the next-token loss of each step."""
    dice = torch.Generator().manual_seed(0)
    optimizer = AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    schedule = OneCycleLR(optimizer, 3e-3, total_steps=steps + 1, pct_start=0.1)
    losses = []
    model.train()
    for _ in range(steps):
        starts = torch.randint(0, len(ids) - length, (count,), generator=dice).tolist()
        loss, metrics = model.loss(windows(ids, shape, model, starts, length))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(metrics["lm/loss"]))
    model.eval()
    return losses


def run(
    shape: Shape,
    repeats: int,
    characters: int = 3000,
    steps: int = 300,
    count: int = 4,
    prompts: int = 4,
    prompt: int = 32,
    new: int = 96,
) -> dict[str, Any]:
    """Train, then continue passages of the text with and without drafts, one by one."""
    tokenizer, ids = tokenize(text(characters), 2 * ALPHABET)
    # The last id stands for a visual token, of which there is none.
    shape = replace(shape, vocab=tokenizer.get_vocab_size() + 1)
    model = build(shape)
    start = time.perf_counter()
    with precision("fp32", autocast=False):
        losses = train(model, ids, shape, steps, min(128, len(ids) // 2), count)
    trained = time.perf_counter() - start
    last = len(ids) - prompt - new
    batches = [
        windows(ids, shape, model, [place], prompt)
        for place in torch.linspace(0, last, prompts).long().tolist()
    ]
    acceptance = Acceptance()

    def answers(speculative: int, counted: Acceptance | None = None) -> list[list[int]]:
        with precision("fp32", autocast=False):
            return [
                model.generate(batch, stop=-1, limit=new, speculative=speculative, acceptance=counted)[0]
                for batch in batches
            ]

    plain, drafted = answers(0), answers(DRAFTS, acceptance)
    return {
        "characters": characters,
        "vocab": shape.vocab,
        "training": {"seconds": trained, "steps": steps, "first_loss": losses[0], "last_loss": losses[-1]},
        "equal": plain == drafted,
        "acceptance": acceptance.mean,
        "histogram": dict(sorted(acceptance.gained.items())),
        "sample": {
            "prompt": tokenizer.decode(batches[0].ids.tolist()),
            "answer": tokenizer.decode(plain[0]),
        },
        "contests": contests(
            f"speculative, {DRAFTS} drafts, batch 1",
            {"drafts, fp32": lambda: answers(DRAFTS)},
            {"greedy, fp32": lambda: answers(0)},
            repeats=repeats,
            count=prompts * new,
            goals=GOALS,
            peer="own greedy",
        ),
    }


def notes(found: dict[str, Any]) -> list[str]:
    training, histogram = found["training"], found["histogram"]
    passes = sum(histogram.values())
    shares = ", ".join(f"{gained}: {count / passes:.0%}" for gained, count in histogram.items())
    equal = "equal token for token" if found["equal"] else "NOT equal"
    return [
        f"{found['acceptance']:.2f} tokens a forward pass of the model ({shares}); the answers are {equal}. "
        f"The model learnt {found['characters']} characters of Python's reference in {training['steps']} "
        f"steps, {training['seconds']:.0f} s: loss {training['first_loss']:.2f} to "
        f"{training['last_loss']:.2f}.",
    ]
