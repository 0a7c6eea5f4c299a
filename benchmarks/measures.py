"""Time the measures beside plain counterparts and beside the flow that they rest on; prints Markdown tables.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds.
Labels are blobs of 21 classes that move, with noise on their edges: as label maps are, and as random ids are not.
"""

import statistics
import time
from collections.abc import Callable, Mapping

import click
import numpy as np
import torch
from torch import Tensor

from stc_lab.data import Clip
from stc_lab.geometry import DisFlow, ruder_visible
from stc_lab.losses.stability import PairFlows, pair_flows
from stc_lab.metrics import (
    ConfusionMatrix,
    boundary_counts,
    davis_scores,
    e_cons,
    e_smooth,
    video_consistencies,
)

CLASSES = 21


def moving_labels(frames: int, height: int, width: int, seed: int) -> Tensor:
    """Blobs of about 60 px that move by 2 px a frame; 2 % of the pixels are another frame's."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, : width + 2 * frames]
    wave = sum(np.sin((a * x + b * y) / 40 + c) * d for a, b, c, d in rng.uniform(-1, 1, (6, 4)) * [1, 1, 3, 4])
    scene = np.floor(wave - wave.min()).astype(np.int64) % CLASSES
    clip = np.stack([scene[:, 2 * i : 2 * i + width] for i in range(frames)])
    noisy = rng.random(clip.shape, dtype=np.float32) < 0.02
    return torch.from_numpy(np.where(noisy, np.roll(clip, 7, axis=2), clip))


def moving_images(frames: int, height: int, width: int) -> Tensor:
    """A textured scene that moves by 2 px a frame, for the flow to follow."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.random((height // 6, (width + 2 * frames) // 6, 3), dtype=np.float32)
    scene = cv2.resize(coarse, (width + 2 * frames, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    views = np.stack([scene[:, 2 * i : 2 * i + width] for i in range(frames)])
    return torch.from_numpy(views).permute(0, 3, 1, 2).contiguous()


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def race(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median ms of each call over interleaved rounds, after one to warm up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            found[name].append(milliseconds(call))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def table(title: str, found: Mapping[str, float], ours: str) -> None:
    print(f"\n| {title} | ms | ours / this |", "|---|---|---|", sep="\n")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {found[ours] / value:.2f} |", flush=True)


def windows_in_numpy(prediction: np.ndarray, truth: np.ndarray, n: int) -> float:
    """VC_n as the published script has it: window by window, frame by frame."""
    scores = []
    for start in range(len(truth) - n):
        seen, kept = np.ones((2, *truth.shape[1:]), bool)
        for frame in range(start + 1, start + n):
            seen &= truth[start] == truth[frame]
            kept &= prediction[start] == prediction[frame]
        scores.append((seen & kept).sum() / seen.sum())
    return float(np.nanmean(scores))


def confusion(rounds: int, height: int, width: int) -> None:
    from torchmetrics.classification import MulticlassConfusionMatrix

    truth, prediction = (moving_labels(8, height, width, seed) for seed in (0, 1))
    pairs = (truth * CLASSES + prediction).flatten()
    matrix = ConfusionMatrix(CLASSES)
    checked, unchecked = (
        MulticlassConfusionMatrix(CLASSES, ignore_index=255, validate_args=flag) for flag in (True, False)
    )
    calls = {
        "ours, ids checked, 255 left out": lambda: matrix.add(prediction, truth),
        "torch.bincount, pairs given": lambda: torch.bincount(pairs, minlength=CLASSES**2),
        "torch.bincount of truth * k + prediction": lambda: torch.bincount(
            (truth * CLASSES + prediction).flatten(), minlength=CLASSES**2
        ),
        "torchmetrics, validate_args=False": lambda: unchecked.update(prediction, truth),
        "torchmetrics": lambda: checked.update(prediction, truth),
    }
    table(f"confusion matrix, 8 frames {height} x {width}", race(calls, rounds), "ours, ids checked, 255 left out")


def consistency(rounds: int, frames: int, height: int, width: int) -> None:
    truth, prediction = (moving_labels(frames, height, width, seed) for seed in (0, 1))
    wide = prediction.numpy(), truth.numpy()
    narrow = tuple(labels.astype(np.uint8) for labels in wide)
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: video_consistencies(prediction, truth, (8, 16)),
        "ours, official": lambda: video_consistencies(prediction, truth, (8, 16), official=True),
        "NumPy loop over windows, int64": lambda: [windows_in_numpy(*wide, n) for n in (8, 16)],
        "NumPy loop over windows, uint8": lambda: [windows_in_numpy(*narrow, n) for n in (8, 16)],
    }
    table(f"VC8 and VC16, {frames} frames {height} x {width}", race(calls, rounds), "ours")


def stability(frames: int, height: int, width: int) -> None:
    """E_cons with DIS flow, each pair's time split into flow, forward-backward check, and the measure itself."""
    labels, images = moving_labels(frames, height, width, 0), moving_images(frames, height, width)
    clip = Clip(("clip",) * frames, torch.arange(frames), torch.arange(float(frames)), images)
    spent = {"DIS flow": 0.0, "forward-backward check (ruder_visible)": 0.0}

    def flows(p: int, q: int) -> PairFlows:
        start = time.perf_counter()
        found = pair_flows(clip, DisFlow(), pairs=[(p, q)], check=None)
        between = time.perf_counter()
        checked = PairFlows(
            found.pairs,
            found.flow_pq,
            found.flow_qp,
            found.visible_p & ruder_visible(found.flow_pq, found.flow_qp),
            found.visible_q & ruder_visible(found.flow_qp, found.flow_pq),
        )
        spent["DIS flow"] += between - start
        spent["forward-backward check (ruder_visible)"] += time.perf_counter() - between
        return checked

    e_cons(labels[:2], flows)  # compiled
    spent.update(dict.fromkeys(spent, 0.0))
    total = milliseconds(lambda: e_cons(labels, flows)) / 1e3
    print(f"\n| E_cons, {frames} frames {height} x {width}, K = 3 | s | share |", "|---|---|---|", sep="\n")
    for name, value in (spent | {"the measure itself": total - sum(spent.values()), "all": total}).items():
        print(f"| {name} | {value:.2f} | {value / total:.1%} |", flush=True)


def others(rounds: int, height: int, width: int) -> None:
    from skimage.segmentation import find_boundaries

    labels = moving_labels(16, height, width, 0)
    frames = labels.numpy().astype(np.int32)
    e_smooth(labels[:2])  # compiled
    calls: dict[str, Callable[[], object]] = {
        "label_boundaries, thick": lambda: boundary_counts(labels),
        "find_boundaries of scikit-image, thick": lambda: [find_boundaries(frame).sum() for frame in frames],
        "E_smooth, sigma 1": lambda: e_smooth(labels),
        "E_smooth, sigma 4.5": lambda: e_smooth(labels, sigma=4.5),
        "DAVIS J and F of 5 objects": lambda: davis_scores(labels % 6, labels % 6),
    }
    print(f"\n| 16 frames {height} x {width} | ms |", "|---|---|", sep="\n")
    for name, value in race(calls, rounds).items():
        print(f"| {name} | {value:.1f} |", flush=True)


@click.command()
@click.option("--frames", default=60, show_default=True)
@click.option("--size", nargs=2, type=int, default=(480, 640), show_default=True, help="rows, columns")
@click.option("--rounds", default=10, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(frames: int, size: tuple[int, int], rounds: int, threads: int) -> None:
    """Confusion matrix, VC_n, E_cons and what else takes time."""
    torch.set_num_threads(threads)
    confusion(rounds, *size)
    consistency(rounds, frames, *size)
    others(rounds, *size)
    stability(frames, *size)


if __name__ == "__main__":
    main()
