"""What the reward service counts, in Prometheus' text format."""

from __future__ import annotations

import math
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, Sequence

from vlmloom.components.contracts.sample import Reward

KEPT_GROUPS = 10_000
"""Groups that may still grow; the oldest is closed when there are more."""
KEPT_LATENCIES = 4096
MOST_SOURCES = 100
"""Source tags that are counted by themselves; further ones are `other`."""
KS = (1, 2, 4, 8, 16, 32, 64)


def pass_at_k(answers: int, right: int, k: int) -> float:
    """The chance that one of k answers is right, without bias, from `right` of `answers`.

    Reference: arXiv 2107.03374, eq. 1.

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 3, 2)
    (0.25, 0.5, 1.0)
    """
    return 1.0 - math.comb(answers - right, k) / math.comb(answers, k)


class Metrics:
    """Counts of requests, answers, failures, latencies, rewards by source and pass@k."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: Counter[int] = Counter()
        self.answers: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._seconds = 0.0
        self._timed = 0
        self._rewards: dict[str, list[float]] = {}
        self._groups: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._passed: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._unnamed = 0

    def request(self, status: int) -> None:
        """Count a reply."""
        with self._lock:
            self.requests[status] += 1

    def scored(self, by: str, source: str, group: str, rewards: Sequence[Reward], seconds: float) -> None:
        """Count the answers of one line.

        Args:
            by: the task or verifier.
            source: the tag that came with it.
            group: lines that share it are parts of one group; empty is a group by itself.
            rewards: of its answers; those without a value are in no mean and no group. Where a value is
                outside [0, 1], as of a learned reward, none of them passes or fails.
            seconds: from arrival to reply.
        """
        values = [reward.value for reward in rewards if reward.value is not None and reward.error is None]
        with self._lock:
            self.answers[by] += len(rewards)
            self.errors[by] += sum(reward.error is not None for reward in rewards)
            self._latencies.append(seconds)
            self._seconds += seconds
            self._timed += 1
            source = source if source in self._rewards or len(self._rewards) < MOST_SOURCES else "other"
            total = self._rewards.setdefault(source, [0.0, 0.0])
            total[0] += sum(values)
            total[1] += len(values)
            if not all(0 <= value <= 1 for value in values):
                return
            if not group:
                self._unnamed += 1
            key = (source, f"named {by} {group}" if group else f"line {self._unnamed}")
            counts = self._groups.setdefault(key, [0, 0])
            counts[0] += len(values)
            counts[1] += sum(value >= 1.0 for value in values)
            if len(self._groups) > KEPT_GROUPS:
                (old, _), closed = self._groups.popitem(last=False)
                self._add(self._passed, old, *closed)

    @staticmethod
    def _add(passed: dict[tuple[str, int], list[float]], source: str, answers: int, right: int) -> None:
        for k in KS:
            if k <= answers:
                passed[source, k][0] += pass_at_k(answers, right, k)
                passed[source, k][1] += 1

    def passes(self) -> dict[tuple[str, int], tuple[float, int]]:
        """(source, k) -> the mean of pass@k over groups of k answers or more, and how many these are."""
        with self._lock:
            passed = defaultdict(
                lambda: [0.0, 0.0], {key: list(value) for key, value in self._passed.items()}
            )
            for (source, _), counts in self._groups.items():
                self._add(passed, source, *counts)
        return {key: (total / count, int(count)) for key, (total, count) in sorted(passed.items())}

    def text(self, gauges: dict[str, float]) -> str:
        """All of it, as Prometheus reads it.

        Args:
            gauges: what the service knows of itself, by name.
        """
        return "\n".join((*self._lines(gauges), ""))

    def _lines(self, gauges: dict[str, float]) -> Iterator[str]:
        passes = self.passes()
        with self._lock:
            yield "# TYPE vlmloom_requests_total counter"
            for status, count in sorted(self.requests.items()):
                yield f'vlmloom_requests_total{{status="{status}"}} {count}'
            yield "# TYPE vlmloom_answers_total counter"
            for by, count in sorted(self.answers.items()):
                yield f'vlmloom_answers_total{{by="{escaped(by)}"}} {count}'
            yield "# TYPE vlmloom_failures_total counter"
            for by, count in sorted(self.errors.items()):
                yield f'vlmloom_failures_total{{by="{escaped(by)}"}} {count}'
            yield "# TYPE vlmloom_latency_seconds summary"
            kept = sorted(self._latencies)
            for share in (0.5, 0.95, 0.99) if kept else ():
                place = min(len(kept) - 1, math.ceil(share * len(kept)) - 1)
                yield f'vlmloom_latency_seconds{{quantile="{share}"}} {kept[place]:.6f}'
            yield f"vlmloom_latency_seconds_sum {self._seconds:.6f}"
            yield f"vlmloom_latency_seconds_count {self._timed}"
            yield "# TYPE vlmloom_reward_mean gauge"
            for source, (total, valued) in sorted(self._rewards.items()):
                if valued:
                    yield f'vlmloom_reward_mean{{source="{escaped(source)}"}} {total / valued:.6f}'
        yield "# TYPE vlmloom_pass_at_k gauge"
        for (source, k), (mean, _) in passes.items():
            yield f'vlmloom_pass_at_k{{source="{escaped(source)}",k="{k}"}} {mean:.6f}'
        yield "# TYPE vlmloom_groups gauge"
        for (source, k), (_, groups) in passes.items():
            yield f'vlmloom_groups{{source="{escaped(source)}",k="{k}"}} {groups}'
        for name, value in gauges.items():
            yield f"# TYPE vlmloom_{name} gauge"
            yield f"vlmloom_{name} {value:g}"

    def pace(self) -> float:
        """Mean seconds of a line, 0 before the first."""
        return self._seconds / self._timed if self._timed else 0.0


def escaped(text: str) -> str:
    r"""A label's value.

    >>> print(escaped('a"b\n'))
    a\"b\n
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
