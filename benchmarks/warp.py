"""Time the inverse warp, its visibility included, beside its peers, and weigh its memory; prints Markdown tables.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds.
`copy_` of the logits and the depth, with cold caches, is the floor.
"""

import ctypes
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import click
import psutil
import torch
import torch.nn.functional as F
from kornia.geometry.depth import warp_frame_depth

from stc_lab.geometry import Camera, correspond, inverse_warp, pose_from

Call = Callable[[], torch.Tensor]
Shape = tuple[int, int, int, int]
OURS, KORNIA, SAMPLE = "ours", "kornia", "grid_sample"
MEMORY_SHAPE: Shape = (4, 21, 480, 640)  # an output of 103 MB: far above what else comes and goes


def contestants(shape: Shape, device: torch.device) -> tuple[dict[str, Call], tuple[torch.Tensor, ...]]:
    """The calls to time, and the tensors that the backward pass must reach."""
    b, _, h, w = shape
    generator = torch.Generator().manual_seed(0)
    camera = Camera.from_fov(h, w, 60.0, device=device)
    source = torch.randn(shape, generator=generator).to(device).requires_grad_()
    depth = (2 + 0.2 * torch.rand(b, 1, h, w, generator=generator)).to(device).requires_grad_()
    T = pose_from(0.02 * torch.randn(b, 3, generator=generator), 0.05 * torch.randn(b, 3, generator=generator))
    T = T.to(device).requires_grad_()
    K = camera.K.repeat(b, 1, 1)
    x, y = correspond(depth, camera, T).pixels.detach().unbind(dim=1)
    grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], dim=-1).requires_grad_()
    calls: dict[str, Call] = {
        OURS: lambda: inverse_warp(source, depth, camera, T).image,
        KORNIA: lambda: warp_frame_depth(source, depth, T, K),
        SAMPLE: lambda: F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True),
    }
    return calls, (source, depth, T, grid)


def copies(shape: Shape, device: torch.device) -> Call:
    """Copy of the logits and the depth into memory that is already there."""
    pairs = [(torch.randn(s, device=device), torch.empty(s, device=device)) for s in (shape, (shape[0], 1, *shape[2:]))]

    def copy() -> torch.Tensor:
        for source, target in pairs:
            target.copy_(source)
        return pairs[0][1]

    return copy


def keep_memory() -> None:
    """Let glibc keep what is freed: to fetch a result's pages anew takes as long as the loops, and chance says whom."""
    if sys.platform == "linux":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, size in ((-3, 32 << 20), (-1, 1 << 30)):  # M_MMAP_THRESHOLD at its most, M_TRIM_THRESHOLD
            mallopt(parameter, size)


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - start)


def there_and_back(call: Call, upstream: torch.Tensor) -> None:
    call().backward(upstream)


def times(shape: Shape, rounds: int, device: torch.device) -> tuple[dict[str, tuple[float, float]], float]:
    """Median ms of (forward, forward + backward) of each contestant, and of the copy."""
    calls, inputs = contestants(shape, device)
    copy = copies(shape, device)
    upstream = torch.randn(shape, device=device)
    flush = torch.zeros(16_000_000, device=device)  # 64 MB: larger than the caches
    forward: dict[str, list[float]] = {name: [] for name in calls}
    both: dict[str, list[float]] = {name: [] for name in calls}
    floor: list[float] = []
    names, order = list(calls), torch.Generator().manual_seed(0)
    for _ in range(rounds + 2):
        flush.add_(1)
        floor.append(milliseconds(copy, device))
        for number in torch.randperm(len(names), generator=order).tolist():  # each pays for what others leave behind
            name, call = names[number], calls[names[number]]
            flush.add_(1)
            with torch.no_grad():
                forward[name].append(milliseconds(call, device))
            for value in inputs:
                value.grad = None
            flush.add_(1)
            both[name].append(milliseconds(partial(there_and_back, call, upstream), device))
    warm = slice(2, None)  # the first two rounds only warm up
    found = {n: (statistics.median(forward[n][warm]), statistics.median(both[n][warm])) for n in calls}
    return found, statistics.median(floor[warm])


def peak(name: str, backward: bool) -> float:
    """Memory that one call takes at its peak, its result included, over the size of the result; in this process."""
    small, _ = contestants((1, 21, 8, 8), torch.device("cpu"))
    there_and_back(small[name], torch.ones(1, 21, 8, 8))  # compiled, and its libraries loaded
    calls, _ = contestants(MEMORY_SHAPE, torch.device("cpu"))
    upstream = torch.ones(MEMORY_SHAPE)
    before = psutil.Process().memory_info().rss
    if backward:
        there_and_back(calls[name], upstream)
    else:
        with torch.no_grad():
            calls[name]()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (after - before) / (upstream.numel() * upstream.element_size())


@click.command()
@click.option("--shape", "shapes", nargs=4, type=int, multiple=True, help="b c h w; more than once for several")
@click.option("--threads", "threads", type=int, multiple=True, help="of torch; more than once for several")
@click.option("--rounds", default=30, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--keep/--no-keep", default=True, show_default=True, help="memory that was freed, within the process")
@click.option("--memory/--no-memory", default=True, show_default=True, help="also the peak memory, on the CPU")
@click.option("--peak-of", type=(str, bool), hidden=True)
def main(
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int,
    device: str,
    keep: bool,
    memory: bool,
    peak_of: tuple[str, bool] | None,
) -> None:
    """Time forward, and forward with backward to all inputs."""
    if peak_of is not None:
        print(peak(*peak_of))
        return
    if keep:
        keep_memory()
    head = (
        "| logits | threads | copy_ | ours | kornia | grid_sample | ours / copy_ | ours / kornia | ours / grid_sample |"
    )
    print(head, "|" + "---|" * 9, sep="\n")
    for shape in shapes or ((4, 21, 120, 160), (2, 21, 240, 320)):
        for count in threads or (1, 2):
            torch.set_num_threads(count)
            found, floor = times(shape, rounds, torch.device(device))
            ours, kornia, sample = found[OURS], found[KORNIA], found[SAMPLE]
            cells = [
                " / ".join(f"{value:.2f}" for value in pair)
                for pair in (
                    ours,
                    kornia,
                    sample,
                    [o / floor for o in ours],
                    [o / k for o, k in zip(ours, kornia, strict=True)],
                    [o / s for o, s in zip(ours, sample, strict=True)],
                )
            ]
            print(f"| {list(shape)} | {count} | {floor:.2f} |", " | ".join(cells), "|", flush=True)
    if memory and device == "cpu":
        print("\n| peak memory over the result's | forward | forward + backward |", "|---|---|---|", sep="\n")
        for name in (OURS, KORNIA, SAMPLE):
            measured = [
                subprocess.run(
                    [sys.executable, __file__, "--peak-of", name, str(backward)],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.strip()
                for backward in (False, True)
            ]
            print(f"| {name} |", " | ".join(f"{float(value):.2f}" for value in measured), "|", flush=True)


if __name__ == "__main__":
    main()
