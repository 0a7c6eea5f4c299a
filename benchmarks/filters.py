"""Time the filters beside their peers; prints Markdown tables.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds. Peers:
OpenCV's guided filter, kornia's, and SciPy's Gaussian over one-hot labels. The 3-D filter and the weights have none.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import click
import cv2
import numpy as np
import torch
from kornia.filters import guided_blur
from scipy.ndimage import gaussian_filter1d

from stc_lab.filters import (
    confidence_weights,
    guided_filter,
    guided_filter_3d,
    refine_labels,
    smooth_along_flow,
    smooth_labels_over_time,
)

Call = Callable[[], object]
RADIUS, TEMPORAL_RADIUS, EPS, SIGMA = 8, 4, 1e-4, 2.0
CLASSES = 21


def of_one_image(channels: int, size: tuple[int, int], generator: torch.Generator) -> dict[str, Call]:
    """The 2-D filter of all classes of one image."""
    guide, signal = (torch.rand(1, n, *size, generator=generator) for n in (channels, CLASSES))
    asks = signal.clone().requires_grad_()
    last = [np.ascontiguousarray(value[0].permute(1, 2, 0).numpy()) for value in (guide, signal)]
    return {
        "ours": lambda: guided_filter(guide, signal, radius=RADIUS, eps=EPS),
        "OpenCV": lambda: cv2.ximgproc.guidedFilter(*last, RADIUS, EPS),
        "kornia": lambda: guided_blur(guide, signal, 2 * RADIUS + 1, EPS),
        "ours, by tensor operations": lambda: guided_filter(guide, asks, radius=RADIUS, eps=EPS),
    }


def of_a_clip(frames: int, size: tuple[int, int], generator: torch.Generator) -> dict[str, Call]:
    """What a clip of all classes takes, with a colour guide."""
    images = torch.rand(frames, 3, *size, generator=generator)
    probabilities = torch.randn(frames, CLASSES, *size, generator=generator).softmax(dim=1)
    weights = confidence_weights(probabilities)
    copied = torch.empty_like(probabilities)
    flow = torch.randn(frames - 1, 2, *size, generator=generator)

    def filtered(of: torch.Tensor | None) -> Call:
        return lambda: guided_filter_3d(
            images, probabilities, radius=RADIUS, temporal_radius=TEMPORAL_RADIUS, eps=EPS, weights=of
        )

    return {
        "copy_": lambda: copied.copy_(probabilities),
        "confidence_weights": lambda: confidence_weights(probabilities),
        "guided_filter_3d": filtered(None),
        "guided_filter_3d, one weight a pixel": filtered(weights[:, :1]),
        "guided_filter_3d, weights of each class": filtered(weights),
        "refine_labels, 2-D, weighted": lambda: refine_labels(probabilities, images, radius=RADIUS, eps=EPS),
        "smooth_along_flow": lambda: smooth_along_flow(probabilities, flow, -flow, SIGMA),
    }


def of_labels(frames: int, size: tuple[int, int], generator: torch.Generator) -> dict[str, Call]:
    """A Gaussian over the labels of a clip in which a tenth of the pixels flickers."""
    still = torch.randint(0, CLASSES, size, generator=generator).expand(frames, *size)
    other = torch.randint(0, CLASSES, (frames, *size), generator=generator)
    labels = torch.where(torch.rand(frames, *size, generator=generator) < 0.1, other, still)
    ids = labels.numpy()
    eye = np.eye(CLASSES, dtype=np.float32)
    return {
        "ours": lambda: smooth_labels_over_time(labels, SIGMA),
        "SciPy of one-hot, argmax": lambda: gaussian_filter1d(eye[ids], SIGMA, axis=0).argmax(axis=-1),
    }


def medians(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Median ms of each call over interleaved rounds; the first two only warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    flush = torch.zeros(16_000_000)  # 64 MB: larger than the caches
    for _ in range(rounds + 2):
        for name, call in calls.items():
            flush.add_(1)
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found[2:]) for name, found in times.items()}


@click.command()
@click.option("--threads", "threads", type=int, multiple=True, help="of torch and OpenCV; more than once for several")
@click.option("--rounds", default=10, show_default=True)
@click.option("--frames", default=16, show_default=True, help="of the clip")
@click.option("--size", nargs=2, type=int, default=(120, 160), show_default=True, help="of the clip's frames")
@click.option("--image-size", nargs=2, type=int, default=(240, 320), show_default=True)
def main(threads: Sequence[int], rounds: int, frames: int, size: tuple[int, int], image_size: tuple[int, int]) -> None:
    """Time the 2-D filter, a clip's filters and the Gaussian over labels."""
    generator = torch.Generator().manual_seed(0)
    cases = {
        f"grey guide, {CLASSES} classes, {image_size}": of_one_image(1, image_size, generator),
        f"colour guide, {CLASSES} classes, {image_size}": of_one_image(3, image_size, generator),
        f"clip of {frames} frames, {CLASSES} classes, {size}": of_a_clip(frames, size, generator),
        f"labels of {frames} frames, {size}": of_labels(frames, size, generator),
    }
    for title, calls in cases.items():
        print(f"\n| {title} | threads | ms | over the first |", "|---|---|---|---|", sep="\n")
        for count in threads or (1, 2):
            torch.set_num_threads(count)
            cv2.setNumThreads(count)
            found = medians(calls, rounds)
            first = next(iter(found.values()))
            for name, ms in found.items():
                print(f"| {name} | {count} | {ms:.1f} | {ms / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
