"""Boxes over time."""

from __future__ import annotations

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.boxes import Labelled, read_detections, tally
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.overlap import fewer, threshold
from vlmloom.components.reward.parsed import Parsed, Unreadable, shown
from vlmloom.registry import register


@register("reward/tracks")
class Tracks(Parsed):
    """The share of boxes that are right at their second and under their label.

    Answers are JSON, `{second: [{"label": "car-1", "bbox_2d": [x1, y1, x2, y2]}, ...], ...}` in thousandths;
    a label is one thing all along. Counted as `reward/detections` does, over all seconds of both.

    Args:
        overlap: the intersection over union from which a box counts as right.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> one = '[{"label": "car-1", "bbox_2d": [0, 0, 9, 9]}]'
    >>> other = one.replace("[0, 0, 9, 9]", "[5, 0, 14, 9]")
    >>> sample = Sample("t", "test", 0, [], f'{{"0": {one}, "1": {other}}}', Scene(""))
    >>> answers = [sample.answer, f'{{"0": {one}, "1": {one}}}', f'{{"0": {one}}}']
    >>> [reward.value for reward in Tracks().judge(sample, answers)]
    [1.0, 0.5, 0.5]
    """

    def __init__(self, *, overlap: float = 0.5, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.overlap = threshold("reward/tracks", overlap)

    def read(self, text: str, sample: Sample) -> dict[float, Labelled]:
        """Boxes by second and label."""
        value = read_json(text)
        if not isinstance(value, dict):
            raise Unreadable(f"no boxes by second: {shown(text)}")
        fewer(len(value))
        found: dict[float, Labelled] = {}
        for key, boxes in value.items():
            try:
                second = float(key)
            except ValueError:
                raise Unreadable(f"the key {shown(key)} is no second") from None
            if second in found or second != second:
                raise Unreadable(f"the key {shown(key)} is no second, or one of two for it")
            found[second] = read_detections(boxes, sample.truth.get("language", "en"))
        fewer(sum(len(boxes) for labels in found.values() for boxes in labels.values()))
        return found

    def compare(self, found: dict[float, Labelled], gold: dict[float, Labelled], sample: Sample) -> Reward:
        """The share."""
        tallies = [tally(found.get(one, {}), gold.get(one, {}), self.overlap) for one in {*found, *gold}]
        right, total = sum(right for right, _ in tallies), sum(total for _, total in tallies)
        return Reward(right / total if total else 1.0, reason=f"{right} of {total} boxes")
