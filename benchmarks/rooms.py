"""Time the rooms' renderer, weigh its memory, and measure how its camera paths move; prints Markdown tables.

Times are CPU seconds of one thread, so that other work on the machine counts little; those of several processes are
seconds on the wall.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import click
import torch

from stc_lab.data.rooms import PRESETS, RoomsConfig, render_video, rooms_videos
from stc_lab.experiments.rooms_study import path_motion

QUICK = PRESETS["quick"]
_MEMORY = """
import resource, sys
from dataclasses import replace
from stc_lab.data.rooms import PRESETS, rooms_videos
config = replace(PRESETS["quick"], train_scenes=1, frames=int(sys.argv[2]), motion="handheld", shadows=False)
rooms_videos("train", config, sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def frames_per_second(config: RoomsConfig, videos: int, clock: Callable[[], float], device: str) -> float:
    render_video("rooms-train-0000", replace(config, frames=2), device=device)
    start = clock()
    for i in range(videos):
        render_video(f"rooms-train-{i:04d}", config, device=device)
    return videos * config.frames / (clock() - start)


@click.group()
def main() -> None:
    """Speed, memory, or motion of the rooms."""


@main.command()
@click.option("--videos", default=12, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def speed(videos: int, device: str) -> None:
    """Frames per second of one thread: rendering, sensor and all, without writing."""
    torch.set_num_threads(1)
    clock = time.process_time if device == "cpu" else time.perf_counter
    rows = {
        "dolly": QUICK,
        "handheld": replace(QUICK, motion="handheld"),
        "tracking": replace(QUICK, motion="tracking"),
        "dolly, no shadows": replace(QUICK, shadows=False),
        "dolly, 2 moving objects": replace(QUICK, moving_objects=2),
        "dolly, motion blur of 7 moments": replace(QUICK, motion_blur=0.5),
        "dolly, 4 rays per pixel": replace(QUICK, supersample=2),
        "dolly, 240x320 (hd)": PRESETS["hd"],
    }
    print("| 64x96 with shadows, unless it says otherwise | frames/s |\n|---|---|")
    for name, config in rows.items():
        count = max(1, videos // 6) if config.height > QUICK.height else videos
        print(f"| {name} | {frames_per_second(config, count, clock, device):.0f} |", flush=True)


@main.command()
@click.option("--scenes", default=48, show_default=True)
@click.option("--most", default=os.cpu_count() or 1, show_default=True, help="number of processes to go up to")
def workers(scenes: int, most: int) -> None:
    """A split written to disk by several processes, their start included.

    Frames per second on the wall, which other work on the machine slows, and the time of all processors together.
    """
    print("| processes | frames/s on the wall | CPU seconds for 1000 frames |\n|---|---|---|")
    for count in range(1, most + 1):
        with tempfile.TemporaryDirectory() as cache:
            start, cpu = time.perf_counter(), sum(os.times()[:4])
            videos = rooms_videos("train", replace(QUICK, train_scenes=scenes), cache, workers=count)
            wall, cpu = time.perf_counter() - start, sum(os.times()[:4]) - cpu
            print(f"| {count} | {len(videos) / wall:.0f} | {1000 * cpu / len(videos):.1f} |", flush=True)


@main.command()
@click.option("--frames", multiple=True, default=(64, 512, 4096), show_default=True)
def memory(frames: tuple[int, ...]) -> None:
    """Peak memory of a process that renders and stores one video of so many frames, at 64x96."""
    unit = 1024 if sys.platform == "darwin" else 1  # bytes there, kB elsewhere
    print("| frames of the video | peak memory, MB |\n|---|---|")
    for count in frames:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-c", _MEMORY, cache, str(count)]
            peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"| {count} | {int(peak) / unit / 1024:.0f} |", flush=True)


@main.command()
@click.option("--scenes", default=12, show_default=True)
def motion(scenes: int) -> None:
    """How the camera paths move, at 64x96, 32 frames, by exact flow."""
    torch.set_num_threads(1)
    print("| path | gap | rotation, deg | translation, m | flow, px | of it by depth, px (mean) | overlap |")
    print("|---|---|---|---|---|---|---|")
    standard = replace(QUICK, frames=32, test_scenes=4 * scenes, shadows=False, dial=0.0)
    rows = [("dolly", None), ("handheld", None), ("tracking", False), ("tracking", True)]
    for family, turning in rows:
        name = family if turning is None else f"{family}, {'turning' if turning else 'the others'}"
        for row in path_motion(replace(standard, motion=family), scenes=scenes, turning=turning):
            print(
                f"| {name} | {row.gap} | {row.rotation:.2f} | {row.translation:.3f} | {row.flow:.1f} "
                f"| {row.parallax:.2f} ({row.parallax_mean:.2f}) | {row.overlap:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
