"""Runs of ours and a model of transformers on a suite, in one table."""

import json
from pathlib import Path

import pytest
from tiny_llava import write_llava

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_suite.local import Checkpoint, Transformers
from vlmloom.pipelines.loading import load_run
from vlmloom.pipelines.suites import open_suite
from vlmloom.registry.errors import UserError

HERE = Path(__file__).parent
BOTH = str(HERE / "both.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    tiny = HERE.parent / "tiny.yaml"
    assert main(["fit", "-c", str(tiny), "--out", str(folder), "--set", "budget.samples=40"]) == 0
    return folder


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return write_llava(tmp_path_factory.mktemp("llava") / "tiny-llava")


@pytest.fixture(scope="module")
def suite():
    return open_suite(BOTH)[0]


def test_a_run_answers_as_it_does_alone_and_its_cost_is_that_of_prompt_and_answer(trained, suite):
    target = Checkpoint(trained)
    samples = [task.plan("test", index) for index in range(3) for task in suite.tasks.values()]
    replies = dict(target.replies(samples))
    assert [replies[place].text for place in range(6)] == target.answerer.answers(samples)
    for place, sample in enumerate(samples):
        reply = replies[place]
        batch = target.answerer.prompts([sample])
        assert reply.tokens_in == batch.lengths[0] and reply.tokens_out <= target.answerer.limit
        again = target.flops(sample, reply.tokens_in, reply.tokens_out)
        assert reply.flops == again > target.flops(sample, reply.tokens_in - 1, 0) > 0
    cut = [reply for _, reply in Checkpoint(trained, tokens=1).replies(samples)]
    assert any(reply.cut for reply in cut) and all(reply.cut or not reply.text for reply in cut)
    # A picture costs what its tower does, though its tokens were the same in number.
    with_picture, without = samples[0], samples[1]
    assert target.flops(with_picture, 40, 1) > target.flops(without, 40, 1)


def test_a_model_of_transformers_answers_in_batches_as_alone(llava, suite):
    target = Transformers(str(llava), tokens=6, batch=3)
    samples = [task.plan("test", index) for index in range(3) for task in suite.tasks.values()]
    together = [reply for _, reply in sorted(target.replies(samples), key=lambda pair: pair[0])]
    assert all(reply.error == "" for reply in together), together
    assert all(0 < reply.tokens_out <= 6 and reply.tries == 1 for reply in together)
    # Random weights are near ties; the first sign of what was written is the same.
    alone = [next(iter(target.replies([sample])))[1] for sample in samples]
    assert [reply.tokens_in for reply in together] == [reply.tokens_in for reply in alone]
    same = [one.text[:1] == other.text[:1] for one, other in zip(together, alone, strict=True)]
    assert sum(same) >= 5
    assert together[0].tokens_in > together[1].tokens_in


def test_a_run_a_model_of_transformers_and_a_policy_stand_in_one_table(trained, llava, tmp_path, capsys):
    arguments = ["evaluate", str(trained), str(llava), "--against", "random", "--suite", BOTH]
    arguments += ["--items", "12", "--tokens", "4", "--out", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "run" in out and "tiny-llava" in out and "points" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [design["name"] for design in report["designs"]] == ["run", "tiny-llava", "random"]
    assert {(row["design"], row["against"]) for row in report["differences"]} == {
        ("run", "random"),
        ("tiny-llava", "random"),
    }
    rows = {(row["design"], row["category"]): row for row in report["differences"]}
    for design in ("run", "tiny-llava"):
        single = [rows[design, category] for category in ("count", "arithmetic")]
        assert all(0 < row["p"] <= row["p_holm"] <= 1 for row in single)
        assert 0 < rows[design, "mean of all"]["p"] <= 1 and rows[design, "mean of all"]["p_holm"] is None
    told = {row["design"]: row for row in report["told"] if row["category"] is None}
    assert told["run"]["flops"] > 0 and told["run"]["tokens_out"] and told["tiny-llava"]["tokens_in"]
    assert told["random"]["flops"] is None and told["random"]["tokens_in"] is None
    page = (tmp_path / "report.html").read_text()
    assert "Paired differences to random" in page and page.count("data:image/png") == 1
    # Nothing is asked again; the answers of another run are not taken for these.
    before = {path.name: path.read_bytes() for path in tmp_path.glob("answers-*")}
    assert main([*arguments, "--json"]) == 0 and json.loads(capsys.readouterr().out)["summary"]
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("answers-*")}


def test_a_folder_that_is_no_model_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    for folder, words in (("other", "cannot load it as a vision-language model"), ("none", "is no target")):
        status = main(["evaluate", str(tmp_path / folder), "--suite", BOTH, "--out", str(tmp_path / "out")])
        error = capsys.readouterr().err
        assert status == 2 and words in error and error.count("\n") == 1


def test_the_folder_of_a_run_is_the_suite_that_it_was_trained_on(trained, tmp_path):
    own, _ = open_suite(str(trained))
    meant = load_run(trained).data.suite
    assert own.tasks.keys() == meant.tasks.keys()
    for name, task in own.tasks.items():
        one, other = task.plan("test", 3), meant.tasks[name].plan("test", 3)
        assert (one.prompt[-1], one.answer, one.scene.key) == (
            other.prompt[-1],
            other.answer,
            other.scene.key,
        )
    fewer, _ = open_suite(str(trained), ("things=16",))
    assert len(fewer.tasks["count"].world.vocabulary) == 16
    (tmp_path / "config.yaml").write_text("model: {use: ffn/swiglu, width: 8, hidden: 8}\n")
    with pytest.raises(UserError, match=r"config\.yaml: has no data\.suite; the folder of a run that was"):
        open_suite(str(tmp_path))
