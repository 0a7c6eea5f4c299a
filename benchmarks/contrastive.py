"""Time STCL beside SupConLoss on the same pixels, and weigh all pairs of two frames; prints Markdown tables.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import click
import torch
from pytorch_metric_learning.losses import SupConLoss

from stc_lab.losses import contrastive_loss, sampled_contrastive_loss

CHANNELS = 128
HEIGHT, WIDTH = 120, 160
TEMPERATURE = 0.07
SUPCON, OURS, HALF, DRAWN = "SupConLoss", "all anchors", "anchors of frame t", "drawn from two frames"


def contestants(
    count: int, classes: int, device: torch.device
) -> tuple[dict[str, Callable[[], torch.Tensor]], list[torch.Tensor]]:
    """The losses of `count` pixels to time, and the tensors that the backward pass must reach."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, CHANNELS, generator=generator).to(device).requires_grad_()
    labels = torch.randint(classes, (count,), generator=generator).to(device)
    half = count // 2
    frames = [
        torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=generator).to(device).requires_grad_() for _ in range(2)
    ]
    maps = [torch.randint(classes, (1, HEIGHT, WIDTH), generator=generator).to(device) for _ in range(2)]
    peer = SupConLoss(temperature=TEMPERATURE)
    calls: dict[str, Callable[[], torch.Tensor]] = {
        SUPCON: lambda: peer(features, labels),
        OURS: lambda: contrastive_loss(features, labels, temperature=TEMPERATURE).total,
        HALF: lambda: contrastive_loss(features[:half], labels[:half], features[half:], labels[half:]).total,
        DRAWN: lambda: (
            sampled_contrastive_loss(frames[0], maps[0], frames[1], maps[1], count=count, generator=generator).total
        ),
    }
    return calls, [features, *frames]


def milliseconds(call: Callable[[], torch.Tensor], device: torch.device) -> float:
    """Of the loss and its backward pass."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - start)


def times(count: int, classes: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Median ms of forward and backward of each contestant; of frames it includes their gradients, 10 MB each."""
    calls, inputs = contestants(count, classes, device)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            for value in inputs:
                value.grad = None
            found[name].append(milliseconds(call, device))
    return {name: statistics.median(values[1:]) for name, values in found.items()}  # the first round only warms up


def all_pairs(classes: int, block: int | None, device: torch.device) -> tuple[float, float]:
    """Seconds of forward and backward over all pairs of two frames, and the peak memory of the process in MB."""
    generator = torch.Generator().manual_seed(0)
    frames = [
        torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=generator).to(device).requires_grad_() for _ in range(2)
    ]
    coarse = torch.randint(classes, (1, HEIGHT // 20, WIDTH // 20), generator=generator)
    labels = coarse.repeat_interleave(20, 1).repeat_interleave(20, 2).to(device)
    took = milliseconds(
        lambda: contrastive_loss(frames[0], labels, frames[1], labels, temperature=TEMPERATURE, block=block).total,
        device,
    )
    if device.type == "cuda":
        return took / 1e3, torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return took / 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@click.group()
def main() -> None:
    """Time and weigh the contrastive loss."""


@main.command()
@click.option("--pixels", "counts", type=int, multiple=True, default=(1024, 4096), show_default=True)
@click.option("--classes", "class_counts", type=int, multiple=True, default=(21, 124), show_default=True)
@click.option("--threads", "threads", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def speed(counts: Sequence[int], class_counts: Sequence[int], threads: Sequence[int], rounds: int, device: str) -> None:
    """Time forward and backward on sampled pixels."""
    print(
        f"| pixels | classes | threads | {SUPCON} | {OURS} | {HALF} | {DRAWN} | {OURS} / {SUPCON} | drawn / {SUPCON} |"
    )
    print("|" + "---|" * 9)
    for count in counts:
        for classes in class_counts:
            for number in threads:
                torch.set_num_threads(number)
                found = times(count, classes, rounds, torch.device(device))
                cells = [f"{found[name]:.1f}" for name in (SUPCON, OURS, HALF, DRAWN)]
                cells += [f"{found[name] / found[SUPCON]:.2f}" for name in (OURS, DRAWN)]
                print(f"| {count} | {classes} | {number} |", " | ".join(cells), "|", flush=True)


@main.command()
@click.option("--classes", default=21, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--block", "blocks", type=int, multiple=True, help="anchors at once; more than once for several")
@click.option("--device", default="cpu", show_default=True)
@click.option("--in-this-process", is_flag=True, hidden=True)
def memory(classes: int, threads: int, blocks: Sequence[int], device: str, in_this_process: bool) -> None:
    """Run all pairs of two frames of 120 x 160 (38,400 pixels, 19,200 anchors), each in a process of its own."""
    if in_this_process:
        torch.set_num_threads(threads)
        print(*all_pairs(classes, blocks[0] or None, torch.device(device)))
        return
    print("| anchors at once | s, forward + backward | peak memory of the process, MB |", "|---|---|---|", sep="\n")
    for block in blocks or (0,):
        command = ["memory", "--in-this-process", "--block", block, "--classes", classes, "--threads", threads]
        command += ["--device", device]
        printed = subprocess.run(
            [sys.executable, __file__, *map(str, command)], capture_output=True, text=True, check=True
        ).stdout
        seconds, peak = map(float, printed.split())
        print(f"| {block or 'default'} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
