"""What each part of DINOv3 is there for: prototypes used alike, points spread, averages, crops, Grams."""

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional as F

from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.visuals import PatchSpec
from vlmloom.components.distance.relation import Relation
from vlmloom.components.objective.dino.average import Average
from vlmloom.components.objective.dino.colour import blur, distort, grey, turned
from vlmloom.components.objective.dino.crops import Crops, draw_boxes, joined, parted, sample
from vlmloom.components.objective.dino.gram import Gram
from vlmloom.components.objective.dino.head import PrototypeHead
from vlmloom.components.objective.dino.losses import cross_entropy, koleo, likeness, sinkhorn
from vlmloom.components.objective.dino.masks import draw_masks


def cosines(rows, prototypes=8, seed=0):
    drawn = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
    centres = torch.randn(prototypes, 16, generator=torch.Generator().manual_seed(1))
    # A common part, by which all rows prefer the same prototypes.
    return F.normalize(drawn + 2 * centres[0]) @ F.normalize(centres).t()


def test_targets_use_every_prototype_alike_where_a_softmax_uses_few():
    given = cosines(64)
    plain, found = torch.softmax(given / 0.1, 1), sinkhorn(given, 0.1, iterations=20)
    torch.testing.assert_close(found.sum(1), torch.ones(64))
    torch.testing.assert_close(found.sum(0), torch.full((8,), 8.0), rtol=0.02, atol=0)
    assert plain.sum(0).max() > 40, "without it, most rows choose one prototype"
    # What a row prefers beyond what all prefer is kept.
    assert (found.argmax(1) == (given - given.mean(0)).argmax(1)).float().mean() > 0.7
    torch.testing.assert_close(sinkhorn(given, 0.1).sum(1), torch.ones(64))


def _rank(rank, rendezvous, results):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    given = cosines(12)
    results["uneven", rank] = sinkhorn((given[:5], given[5:])[rank], 0.07).numpy()
    results["empty", rank] = sinkhorn((given, given[:0])[rank], 0.07).numpy()
    distributed.barrier()
    distributed.destroy_process_group()


def test_targets_of_two_processes_are_those_of_one(tmp_path):
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(_rank, (str(tmp_path / "rendezvous"), results), nprocs=2)
        found = {key: torch.from_numpy(value) for key, value in results.items()}
    expected = sinkhorn(cosines(12), 0.07)
    torch.testing.assert_close(torch.cat([found["uneven", 0], found["uneven", 1]]), expected)
    torch.testing.assert_close(found["empty", 0], expected)
    assert found["empty", 1].shape == (0, 8)


def test_the_cross_entropy_to_a_distribution_of_ones_own_is_its_entropy():
    given = cosines(4)
    own = torch.softmax(given / 0.1, 1)
    torch.testing.assert_close(cross_entropy(given, own, 0.1), -(own * own.log()).sum(1))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(cross_entropy(given.flip(0), own, 0.1), -(own * own.log()).sum(1))


def test_koleo_spreads_points_over_the_sphere():
    points = F.normalize(torch.tensor([1.0, 0.0]) + 0.05 * torch.randn(8, 2, generator=torch.manual_seed(0)))
    points.requires_grad_()
    before = likeness(points)
    optimizer = torch.optim.SGD([points], lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        koleo(points).backward()
        optimizer.step()
        points.data = F.normalize(points.data)
    angles = torch.atan2(points[:, 1], points[:, 0]).sort().values.detach()
    assert before > 0.95 and likeness(points) < 0.2
    # Eight on a circle, all as far apart as eight can be.
    assert angles.diff().min() > 0.7 * 2 * np.pi / 8
    assert koleo(points[:1]) == 0 and koleo(torch.ones(3, 2)).isfinite()


def test_the_average_is_its_formula_and_no_optimizer_gets_it():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    average = Average(module)
    expected = {name: value.detach().clone() for name, value in module.named_parameters()}
    x = torch.randn(5, 3)
    for step in range(3):
        with torch.no_grad():
            module.train()(x)
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.follow(module, 0.9 + 0.01 * step)
        for name, parameter in module.named_parameters():
            momentum = 0.9 + 0.01 * step
            expected[name] = momentum * expected[name] + (1 - momentum) * parameter.detach()
    for name, value in expected.items():
        torch.testing.assert_close(average.get_buffer(name.replace(".", "/")), value)
    assert torch.equal(average.get_buffer("1/running_mean"), module[1].running_mean)
    assert not list(average.parameters())
    # It runs as the module in evaluation does, and moves with momentum below 1 alone.
    average.follow(module, 1.0)
    torch.testing.assert_close(average.get_buffer("0/weight"), expected["0.weight"])
    average.follow(module, 0.0)
    torch.testing.assert_close(average.train()(x), module.eval()(x))
    again = Average(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    again.load_state_dict(average.state_dict())
    assert torch.equal(again(x), average(x))
    again.get_buffer("0/weight").zero_()
    again.take(average)
    assert torch.equal(again(x), average(x))


def test_prototypes_win_by_their_direction_alone():
    head = PrototypeHead(width=4, hidden=8, bottleneck=3, prototypes=5)
    x = torch.randn(6, 4)
    before = head(x)
    assert before.shape == (6, 5) and before.abs().max() <= 1 + 1e-6
    with torch.no_grad():
        head.prototypes.weight.mul_(torch.rand(5, 1) + 0.5)
    torch.testing.assert_close(head(x), before)


def test_local_crops_see_less_than_global_ones():
    crops = Crops()
    areas, sides = [], []
    for scale in (crops.scale, crops.local_scale):
        top, left, height, width = draw_boxes(2000, scale, np.random.default_rng(0)).T
        areas.append(height * width)
        sides.append(width / height)
        assert min(top.min(), left.min()) >= 0 and max((top + height).max(), (left + width).max()) <= 1 + 1e-9
    wide, narrow = areas
    assert narrow.min() >= 0.05 and narrow.max() <= 0.32 <= wide.min() + 1e-9 and wide.max() <= 1
    assert 0.17 < narrow.mean() < 0.2 and wide.mean() > 0.55
    assert all(side.min() >= 0.75 - 1e-9 and side.max() <= 4 / 3 + 1e-9 for side in sides)


def test_a_box_shows_what_is_there_and_a_flip_the_other_way_round():
    across = torch.arange(8.0) / 8
    pictures = across.expand(2, 3, 8, 8)
    whole = np.tile([0.0, 0.0, 1.0, 1.0], (2, 1))
    found = sample(pictures, whole, 8, np.array([False, True]))
    torch.testing.assert_close(found[0], pictures[0])
    torch.testing.assert_close(found[1], pictures[1].flip(-1))
    # Rows 2 to 6 and columns 4 to 8: half of the height, the right half of the width.
    part = sample(pictures.transpose(2, 3), np.array([[0.25, 0.5, 0.5, 0.5]] * 2), 4, np.array([False] * 2))
    torch.testing.assert_close(part[0, 0, :, 0], across[2:6])


def test_pictures_come_out_of_patches_and_go_back_into_them():
    spec = PatchSpec(4, size=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    visuals = join([cut(frames, spec), cut(frames[:1], spec)], spec)
    images, aspects = joined(visuals, spec)
    assert np.array_equal(aspects, np.ones(2))
    expected = torch.from_numpy(frames[[1, 0]]).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(images, expected)
    torch.testing.assert_close(
        parted([images], spec).patches, join([cut(frames[[n]], spec) for n in (1, 0)], spec).patches
    )


def test_distortions_keep_what_they_are_said_to_keep():
    images = torch.rand(4, 3, 12, 12, generator=torch.manual_seed(0)) * 0.5 + 0.25
    none = turned(images, torch.zeros(4, 1, 1, 1))
    torch.testing.assert_close(none, images, atol=1e-5, rtol=0)
    tinted = turned(images, torch.full((4, 1, 1, 1), 0.05))
    torch.testing.assert_close(grey(tinted), grey(images), atol=1e-3, rtol=0)
    assert (tinted - images).abs().max() > 0.02
    soft = blur(images, torch.tensor([0.0, 1.0, 1.0, 2.0]))
    torch.testing.assert_close(soft[0], images[0])
    assert soft[3].var() < soft[1].var() < images[1].var()
    torch.testing.assert_close(soft.mean(), images.mean(), atol=0.02, rtol=0)
    one, again, other = (
        distort(images, np.random.default_rng(seed), blurred=0.5, solarised=0.5, sharp=1.0)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.min() >= 0 and one.max() <= 1


def test_the_finer_crop_is_the_same_crop_undistorted(monkeypatch):
    pictures = F.interpolate(torch.rand(3, 3, 6, 6, generator=torch.manual_seed(0)), (64, 64), mode="bicubic")
    crops = Crops(size=4, local_size=2, local=1)
    plain = torch.tensor([0.8, 0.4, 0.3])[:, None, None].expand(3, 3, 64, 64)
    views = crops.draw(plain, 8, np.random.default_rng(0), finer=2)
    torch.testing.assert_close(views.fine, plain[:1].expand_as(views.fine))
    assert (views.wide - plain[:1, :, :32, :32]).abs().amax((1, 2, 3)).gt(0.02).sum() >= 3
    monkeypatch.setattr("vlmloom.components.objective.dino.crops.distort", lambda images, *_, **__: images)
    views = crops.draw(pictures.clamp(0, 1), 8, np.random.default_rng(0), finer=2)
    assert views.wide.shape == (6, 3, 32, 32) and views.fine.shape == (6, 3, 64, 64)
    assert views.narrow.shape == (3, 3, 16, 16)
    torch.testing.assert_close(F.avg_pool2d(views.fine, 2), views.wide, atol=0.1, rtol=0)
    assert (views.fine[:3].mean((2, 3)) - views.fine[3:].mean((2, 3))).abs().max() > 0.02


def test_half_of_the_crops_hide_a_tenth_to_a_half():
    masks = draw_masks((1, 10, 10), 40, 0.5, (0.1, 0.5), np.random.default_rng(0))
    shares = np.array([mask.mean() for mask in masks])
    hiding = np.sort(shares[shares > 0])
    assert len(hiding) == 20 and 0.1 <= hiding[0] < 0.13 and 0.47 < hiding[-1] <= 0.5
    assert np.diff(hiding).max() <= 0.05


def gram_loss(one, other):
    return Relation(beta=None)(one, other, [9])


def test_gram_matrices_are_blind_to_rotations_and_pull_a_corrupted_one_back():
    drawn = torch.Generator().manual_seed(0)
    features = torch.randn(9, 6, generator=drawn)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=drawn))[0]
    assert gram_loss(3.0 * features @ rotation, features) < 1e-12
    corrupted = (features + torch.randn(9, 6, generator=drawn)).requires_grad_()
    start = float(gram_loss(corrupted, features).detach())
    optimizer = torch.optim.Adam([corrupted], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = gram_loss(corrupted, features)
        loss.backward()
        optimizer.step()
    assert start > 0.05 and float(loss.detach()) < 0.01 * start


def test_the_gram_teacher_is_taken_early_and_refreshed_a_few_times():
    gram = Gram(start=100, snapshot=20, every=10, refreshments=3, ramp=4, weight=2.0)
    assert [step for step in range(200) if gram.due(step)] == [20, 110, 120, 130]
    assert [gram.weight_at(step) for step in (99, 100, 101, 103, 150)] == [0.0, 0.5, 1.0, 2.0, 2.0]
    assert Gram(start=100).taken == 20


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Gram(every=0), "every is 0; 1 or more would be right"),
        (lambda: Gram(weight=-1.0), "weight is -1.0; 0 or more would be right"),
        (lambda: Gram(start=5, snapshot=6), "snapshot is 6, after start 5; a step before it would be right"),
        (lambda: Crops(local=0), "local is 0; 1 or more would be right"),
        (lambda: Crops(scale=(0.5, 0.3)), "scale is 0.5 to 0.3; shares in (0, 1], in order, would be right"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(make, text):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == text
