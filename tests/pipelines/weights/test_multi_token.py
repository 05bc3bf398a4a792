"""Imported multi-token modules are transformers' MtpLayer with the same files: loss, logits, gradients.

Its models drop these weights, so that the layers are built here: the last decoder layer's class around which
`enorm`, `hnorm`, `eh_proj` and `shared_head.norm` lie, chained behind its trunk, a token further each.
"""

import pytest
import torch
from references import LOGITS, close, gradients
from torch.nn import functional as F

pytest.importorskip("transformers")

from released import CONFIGS, add_modules, links_of, save
from released_batches import BATCHES, batch_of
from transformers.modeling_layers import MtpLayer

from vlmloom.assemblies.native.families import FAMILIES
from vlmloom.assemblies.native.families.keys import split
from vlmloom.pipelines.loading import load_assembly
from vlmloom.pipelines.weights.importing import import_released

TABLES = ("embed_tokens.weight", "shared_head.head.weight")
AROUND = {"shared_head.norm.weight": "post_norm.weight"} | {
    name: name for name in ("enorm.weight", "hnorm.weight", "eh_proj.weight")
}
"""Names in files, and those of MtpLayer; everything else belongs to its block."""


class Reference:
    """Their layer, and an embedding and an output matrix of its own, if the file has them."""

    def __init__(self, model, tensors):
        decoder, config = model.get_decoder(), model.config.get_text_config()
        last = config.num_hidden_layers - 1
        self.layer = MtpLayer(config, type(decoder.layers[-1]), type(decoder.norm), last).eval()
        block, call = self.layer.mtp_block, self.layer.mtp_block.forward
        if type(block).__name__ == "GlmMoeDsaDecoderLayer":  # It gives its selection too.
            block.forward = lambda *args, **rest: call(*args, **rest)[0]
        self.layer.load_state_dict(
            {
                AROUND.get(name, f"mtp_block.{name}"): value
                for name, value in stacked(tensors).items()
                if name not in TABLES
            }
        )
        self.tables = {name: tensors[name].requires_grad_() for name in TABLES if name in tensors}
        self.embed = self.tables.get(TABLES[0], model.get_input_embeddings().weight)
        self.unembed = self.tables.get(TABLES[1], model.lm_head.weight)

    def gradients(self):
        """By the names of files."""
        back = {theirs: name for name, theirs in AROUND.items()}
        found = self.tables | {
            back.get(name, name.removeprefix("mtp_block.")): value
            for name, value in self.layer.named_parameters()
        }
        return {name: value.grad for name, value in found.items()}


def stacked(tensors):
    """Experts as modules hold them, where a file has each for itself."""
    rest = {name: value for name, value in tensors.items() if ".experts." not in name}
    count = len({name.split(".")[2] for name in tensors.keys() - rest.keys()})
    if count:
        gate, up, down = (
            torch.stack([tensors[f"mlp.experts.{one}.{part}_proj.weight"] for one in range(count)])
            for part in ("gate", "up", "down")
        )
        rest |= {"mlp.experts.gate_up_proj": torch.cat([gate, up], 1), "mlp.experts.down_proj": down}
    return rest


@pytest.mark.parametrize("tables", [True, False], ids=["with tables", "two that share"])
@pytest.mark.parametrize("family", CONFIGS)
def test_loss_logits_and_gradients(tmp_path, family, tables):
    model = save(family, tmp_path / "released")
    count = 1 if tables else 2
    added = add_modules(tmp_path / "released", family, model, count, tables)
    import_released(tmp_path / "released", tmp_path / "ours")
    ours = load_assembly(tmp_path / "ours", dtype=torch.float32)
    both = batch_of(BATCHES["text" if family == "glm_moe_dsa" else "images"], ours)
    batch, ((arguments, _),) = both.ours, both.theirs
    head, (hidden, _) = ours.head["mtp"], ours.hidden(batch)
    loss, _ = head(hidden, batch)

    depth = model.config.get_text_config().num_hidden_layers
    prefixes = [f"{FAMILIES[family].language}layers.{depth + step}." for step in range(count)]
    layers = [
        Reference(
            model, {n.removeprefix(prefix): value for n, value in added.items() if n.startswith(prefix)}
        )
        for prefix in prefixes
    ]
    state, length, losses = model.model(**arguments, use_cache=False).last_hidden_state, len(batch.ids), []
    mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
    for step, one in enumerate(layers):
        ahead = 1 + step
        at = batch.positions.roll(-ahead, 1)
        at = at[:1] if family == "glm_moe_dsa" else at[:, None]
        turned = model.get_decoder().rotary_emb(state, at)
        embedded = F.embedding(batch.ids.roll(-ahead), one.embed)[None]
        state = one.layer(embedded, state, turned, mask, at, None)
        logits = F.linear(state[0, : length - ahead - 1], one.unembed)
        hidden, _ = head.advance(hidden, batch, step)
        assert (head.logits(hidden, step)[: len(logits)] - logits).abs().max() <= LOGITS
        assert logits.std() > 0.1, "weights that mix"
        labels = batch.labels[1 + ahead :]
        losses.append(F.cross_entropy(logits, labels, reduction="sum") / batch.normaliser)
    wanted = head.loss_weight * torch.stack(losses).mean()
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-5)

    reached = {name: value for name, value in gradients(loss, ours).items() if value is not None}
    found = split(links_of(tmp_path / "ours", family, ours), reached, fused=True)
    wanted.backward()
    theirs = {name: value.grad for name, value in model.named_parameters()}
    for prefix, one in zip(prefixes, layers, strict=True):
        theirs |= {prefix + name: value for name, value in one.gradients().items()}
    for name, gradient in theirs.items():
        if gradient is None:
            assert name not in found, name
        else:
            close(found.pop(name, None), gradient, name)
    assert not found
