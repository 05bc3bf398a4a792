"""A comparison as a real one looks, made from a latent-ability model so that no training is needed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vlmloom.pipelines.report import Answer, Category, Comparison, CurvePoint, Example, Run, Stage

DESIGNS = ["native", "adapter", "cascade", "blind", "oracle"]
CATEGORIES = [
    Category("name", "perception", True, 0.03),
    Category("multiple_choice", "perception", True, 0.25),
    Category("count", "perception", True, 0.25),
    Category("relation", "perception", True, 0.25),
    Category("box", "perception", True, 0.02),
    Category("odd_one_out", "perception", True, 0.25),
    Category("colour", "perception", True, 0.125),
    Category("read", "documents", True, 0.0),
    Category("chart_value", "documents", True, 0.1),
    Category("table_cell", "documents", True, 0.05),
    Category("which_image", "perception", True, 0.5),
    Category("clip_order", "video", True, 0.17),
    Category("arithmetic", "reasoning", False, 0.06),
]
SKILL = {"native": 0.78, "adapter": 0.62, "cascade": 0.55, "blind": 0.24, "oracle": 0.9}
AT_FLOOR = {
    "native": {"clip_order"},
    "adapter": {"clip_order", "box"},
    "cascade": {"clip_order", "which_image"},
}
LOSS = {"test": 0.0, "shift": 0.14, "compositional": 0.07}


def picture(rng: np.random.Generator) -> bytes:
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = rng.integers(4, 60, 2).tolist()
        draw.ellipse((x, y, x + 28, y + 28), fill=tuple(rng.integers(40, 230, 3).tolist()))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def answers(
    rng: np.random.Generator, runs: list[tuple[str, int]], splits: list[str], items: int
) -> list[Answer]:
    listed = []
    for split in splits:
        for category in CATEGORIES:
            hard = rng.normal(0, 0.15, items) + np.repeat(rng.normal(0, 0.12, items // 2), 2)
            for design, seed in runs:
                skill = (
                    SKILL[design] - LOSS[split] * (design not in ("blind", "oracle")) + rng.normal(0, 0.02)
                )
                if category.name in AT_FLOOR.get(design, ()):
                    skill = SKILL["blind"]
                if not category.visual:
                    skill = 0.9
                right = rng.random(items) < skill + hard
                listed += [
                    Answer(
                        design,
                        seed,
                        split,
                        category.name,
                        index,
                        f"{split}-{category.name}-{index // 2}",
                        float(ok),
                    )
                    for index, ok in enumerate(right)
                ]
    return listed


def run(rng: np.random.Generator, design: str, seed: int) -> Run:
    names = {"adapter": ["vision", "language", "projector"], "cascade": ["tagger", "reader", "language"]}
    stages, curve = names.get(design, ["joint"]), []
    for step in range(0, 1200, 4):
        stage = stages[step * len(stages) // 1200]
        loss = 0.6 + 3.2 * np.exp(-(step % (1200 // len(stages))) / 120) + rng.normal(0, 0.08)
        accuracy = None
        if step % 100 == 96:
            accuracy = SKILL[design] * (1 - np.exp(-step / 350)) + rng.normal(0, 0.01)
        curve.append(CurvePoint(step * 1.6e10, step / 6, step, float(loss), stage, accuracy))
    kinds = ["name", "read", "box", "count", "relation", "caption", "arithmetic"]
    config = (
        f"seed: {seed}\nassembly:\n  use: assembly/{design}\n  language: {{use: language/glm, depth: 4}}\n"
    )
    config += (
        "  projector: {use: projector/mlp}\n"
        if design == "adapter"
        else "  projector: {use: projector/merger}\n"
    )
    return Run(
        design,
        seed,
        parameters_total=int(3.1e6 + 2e5 * len(design)),
        parameters_active=int(2.2e6 + 1e5 * len(design)),
        flops=1.92e13,
        samples=int(41000 + 900 * len(design)),
        seconds_training=200 + 3 * len(design) + seed,
        latency_ms=14.0 + 6 * (design == "cascade") + rng.random(),
        peak_memory_bytes=int(1.1e9 + 4e7 * len(design)),
        curve=curve,
        labels_seen={kind: int(rng.integers(2500, 9000)) for kind in kinds[: 4 + len(stages)]},
        stages=[Stage(name, f"{name}.*", "", 1.92e13 / len(stages), 200 / len(stages)) for name in stages],
        config=config,
    )


def make(
    seeds=(0, 1), done=None, items=60, splits=("test", "shift", "compositional"), designs=DESIGNS
) -> Comparison:
    rng = np.random.default_rng(7)
    done = [(design, seed) for seed in seeds for design in designs] if done is None else done
    questions = [
        (
            "name",
            "What is this?",
            "<b>hot</b> dog",
            {"native": "hot dog", "adapter": "<script>alert(1)</script>"},
        ),
        ("count", "How many apples are there?", "3", {"native": "3", "adapter": "4", "cascade": "3"}),
        (
            "relation",
            "Where is the fox: left of, right of, above or below the drum?",
            "left of",
            {"native": "above"},
        ),
        ("which_image", "Which of the two pictures shows a lighthouse?", "second", {"native": "second"}),
        ("read", "What does the sign say?", "QUAY 7", {"native": "QUAY 7", "cascade": "QUAY7"}),
        ("arithmetic", "What is 17 + 25?", "42", {"native": "42", "adapter": "42", "cascade": "42"}),
    ]
    examples = []
    for category, question, gold, given in questions:
        responses = {design: given.get(design, "dog, a thing that is long to say " * 2) for design in designs}
        pictures = [picture(rng) for _ in range({"which_image": 2, "arithmetic": 0}.get(category, 1))]
        correct = {design: float(text in gold) for design, text in responses.items()}
        examples.append(Example(category, question, gold, pictures, responses, correct))
    return Comparison(
        budget={"kind": "flops", "value": 1.92e13},
        designs=list(designs),
        seeds=list(seeds),
        runs=[run(rng, design, seed) for design, seed in done],
        answers=answers(rng, done, list(splits), items),
        categories=CATEGORIES,
        examples=examples,
        machine={"processor": "a processor with two cores", "memory": "16 GiB", "gpu": "none", "threads": 2},
        versions={"python": "3.11", "torch": "2.14.1", "lightning": "2.6.6", "vlmloom": "0.1.0"},
        pretrained=[],
        absent_splits={} if "shift" in splits else {"shift": "tuxpaint-stamps is not installed"},
        command="vlmloom compare native adapter cascade --budget flops=1.92e13 --seeds 2 --out runs/compare",
    )


@pytest.fixture(scope="session")
def make_comparison():
    return make


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    return make()
