"""Masked distillation: what the student sees, what it is held to, and where."""

import copy

import pytest
import torch
from torch.nn import functional as F

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import VisualFeatures, Visuals
from vlmloom.components.distance.cosine import Cosine
from vlmloom.components.distance.relation import Relation
from vlmloom.components.distance.smooth_l1 import SmoothL1
from vlmloom.components.objective.distil import Distil, resample
from vlmloom.components.standard.place import Place

GRIDS = [(1, 4, 4), (1, 2, 6), (1, 6, 2)]


@pytest.fixture
def pictures(batch, visuals):
    """Three pictures, for a student of 2 x 2 patches, one such teacher and one of half its resolution."""
    coarse = [(frames, rows // 2, columns // 2) for frames, rows, columns in GRIDS]
    batch.visuals = {
        "vision": visuals(GRIDS, 2, 5),
        "teacher.one": visuals(GRIDS, 2, 6),
        "teacher.two": visuals(coarse, 4, 7),
    }
    return batch


@pytest.fixture
def teachers(tower):
    torch.manual_seed(1)
    return {"one": tower(8), "two": tower(16, patch=4)}


class Seen(torch.nn.Module):
    """A student that remembers what it was shown."""

    def __init__(self, student):
        super().__init__()
        self.student, self.shown = student, []
        self.token_grids = student.token_grids

    def forward(self, given):
        self.shown.append(given)
        return self.student(given)


def prepared(teachers, student, **arguments):
    objective = Distil(teachers=teachers, **arguments)
    objective.prepare(student)
    return objective


def test_two_teachers_of_other_grids_and_widths_are_learned_from_at_once(tower, pictures, teachers):
    torch.manual_seed(2)
    student = tower(8, depth=2)
    objective = prepared(teachers, student, standard=Place)
    assert {name: tuple(head.weight.shape) for name, head in objective.heads.items()} == {
        "one": (8, 8),
        "two": (16, 8),
    }
    optimizer = torch.optim.Adam([*student.parameters(), *objective.parameters()], lr=1e-2)
    found = []
    for _ in range(60):
        loss, metrics = objective(student, pictures)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append((float(loss), float(metrics["one/cosine"]), float(metrics["two/cosine"])))
    assert found[-1][0] < 0.7 * found[0][0]
    assert found[-1][1] > found[0][1] + 0.2 and found[-1][2] > found[0][2] + 0.2
    assert all(parameter.grad is None for teacher in teachers.values() for parameter in teacher.parameters())
    kept = {name.split(".")[0] for name in objective.state_dict()}
    assert kept == {"heads", "patch", "steps"}


def test_the_student_sees_a_learned_patch_where_pictures_are_hidden(tower, pictures, teachers):
    student = Seen(tower(8))
    objective = prepared(teachers, student.student, mask=0.5)
    objective.patch.data.fill_(9.0)
    objective(student, pictures)
    hidden = (student.shown[0].patches == 9.0).all(-1)
    assert [int(part.sum()) for part in hidden.split([16, 12, 12])] == [8, 6, 6]
    shown = pictures.visuals["vision"].patches
    assert torch.equal(student.shown[0].patches[~hidden], shown[~hidden])
    assert not (shown == 9.0).any()


def test_what_is_visible_does_not_count_where_the_loss_is_over_what_is_hidden(tower, pictures, teachers):
    """A step that changes the targets of visible places alone leaves the loss as it is, and `all` sees it."""
    student = Seen(tower(8))
    for on, moves in (("masked", False), ("all", True)):
        objective = prepared({"one": teachers["one"]}, student.student, on=on, standard=Place).eval()
        objective.patch.data.fill_(9.0)
        before, _ = objective(student, pictures)
        hidden = (student.shown[-1].patches == 9.0).all(-1)
        targets = objective.targets

        def moved(*given, targets=targets, hidden=hidden):
            return torch.where(hidden[:, None], targets(*given), targets(*given).flip(-1))

        objective.targets = moved
        after, _ = objective(student, pictures)
        assert bool((after - before).abs() > 1e-3) == moves


def test_the_loss_is_the_weighted_sum_over_teachers_and_distances(tower, pictures, teachers):
    student = tower(8)
    distances = {"a": Cosine(weight=2.0), "b": SmoothL1(beta=0.5, weight=0.25), "c": Relation(weight=3.0)}
    objective = prepared(
        teachers,
        student,
        mask=0.0,
        on="all",
        standard=Place,
        distances=distances,
        teacher_weights={"two": 0.5},
    )
    loss, metrics = objective(student, pictures)
    features, _ = student(pictures.visuals["vision"])
    lengths = [16, 12, 12]
    parts = {}
    for name, teacher in teachers.items():
        taught, _ = teacher(pictures.visuals[f"teacher.{name}"])
        taught.tokens = F.layer_norm(taught.tokens, (teacher.out_width,))
        target = resample(taught, features.shapes)
        result = objective.heads[name](features.tokens)
        parts[name] = sum(part.weight * part(result, target, lengths) for part in distances.values())
        torch.testing.assert_close(metrics[f"{name}/loss"], parts[name].detach())
    torch.testing.assert_close(loss, parts["one"] + 0.5 * parts["two"])


def test_a_summary_adds_how_unlike_the_means_of_whole_pictures_are(tower, pictures, teachers):
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        objective = prepared(teachers, student := tower(8), summary=weight).eval()
        losses[weight], parts = objective(student, pictures)
        assert ("one/summary" in parts) == (weight > 0)
    unlike = sum(1 - float(parts[f"{name}/summary"]) for name in teachers)
    assert 0 < unlike < 4
    for weight in (1.0, 3.0):
        torch.testing.assert_close(losses[weight] - losses[0.0], torch.tensor(weight * unlike))


def test_masks_follow_seed_and_step_and_a_reload_goes_on(tower, pictures, teachers):
    def shown(objective, steps):
        student = Seen(tower(8))
        for _ in range(steps):
            objective(student, pictures)
        return [(one.patches == 9.0).all(-1) for one in student.shown]

    def make(seed=0):
        objective = prepared(teachers, tower(8), seed=seed)
        objective.patch.data.fill_(9.0)
        return objective

    first = shown(make(), 3)
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], shown(make(1), 1)[0])
    stopped = make()
    assert torch.equal(shown(stopped, 2)[1], first[1])
    resumed = make()
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    assert torch.equal(shown(resumed, 1)[0], first[2])
    assert torch.equal(shown(resumed.eval(), 2)[0], shown(resumed, 1)[0])


def test_targets_are_the_standardised_features_at_the_students_places(tower, pictures, teachers):
    objective = prepared({"one": teachers["one"]}, tower(8), standard=Place)
    features, _ = tower(8)(pictures.visuals["vision"])
    expected = F.layer_norm(teachers["one"](pictures.visuals["teacher.one"])[0].tokens, (8,))
    torch.testing.assert_close(objective.targets("one", pictures, features), expected)


def test_features_of_a_teacher_are_put_on_one_scale_over_the_data(tower, pictures, teachers):
    teachers["one"].norm.weight.data.mul_(100.0)
    objective = prepared({"one": teachers["one"]}, tower(8))
    features, _ = tower(8)(pictures.visuals["vision"])
    for _ in range(2):
        target = objective.targets("one", pictures, features)
    torch.testing.assert_close(target.var(0, unbiased=False), torch.ones(8), atol=1e-2, rtol=0)
    held = objective.eval().standards["one"].count.clone()
    objective.targets("one", pictures, features)
    assert torch.equal(objective.standards["one"].count, held), "evaluation adds nothing to the estimate"


def test_a_batch_without_pictures_gives_zero_gradients_and_not_none(tower, batch, teachers):
    student = tower(8)
    objective = prepared(teachers, student, standard=Place)
    batch.visuals = {
        "vision": Visuals.blank(student.patch_spec),
        "teacher.one": Visuals.blank(teachers["one"].patch_spec),
        "teacher.two": Visuals.blank(teachers["two"].patch_spec),
    }
    loss, _ = objective(student, batch)
    loss.backward()
    assert float(loss.detach()) == 0.0
    for parameter in [*student.parameters(), *objective.heads.parameters()]:
        assert parameter.grad is not None and not parameter.grad.any()


def test_features_are_resampled_at_the_middles_of_the_new_places():
    tokens = torch.arange(8.0)[:, None]
    same = VisualFeatures(tokens, [(1, 2, 4)])
    assert torch.equal(resample(same, [(1, 2, 4)]), tokens)
    # Rows 0 1 2 3 and 4 5 6 7 to a row of pairs: the means of 0 1 4 5 and of 2 3 6 7.
    torch.testing.assert_close(resample(same, [(1, 1, 2)]), torch.tensor([[2.5], [4.5]]))
    torch.testing.assert_close(resample(VisualFeatures(tokens, [(2, 1, 4)]), [(1, 1, 4)]), tokens[:4] + 2)
    # Another order of places is another order and no other value.
    grouped = VisualFeatures(tokens[reorder([(1, 2, 4)], 1, 2)], [(1, 2, 4)], 2)
    assert torch.equal(resample(grouped, [(1, 2, 4)]), tokens)
    assert torch.equal(resample(same, [(1, 2, 4)], 2), grouped.tokens)
    with pytest.raises(ValueError, match="1 items, but shapes for 2"):
        resample(same, [(1, 1, 1), (1, 1, 1)])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"teachers": {}}, "teachers is empty; one or more by name would be right"),
        ({"mask": 1.0}, "mask is 1.0, so all patches would be masked"),
        ({"mask": -0.1}, "or a negative share; 0 or more and below 1 would be right"),
        ({"mask": 0.0}, "mask is 0, so nothing is hidden; `on: all` would be right"),
        ({"teacher_weights": {"on": 2.0}}, "teacher_weights names on; the teachers are one"),
        ({"teacher_weights": {"one": -1.0}}, "teacher_weights has one: -1.0; 0 or more would be right"),
        ({"summary": -1.0}, "summary is -1.0; a weight of 0 or more would be right"),
        ({"distances": {}}, "distances is empty; distance/cosine, say, would be right"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(tower, arguments, text):
    with pytest.raises(ValueError) as caught:
        Distil(**({"teachers": {"one": tower(8)}} | arguments))
    assert text in str(caught.value) and "\n" not in str(caught.value)
