"""How far a study is: what is done, runs and failed, and how long the rest will take."""

import heapq
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from stc_lab.experiments.jobs import Job, without
from stc_lab.experiments.report import read_json
from stc_lab.experiments.store import Store, read_state

AGAIN = "failed, is tried once more"


class Pace:
    """How long jobs take: as those of the same kind did, in proportion to their estimates, else as estimated."""

    def __init__(self) -> None:
        self._ratios: dict[str, list[float]] = defaultdict(list)

    def learn(self, job: Job, seconds: float) -> None:
        self._ratios[job.kind].append(seconds / job.seconds)

    def measured(self, kind: str) -> int:
        """How many jobs of this kind it rests on."""
        return len(self._ratios.get(kind, ()))

    def expected(self, job: Job) -> float:
        """Seconds."""
        ratios = self._ratios.get(job.kind)
        return job.seconds * (statistics.median(ratios) if ratios else 1)


def pace_of(store: Store, jobs: Sequence[Job], done: set[str]) -> Pace:
    """The pace of the jobs that are done, but for those that were stopped on the way."""
    pace = Pace()
    for job in jobs:
        if job.name in done:
            made_with: Mapping[str, Any] = read_json(store.job(job.name) / "environment.json")
            if not made_with["resumed"]:
                pace.learn(job, float(made_with["seconds"]))
    return pace


def time_left(jobs: Sequence[Job], seconds: Mapping[str, float], *, workers: int) -> float:
    """Seconds until these jobs are done when `workers` at a time take them in order, as their needs allow.

    `seconds` of each job. Needs outside of `jobs` count as done.
    """
    order = {job.name: number for number, job in enumerate(jobs)}
    missing = {job.name: {need for need in job.needs if need in order} for job in jobs}
    followers: dict[str, list[str]] = defaultdict(list)
    for name, needs in missing.items():
        for need in needs:
            followers[need].append(name)
    ready = [(order[name], name) for name, needs in missing.items() if not needs]  # a heap, as it is sorted
    running, now = list[tuple[float, str]](), 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[name], name))
        now, name = heapq.heappop(running)
        for follower in followers[name]:
            missing[follower].discard(name)
            if not missing[follower]:
                heapq.heappush(ready, (order[follower], follower))
    return now


def in_words(seconds: float) -> str:
    """A time, roughly."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


class Watch:
    """Follows the states that jobs write, and says in a line what changed."""

    def __init__(self, store: Store, jobs: Sequence[Job], known: Mapping[str, str], *, workers: int) -> None:
        self.store, self.jobs, self.known, self.workers = store, list(jobs), dict(known), workers
        self.done = {job.name for job in jobs if store.is_done(job.name, known[job.name])}
        self.failed: dict[str, str] = {}  # reasons by name
        self.running: dict[str, float] = {}  # when each began
        self.pace = pace_of(store, jobs, self.done)
        self._seen: dict[str, tuple[object, object]] = {}

    def news(self) -> list[str]:
        """A line for each job that was done or failed since the last call."""
        lines = []
        for job in self.jobs:
            if job.name in self.done:
                continue
            state = read_state(self.store.state(job.name))
            now = state.get("state"), state.get("attempt")
            if now == self._seen.get(job.name, (None, None)):
                continue
            before = self._seen.get(job.name, (None, 1))
            if state.get("attempt") == 2 and before[1] == 1 and before[0] != "failed":  # it failed between two looks
                lines.append(self._line(job, AGAIN))
            self._seen[job.name] = now
            self.running.pop(job.name, None)
            self.failed.pop(job.name, None)
            if state["state"] == "running":
                self.running[job.name] = state["at"]
            elif state["state"] == "done":
                self.done.add(job.name)
                if not state["resumed"] and state["seconds"] > 0:
                    self.pace.learn(job, state["seconds"])
                lines.append(self._line(job, f"done in {in_words(state['seconds'])}"))
            else:
                self.failed[job.name] = state["error"]
                lines.append(self._line(job, "FAILED" if state["attempt"] > 1 else AGAIN))
        return lines

    def _line(self, job: Job, what: str) -> str:
        return f"[{len(self.done)}/{len(self.jobs)}] {job.name} {what}; {self.standing()}"

    def standing(self) -> str:
        """Done, running, failed, and the time left."""
        left = in_words(self.seconds_left())
        return f"{len(self.running)} running, {len(self._given_up())} failed, about {left} left"

    def _given_up(self) -> set[str]:
        return {name for name in self.failed if self._seen[name][1] != 1}  # once is not yet failed

    def seconds_left(self) -> float:
        expected = {job.name: self.pace.expected(job) for job in self.jobs}
        for name, began in self.running.items():
            expected[name] = max(expected[name] - (time.time() - began), 0.1 * expected[name])
        left = [job for job in without(self.jobs, self._given_up()) if job.name not in self.done]
        left.sort(key=lambda job: job.name not in self.running)  # those that run hold their places already
        return time_left(left, expected, workers=self.workers)
