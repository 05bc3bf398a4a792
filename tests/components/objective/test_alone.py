"""Objectives of a component that trains alone: what is imitated, what stands still, what fits."""

import copy

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.frozen import Frozen, Trunk
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead, MTPHead
from vlmloom.components.moe import SigmoidBias
from vlmloom.components.objective.align import Align
from vlmloom.components.objective.distil import Distil
from vlmloom.components.objective.imitate import Imitate
from vlmloom.components.objective.next_token import NextToken
from vlmloom.components.objective.on_trunk import OnTrunk
from vlmloom.components.objective.specialist import SpecialistLoss
from vlmloom.components.projector.linear import Linear
from vlmloom.components.projector.mlp import MLP

DENSE = "language.blocks.0.ffn"


def descend(objective, module, batch, steps, lr=1e-2):
    parameters = [*module.parameters(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss, metrics = objective(module, batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, metrics


@pytest.mark.parametrize(
    ("part", "make"),
    [
        (DENSE, lambda: SigmoidBias(width=16, hidden=24, experts=4, top_k=2)),
        ("projector", lambda: Linear(in_width=8, out_width=16)),
        ("vision.blocks.0.ffn", lambda: SwiGLU(width=8, hidden=16)),
    ],
)
def test_a_component_comes_to_give_what_the_part_gives(trunk, batch, part, make):
    objective = Imitate(trunk=trunk, part=part)
    torch.manual_seed(1)
    module = make()
    objective.prepare(module)
    before = copy.deepcopy(trunk.module.state_dict())
    losses, _ = descend(objective, module, batch, 60)
    assert losses[0] > 0.8 and losses[-1] < 0.3
    assert all(torch.equal(value, before[name]) for name, value in trunk.module.state_dict().items())


@pytest.mark.parametrize("part", [DENSE, "projector", "vision"])
def test_nothing_of_a_copy_is_left_unexplained(trunk, batch, part):
    objective = Imitate(trunk=trunk, part=part)
    module = copy.deepcopy(objective.original)
    objective.prepare(module)
    loss, metrics = objective(module, batch)
    assert loss < 1e-10 and metrics["cosine"] > 0.9999
    mean = copy.deepcopy(objective.original)
    for parameter in mean.parameters():
        parameter.zero_()
    target = objective.observe(batch)[1]
    # What gives the same everywhere explains nothing.
    expected = target.square().sum() / (target - target.mean(0)).square().sum()
    torch.testing.assert_close(objective(mean, batch)[1]["unexplained"], expected)


def test_the_balance_of_experts_is_part_of_what_is_descended(trunk, batch):
    objective = Imitate(trunk=trunk, part=DENSE)
    module = SigmoidBias(width=16, hidden=8, experts=4, top_k=2, balance_loss=0.5)
    loss, metrics = objective(module, batch)
    torch.testing.assert_close(loss, metrics["unexplained"] + metrics["loss/expert_balance"])


def test_a_head_on_a_trunk_has_the_loss_that_it_has_inside(model, trunk, batch):
    objective = OnTrunk(trunk=trunk)
    head = MMTPHead(**objective.offers(), depth=2)
    objective.prepare(head)
    head.load_state_dict(model.head["mmtp"].state_dict())
    loss, metrics = objective(head, batch)
    _, inside = model.loss(batch)
    torch.testing.assert_close(metrics["loss"], inside["mmtp/loss"])
    torch.testing.assert_close(loss, 0.3 * inside["mmtp/loss"])
    losses, _ = descend(objective, head, batch, 80, lr=3e-2)
    # The frozen output matrix is that of an untrained model: its logits grow only with the head's last norm.
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_projector_brings_pictures_to_the_words_of_their_captions(model, trunk, batch):
    objective = Align(trunk=trunk)
    torch.manual_seed(1)
    module = MLP(**objective.offers())
    objective.prepare(module)
    losses, _ = descend(objective, module, batch, 80, lr=2e-2)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        projected, _ = module(model.vision(batch.visuals["vision"])[0])
        pictures = torch.stack([part.mean(0) for part in projected.tokens.split([4, 8])])
        words = model.language.embed(batch.ids).split(batch.lengths)
        closeness = F.cosine_similarity(
            pictures[:, None], torch.stack([w.mean(0) for w in words])[None], dim=-1
        )
    assert closeness.argmax(1).tolist() == [0, 1]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert objective.align.log_scale.grad is not None


def test_what_is_frozen_goes_along_to_a_device_and_is_otherwise_not_there():
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    outer = torch.nn.Module()
    outer.held, outer.own = Frozen(inner), torch.nn.Linear(1, 1)
    outer.to(torch.float64).train()
    assert inner[0].weight.dtype == torch.float64 and not inner.training
    assert len(list(outer.parameters())) == 2 and not any("held" in name for name in outer.state_dict())
    outer.to("meta")
    assert inner[0].weight.is_meta


def objectives(trunk, tower):
    teacher = tower(8)
    yield Imitate(trunk=trunk, part=DENSE), SwiGLU(width=16, hidden=24)
    yield Imitate(trunk=trunk, part="projector"), Linear(in_width=8, out_width=16)
    yield Imitate(trunk=trunk, part="vision"), tower(8)
    yield OnTrunk(trunk=trunk), MTPHead(width=16, vocab=23)
    yield Align(trunk=trunk), MLP(in_width=8, out_width=16)
    yield Distil(teachers={"one": teacher}), tower(16, patch=2)


@pytest.mark.parametrize("number", range(6))
def test_declared_flops_are_what_torch_counts(trunk, tower, batch, number):
    """All but causal attention: declared at half, done in full."""
    objective, module = list(objectives(trunk, tower))[number]
    batch.visuals["teacher.one"] = batch.visuals["vision"]
    objective.prepare(module)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        objective(module, batch)
    declared = objective.flops(module, batch)
    assert "model" in declared
    counted = counter.get_total_flops()
    # Attention over so short samples is little, and short products of a loss are not declared.
    assert abs(sum(declared.values()) - counted) < 0.12 * counted, (declared, counted)


def errors(trunk, model, tower):
    batchless = "one of "
    yield lambda: Imitate(trunk=trunk, part="language.ffn"), f"part 'language.ffn' is not there; {batchless}"
    yield (
        lambda: Imitate(trunk=trunk, part="language.blocks.0"),
        "part 'language.blocks.0' is a Block; one of ",
    )
    dense = Imitate(trunk=trunk, part=DENSE)
    yield (
        lambda: dense.prepare(Linear(in_width=16, out_width=16)),
        "language.blocks.0.ffn is a feed-forward block, but projector/linear is none; a component of kind",
    )
    yield (
        lambda: dense.prepare(SwiGLU(width=8, hidden=8)),
        "ffn/swiglu has width 8, but language.blocks.0.ffn has 16",
    )
    joint = Imitate(trunk=trunk, part="projector")
    yield (
        lambda: joint.prepare(MLP(in_width=8, out_width=16, block=2)),
        "projector/mlp merges blocks of 2, but projector of 1",
    )
    yield (
        lambda: Imitate(trunk=trunk, part="vision").prepare(tower(8, patch=4)),
        "objective/distil takes towers that differ",
    )
    yield (
        lambda: OnTrunk(trunk=trunk).prepare(SwiGLU(width=16, hidden=8)),
        "trains a head, such as head/mtp, and ffn/swiglu is none",
    )
    yield lambda: OnTrunk(trunk=Trunk(tower(8))), "CogViT gives no hidden states"
    yield lambda: Align(trunk=Trunk(LMHead(width=8, vocab=8))), "LMHead has no vision and no language part"
    yield (
        lambda: Align(trunk=trunk).prepare(MLP(in_width=8, out_width=24)),
        "projector/mlp has out_width 24, but between this tower and this language part 16 is needed",
    )
    yield (
        lambda: Align(trunk=trunk).prepare(tower(8)),
        "trains a projector, such as projector/mlp, and vision/",
    )
    yield (
        lambda: Distil(teachers={"one": tower(8)}).prepare(MLP(in_width=8, out_width=8)),
        "teaches a vision tower, such as vision/cogvit, and projector/mlp is none",
    )
    yield (
        lambda: NextToken().prepare(SwiGLU(width=8, hidden=8)),
        "objective/next_token: trains an assembly, and ffn/swiglu is none",
    )
    yield (
        lambda: SpecialistLoss(part="tagger").prepare(SwiGLU(width=8, hidden=8)),
        "with part 'tagger' and ffn/swiglu; a specialist without part",
    )


def test_every_refusal_is_one_line_that_says_what_would_be_right(trunk, model, tower):
    for action, message in errors(trunk, model, tower):
        with pytest.raises(ValueError) as caught:
            action()
        print(caught.value)
        assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_component_trains_by_lightning_with_an_objective_and_an_optimizer_handed_over(
    trunk, batch, tmp_path
):
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader

    from vlmloom.components.optimizer.adamw import AdamW

    module = SigmoidBias(width=16, hidden=24, experts=4, top_k=2)
    with pytest.raises(RuntimeError, match=r"trains alone only after \.objective has been set"):
        module.training_step(batch, 0)
    module.objective = Imitate(trunk=trunk, part=DENSE)
    module.optimizer_recipe = AdamW(lr=1e-2)
    before = float(module.objective(module, batch)[0])
    loader = DataLoader([batch] * 30, batch_size=None)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    module.transfer_batch_to_device = lambda batch, device, _: batch.to(device)
    trainer.fit(module, loader)
    assert float(module.objective(module, batch)[0]) < 0.7 * before
