"""`vlmloom ask`: one question, about one picture or none."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "ask a trained run or an imported model one question, about a picture or of text alone"

EPILOG = """examples:
  vlmloom ask runs/native cat.png "what is this ?"
  vlmloom ask runs/native scene.png "where is the dog ?" --out answer.png
      the box of the answer is drawn on a copy of the picture
  vlmloom ask runs/native cat.gif "which came first, dog or cat ?" --clip
      an animation as a clip; without --clip its first frame is the picture, and a video is always a clip
  vlmloom ask models/glm-ocr page.png "Text Recognition:" --tokens 2048
      an imported checkpoint, in its own words
  vlmloom ask models/glm-5 "What is a loom?"
      of text alone
"""

BOX = re.compile(r"\[(\d{1,4}),(\d{1,4}),(\d{1,4}),(\d{1,4})\]")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "ask", SUMMARY, EPILOG)
    parser.add_argument("folder", type=Path, help="the folder of a finished run or of an import")
    parser.add_argument(
        "image", type=Path, nargs="?", help="a picture, an animation or a video; left out, text alone is read"
    )
    parser.add_argument("question", help="what is asked")
    parser.add_argument(
        "--out", type=Path, help="where to draw boxes of the answer (default: beside the picture)"
    )
    parser.add_argument(
        "--clip", action="store_true", help="show all of an animation, not its first frame alone"
    )
    parser.add_argument(
        "--tokens", type=int, help="of the longest answer (default: the experiment's answer_tokens)"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Answer, and draw the answer's boxes."""
    from vlmloom.components.contracts.sample import CorruptPicture, Sample, Scene
    from vlmloom.components.media import decode, picture_of
    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.loading import load_run
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.registry.errors import UserError

    quiet()
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in args.question):
        raise UserError(f"ask: the question {args.question!r} is not UTF-8; text would be right")
    if args.tokens is not None and args.tokens < 1:
        raise UserError(f"ask: --tokens is {args.tokens}; 1 or more would be right")
    if args.image is None and os.path.isfile(args.question):  # False of a text too long for a name.
        raise UserError(f"ask: there is no question about {args.question}; one behind it would be right")
    try:
        if args.image is not None:
            decode(args.image)
        answerer = Answerer(load_run(args.folder), limit=args.tokens)
        prompt: list[Any] = [args.question]
        if args.image is not None:
            if not (answerer.view.specs or answerer.perceives):
                raise UserError(
                    f"ask: {args.folder} sees no pictures; a model with a vision part would be right"
                )
            spec = answerer.view.specs.get("vision")
            sampling = spec.sampling if spec else "all"
            prompt.insert(0, picture_of(args.image, clip=args.clip, sampling=sampling))
        sample = Sample("ask", "test", 0, prompt, "", Scene(str(args.image)))
        answer = answerer.answers([sample])[0]
    except CorruptPicture as fault:
        raise UserError(str(fault)) from None
    print(answer)
    boxes = [tuple(map(int, found)) for found in BOX.findall(answer)]
    if boxes and args.image is not None:
        out = args.out or args.image.with_name(f"{args.image.stem}-answer.png")
        draw(args.image, boxes, out)
        print(out)
    return 0


def draw(image: Path, boxes: list[tuple[int, ...]], out: Path) -> None:
    """A copy of the picture with boxes (0 to 1000) drawn on it."""
    from PIL import Image, ImageDraw

    from vlmloom.components.media import decode
    from vlmloom.registry.errors import UserError, one_line

    picture = Image.fromarray(decode(image)[0])
    pen = ImageDraw.Draw(picture)
    for left, top, right, bottom in boxes:
        corners = [
            left * picture.width / 1000,
            top * picture.height / 1000,
            right * picture.width / 1000,
            bottom * picture.height / 1000,
        ]
        ordered = [
            min(corners[0], corners[2]),
            min(corners[1], corners[3]),
            max(corners[0], corners[2]),
            max(corners[1], corners[3]),
        ]
        pen.rectangle(ordered, outline=(220, 30, 30), width=max(1, picture.width // 150))
    try:
        picture.save(out)
    except (OSError, ValueError) as fault:
        raise UserError(
            f"{out}: cannot be written ({one_line(fault)}); another --out would be right"
        ) from None
