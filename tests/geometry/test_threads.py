"""Compiled loops on torch's own threads, on threads of our own, and in processes that were forked."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch

from stc_lab.geometry import threads
from stc_lab.geometry.kernels_motion import move_pixels, move_pixels_back
from stc_lab.geometry.reproject import pixel_motion
from stc_lab.geometry.team import run_on_team

needs_team = pytest.mark.skipif(threads._torch_team() is None, reason="torch came without GNU's OpenMP")


@numba.njit(nogil=True)
def count_rows(work, counts, scale, options, memory):  # type: ignore[no-untyped-def]  # compiled
    """Count the visits of each value; fail where a row asks for more memory than there is."""
    for job in range(len(work)):
        item, start, stop, number = work[job]
        buffer = np.empty(memory[number])
        buffer[0] = scale * (number if options[0] else 0)
        for k in range(start, stop):
            counts[item, k] += buffer[0] + options[1]


@numba.njit(nogil=True)
def count_rows_on_team(parallel, count, work, arguments):  # type: ignore[no-untyped-def]  # compiled
    return run_on_team(parallel, count, count_rows, work, arguments)  # type: ignore[call-arg]  # numba adds one


def counted(count: int, work: np.ndarray, memory: int = 1, *, of: int = -1) -> np.ndarray:
    counts = np.zeros((5, 33))
    sizes = np.ones(len(work), dtype=np.int64)
    sizes[of] = memory
    threads.run_loops(count_rows, count_rows_on_team, work, count, counts, np.float32(2), (True, 1.0), sizes)
    return counts


@pytest.mark.parametrize("own", [False, True])
def test_every_row_is_done_once_whoever_does_it(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    if own:
        monkeypatch.setattr(threads, "_torch_team", lambda: None)
    work = threads.divided(5, 33, 20)
    expected = np.zeros((5, 33))
    for item, start, stop, number in work:
        expected[item, start:stop] = 2 * number + 1
    for count in (1, 2, 7, 2):
        np.testing.assert_array_equal(counted(count, work), expected)


@needs_team
def test_rows_that_failed_are_not_lost() -> None:
    work = threads.divided(5, 33, 20)
    with pytest.raises(MemoryError, match="1 of 20 parts"):
        counted(2, work, memory=2**60, of=11)
    np.testing.assert_array_equal(counted(2, work), counted(1, work))  # and the next call is none the worse


FORKED = """
import os, signal, sys, torch
from stc_lab.geometry import Camera, inverse_warp
torch.set_num_threads(2)
source = torch.rand(1, 300, 40, 40)  # enough for two threads

def right():  # torch's own operations on as many values would wait forever
    warped = inverse_warp(source, torch.ones(1, 1, 40, 40), Camera.from_fov(40, 40, 60.0), torch.eye(4)[None])
    return (warped.image.numpy() == source.numpy()).all()

assert right()  # now the parent has its threads
child = os.fork()
if child == 0:
    signal.alarm(20)  # whoever waits forever is ended
    os._exit(0 if right() else 1)
sys.exit(os.waitpid(child, 0)[1] != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system that does not fork")
def test_a_forked_process_does_not_wait_for_its_parents_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], timeout=40, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("own", "other"), [(1, 0), (3, 0), (1, 1), (3, 1), (1, 3), (3, 3)])
def test_the_compiled_motion_of_pixels_is_that_of_tensors(own: int, other: int) -> None:
    """And its derivative is theirs; `other` 0 is one camera for both frames."""
    from stc_lab.geometry import Camera, pose_from

    generator = torch.Generator().manual_seed(own + 5 * other)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def camera(count: int, degrees: float) -> Camera:
        K = Camera.from_fov(20, 30, degrees, dtype=torch.float64).K.repeat(count, 1, 1)
        K[:, 0] += 0.5 * random(count, 3)
        K[:, 1, 1:] += 0.5 * random(count, 2)
        return Camera(K.requires_grad_(), 20, 30)

    a = camera(own, 60.0)
    b = camera(other, 50.0) if other else a
    T = pose_from(random(3, 3), random(3, 3)).requires_grad_()
    moved = pixel_motion(a, T, b, torch.float64)
    upstream = random(3, 3, 4), random(3, 5)
    inputs = (a.K, T, b.K) if other else (a.K, T)
    total = (moved.motion * upstream[0]).sum() + (moved.change * upstream[1]).sum()
    expected = [moved.motion, moved.change, *torch.autograd.grad(total, inputs)]

    arrays = [value.detach().numpy() for value in (a.K, T, b.K if other else a.K[:0])]
    motion, change = np.empty((3, 3, 4)), np.empty((3, 5))
    move_pixels(*arrays, motion, change)
    d_K, d_T, d_other = np.zeros((own, 3, 3)), np.empty((3, 4, 4)), np.zeros((other, 3, 3))
    move_pixels_back(*arrays, *(value.numpy() for value in upstream), d_K, d_T, d_other)
    for ours, theirs in zip((motion, change, d_K, d_T, d_other), expected, strict=False):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
