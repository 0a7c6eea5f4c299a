"""Time a training step of the default net beside the same step in nothing but torch operations; prints a table.

The bare step holds all frames as tensors, and neither checks, logs nor keeps anything. Both draw the same frames and
start from the same weights, so that their first losses are equal, which is asserted. CPU time of one thread, in
interleaved rounds, so that load of the machine hits both alike: trust the ratios, not the milliseconds.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from stc_lab.data import Videos, load, supervised_rows
from stc_lab.models import FPNSegmenter
from stc_lab.training import FrameMemory, ObjectiveRecipe, PairSampler, SegmentationRecipe, train, train_objective
from stc_lab.training.schedule import stream
from stc_lab.training.supervised import class_weights, set_training


@dataclass
class Frames:
    """All frames of some videos."""

    image: Tensor  # uint8 [n, 3, h, w]
    label: Tensor  # uint8 [n, h, w]
    depth: Tensor  # [n, 1, hs, ws], as the next three on the grid of the logits
    edge: Tensor  # bool [n, hs, ws]
    K: Tensor  # [n, 3, 3]
    T_world_camera: Tensor  # [n, 4, 4]


def frames_of(memory: FrameMemory, stride: int) -> Frames:
    rows = list(range(len(memory.videos)))
    clip = memory.frames(rows)
    clip.require("label", "depth", "camera", "T_world_camera")
    assert clip.label is not None and clip.depth is not None
    assert clip.camera is not None and clip.T_world_camera is not None
    return Frames(
        (clip.image * 255).round().to(torch.uint8),
        clip.label.to(torch.uint8),
        clip.depth[..., ::stride, ::stride].contiguous(),
        memory.edges(rows, clip.image, stride=stride),
        clip.camera.K / torch.tensor([stride, stride, 1.0])[:, None],
        clip.T_world_camera,
    )


def window(scale: Tensor, size: int, generator: torch.Generator) -> Tensor:
    start = (size - 1) * (1 - scale) * torch.rand(len(scale), generator=generator)
    return start[:, None] + scale[:, None] * torch.arange(size)


def labelled_batch(frames: Frames, rows: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Frames drawn, zoomed, mirrored and relit."""
    chosen = rows[torch.randint(len(rows), (count,), generator=generator)]
    images, labels = frames.image[chosen].float() / 255, frames.label[chosen].long()
    height, width = labels.shape[1:]
    scale = 1 / (1 + 0.3 * torch.rand(count, generator=generator))
    x, y = window(scale, width, generator), window(scale, height, generator)
    x = torch.where((torch.rand(count, generator=generator) < 0.5)[:, None], width - 1 - x, x)
    gx = (x * (2 / (width - 1)) - 1)[:, None, :].expand(count, height, width)
    gy = (y * (2 / (height - 1)) - 1)[:, :, None].expand(count, height, width)
    zoomed = F.grid_sample(
        images, torch.stack([gx, gy], -1), mode="bilinear", padding_mode="border", align_corners=True
    )
    labels = labels[torch.arange(count)[:, None, None], y.round().long()[:, :, None], x.round().long()[:, None, :]]
    contrast, brightness, colour = (0.6 * (2 * torch.rand(count, c, 1, 1, generator=generator) - 1) for c in (1, 1, 3))
    relit = (zoomed - 0.45) * (1 + 0.25 * contrast) + 0.45 + 0.12 * brightness
    return (relit * (1 + 0.12 * colour)).clamp(0, 1), labels


def eq_1(frames: Frames, source: list[int], target: list[int], seen: Tensor, own: Tensor) -> Tensor:
    """Eq. 1 of Pasad et al. 2020 in one direction: logits `seen` of the source, and the target's `own`."""
    height, width = own.shape[-2:]
    K, depth = frames.K, frames.depth[target][:, 0]
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    rays = torch.linalg.inv(K[target]) @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    T = torch.linalg.inv(frames.T_world_camera[source]) @ frames.T_world_camera[target]
    points = K[source] @ (T[:, :3, :3] @ (rays * depth.flatten(1)[:, None]) + T[:, :3, 3:])
    z = points[:, 2].view_as(depth)
    u, v = (points[:, :2] / points[:, 2:].clamp(min=1e-3)).view(-1, 2, height, width).unbind(1)
    column, row = u.round().clamp(0, width - 1).long(), v.round().clamp(0, height - 1).long()
    other = frames.depth[source][:, 0].flatten(1).gather(1, (row * width + column).flatten(1)).view_as(z)
    visible = (depth > 0) & (z > 1e-3) & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    visible &= (other > 0) & ((z - other).abs() < 0.04 * other + 0.02)
    grid = torch.stack([u * (2 / (width - 1)) - 1, v * (2 / (height - 1)) - 1], -1)
    warped = F.grid_sample(seen, grid, mode="bilinear", padding_mode="border", align_corners=True)
    difference = ((warped - own) * visible[:, None]).abs()
    believed = difference.gather(1, own.detach().argmax(1, keepdim=True)).sum() / visible.sum()
    mean = difference.mean(1)
    edge = frames.edge[target] & visible
    return 0.2 * mean.sum() / visible.sum() + 0.4 * believed + 0.4 * (mean * edge).sum() / edge.sum().clamp(min=1)


def bare(
    net: FPNSegmenter,
    memory: FrameMemory,
    frames: Frames,
    recipe: SegmentationRecipe,
    stamp: Callable[[Tensor | float], None],
) -> None:
    labelled = supervised_rows(memory.videos, recipe.labelled, seed=recipe.seed)
    weights = class_weights(memory, labelled, net.num_classes, power=recipe.class_balance)
    draws = PairSampler(memory.videos, labelled, gaps=recipe.gaps, anchored=recipe.anchored)
    rows = torch.tensor(labelled)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate / 25, weight_decay=recipe.weight_decay)
    set_training(net, freeze_batch_norm=recipe.freeze_batch_norm)
    ours, of_pairs = stream(recipe.seed, "labelled"), stream(recipe.seed, "pairs")
    stride = net.coarse_stride
    for _ in range(recipe.steps):
        images, labels = labelled_batch(frames, rows, recipe.batch, ours)
        if recipe.pairs:
            earlier, later = draws.draw(recipe.pairs, of_pairs)
            images = torch.cat([images, frames.image[earlier + later].float() / 255])
        logits = net.coarse(images)
        loss = F.cross_entropy(logits[: recipe.batch], labels[:, ::stride, ::stride], weight=weights, ignore_index=255)
        if recipe.pairs:
            first, second = logits[recipe.batch :].chunk(2)
            there, back = eq_1(frames, earlier, later, first, second), eq_1(frames, later, earlier, second, first)
            loss = loss + recipe.weight * (there + back) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        stamp(loss)


def step_times(run: Callable[[Callable[[Tensor | float], None]], None]) -> tuple[list[float], float]:
    """Milliseconds of CPU between the ends of steps, and the first loss."""
    ends: list[float] = []
    losses: list[float] = []

    def stamp(loss: Tensor | float) -> None:
        ends.append(time.process_time())  # one thread: other processes do not count
        if not losses:
            losses.append(float(torch.as_tensor(loss).detach()))

    run(stamp)
    return [1e3 * (later - earlier) for earlier, later in pairwise(ends)], losses[0]


def race(name: str, recipe: SegmentationRecipe, videos: Videos, memory: FrameMemory, rounds: int) -> None:
    def new_net() -> FPNSegmenter:
        return FPNSegmenter(len(videos.info.classes), generator=torch.Generator().manual_seed(0))

    frames = frames_of(memory, new_net().coarse_stride)
    runs: dict[str, Callable[[Callable[[Tensor | float], None]], object]] = {
        "bare torch": lambda stamp: bare(new_net(), memory, frames, recipe, stamp),
        # The kit logs here what it logs in a run; the stamp takes the place of what a user does with it.
        "train": lambda stamp: train(new_net(), videos, recipe, memory=memory, log=lambda entry: stamp(entry["loss"])),
        "train_objective": lambda stamp: train_objective(
            new_net(), videos, objective_of(recipe), memory=memory, log=lambda entry: stamp(entry["loss"])
        ),
    }
    found: dict[str, list[float]] = {who: [] for who in runs}
    for number in range(rounds + 1):
        first = {}
        for who, run in runs.items():
            times, first[who] = step_times(run)
            if number:  # the first round is to warm up
                found[who] += times
        assert max(first.values()) - min(first.values()) < 1e-3, first
    plain = statistics.median(found["bare torch"])
    for who, times in found.items():
        print(
            f"| {name} | {who} | {statistics.median(times):.1f} | {statistics.median(times) / plain:.3f} |", flush=True
        )


def objective_of(recipe: SegmentationRecipe) -> ObjectiveRecipe:
    """The same training as a composed objective."""
    weights = {"uniform": recipe.uniform, "label_prior": recipe.label_prior, "pixel_prior": recipe.pixel_prior}
    pairs = (("logits_consistency", recipe.weight, weights),) if recipe.uses_pairs else ()
    shared = {field.name for field in fields(ObjectiveRecipe)} & set(recipe.to_dict())
    same = {name: value for name, value in recipe.to_dict().items() if name in shared and name != "gaps"}
    return ObjectiveRecipe(terms=(("cross_entropy", 1.0), *pairs), gaps=recipe.gaps, **same)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--steps", default=15, show_default=True, help="Of each round.")
@click.option("--preset", default="quick", show_default=True, help="Of the rooms.")
def main(rounds: int, steps: int, preset: str) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    videos = load("rooms", split="train", preset=preset)
    memory = FrameMemory(videos)
    height, width = videos.size
    print(
        f"| step on frames of {height} x {width} | stc_lab, ms | bare torch, ms | ratio |",
        "|---|---|---|---|",
        sep="\n",
    )
    common = {"labelled": 32, "steps": steps}
    race("8 labelled frames", SegmentationRecipe.baseline("full", **common), videos, memory, rounds)
    both = SegmentationRecipe.continuation("full", weight_warm_up=0.0, **common)
    race("4 labelled frames, 4 pairs both ways with Eq. 1", both, videos, memory, rounds)


if __name__ == "__main__":
    main()
