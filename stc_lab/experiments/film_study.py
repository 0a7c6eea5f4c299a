"""How steady a net is on a film without depth or poses: agreement along an estimated optical flow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.load import load
from stc_lab.data.rooms.classes import CLASS_NAMES
from stc_lab.data.rooms.config import PRESETS
from stc_lab.data.rooms.videos import render_video, video_name
from stc_lab.errors import InputError
from stc_lab.geometry import dis_flow, inverse_warp_labels, ruder_visible, warp_labels_by_flow
from stc_lab.geometry.warp import WarpedLabels, masked_labels
from stc_lab.metrics import ConfusionMatrix, SegmentationScores, VideoScore, temporal_agreement
from stc_lab.models import FPNSegmenter, load_shipped
from stc_lab.training import SegmentationRecipe, predict, train

_CAMVID_SIZE = (120, 160)


@dataclass(frozen=True)
class Film:
    """A video, the net's labels of it, and what the labels are called."""

    clip: Clip
    prediction: Int64[Tensor, "t h w"]
    classes: tuple[str, ...]
    model: FPNSegmenter
    story: str  # which net on which video

    def scores(self) -> SegmentationScores:
        """Against the true labels of the film."""
        self.clip.require("label")
        assert self.clip.label is not None
        confusion = ConfusionMatrix(len(self.classes))
        confusion.update(self.prediction, self.clip.label)
        return confusion.results()


def open_film(source: str, *, steps: int, seed: int = 0, log: Callable[[dict[str, Any]], None] | None = None) -> Film:
    """A film labelled by a net that has not seen it.

    `camvid`: a net trained for `steps` on CamVid's 1 Hz frames (STC_LAB_DATA) labels its 15 Hz video. `rooms`: the
    shipped net labels a hand-held walk; its camera is another one than in training, and nothing is trained.
    """
    if source == "rooms":
        clip = render_video(video_name("test", seed), replace(PRESETS["quick"], motion="handheld"))
        model, classes = load_shipped("rooms_fpn").model, CLASS_NAMES
        story = "the net trained on rooms' dolly videos, on a hand-held walk through a room it has never seen"
    elif source == "camvid":
        frames = load("camvid", split="train", size=_CAMVID_SIZE)
        recipe = SegmentationRecipe.baseline("full", labelled=len(frames), steps=steps, seed=seed, class_balance=0.25)
        model = FPNSegmenter(len(frames.info.classes), generator=torch.Generator().manual_seed(seed))
        train(model, frames, recipe, log=log)
        film = load("camvid", split="val", size=_CAMVID_SIZE)
        clip, classes = film.clip(film.names[0]), film.info.classes
        story = f"a net trained for {steps} steps on {len(frames)} CamVid frames a second apart, on its 15 Hz video"
    else:
        raise InputError(f"source must be rooms or camvid, got {source!r}")
    return Film(clip, predict(model, clip.image), classes, model, story)


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of the labels of frames t and t + gap for every t, on the pixels that the flow finds in both."""

    gap: int
    warped: tuple[VideoScore, ...]  # the later frame's labels brought to t along the flow
    identity: tuple[VideoScore, ...]  # control: the same pixels, labels where they are

    @property
    def worst(self) -> int:
        """The t at which the net contradicts itself most."""
        return min(range(len(self.warped)), key=lambda t: self.warped[t].value)

    def mean(self, row: Literal["warped", "identity"]) -> float:
        """The mean over the pairs."""
        scores: tuple[VideoScore, ...] = getattr(self, row)
        return sum(score.value for score in scores) / len(scores)


def flow_of_pairs(clip: Clip, gap: int) -> tuple[Float[Tensor, "p 2 h w"], Float[Tensor, "p 2 h w"]]:
    """DIS flow from each frame t to t + gap, and back."""
    if not 0 < gap < len(clip):
        raise InputError(f"gap must lie between 1 and {len(clip) - 1} for {len(clip)} frames, got {gap}")
    earlier, later = clip.image[:-gap], clip.image[gap:]
    return dis_flow(earlier, later), dis_flow(later, earlier)


def flow_agreement(
    labels: Int64[Tensor, "t h w"], forward: Float[Tensor, "p 2 h w"], backward: Float[Tensor, "p 2 h w"]
) -> PairAgreement:
    """Agreement of label maps along a flow and without it, pair by pair; predictions and true labels alike.

    Both count the same pixels: those that pass the forward-backward check (Ruder et al. 2016), those on the boundaries
    of motion among them: it is there that labels go wrong.
    """
    gap = len(labels) - len(forward)
    visible = ruder_visible(forward, backward, motion_boundaries=False)
    along = warp_labels_by_flow(labels[gap:], forward)
    seen = along.visible & visible
    along, still = masked_labels(along.label, seen), masked_labels(labels[gap:], seen)
    pairs = range(len(forward))
    return PairAgreement(
        gap,
        tuple(temporal_agreement(labels[t : t + 1], _one(along, t)) for t in pairs),
        tuple(temporal_agreement(labels[t : t + 1], _one(still, t)) for t in pairs),
    )


def exact_agreement(labels: Int64[Tensor, "t h w"], clip: Clip, gap: int) -> list[VideoScore]:
    """The same along the exact geometry, where it is known: what the estimated flow should have found."""
    clip.require("depth", "camera", "T_world_camera")
    target, source = clip[:-gap], clip[gap:]
    assert target.depth is not None and target.camera is not None
    warped = inverse_warp_labels(
        labels[gap:],
        target.depth,
        target.camera,
        target.motion_to(source),
        camera_source=source.camera,
        depth_source=source.depth,
    )
    return [temporal_agreement(labels[t : t + 1], _one(warped, t)) for t in range(len(target))]


def _one(warped: WarpedLabels, t: int) -> WarpedLabels:
    return WarpedLabels(warped.label[t : t + 1], warped.visible[t : t + 1])
