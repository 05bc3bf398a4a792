"""Verifiers in processes that may hang, crash or be killed: nothing but their own answer is lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import stat
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

import torch

from vlmloom.components.contracts.sample import Reward
from vlmloom.pipelines.scoring.line import Line
from vlmloom.pipelines.scoring.scorer import Scorer
from vlmloom.pipelines.suites import open_suite
from vlmloom.registry.errors import named

STARTING = 120.0
"""Seconds that a worker may take to be ready, for the first line or with a question."""
TRIES = 2
"""How often an answer is judged whose worker died, and a worker made; what runs out of time has one try."""


@dataclass
class Job:
    """A line under way.

    Attributes:
        seconds: that each of its answers may take.
        done: gets its rewards.
        rewards: so far.
        died: how many workers died on the next answer.
    """

    line: Line
    seconds: float
    done: Future[list[Reward]] = field(default_factory=Future)
    rewards: list[Reward] = field(default_factory=list)
    died: int = 0


class Pool:
    """So many worker processes, a thread beside each, and the lines that wait for them.

    A worker is killed and replaced when an answer takes too long. That answer is then a failure of judging,
    and the rest of its line goes on in the new process, as it does where a worker dies by itself.
    """

    def __init__(self, workers: int, made: Callable[[], Scorer], *, start: str) -> None:
        """Start the processes.

        Args:
            workers: how many.
            made: makes the scorer of a worker, in it.
            start: `fork`, so that workers have what this process has; or `forkserver`, for a process that
                has threads, where `made` is pickled.
        """
        self._context = multiprocessing.get_context(start)
        if start == "forkserver":
            # A fork of a process that has imported everything is ready at once.
            self._context.set_forkserver_preload([__name__])
        self._made = made
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.replaced = 0
        self.ready = 0
        self.busy = 0
        self.pids: dict[int, int] = {}
        # The first are forked here, where the caller has no lock that a fork would hold for ever.
        first = [Worker(self._context, made) for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(number, worker), daemon=True)
            for number, worker in enumerate(first)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, line: Line, seconds: float) -> Future[list[Reward]]:
        """Queue a line; its rewards, one an answer, whatever happens."""
        job = Job(line, seconds)
        self._waiting.put(job)
        return job.done

    def close(self) -> None:
        """Finish what is queued, and end the processes."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _count(self, **changes: int) -> None:
        with self._lock:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)

    def _ready(self, number: int, worker: Worker) -> Worker | str:
        """This worker, or another one, that is ready; why there is none where `TRIES` in a row are not."""
        for left in reversed(range(TRIES)):
            self.pids[number] = worker.pid
            if (lost := worker.hear(STARTING)) is None:
                self._count(ready=1)
                return worker
            worker.kill()
            if left:
                time.sleep(1)
                worker = Worker(self._context, self._made)
        return f"no worker process gets ready: {lost}"

    def _serve(self, number: int, worker: Worker) -> None:
        """One worker's side in this process: jobs one by one, a new process whenever the old one is gone."""
        own = self._ready(number, worker)
        while (job := self._waiting.get()) is not None:
            if not job.done.set_running_or_notify_cancel():
                continue
            self._count(busy=1)
            while left := len(job.line.responses) - len(job.rewards):
                if isinstance(own, str):
                    own = self._ready(number, Worker(self._context, self._made))
                if isinstance(own, str):
                    job.rewards += [Reward(None, error=own)] * left
                elif not self._go_on(own, job):
                    self._count(replaced=1, ready=-1)
                    own.kill()
                    own = self._ready(number, Worker(self._context, self._made))
            self._count(busy=-1)
            job.done.set_result(job.rewards)
        if isinstance(own, Worker):
            own.kill()

    def _go_on(self, worker: Worker, job: Job) -> bool:
        """Judge what is left of a job; whether the worker is still good."""
        lost = worker.ask(replace(job.line, responses=job.line.responses[len(job.rewards) :]))
        # Answers share the fate of their question, which is asked before any is judged.
        limit, together = STARTING, True
        while lost is None and len(job.rewards) < len(job.line.responses):
            found = worker.hear(limit)
            if isinstance(found, str):
                lost = found
                break
            if isinstance(found, Reward):
                job.rewards.append(found)
                job.died = 0
            else:
                together, left = found, len(job.line.responses) - len(job.rewards)
                limit = job.seconds * left if together else job.seconds
        if lost is None:
            return True
        job.died += 1
        if lost == OVERTIME or job.died >= TRIES:
            said = f"no reward within {limit:g} seconds" if lost == OVERTIME else lost
            left = len(job.line.responses) - len(job.rewards)
            # Answers that are judged at once share their seconds and their fate.
            job.rewards += [Reward(None, error=said)] * (left if together else 1)
            job.died = 0
        return False


OVERTIME = "over time"


class Worker:
    """A process and the pipe to it."""

    def __init__(self, context: Any, made: Callable[[], Scorer]) -> None:
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=work, args=(far, made), daemon=False)
        self._process.start()
        far.close()
        self.pid = self._process.pid

    def ask(self, line: Line) -> str | None:
        """Hand over a line; how the worker died where it is dead."""
        try:
            self._pipe.send(line)
        except OSError:
            return self._death()
        except Exception as error:
            return f"a line that cannot be sent: {named(error)}"
        return None

    def hear(self, seconds: float) -> Any:
        """The next that the worker says, `OVERTIME`, or how it died."""
        try:
            if not self._pipe.poll(seconds):
                return OVERTIME
            return self._pipe.recv()
        except (EOFError, OSError):
            return self._death()
        except Exception as error:
            return f"what the worker process said cannot be read: {named(error)}"

    def _death(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        how = signal.Signals(-code).name if code and code < 0 else f"status {code}"
        return f"the worker process died ({how})"

    def kill(self) -> None:
        """End it and whatever it has started, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._pipe.close()


def work(pipe: Connection, made: Callable[[], Scorer]) -> None:
    """A worker process: None once it is ready; of a line whether it is judged at once, then its rewards."""
    os.setpgrp()
    _leave_sockets(pipe.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)
    scorer = made()
    pipe.send(None)
    while True:
        try:
            line = pipe.recv()
        except (EOFError, OSError):
            return
        for reward in scorer.rewards(line, lambda sample, verifier: pipe.send(verifier.together)):
            pipe.send(reward)


def _leave_sockets(own: int) -> None:
    """Let go of the sockets of the parent, which could not close them while its fork has them."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            if handle != own and stat.S_ISSOCK(os.fstat(handle).st_mode):
                # The number stays taken: whoever still has it may close it.
                os.dup2(null, handle)


def _follow() -> None:
    """Whatever becomes of its parent, no worker and nothing that it has started is left behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def opened(suite: str | None, verifiers: Mapping[str, Any]) -> Scorer:
    """A scorer of a suite by its name or path, None for none."""
    return Scorer(None if suite is None else open_suite(suite)[0], verifiers)
