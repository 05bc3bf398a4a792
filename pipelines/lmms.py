"""Runs of VLMLoom in lmms-eval: `lmms-eval --model vlmloom --model_args pretrained=runs/native --tasks ...`.

lmms-eval finds `manifest` by its entry point (group `lmms_eval.models`) and imports the class that it names;
that class is made when it is asked for, since nothing else here needs lmms-eval.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlmloom.components.contracts.sample import Picture, Sample, Scene

NAME = "vlmloom"
CLASS = "LMMSModel"


def manifest() -> Any:
    """What lmms-eval is told of the model."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, chat_class_path=f"{__name__}.{CLASS}")


def __getattr__(name: str) -> Any:
    if name == CLASS:
        return _model()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Given(Picture):
    """Pixels that somebody else has decoded, uint8 `[frames, height, width, 3]`."""

    def __init__(self, pixels: np.ndarray, key: str) -> None:
        self.pixels, self.key = pixels, key
        self.frames, self.height, self.width = pixels.shape[:3]

    def render(self) -> np.ndarray:
        """The pixels."""
        return self.pixels


def sample_of(messages: Sequence[dict[str, Any]], key: str, sampling: Any = "all") -> Sample:
    """A conversation of lmms-eval as one question: its texts, pictures and clips in their order.

    Args:
        messages: `[{"role", "content": [{"type": "text" | "image" | "video", "text" | "url"}]}]`.
        key: what tells the question from another.
        sampling: which frames of a video file are looked at.

    Raises:
        ValueError: something else is in it, such as sound.
    """
    from vlmloom.components.media import picture_of

    prompt: list[str | Picture] = []
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            place = f"{key}:{len(prompt)}"
            if part["type"] == "text":
                prompt.append(part["text"])
            elif part["type"] == "image" and hasattr(part["url"], "convert"):
                prompt.append(Given(np.asarray(part["url"].convert("RGB"))[None], place))
            elif part["type"] in ("image", "video"):
                clip = part["type"] == "video"
                prompt.append(picture_of(Path(part["url"]), clip=clip, sampling=sampling))
            else:
                raise ValueError(f"{key}: holds {part['type']}; text, image and video are known here")
    return Sample("lmms", "test", 0, prompt, "", Scene(key))


@functools.cache
def _model() -> type:
    from lmms_eval.api.instance import GenerationResult, TokenCounts
    from lmms_eval.api.model import lmms

    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.loading import load_run

    class LMMSModel(lmms):
        """A finished run or an import; answers greedily.

        Args:
            pretrained: its folder.
            batch_size: questions packed together.
        """

        is_simple = False

        def __init__(self, pretrained: str, batch_size: int | str = 16, **_: Any) -> None:
            super().__init__()
            _spare_filelock()
            experiment = load_run(Path(pretrained))
            experiment.assembly.eval()
            self.answerer = Answerer(experiment)
            self.batch_size = 16 if batch_size == "auto" else int(batch_size)

        def generate_until(self, requests: Sequence[Any]) -> list[Any]:
            """The answers in the order of the requests; those of one set of settings are packed together."""
            found: dict[int, Any] = {}
            groups: dict[str, list[int]] = {}
            for place, request in enumerate(requests):
                groups.setdefault(repr(sorted(request.args[2].items())), []).append(place)
            own = self.answerer.limit
            for places in groups.values():
                settings = requests[places[0]].args[2]
                self.answerer.limit = int(settings.get("max_new_tokens") or own)
                for start in range(0, len(places), self.batch_size):
                    part = places[start : start + self.batch_size]
                    answers = self.answerer.counted([self._sample(requests[place]) for place in part])
                    for place, (text, read, written, _) in zip(part, answers, strict=True):
                        counts = TokenCounts(input_tokens=read, output_tokens=written)
                        found[place] = GenerationResult(_until(text, settings.get("until")), counts)
            self.answerer.limit = own
            return [found[place] for place in range(len(requests))]

        def _sample(self, request: Any) -> Sample:
            _, doc_to_messages, _, index, task, split = request.args
            spec = self.answerer.view.specs.get("vision")
            messages = doc_to_messages(self.task_dict[task][split][index])
            return sample_of(messages, f"{task}:{split}:{index}", spec.sampling if spec else "all")

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            """Not answered: only tasks that generate are run here."""
            raise NotImplementedError("vlmloom answers tasks of output_type generate_until")

        def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
            """Not answered: only tasks of one round are run here."""
            raise NotImplementedError("vlmloom answers tasks of output_type generate_until")

    return LMMSModel


def _spare_filelock() -> None:
    """lmms-eval 0.7.3 patches `filelock._api`, which filelock 4 no longer has; it is told not to.

    The patch lets a process hold a lock under two classes, which filelock 3 takes for a deadlock.
    """
    import importlib.util

    from lmms_eval import evaluator

    patch = getattr(evaluator, "_enable_reentrant_filelocks", None)
    if patch is not None and importlib.util.find_spec("filelock._api") is None:
        patch._patched = True


def _until(text: str, until: str | Sequence[str] | None) -> str:
    """A text up to the first of some endings."""
    for ending in [until] if isinstance(until, str) else until or []:
        text = text.split(ending)[0] if ending else text
    return text
