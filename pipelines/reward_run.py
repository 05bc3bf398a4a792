"""Trained runs as verifiers: `reward/run`, a learned reward, and `reward/judge_local`, a model as a judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from vlmloom.components.contracts.packed import IGNORE, Packed, shift
from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.judging import asked, guarded, same
from vlmloom.components.reward.model import RewardModel
from vlmloom.pipelines.data.module import PackedData
from vlmloom.pipelines.data.views import Drawn, View, tag_of, without_pictures
from vlmloom.pipelines.trunk import load
from vlmloom.registry import name_of, register


class Reader:
    """Questions with their answers to one packed batch, as a run's own data are read.

    Args:
        data: connected to the model.
        device: where the batch goes.
    """

    def __init__(self, data: PackedData, device: torch.device | str = "cpu") -> None:
        self.view: View = data.view("question", "test")
        self.device = device

    def __call__(self, samples: Sequence[Sample]) -> Packed:
        """The batch; every sample's pictures stand in it, withheld where nothing sees them."""
        if "vision" not in self.view.specs:
            samples = [without_pictures(sample) for sample in samples]
        drawn = []
        for sample in samples:
            pixels = [picture.render() for picture in sample.pictures]
            encoded = self.view.encoded(sample)
            drawn.append(Drawn(tag_of(sample), sample, 1.0, encoded=encoded, pixels=pixels))
        return self.view.collate(drawn).to(self.device)


def open_reward(folder: str) -> tuple[RewardModel, PackedData]:
    """The reward of a finished run, bound to what reads answers, and the data that it was trained on.

    Raises:
        ValueError: the folder holds no finished run of a reward.
    """
    path, training = load(folder)
    model = training.subject
    if not isinstance(model, RewardModel):
        name = name_of(model)
        raise ValueError(f"{path}: trained {name}; a run of reward/model would be right")
    model.bind(Reader(training.data, model.value.weight.device))
    return model, training.data


@register("reward/run")
class RunReward(RewardModel):
    """The reward of a finished run of `reward/model`, with its weights, ready to judge.

    What is built is that model itself, and this class has no instances.

    After `vlmloom fit -c nano/reward_model --out runs/reward_model`:

    >>> reward = RunReward(folder="runs/reward_model")  # doctest: +SKIP
    >>> type(reward).__name__, reward.training  # doctest: +SKIP
    ('RewardModel', False)
    """

    def __init__(self, *, folder: str, on_error: OnError = "skip") -> None:
        """Load the run.

        Args:
            folder: of the run.
            on_error: see `Verifier`.

        Raises:
            ValueError: it holds no finished run of a reward.
        """

    def __new__(cls, *, folder: str, on_error: OnError = "skip") -> RewardModel:  # type: ignore[misc]
        """The model, bound to what reads answers."""
        model, _ = open_reward(folder)
        model.on_error = on_error
        return model


@register("reward/judge_local")
class LocalJudge(Verifier):
    """A trained run or an import as judge: how likely it finds `yes` rather than `no`.

    It is shown the pictures, and asked as `reward/judge_endpoint` asks. The reward is
    `p(yes) / (p(yes) + p(no))`, both taken whole, so that no text of the judge is parsed and nothing that
    an answer says can break a format. What it says can still sway the model; see docs/reward_service.md.

    Args:
        folder: of the run or the import.
        threshold: the share from which an answer is right, for rewards of 0 and 1; None gives the share.
        pictures: whether the judge sees them.
        longest_answer: characters of an answer that it is shown; a longer one is wrong.
        on_error: see `Verifier`.

    Raises:
        ValueError: the folder holds no model with a language part.
    """

    def __init__(
        self,
        *,
        folder: str,
        threshold: float | None = None,
        pictures: bool = True,
        longest_answer: int = 2_000,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(on_error=on_error)
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"reward/judge_local: threshold is {threshold}; between 0 and 1 would be right")
        path, training = load(folder)
        self.model: Any = training.subject
        if not hasattr(self.model, "hidden") or not hasattr(self.model, "lm"):
            name = name_of(self.model)
            raise ValueError(f"{path}: {name} writes no text; a run of assembly/native would be right")
        self.threshold, self.pictures, self.longest_answer = threshold, pictures, longest_answer
        self.reader = Reader(training.data, next(self.model.parameters()).device)

    def score(self, sample: Sample, response: str) -> Reward:
        """The share of `yes`."""
        if same(response, sample.answer):
            return Reward(1.0, {"yes": 1.0}, "the right answer itself")
        shown, refused = guarded(response, self.longest_answer)
        if refused:
            return Reward(0.0, reason=refused)
        pictures = sample.pictures if self.pictures else []
        words, _ = asked(sample, shown, "Is it right? yes or no")
        question = replace(sample, prompt=[*pictures, words])
        yes, no = self.likelihoods([replace(question, answer=word) for word in ("yes", "no")])
        share = float(torch.sigmoid(yes - no))
        value = share if self.threshold is None else float(share >= self.threshold)
        return Reward(value, {"yes": share}, f"the judge says yes with {share:.2f}")

    @torch.no_grad()
    def likelihoods(self, samples: Sequence[Sample]) -> torch.Tensor:
        """Log-probability of each sample's answer, its end token left out; `[samples]`.

        Raises:
            ValueError: the question goes beyond the positions of the language part.
        """
        batch = self.reader(samples)
        limit = self.model.language.max_positions
        if limit is not None and max(batch.lengths) > limit:
            raise ValueError(f"{max(batch.lengths)} tokens, but the judge reads {limit}")
        hidden, _ = self.model.hidden(batch)
        targets = shift(batch.labels, batch.boundaries, 1, IGNORE)
        ends = torch.isin(targets, targets.new_tensor(self.reader.view.processor.stops))
        counted = (targets != IGNORE) & ~ends
        found = self.model.lm.logprobs(hidden, targets.clamp(min=0)) * counted
        return torch.stack([part.sum() for part in found.split(batch.lengths)]).double()
