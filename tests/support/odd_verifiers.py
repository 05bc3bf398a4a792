"""Verifiers that misbehave as the answer says."""

import os
import signal
import time
from pathlib import Path

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward
from vlmloom.components.task.perception.count import Count
from vlmloom.registry import register


@register("reward/odd")
class Odd(Verifier):
    def __init__(self, *, folder: str = "", on_error="skip") -> None:
        super().__init__(on_error=on_error)
        self.folder = folder

    def score(self, sample, response):
        word, _, rest = response.partition(" ")
        if word == "hang":
            while True:
                time.sleep(0.05)
        if word == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                pass
        if word == "raise":
            raise OSError("the disk is on fire")
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "once":
            # The first process that judges it is killed from outside in the middle.
            flag = Path(self.folder) / rest
            if not flag.exists():
                flag.write_text(str(os.getpid()))
                time.sleep(60)
        if word == "sleep":
            time.sleep(float(rest))
        if word == "nan":
            return Reward(float("nan"))
        return Reward(float(word == "right"), reason=response)


@register("reward/odd_together")
class Together(Odd):
    def judge(self, sample, responses):
        if "hang" in responses:
            time.sleep(60)
        return [Reward(len(responses) / 10)] * len(responses)


@register("task/odd_together")
class Compared(Count):
    """Counting, its answers judged against each other."""

    def judge(self):
        return {"use": "reward/odd_together"}
