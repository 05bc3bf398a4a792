"""Models that answer in this process: runs and imports of VLMLoom, and anything that transformers loads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.media.timed import timed
from vlmloom.pipelines.evaluate_suite.record import Reply
from vlmloom.registry.errors import UserError, named, one_line

Count = tuple[str, int, int, bool]
"""An answer, the tokens of its prompt, its own, and whether they ran out before it ended."""


class Local:
    """Answers batch by batch; a batch that fails is asked one by one, so that one item loses no other."""

    scripted = False
    name: str
    key: dict[str, Any]
    batch: int

    def answer(self, samples: Sequence[Sample]) -> list[Count]:
        """The answers to one batch."""
        raise NotImplementedError

    def flops(self, sample: Sample, tokens_in: int, tokens_out: int) -> float | None:
        """What an answer cost, where it is known."""
        return None

    def replies(self, samples: Sequence[Sample]) -> Iterator[tuple[int, Reply]]:
        """See `Target`."""
        yield from self._replies(list(enumerate(samples)))

    def _replies(self, places: list[tuple[int, Sample]], tries: int = 1) -> Iterator[tuple[int, Reply]]:
        if not places:
            return
        clock = time.perf_counter()
        try:
            found = self.answer([sample for _, sample in places])
        except Exception as fault:
            if len(places) == 1:
                told = named(fault)
                yield places[0][0], Reply(None, time.perf_counter() - clock, tries=tries, error=told)
                return
            for one in places:
                yield from self._replies([one], tries + 1)
            return
        seconds = (time.perf_counter() - clock) / len(places)
        for (place, sample), (text, tokens_in, tokens_out, cut) in zip(places, found, strict=True):
            flops = self.flops(sample, tokens_in, tokens_out)
            yield place, Reply(text, seconds, tokens_in, tokens_out, flops, tries, cut)


class Checkpoint(Local):
    """A finished run or an import, along the route of its design.

    Args:
        folder: of it.
        oracle: a cascade with the truth of the scene in place of its perception.
        tokens: the longest answer; None leaves it to the run.
        batch: questions packed together.
    """

    def __init__(
        self, folder: Path, *, oracle: bool = False, tokens: int | None = None, batch: int = 64
    ) -> None:
        from vlmloom.pipelines.answering import Answerer
        from vlmloom.pipelines.loading import load_run

        experiment = load_run(folder)
        if oracle and not hasattr(experiment.assembly, "descriptions"):
            raise UserError(
                f"evaluate: --oracle replaces what specialists see, but {folder} has none; a cascade's run "
                "would be right"
            )
        experiment.assembly.eval()
        self.answerer = Answerer(experiment, oracle=oracle, limit=tokens)
        self.name, self.batch = folder.resolve().name, batch
        self.key = {"weights": _digest(experiment.assembly), "tokens": self.answerer.limit, "oracle": oracle}

    def answer(self, samples: Sequence[Sample]) -> list[Count]:
        """See `Local`."""
        return self.answerer.counted(samples)

    def flops(self, sample: Sample, tokens_in: int, tokens_out: int) -> float | None:
        """One forward pass over prompt and answer, as a cache makes it; unknown where specialists look."""
        from vlmloom.assemblies.flops import forward_flops

        if self.answerer.perceives:
            return None
        (seen,) = self.answerer.seen([sample])
        view = self.answerer.view
        grids = [
            view.spec("vision", seen).grid(picture.frames, picture.height, picture.width)
            for picture in (seen.pictures if "vision" in view.specs else [])
        ]
        return float(
            forward_flops(self.answerer.assembly, [tokens_in + tokens_out], grids, max(tokens_out, 1))
        )


class Transformers(Local):
    """A vision-language model of transformers, from a folder or by name.

    Args:
        model: what `AutoProcessor` and `AutoModelForImageTextToText` load.
        tokens: the longest answer.
        batch: questions at a time, padded on the left.
    """

    def __init__(self, model: str, *, tokens: int = 256, batch: int = 8) -> None:
        import torch

        try:
            from transformers import AutoModelForImageTextToText, AutoProcessor
        except ImportError:
            raise UserError(
                f"evaluate: {model} is for transformers; pip install 'vlmloom[hf]' would be right"
            ) from None
        try:
            self.processor = AutoProcessor.from_pretrained(model)
            self.model = AutoModelForImageTextToText.from_pretrained(model, dtype="auto").eval()
        except (OSError, ValueError, KeyError, ImportError) as fault:
            raise UserError(
                f"evaluate: {model}: transformers cannot load it as a vision-language model "
                f"({one_line(fault)})"
            ) from None
        if torch.cuda.is_available():
            self.model.to("cuda")
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokens, self.batch = tokens, batch
        self.name = Path(model).name
        self.key = {"transformers": _digest(self.model), "tokens": tokens}

    def answer(self, samples: Sequence[Sample]) -> list[Count]:
        """See `Local`; greedy."""
        import torch

        inputs = self.processor.apply_chat_template(
            [_conversation(sample) for sample in samples],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=self.tokens, do_sample=False)
        long = inputs["input_ids"].shape[1]
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        answers = tokenizer.batch_decode(ids[:, long:], skip_special_tokens=True)
        ends = (ids[:, long:] != tokenizer.pad_token_id).sum(1).tolist()
        stops = self.model.generation_config.eos_token_id
        last = torch.tensor([] if stops is None else stops, dtype=ids.dtype, device=ids.device)
        ended = torch.isin(ids[:, long:], last).any(1).tolist()
        cut = [count >= self.tokens and not over for count, over in zip(ends, ended, strict=True)]
        lengths = inputs["attention_mask"].sum(1).tolist()
        return list(zip(map(str.strip, answers), lengths, ends, cut, strict=True))


def _conversation(sample: Sample) -> list[dict[str, Any]]:
    from PIL import Image

    content: list[dict[str, Any]] = []
    for part in sample.prompt:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            # A clip goes in frame by frame with its times, as it does to an endpoint.
            for when, frame in timed(part):
                if when:
                    content.append({"type": "text", "text": when})
                content.append({"type": "image", "image": Image.fromarray(frame)})
    return [{"role": "user", "content": content}]


def _digest(model: Any) -> str:
    from vlmloom.components.teacher.cached import digest_of

    return digest_of(dict(model.state_dict()))
