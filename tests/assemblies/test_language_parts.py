"""The native design on other language parts: they train, and answers with a cache are the greedy ones."""

from pathlib import Path

import pytest
import torch

from vlmloom.components.contracts.packed import Packed
from vlmloom.pipelines.freeze import freeze
from vlmloom.registry.build import build
from vlmloom.registry.compose import compose

LANGUAGES = {
    "glm_dsa": """
      use: language/glm_dsa
      vocab: 60
      width: 32
      depth: 3
      heads: 2
      query_rank: 16
      kv_rank: 12
      nope_size: 8
      rope_size: 8
      value_size: 8
      index_heads: 8
      index_size: 8
      index_top_k: 5
      index_loss: 0.1
      init_std: 0.2
      layers:
        "*": {ffn: {use: moe/sigmoid_bias, experts: 4, top_k: 2, hidden: 16}, indexer: shared}
        "0:2": {ffn: {use: ffn/swiglu, hidden: 24}, indexer: full}
""",
    "hf": """
      use: language/hf
      config: {model_type: qwen3, vocab_size: 60, hidden_size: 32, intermediate_size: 48,
               num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8,
               initializer_range: 0.2}
""",
}


def native(name: str, folder: Path, language: str | None = None):
    if name == "hf":
        pytest.importorskip("transformers")
    language = LANGUAGES[name] if language is None else language
    text = f"extends: native\nset: {{head.lm.tied: true}}\nswap:\n    language:{language}"
    (folder / "model.yaml").write_text(text)
    torch.manual_seed(0)
    return build(compose(str(folder / "model.yaml")))


def batch_of(lengths: list[int]) -> Packed:
    ids = torch.randint(0, 60, (sum(lengths),), generator=torch.Generator().manual_seed(1))
    return Packed.texts([part.tolist() for part in ids.split(lengths)])


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_part_trains(name, tmp_path):
    model = native(name, tmp_path)
    loss, metrics = model.loss(batch_of([9, 4, 12]))
    loss.backward()
    assert torch.isfinite(loss)
    # What a head's block adds to the loss counts like what the trunk's layers add.
    own = {"loss/indexer", "loss/expert_balance", "mmtp/loss/indexer", "mmtp/loss/expert_balance"}
    assert {key for key in metrics if "loss/" in key} == (own if name == "glm_dsa" else set())
    added = sum(metrics[key].detach() for key in own & set(metrics))
    torch.testing.assert_close(loss.detach(), metrics["lm/loss"] + 0.3 * metrics["mmtp/loss"] + added)
    for part in (model.language, model.head):
        assert all(torch.isfinite(parameter.grad).all() for parameter in part.parameters())


def test_an_indexer_without_a_loss_stays_out_of_every_stage(tmp_path):
    """Its parameters would get no gradient, for which data-parallel training waits in vain."""
    model = native("glm_dsa", tmp_path, LANGUAGES["glm_dsa"].replace("index_loss: 0.1", "index_loss: 0.0"))
    freeze(model, ["language", "head"], "stage")
    model.loss(batch_of([9, 4, 12]))[0].backward()
    for name, parameter in model.named_parameters():
        wanted = name.startswith(("language", "head")) and "indexer" not in name
        assert (parameter.grad is not None) == parameter.requires_grad == wanted, name


@pytest.mark.parametrize("name", LANGUAGES)
def test_answers_are_the_greedy_ones(name, tmp_path):
    model = native(name, tmp_path).eval()
    batch = batch_of([9, 4, 12])
    answers = model.generate(batch, stop=-1, limit=6)
    for prompt, answer in zip(batch.ids.split(batch.lengths), answers, strict=True):
        ids = prompt.tolist()
        for token in answer:
            hidden, _ = model.hidden(_again(ids))
            assert int(model.logits(hidden[-1]).argmax()) == token
            ids.append(token)


def _again(ids: list[int]) -> Packed:
    batch = batch_of([len(ids)])
    batch.ids = torch.tensor(ids)
    return batch
