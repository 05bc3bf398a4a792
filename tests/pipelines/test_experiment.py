"""What an experiment refuses, before anything is built or read: one line each, at the place that is wrong."""

from pathlib import Path

import pytest

from vlmloom.pipelines.cli import main

# ruff: noqa: E501 (a message stands on one line)
TINY = Path(__file__).with_name("tiny.yaml")

MISTAKES = {
    "seed: -1": ["bad.yaml:2: seed: found -1; 0 to 4294967295 would be right"],
    "seed: 99999999999999999999": [
        "bad.yaml:2: seed: found 99999999999999999999; 0 to 4294967295 would be right"
    ],
    "name: ../../evil": [
        "bad.yaml:2: name: found '../../evil'; letters, digits, `_`, `.`, `+` and `-` would be right"
    ],
    "stages: []": ["bad.yaml:2: stages: found an empty list; at least one stage would be right"],
    "set: {checkpoint_every_n_steps: 0}": [
        "bad.yaml:2: checkpoint_every_n_steps: found 0; 1 or more would be right"
    ],
    "set: {budget.samples: -3}": [
        "bad.yaml:2: budget.samples: found -3; an amount above 0, and finite, would be right"
    ],
    "set: {budget.samples: null, budget.flops: .nan}": [
        "bad.yaml:2: budget.flops: found nan; an amount above 0, and finite, would be right"
    ],
    "set: {budget.samples: null, budget.seconds: .inf}": [
        "bad.yaml:2: budget.seconds: found more than any; an amount above 0, and finite, would be right"
    ],
    f"set: {{budget.samples: 1{400 * '0'}}}": [
        "bad.yaml:2: budget.samples: found more than any; an amount above 0, and finite, would be right"
    ],
    "set: {budget.flops: 3.0}": [
        "tiny.yaml:31: budget: found flops, samples; exactly one of flops, samples, seconds would be right, null for the others"
    ],
    "set: {stages.0.optimizer.lr: -1}": [
        "bad.yaml:2: stages.0.optimizer.lr: optimizer/muon_adamw: found lr -1; 0 or more, and finite, would be right"
    ],
    "set: {stages.0.optimizer.momentum: 1, stages.1.optimizer.weight_decay: .inf}": [
        "bad.yaml:2: stages.0.optimizer.momentum: optimizer/muon_adamw: found momentum 1; from 0 to below 1 would be right",
        "bad.yaml:2: stages.1.optimizer.weight_decay: optimizer/adamw: found weight_decay inf; 0 or more, and finite, would be right",
    ],
    "set: {assembly.vision.patch: 0}": [
        "bad.yaml:2: assembly.vision.patch: vision/cogvit: patch is 0; 1 or more would be right"
    ],
    "set: {assembly.vision.hidden: 0, assembly.projector.hidden: 0}": [
        "bad.yaml:2: assembly.vision.hidden: vision/cogvit: hidden is 0; 1 or more would be right",
    ],
    "set: {assembly.projector.hidden: 0}": [
        "bad.yaml:2: assembly.projector.hidden: projector/mlp: hidden is 0; 1 or more would be right",
    ],
    "set: {budget.samples: null}": [
        "tiny.yaml:31: budget: found none; exactly one of flops, samples, seconds would be right"
    ],
    "set: {stages.0.share: -1, stages.1.pack_tokens: 0}": [
        "bad.yaml:2: stages.0.share: found -1; a number above 0, and finite, would be right",
        "bad.yaml:2: stages.1.pack_tokens: found 0; 1 or more would be right",
    ],
    "set: {stages.0.share: .nan}": [
        "bad.yaml:2: stages.0.share: found nan; a number above 0, and finite, would be right"
    ],
    "set: {stages.0.name: a/b}": [
        "bad.yaml:2: stages.0.name: found 'a/b'; letters, digits, `_`, `.`, `+` and `-` would be right"
    ],
    "set: {stages.0.name: second}": [
        "tiny.yaml:27: stages.1.name: 'second' is an earlier stage's; another is needed"
    ],
    "set: {stages.0.train: []}": [
        "bad.yaml:2: stages.0.train: found an empty list; names of parts, or `*` for all, would be right"
    ],
    "set: {stages.0.train: [tongue], stages.0.learning_rates: {visoin: 0.1}}": [
        "bad.yaml:2: stages.0.learning_rates.visoin: visoin matches no parameter; the parts are vision, projector, "
        "language, head.lm, head.mmtp",
        "bad.yaml:2: stages.0.train: tongue matches no parameter; the parts are vision, projector, language, head.lm, "
        "head.mmtp",
    ],
    "set: {stages.0.learning_rates: {vision: -0.1}}": [
        "bad.yaml:2: stages.0.learning_rates.vision: found -0.1; a factor of 0 or more, and finite, would be right"
    ],
    "set: {stages.1.view: captions}": [
        "bad.yaml:2: stages.1.view: found 'captions'; objective/next_token takes 'question' or 'withheld' or 'described'"
    ],
    "set: {stages.0.view: scenes}": [
        "bad.yaml:2: stages.0.view: found 'scenes'; objective/next_token takes 'question' or 'withheld' or 'described'"
    ],
    "set: {stages.0.view: scenes}\nswap: {stages.0.objective: {use: objective/specialist, part: nose}}": [
        "bad.yaml:3: stages.0.objective: objective/specialist: Native has no specialist 'nose'; it has none"
    ],
    "set: {stages.0.view: captions}\nswap: {stages.0.objective: {use: objective/contrastive}}": [
        "bad.yaml:3: stages.0.objective: objective/contrastive aligns vision with text, but Native has no part text, "
        "align; assembly/two_tower has them"
    ],
    "set: {data.pack_tokens: 0}": [
        "bad.yaml:2: data.pack_tokens: data/packed: pack_tokens is 0; 1 or more would be right"
    ],
    "set: {assembly.language.vocab: 400}": [
        "bad.yaml:2: assembly.language.vocab: found 400, but the tokenizer has 512 ids; 512 would be right"
    ],
    "set: {data.tokenizer.vocab: 1024}": [
        "tiny.yaml:9: assembly.language.vocab: found 512, but the tokenizer has 1024 ids; 1024 would be right"
    ],
    "set: {data.workers: -1}": [
        "bad.yaml:2: data.workers: data/packed: workers is -1; 0 or more would be right"
    ],
    "set: {data.suite.weights: {count: .inf}}": [
        "bad.yaml:2: data.suite.weights: suite/nano: weights.count is inf, but a share is 0 or more, and finite"
    ],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_an_experiment_is_told_where_it_is_written(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY.read_text())
    (tmp_path / "bad.yaml").write_text(f"extends: tiny.yaml\n{text}\n")
    assert main(["validate", "bad.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    with capsys.disabled():
        print(*lines, sep="\n")
    assert lines == MISTAKES[text]


def test_a_text_model_is_not_shown_pictures(tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("extends: nano/cascade\nset: {stages.3.view: question}\n")
    assert main(["validate", str(tmp_path / "bad.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "bad.yaml:2: stages.3.view: found 'question', but the assembly has no vision part to see pictures with; "
        "'described' or 'withheld' would be right"
    )


def test_the_text_tower_reads_all_ids_of_the_tokenizer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("extends: nano/adapter\nset: {assembly.text.vocab: 1000}\n")
    for command in (["validate", "bad.yaml"], ["fit", "-c", "bad.yaml", "--out", "run"]):
        assert main(command) == 2
        assert capsys.readouterr().err == (
            "bad.yaml:2: assembly.text.vocab: found 1000, but the tokenizer has 1024 ids; 1024 would be right\n"
        )
    assert not (tmp_path / "run").exists()
