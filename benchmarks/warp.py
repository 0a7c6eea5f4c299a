"""Time the inverse warp, its visibility included, beside its peers; prints a Markdown table.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds.
`copy_` of what the warp must read and write, with cold caches, is the floor.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import click
import torch
import torch.nn.functional as F
from kornia.geometry.depth import warp_frame_depth

from stc_lab.geometry import Camera, correspond, inverse_warp, pose_from

Call = Callable[[], torch.Tensor]


def contestants(
    shape: tuple[int, int, int, int], device: torch.device
) -> tuple[dict[str, Call], tuple[torch.Tensor, ...]]:
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
        "inverse_warp (with visibility)": lambda: inverse_warp(source, depth, camera, T).image,
        "kornia warp_frame_depth": lambda: warp_frame_depth(source, depth, T, K),
        "grid_sample, grid given": lambda: F.grid_sample(
            source, grid, mode="bilinear", padding_mode="border", align_corners=True
        ),
    }
    return calls, (source, depth, T, grid)


def copies(shape: tuple[int, int, int, int], device: torch.device) -> Call:
    """Copy of the logits and the depth into memory that is already there."""
    pairs = [(torch.randn(s, device=device), torch.empty(s, device=device)) for s in (shape, (shape[0], 1, *shape[2:]))]

    def copy() -> torch.Tensor:
        for source, target in pairs:
            target.copy_(source)
        return pairs[0][1]

    return copy


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


@click.command()
@click.option("--shape", nargs=4, type=int, default=(4, 21, 120, 160), show_default=True, help="b c h w of the logits")
@click.option("--rounds", default=30, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(shape: tuple[int, int, int, int], rounds: int, threads: int, device: str) -> None:
    """Time forward, and forward with backward to all inputs."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    calls, inputs = contestants(shape, place)
    copy = copies(shape, place)
    upstream = torch.randn(shape, device=place)
    flush = torch.zeros(16_000_000, device=place)  # 64 MB: larger than the caches
    forward: dict[str, list[float]] = {name: [] for name in calls}
    both: dict[str, list[float]] = {name: [] for name in calls}
    floor: list[float] = []
    for i in range(rounds + 2):  # the first two only warm up
        flush.add_(1)
        floor.append(milliseconds(copy, place))
        for name, call in calls.items():
            flush.add_(1)
            with torch.no_grad():
                forward[name].append(milliseconds(call, place))
            for value in inputs:
                value.grad = None
            both[name].append(milliseconds(partial(there_and_back, call, upstream), place))
        if i == 1:
            for times in (floor, *forward.values(), *both.values()):
                times.clear()

    copied, ours = statistics.median(floor), next(iter(calls))
    ours_forward, ours_both = statistics.median(forward[ours]), statistics.median(both[ours])
    print("| | forward, ms | / copy_ | ours / it | forward + backward, ms | / copy_ | ours / it |")
    print("|---|---|---|---|---|---|---|")
    for name in calls:
        f, fb = statistics.median(forward[name]), statistics.median(both[name])
        print(
            f"| {name} | {f:.2f} | {f / copied:.1f} | {ours_forward / f:.2f} "
            f"| {fb:.2f} | {fb / copied:.1f} | {ours_both / fb:.2f} |"
        )
    print(f"| copy_, cold | {copied:.2f} | 1.0 | | | | |")


if __name__ == "__main__":
    main()
