"""No picture twice, other weights are another entry, and writers do not get into each other's way."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.teacher import cached as cached_module
from vlmloom.components.teacher.cached import Cached
from vlmloom.components.teacher.timm import TimmTeacher


def teacher(seed=0, **options):
    torch.manual_seed(seed)
    return TimmTeacher(
        model="vit_tiny_patch16_224",
        weights=None,
        size=32,
        options={"embed_dim": 32, "depth": 1, "num_heads": 2} | options,
    )


def pictures(*seeds):
    drawn = [torch.randn(4, 768, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return Visuals(torch.cat(drawn), torch.tensor([[1, 2, 2]] * len(seeds)), [(1, 2, 2)] * len(seeds))


def test_what_is_kept_is_what_the_teacher_gives_and_no_picture_is_seen_twice(tmp_path):
    plain, cached = teacher(), Cached(teacher=teacher(), folder=str(tmp_path))
    for seeds, computed in (((1, 2), 2), ((2, 3, 1, 3), 3), ((3, 2, 1), 3)):
        features, _ = cached(pictures(*seeds))
        wanted, _ = plain(pictures(*seeds))
        torch.testing.assert_close(features.tokens, wanted.tokens, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(features.pooled, wanted.pooled, atol=1e-5, rtol=1e-5)
        assert cached.computed == computed


def test_another_process_of_the_same_weights_finds_it_to_the_bit(tmp_path):
    first = Cached(teacher=teacher(), folder=str(tmp_path))
    second = Cached(teacher=teacher(), folder=str(tmp_path), memory=0)
    wanted, _ = first(pictures(1, 2))
    found, _ = second(pictures(2, 1))
    assert second.computed == 0
    assert torch.equal(found.tokens, wanted.tokens.view(2, 4, -1).flip(0).flatten(0, 1))


def test_other_weights_options_order_and_precision_are_other_entries(tmp_path):
    Cached(teacher=teacher(), folder=str(tmp_path))(pictures(1))
    other = Cached(teacher=teacher(1), folder=str(tmp_path))
    half = Cached(teacher=teacher(), folder=str(tmp_path), dtype="float16")
    # Of the same weights, but an option that they do not show.
    heads = Cached(teacher=teacher(num_heads=4), folder=str(tmp_path))
    for cached in (other, heads, half):
        features, _ = cached(pictures(1))
        assert cached.computed == 1
    wanted, _ = teacher()(pictures(1))
    torch.testing.assert_close(features.tokens, wanted.tokens, atol=2e-3, rtol=2e-3)
    again, _ = half(pictures(1))
    assert torch.equal(again.tokens, features.tokens) and again.tokens.dtype == torch.float32
    grouped = pictures(1)
    grouped.block = 2
    plain = Cached(teacher=teacher(), folder=str(tmp_path))
    plain(grouped)
    assert plain.computed == 1


def test_memory_is_bounded(tmp_path):
    cached = Cached(teacher=teacher(), folder=str(tmp_path), memory=0)
    cached(pictures(*range(20)))
    assert len(cached.recent) == 1 and cached.held == 4 * 32 * 4 + 32 * 4
    cached(pictures(*range(20)))
    assert cached.computed == 20


def test_an_entry_that_cannot_be_read_is_made_again(tmp_path):
    wanted, _ = Cached(teacher=teacher(), folder=str(tmp_path))(pictures(1))
    (entry,) = tmp_path.rglob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-7])
    again = Cached(teacher=teacher(), folder=str(tmp_path))
    found, _ = again(pictures(1))
    assert again.computed == 1 and torch.equal(found.tokens, wanted.tokens)
    assert Cached(teacher=teacher(), folder=str(tmp_path))._recall(entry.stem) is not None


def work(folder, start, results):
    torch.set_num_threads(1)
    cached = Cached(teacher=teacher(), folder=folder, memory=0)
    sums = []
    for _ in range(3):
        for seed in [(start + step) % 12 for step in range(12)]:
            features, _ = cached(pictures(seed))
            sums.append((seed, float(features.tokens.double().sum())))
    results.put(sorted(set(sums)))


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=work, args=(str(tmp_path), start, results)) for start in (0, 0, 6)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(found[0]) == 12 and found[0] == found[1] == found[2]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 12 and not list(tmp_path.rglob("*.part"))


def test_a_teacher_of_a_run_is_known_by_the_weights_of_its_tower():
    from vlmloom.components.contracts.frozen import Frozen
    from vlmloom.pipelines.trunk import RunTeacher

    kept = RunTeacher.__new__(RunTeacher)
    torch.nn.Module.__init__(kept)
    kept.tower = Frozen(torch.nn.Linear(2, 2))
    assert set(kept.weights()) == {"weight", "bias"} and not kept.state_dict()


def test_taps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="teacher/cached keeps the last layer alone"):
        Cached(teacher=teacher(), folder=str(tmp_path))(pictures(1), taps=[0])


def test_an_entry_appears_when_it_is_whole(tmp_path, monkeypatch):
    """Others never see half of one, and one that broke off leaves nothing."""
    seen = []

    def broken(entry, path):
        Path(path).write_bytes(b"half")
        seen.append(list(tmp_path.rglob("*.safetensors")))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached_module, "save_file", broken)
    with pytest.raises(OSError, match="No space left"):
        Cached(teacher=teacher(), folder=str(tmp_path))(pictures(0))
    assert seen == [[]] and not [path for path in tmp_path.rglob("*") if path.is_file()]
