"""Run jobs on the threads that torch itself uses, where they can be reached, or on threads of our own."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np
import torch

_WORTH_A_THREAD = 200_000  # values: about 0.3 ms of work; a thread takes 0.1 ms to start
_PROCESS = os.getpid()
_Task = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def threads_for(values: int) -> int:
    """Threads worth waking for work on this many values, of those that torch may use."""
    return min(torch.get_num_threads(), max(1, values // _WORTH_A_THREAD))


def divided(batch: int, length: int, threads: int) -> np.ndarray:
    """Jobs [jobs, 4] of (item, start, stop, number): even ranges of a length, by item, as many as keep all busy."""
    pieces = min(length, -(-threads // batch))
    edges = [length * k // pieces for k in range(pieces + 1)]
    return np.array([(i, edges[k], edges[k + 1], i * pieces + k) for i in range(batch) for k in range(pieces)])


def run_jobs(kernel: Callable[[np.ndarray], None], work: np.ndarray, threads: int) -> None:
    """Call `kernel`, which must let go of the interpreter's lock, with every row of `work`, on so many threads."""
    if threads == 1:
        kernel(work)
        return
    jobs = iter(np.split(work, len(work)))  # the next one is taken under the interpreter's lock
    failed: list[BaseException] = []

    def take(_: object = None) -> None:
        try:
            for job in jobs:
                kernel(job)
        except BaseException as error:  # it must not be lost in another thread
            failed.append(error)

    team = _reached_team()
    if team is not None:
        team.GOMP_parallel(_Task(take), None, threads, 0)
    else:
        others = [Thread(target=take) for _ in range(threads - 1)]
        for other in others:
            other.start()
        take()
        for other in others:
            other.join()
    if failed:
        raise failed[0]


def run_loops(
    kernel: Callable[..., None], on_team: Callable[..., int], work: np.ndarray, threads: int, *arguments: object
) -> None:
    """Call the compiled `kernel(rows, *arguments)` with all rows of `work`, on so many threads.

    `on_team` does it on torch's own threads (`team.run_on_team`), which then need no lock of the interpreter.
    """
    team = _reached_team() if threads > 1 else None
    if team is None:
        run_jobs(lambda part: kernel(part, *arguments), work, threads)
        return
    parallel = ctypes.cast(team.GOMP_parallel, ctypes.c_void_p).value
    if failed := on_team(parallel, threads, work, arguments):
        raise MemoryError(f"{failed} of {len(work)} parts of a compiled loop failed, most likely for lack of memory")


def _reached_team() -> ctypes.CDLL | None:
    """The team, except in a process that was forked: there it waits for threads that only the parent has."""
    return _torch_team() if os.getpid() == _PROCESS else None


@cache
def _torch_team() -> ctypes.CDLL | None:
    """The OpenMP library that comes with torch (Linux), if it is GNU's.

    After an operation its threads spin for some milliseconds, in wait for the next. Threads of our own would have to
    share the processors with them; two of them were no faster than one.
    """
    folder = Path(torch.__file__).parent
    found = [*folder.glob("lib/libgomp*.so*"), *folder.with_name("torch.libs").glob("libgomp*.so*")]
    if len(found) != 1:
        return None
    library = ctypes.CDLL(str(found[0]))
    library.GOMP_parallel.argtypes = (_Task, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    library.GOMP_parallel.restype = None
    return library
