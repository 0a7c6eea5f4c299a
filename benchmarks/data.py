"""Time the index of a large data set in files, and the loader of pairs beside the net that consumes them."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from stc_lab.data import PairStream, Videos, converted, load
from stc_lab.data.sources import source
from stc_lab.models import FPNSegmenter
from stc_lab.training import SegmentationRecipe, train
from stc_lab.training.memory import FrameMemory

KINDS = {"color": ".jpg", "depth": ".png", "label-filt": ".png", "pose": ".txt"}
OF_A_SCENE = 1650  # frames, as ScanNet has on average


def write_tree(root: Path, frames: int) -> None:
    """A sparse copy of ScanNet: the files of a kind and scene are links to one small file."""
    scenes = range(-(-frames // OF_A_SCENE))
    names = [f"scene{scene:04d}_00" for scene in scenes]
    (root / "scannetv2_train.txt").write_text("\n".join(names))
    pictures = {
        "color": np.ones((60, 81, 3), np.uint8),
        "depth": np.ones((30, 40), np.uint16),
        "label-filt": np.ones((60, 81), np.uint8),
    }
    for scene, name in zip(scenes, names, strict=True):
        folder = root / "scans" / name
        for kind, suffix in KINDS.items():
            (folder / kind).mkdir(parents=True)
            first = folder / kind / f"0{suffix}"
            if kind == "pose":
                np.savetxt(first, np.eye(4))
            else:
                Image.fromarray(pictures[kind]).save(first)
            for n in range(1, min(OF_A_SCENE, frames - scene * OF_A_SCENE)):
                os.link(first, folder / kind / f"{n}{suffix}")
        (folder / "intrinsic").mkdir()
        for sensor, size in (("color", (60, 81)), ("depth", (30, 40))):
            K = np.diag([float(size[1]), size[1], 1, 1])
            K[:2, 2] = (size[1] - 1) / 2, (size[0] - 1) / 2
            np.savetxt(folder / "intrinsic" / f"intrinsic_{sensor}.txt", K)


def megabytes(kind: str) -> float:
    """Resident memory of this process, 10^6 bytes: "VmRSS" now, "VmHWM" at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(kind))


@click.group()
def main() -> None:
    """Benchmarks of stc_lab.data."""


@main.command()
@click.option("--frames", default=100_000, show_default=True)
def index(frames: int) -> None:
    """Index a sparse copy of ScanNet with FRAMES frames (four files each) and print a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        root.mkdir()
        write_tree(root, frames)
        for path in root.rglob("*"):  # what was written a moment ago is not trusted when the index is looked up
            if path.is_dir() or path.suffix == ".txt":
                os.utime(path, (1e9, 1e9))
        os.utime(root, (1e9, 1e9))
        print("| | seconds | peak memory, MB more than before | index on disk, MB |\n|---|---|---|---|")
        for what in ("made", "opened again"):
            answer = subprocess.run(
                [sys.executable, __file__, "open-once", str(root)],
                env=os.environ | {"STC_LAB_CACHE": str(cache)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(answer.stdout)
            size = sum(path.stat().st_size for path in cache.rglob("*.arrow")) / 1e6
            assert found["frames"] == frames
            print(f"| {what} | {found['seconds']:.2f} | {found['megabytes']:.0f} | {size:.0f} |")


@main.command("open-once", hidden=True)
@click.argument("root", type=click.Path(path_type=Path))
def open_once(root: Path) -> None:
    """Open the copy in this process and say what it took, beyond importing what opens it."""
    import datasets  # noqa: F401  # imported when it is first needed, which is not what is timed
    import pyarrow.compute  # noqa: F401  # the same

    source("scannet")
    before, began = megabytes("VmRSS"), time.perf_counter()
    videos = load("scannet", root=root)
    videos.pairs(10)
    seconds = time.perf_counter() - began
    print(json.dumps({"frames": len(videos), "seconds": seconds, "megabytes": megabytes("VmHWM") - before}))


@main.command()
@click.option("--seconds", default=10.0, show_default=True, help="of each measurement, after a warm-up")
@click.option("--rounds", default=3, show_default=True, help="interleaved; the median counts")
def loader(seconds: float, rounds: int) -> None:
    """Pairs a second at 64 x 96 px: what the loader delivers, and what a training step of the default net consumes."""
    torch.set_num_threads(1)
    videos = load("rooms", preset="quick")
    recipe = SegmentationRecipe.continuation()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STC_LAB_CACHE"] = folder
        files = load("sevenscenes", root=write_frames(Path(folder) / "seq-01", 120), size=videos.size)
        contestants: dict[str, Callable[[], float]] = {}
        sources = {
            "rooms, mapped from the cache": videos,
            "640 x 480 px colour and depth in files": files,
            "the same, converted once": converted(files),
        }
        for name, source in sources.items():
            for workers in (0, 1, 2):
                contestants[f"{name}, {workers} workers"] = partial(delivered, source, workers, seconds)
        contestants["consumed by training, frames in memory"] = partial(consumed, videos, recipe, seconds)
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, measure in contestants.items():
                found[name].append(measure())
    print("| | pairs/s |\n|---|---|")
    for name, rates in found.items():
        print(f"| {name} | {statistics.median(rates):.0f} |")


def write_frames(folder: Path, count: int) -> Path:
    """Smooth 640 x 480 px pictures and depth in the layout of 7-Scenes, as large on disk as photographs are."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((640, 480))
        coarse.save(folder / f"frame-{n:06d}.color.jpg", quality=92)
        ramp = np.linspace(500, 4000, 640).astype(np.uint16) + rng.integers(0, 20, (480, 640)).astype(np.uint16)
        Image.fromarray(ramp).save(folder / f"frame-{n:06d}.depth.png")
        np.savetxt(folder / f"frame-{n:06d}.pose.txt", np.eye(4))
    return folder


def delivered(videos: Videos, workers: int, seconds: float) -> float:
    """Pairs a second of a DataLoader, after its workers have started."""
    stream = PairStream(videos, (1, 2, 4, 8), batch=4, passes=None)
    batches = iter(DataLoader(stream, batch_size=None, num_workers=workers))
    for _ in range(10):
        next(batches)
    pairs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        pairs += len(next(batches)[0])
    return pairs / (time.perf_counter() - began)


def consumed(videos: Videos, recipe: SegmentationRecipe, seconds: float) -> float:
    """Pairs a second of training steps with consistency, once the frames and their edges are in memory."""
    marks: list[float] = []
    memory = FrameMemory(videos)
    for step in range(0, len(videos), 64):
        rows = list(range(step, min(step + 64, len(videos))))
        memory.edges(rows, memory.frames(rows).image, stride=FPNSegmenter().coarse_stride)

    def tick(_: dict[str, Any]) -> None:
        marks.append(time.perf_counter())
        if len(marks) > 10 and marks[-1] - marks[5] > seconds:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        train(FPNSegmenter(len(videos.info.classes)), videos, recipe, memory=memory, log=tick)
    return recipe.pairs * (len(marks) - 6) / (marks[-1] - marks[5])


if __name__ == "__main__":
    main()
