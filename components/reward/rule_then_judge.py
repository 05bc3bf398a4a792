"""A rule where it is certain, a judge where it is not."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import register


@register("reward/rule_then_judge")
class RuleThenJudge(Verifier):
    """A rule first; a judge is asked only about answers of which the rule is not certain.

    A rule is certain of what it gives `right` or more: a match is a match. With `wrong` it is also certain
    of what it gives so little; without, every other answer goes to the judge, and so does one that the rule
    fails on. What fails in the judge is that failure, by the judge's own policy. `parts` holds `rule` and
    what the judge says.

    Args:
        rule: what is asked first, e.g. `reward/exact`.
        judge: what is asked then, e.g. `reward/judge_endpoint`.
        right: the rule's value from which it is certain that the answer is right.
        wrong: the value up to which it is certain that the answer is wrong; None is never.

    Raises:
        ValueError: the bounds do not lie in order within [0, 1].
    """

    def __init__(
        self, *, rule: Verifier, judge: Verifier, right: float = 1.0, wrong: float | None = None
    ) -> None:
        super().__init__(on_error=judge.on_error)
        if not 0 < right <= 1 or (wrong is not None and not 0 <= wrong < right):
            raise ValueError(
                f"reward/rule_then_judge: right is {right} and wrong {wrong}; "
                "0 <= wrong < right <= 1 would be right"
            )
        # A rule that fails has nothing to say here, whatever its own policy is.
        rule.on_error = "skip"
        self.rule, self.judging, self.right, self.wrong = rule, judge, right, wrong

    @property
    def together(self) -> bool:
        """Whether one of the two judges at once."""
        return self.rule.together or self.judging.together

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """See `Verifier`: the judge is asked once about all that are left."""
        found = self.rule.judge(sample, responses)
        open_places = [place for place, reward in enumerate(found) if not self._certain(reward)]
        if open_places:
            asked = self.judging.judge(sample, [responses[place] for place in open_places])
            for place, reward in zip(open_places, asked, strict=True):
                first = found[place].value
                rule = {} if first is None else {"rule": first}
                found[place] = Reward(reward.value, rule | reward.parts, reward.reason, reward.error)
        return found

    def _certain(self, reward: Reward) -> bool:
        if reward.value is None or reward.error is not None:
            return False
        return reward.value >= self.right or (self.wrong is not None and reward.value <= self.wrong)
