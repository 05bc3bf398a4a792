"""A whole native model on packs of text, stills of different sizes and clips."""

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from vlmloom.assemblies.generation import Sampling
from vlmloom.components.contracts.packed import Tag
from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.sample import Picture, Sample, Scene
from vlmloom.components.processor.chat import Chat
from vlmloom.components.tokenizer.bpe import BPE
from vlmloom.pipelines.data.views import pack
from vlmloom.registry.build import build
from vlmloom.registry.compose import compose


class Noise(Picture):
    def __init__(self, frames: int, height: int, width: int) -> None:
        self.frames, self.height, self.width = frames, height, width
        self.key = f"{frames} {height} {width}"

    def render(self) -> np.ndarray:
        rng = np.random.default_rng(self.frames * 10_000 + self.height + self.width)
        return rng.integers(0, 256, (self.frames, self.height, self.width, 3), dtype=np.uint8)


SAMPLES = [
    ["what is two plus three?"],
    [Noise(1, 64, 64), "what is this?"],
    ["first", Noise(1, 64, 96), "second", Noise(1, 48, 32), "which one?"],
    [Noise(1, 32, 32), Noise(1, 96, 64), Noise(1, 64, 64), "three"],
    [Noise(4, 64, 64), "what moves?"],
    ["hi"],
]


def native(**sets):
    torch.manual_seed(0)
    model = build(compose("native", sets=[f"{key}={value}" for key, value in sets.items()]))
    return model.double()


def processor() -> Chat:
    words = [part for prompt in SAMPLES for part in prompt if isinstance(part, str)]
    return Chat(tokenizer=BPE(vocab=512).train([*words, "an answer"]))


def batch_of(model, chat, prompts, normaliser=1.0):
    spec = model.patch_specs()["vision"]
    samples = [
        Sample("t", "train", i, list(prompt), "an answer", Scene("")) for i, prompt in enumerate(prompts)
    ]
    encoded = [
        chat.encode(
            sample, model.merged_grids([spec.grid(p.frames, p.height, p.width) for p in sample.pictures])
        )
        for sample in samples
    ]
    batch = pack(model, encoded, [Tag("t", i) for i in range(len(samples))])
    batch.visuals["vision"] = join([cut(p.render(), spec) for s in samples for p in s.pictures], spec)
    batch.visuals["vision"].patches = batch.visuals["vision"].patches.double()
    batch.weights = batch.weights.double()
    batch.normaliser = normaliser
    return batch


@pytest.mark.parametrize("projector", ["projector/merger", "projector/mlp"])
def test_packed_equals_one_by_one(projector):
    torch.manual_seed(0)
    swap = f"projector={projector},block=2"
    model, chat = build(compose("native", swaps=[swap], sets=["vision.patch=8"])).double(), processor()
    model.eval()
    together, _ = model.hidden(batch_of(model, chat, SAMPLES))
    alone = torch.cat([model.hidden(batch_of(model, chat, [prompt]))[0] for prompt in SAMPLES])
    # All is double but the router, which works in fp32 by design.
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


def test_losses_of_a_pack_add_up():
    model, chat = native(), processor()
    # The router's balance loss is a mean over sequences, so it is left out of the sum.
    for module in model.modules():
        if hasattr(module, "balance_loss"):
            module.balance_loss = 0.0
    total, _ = model.loss(batch_of(model, chat, SAMPLES, normaliser=7.0))
    parts = [model.loss(batch_of(model, chat, [prompt], normaliser=7.0))[0] for prompt in SAMPLES]
    torch.testing.assert_close(total, sum(parts))


def test_generation_from_a_ragged_pack_equals_one_prompt_at_a_time():
    model, chat = native(), processor()
    model.eval()

    def answers(prompts):
        spec = model.patch_specs()["vision"]
        samples = [Sample("t", "test", i, list(prompt), "", Scene("")) for i, prompt in enumerate(prompts)]
        encoded = [
            chat.encode(
                s,
                model.merged_grids([spec.grid(p.frames, p.height, p.width) for p in s.pictures]),
                prompt_only=True,
            )
            for s in samples
        ]
        batch = pack(model, encoded, [Tag("t", 0)] * len(samples))
        batch.visuals["vision"] = join([cut(p.render(), spec) for s in samples for p in s.pictures], spec)
        batch.visuals["vision"].patches = batch.visuals["vision"].patches.double()
        return model.generate(batch, stop=-1, limit=6)

    assert answers(SAMPLES) == [answers([prompt])[0] for prompt in SAMPLES]


def test_a_change_of_patch_and_block_changes_the_placeholders_by_itself():
    chat = processor()
    counts = {}
    for name, sets, swaps in (
        ("patch 16", [], []),
        ("patch 8", ["vision.patch=8"], []),
        ("patch 8, block 2", ["vision.patch=8"], ["projector=projector/linear,block=2"]),
    ):
        model = build(compose("native", sets=sets, swaps=swaps))
        counts[name] = int(batch_of(model, chat, [SAMPLES[1]]).visual_slots.numel())
    assert counts == {"patch 16": 16, "patch 8": 64, "patch 8, block 2": 16}


def _rank(rank: int, world: int, rendezvous: str, results) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    model, chat = native(), processor()

    class Losses(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch):
            return self.model.loss(batch)[0]

    parallel = DistributedDataParallel(Losses())
    mine = [SAMPLES[1:5], [SAMPLES[0], SAMPLES[5]]][rank]  # The second rank has no picture at all.
    for _ in range(2):  # A second step fails if a parameter of the first took no part in the reduction.
        model.zero_grad()
        parallel(batch_of(model, chat, mine, normaliser=9.0 / world)).backward()
    model.after_step()
    results[rank] = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    distributed.destroy_process_group()


def test_a_pack_without_pictures_trains_under_ddp_to_the_gradient_of_one_process(tmp_path):
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(_rank, (2, str(tmp_path / "rendezvous"), results), nprocs=2)
        left, right = dict(results[0]), dict(results[1])
    model, chat = native(), processor()
    losses = []
    for prompts in (SAMPLES[1:5], [SAMPLES[0], SAMPLES[5]]):
        losses.append(model.loss(batch_of(model, chat, prompts, normaliser=9.0 / 2))[0] / 2)
    sum(losses).backward()
    assert left.keys() == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(left[name], right[name], atol=1e-12)
        np.testing.assert_allclose(left[name], parameter.grad.numpy(), atol=1e-9, err_msg=name)
    assert np.abs(left["vision.patch_embed.weight"]).max() > 0


@torch.inference_mode()
def greedy_as_it_was(model, batch, stop, limit, forbidden):
    """The loop that answered before rows could leave, kept to compare with."""
    count = len(batch.lengths)
    cache = model.language.cache(count, max(batch.lengths) + limit)
    hidden, _ = model.hidden(batch, cache)
    last = batch.boundaries[1:].long() - 1
    state, position = hidden[last], batch.positions[:, last].amax(0)
    answers, open_rows = [[] for _ in range(count)], set(range(count))
    for _ in range(limit):
        logits = model.logits(state)
        logits[:, list(forbidden)] = float("-inf")
        chosen = logits.argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            if row in open_rows and token == stop:
                open_rows.discard(row)
            elif row in open_rows:
                answers[row].append(token)
        position = position + 1
        state, _ = model.language(
            model.language.embed(chosen), position.expand(3, -1), [1] * count, cache=cache
        )
    return answers


def test_greedy_answers_of_the_nano_model_are_what_they_were():
    torch.manual_seed(3)
    model, chat = build(compose("native")).eval(), processor()
    with torch.no_grad():
        for parameter in model.parameters():  # Random weights that do not always say the same.
            if parameter.dim() > 1:
                parameter.mul_(3)
    spec = model.patch_specs()["vision"]
    samples = [Sample("t", "test", i, list(prompt), "", Scene("")) for i, prompt in enumerate(SAMPLES * 3)]
    encoded = [
        chat.encode(
            sample,
            model.merged_grids([spec.grid(p.frames, p.height, p.width) for p in sample.pictures]),
            prompt_only=True,
        )
        for sample in samples
    ]
    for number, item in enumerate(encoded):  # Eighteen different prompts.
        item.ids[1 if number % 6 in (0, 5) else -2] = 300 + number
    batch = pack(model, encoded, [Tag("t", 0)] * len(samples))
    batch.visuals["vision"] = join([cut(p.render(), spec) for s in samples for p in s.pictures], spec)
    first = greedy_as_it_was(model, batch, -1, 1, [chat.image])
    stop = max((row[0] for row in first), key=[row[0] for row in first].count)
    before = greedy_as_it_was(model, batch, stop, 24, [chat.image])
    got = model.generate(batch, stop=stop, limit=24, sampling=Sampling(forbidden=(chat.image,)))
    assert got == before
    assert len({len(row) for row in before}) > 1 and len({token for row in before for token in row}) > 10
