"""Flicker: labels that jump though the scene does not; which pixels show it, and what smoothing does to short runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import PRESETS, render_video
from stc_lab.data.rooms.videos import video_name
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.smoothing_front import FARTHEST, Smoothing, smoothed_labels
from stc_lab.geometry import RigidFlow
from stc_lab.geometry.checks import expect_labels
from stc_lab.losses.stability import PairFlows, all_pairs, pair_flows
from stc_lab.metrics import ConfusionMatrix
from stc_lab.models import Segmenter

IGNORE = 255
RUNS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 15), (16, 10_000))  # frames: first and last of each group


@dataclass(frozen=True)
class Flicker:
    """A clip, what a net says of each frame by itself, and the exact flow between frames up to `FARTHEST` apart."""

    clip: Clip
    probabilities: Float[Tensor, "t k h w"]
    flows: PairFlows

    @property
    def labels(self) -> Int64[Tensor, "t h w"]:
        return self.probabilities.argmax(dim=1)

    @property
    def truth(self) -> Int64[Tensor, "t h w"]:
        self.clip.require("label")
        assert self.clip.label is not None
        return self.clip.label


def open_flicker(model: Segmenter, *, motion: str = "handheld", preset: str = "quick", seed: int = 0) -> Flicker:
    """Test room `seed`, filmed as `motion` says, through the eyes of `model`, which is put into evaluation mode."""
    return flicker_of(model, render_video(video_name("test", seed), replace(PRESETS[preset], motion=motion)))


def flicker_of(model: Segmenter, clip: Clip) -> Flicker:
    """The same of any clip with depth, cameras and poses."""
    model.eval()
    with torch.no_grad():
        probabilities = model(clip.image).softmax(dim=1)
    flows = pair_flows(clip, RigidFlow(), pairs=all_pairs(len(clip), farthest=FARTHEST), check=None)
    return Flicker(clip, probabilities, flows)


def run_lengths(labels: Int64[Tensor, "t h w"]) -> Int64[Tensor, "t h w"]:
    """For how many frames on end, before and after, each pixel has the label that it has: 1 is a single frame."""
    expect_labels("labels", labels)
    since, until = torch.ones_like(labels), torch.ones_like(labels)
    for i in range(1, len(labels)):
        since[i] += since[i - 1] * (labels[i] == labels[i - 1])
    for i in reversed(range(len(labels) - 1)):
        until[i] += until[i + 1] * (labels[i] == labels[i + 1])
    return since + until - 1


def telling_pixels(
    truth: Int64[Tensor, "t h w"], labels: Int64[Tensor, "t h w"], *, passing: tuple[int, int] = (2, 5)
) -> dict[str, tuple[int, int]]:
    """Pixels (x, y) that stand for what can be wrong over time, found by rule; what a clip does not have is left out.

    They lie in the inner three quarters of the picture.
    - `it flickers`: the truth keeps to one class for at least two thirds of the clip, and while it does the net is
      right more often than not, and changes its mind most often.
    - `something passes by`: the truth shows another class for `passing` frames (from, to) in the middle of the clip,
      the net is right in all of these, and in most of all.
    - `steadily wrong`: the truth keeps to one class as long, and the net to another one throughout.
    """
    frames, height, width = truth.shape
    runs, right = run_lengths(truth), labels == truth
    still = (runs >= 2 / 3 * frames) & (truth != IGNORE)
    changes = ((labels[1:] != labels[:-1]) & still[1:] & still[:-1]).sum(dim=0)
    right_while_still = (right & still).sum(dim=0) / still.sum(dim=0)  # 0 / 0 = NaN compares as False
    at_an_end = (truth == truth[0]).cumprod(dim=0).bool() | (truth == truth[-1]).flip(0).cumprod(dim=0).bool().flip(0)
    short = (runs >= passing[0]) & (runs <= passing[1]) & ~at_an_end
    seen = short.any(dim=0) & ~(short & ~right).any(dim=0)
    steady = still.any(dim=0) & (labels == labels[0]).all(dim=0) & (right_while_still == 0)
    found = {
        "it flickers": torch.where((right_while_still > 0.5) & (changes > 0), changes.float(), -1.0),
        "something passes by": torch.where(seen, right.float().mean(dim=0), -1.0),
        "steadily wrong": torch.where(steady, still.sum(dim=0).float(), -1.0),
    }
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[height // 8 : height - height // 8, width // 8 : width - width // 8] = True
    scores = {name: torch.where(inner, score, -1.0) for name, score in found.items()}
    best = {name: int(score.argmax()) for name, score in scores.items() if float(score.max()) >= 0}
    return {name: (place % width, place // width) for name, place in best.items()}


def ribbons_at(
    maps: Mapping[str, Int64[Tensor, "t h w"]], pixels: Mapping[str, tuple[int, int]]
) -> dict[str, dict[str, Int64[Tensor, " t"]]]:
    """The labels of each pixel (x, y) over time, of each of the label maps."""
    return {
        f"{name} (x {x}, y {y})": {kind: labels[:, y, x] for kind, labels in maps.items()}
        for name, (x, y) in pixels.items()
    }


@dataclass(frozen=True)
class RunGroup:
    """The pixels whose true label stays for about so many frames, before and after a smoothing."""

    frames: tuple[int, int]  # first and last length of the group
    pixels: int
    before: float  # share of right labels; NaN without pixels
    after: float

    @property
    def name(self) -> str:
        first, last = self.frames
        return str(first) if first == last else f"{first}+" if last >= 10_000 else f"{first}-{last}"


def accuracy_by_run(
    model: Segmenter, videos: Videos, smoothings: Sequence[Smoothing], *, groups: Sequence[tuple[int, int]] = RUNS
) -> dict[str, list[RunGroup]]:
    """How often labels are right before and after each smoothing, by how long the truth stays as it is at the pixel.

    A smoothing of a single pixel over time sees short runs alike, whether the net errs or something passes by: this
    tells what it costs where something does. The exact flow serves the smoothings along it.
    """
    right = {smoothing: torch.zeros(3, len(groups), dtype=torch.int64) for smoothing in smoothings}
    for name in videos.names:
        flicker = flicker_of(model, videos.clip(name))
        runs, truth = run_lengths(flicker.truth), flicker.truth
        known = truth != IGNORE
        for smoothing, counts in right.items():
            after = smoothed_labels(flicker.probabilities, flicker.clip.image, flicker.flows, smoothing)
            for i, (first, last) in enumerate(groups):
                here = known & (runs >= first) & (runs <= last)
                seen = (here, here & (flicker.labels == truth), here & (after == truth))
                counts[:, i] += torch.stack([mask.sum() for mask in seen])
    return {
        smoothing.name: [
            RunGroup(group, n, before / n if n else float("nan"), after / n if n else float("nan"))
            for group, n, before, after in zip(groups, *counts.tolist(), strict=True)
        ]
        for smoothing, counts in right.items()
    }


PERFECT: Mapping[str, str] = MappingProxyType({"labels over time": "same pixel", "along the flow": "along the flow"})


def smoothed_truth(videos: Videos, sigmas: Sequence[float]) -> dict[str, list[float]]:
    """Mean IoU of the TRUE labels after smoothing, for each sigma: what smoothing costs a net that is never wrong."""
    if not sigmas:
        raise InputError("sigmas must hold at least one, got none")
    classes = len(videos.info.classes)
    matrices = {words: [ConfusionMatrix(classes) for _ in sigmas] for words in PERFECT.values()}
    for name in videos.names:
        clip = videos.clip(name)
        clip.require("label")
        assert clip.label is not None
        ids, place = clip.label.unique(return_inverse=True)  # those of the clip are few, and maps of others stay empty
        certain = torch.nn.functional.one_hot(place).permute(0, 3, 1, 2).float()
        flows = pair_flows(clip, RigidFlow(), pairs=all_pairs(len(clip), farthest=1), check=None)
        for family, words in PERFECT.items():
            for sigma, matrix in zip(sigmas, matrices[words], strict=True):
                smoothing = Smoothing(family, sigma=sigma)  # type: ignore[arg-type]  # a key of PERFECT is a family
                matrix.add(ids[smoothed_labels(certain, clip.image, flows, smoothing)], clip.label)
    return {words: [matrix.value for matrix in row] for words, row in matrices.items()}
