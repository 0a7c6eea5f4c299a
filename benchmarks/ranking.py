"""Time what the explorer computes without a browser: rankings of a data set and the view of a pair; prints Markdown.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/ranking.py --frames 504 --rounds 9

Seconds are of the processor, so that other work on the machine counts little. "The net" is the time to label the frames
once, which any ranking needs; it is in "first". Rounds of views are interleaved.
"""

import statistics
import tempfile
import time
from collections.abc import Callable

import click
import torch

from stc_lab.data.load import load
from stc_lab.data.videos import Videos
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.likely_cause import cause_map, likely_cause
from stc_lab.experiments.pair_places import GEOMETRIES, Geometry
from stc_lab.experiments.pair_ranking import rank_pairs
from stc_lab.experiments.pair_view import PairView, pair_view
from stc_lab.experiments.pixel_story import pixel_story, pixel_track
from stc_lab.models import FPNSegmenter, load_shipped

PER_VIDEO = 24  # frames


def seconds(call: Callable[[], object]) -> float:
    """Of the processor."""
    start = time.process_time()
    call()
    return time.process_time() - start


def rankings(videos: Videos, model: FPNSegmenter, geometry: Geometry) -> list[float]:
    """Seconds of the first ranking, of another measure, of another gap, and of the first again in a new session."""
    with tempfile.TemporaryDirectory() as cache:
        frames = ExploredFrames(videos, model)

        def rank(measure: str, gap: int, memory: ExploredFrames) -> Callable[[], object]:
            return lambda: rank_pairs(
                videos, model, measure=measure, gap=gap, geometry=geometry, memory=memory, cache=cache
            )

        found = [seconds(rank("disagreement", 1, frames)), seconds(rank("Eq. 1", 1, frames))]
        found.append(seconds(rank("disagreement", 2, frames)))
        return [*found, seconds(rank("disagreement", 1, ExploredFrames(videos, model)))]


def everything(view: PairView) -> None:
    """All that a board shows of a pair."""
    view.numbers()
    _ = view.loss_maps, view.warped_image, view.confidence, view.confidence_source, view.disagreement


@click.command()
@click.option("--frames", default=504, help="In the ranking.")
@click.option("--rounds", default=9, help="Of the views.")
def main(frames: int, rounds: int) -> None:
    """Rankings at 64 x 96 px, views at 120 x 160 px."""
    torch.set_num_threads(1)
    model = load_shipped().model
    videos = load("rooms", split="val", preset="quick", val_scenes=max(1, frames // PER_VIDEO))
    images = videos.frames(range(24)).image
    with torch.no_grad():
        model(images[:1])
        net = seconds(lambda: [model(one) for one in images.split(1)]) / 24 * len(videos)
    print(f"{len(videos)} frames of 64 x 96 px, s of one processor; the net alone takes {net:.1f}\n")
    print("| geometry | first | another measure | another gap, labels kept | again, from the cache |")
    print("|---|---|---|---|---|")
    for geometry in GEOMETRIES:
        print(f"| {geometry} | " + " | ".join(f"{value:.2f}" for value in rankings(videos, model, geometry)) + " |")

    pair = load("rooms", split="val", preset="quick", motion="handheld", height=120, width=160, val_scenes=1)
    memory = ExploredFrames(pair, model)

    def view(geometry: Geometry, yaw: float = 0.0) -> PairView:
        wrong = Disturbance(yaw=yaw)
        return pair_view(pair, model, 10, 12, geometry=geometry, disturbance=wrong, memory=memory)

    shown = view("exact")
    calls: dict[str, Callable[[], object]] = {
        "view, exact": lambda: everything(view("exact")),
        "view, exact, camera turned": lambda: everything(view("exact", 1.5)),
        "view, learned": lambda: everything(view("learned")),
        "view, estimated": lambda: everything(view("estimated")),
        "causes of all pixels, after the view": lambda: cause_map(view("exact")),
        "story of a pixel": lambda: pixel_story(shown, 80, 60),
        "cause of a pixel, clues known": lambda: likely_cause(shown, 80, 60),
        "track of a pixel, 24 frames": lambda: pixel_track(pair, model, 10, 80, 60, memory=memory),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            spent = seconds(call)
            if number:  # the first fills the memory
                times[name].append(1e3 * spent)
    print("\n| 120 x 160 px, logits known | ms of one processor |\n|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    main()
