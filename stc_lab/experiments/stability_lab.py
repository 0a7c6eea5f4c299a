"""Break the measures of stability: masks corrupted by knobs that are known, and what each measure makes of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import (
    CLASS_NAMES,
    PRESETS,
    ExactRoomsFlow,
    Label,
    RoomsConfig,
    mover_masks,
    render_video,
    scene_of,
)
from stc_lab.data.rooms.videos import video_name
from stc_lab.errors import InputError
from stc_lab.geometry import DisFlow, FlowEstimator
from stc_lab.geometry.checks import expect_labels
from stc_lab.geometry.reproject import pixel_grid
from stc_lab.geometry.sampling import read_labels_at
from stc_lab.losses.stability import PairFlows, all_pairs, pair_flows
from stc_lab.metrics import NothingToMeasure, davis_scores, e_cons, e_smooth, video_consistency
from stc_lab.metrics.stability import Normalisation, object_sizes

REACH = 3  # K of E_cons: frames
SIGMA = 1.5  # frames: 0.15 s at the rooms' 10 Hz
WINDOW = 8  # frames: VC8
ESTIMATED = ", DIS"  # ends the name of a measure with estimated flow
EROSIONS, JITTERS = (0.0, 10.0, 20.0), (0.0, 4.0, 8.0)  # px of the paper's frames (section 4.1)
_PAPER_ROWS = (
    256  # rows of a picture on which the paper's pixels would do to rooms what ours do: 64 rows take a quarter
)
_TRIANGLES_ACROSS = 8  # control points of the jitter over the height
_LEAST, _MOST = 0.015, 0.35  # share of the picture that an object may fill in the middle frame of its frames by size
_SURFACES = (Label.BACKGROUND, Label.WALL, Label.FLOOR, Label.CEILING)


@dataclass(frozen=True)
class Corruption:
    """What is done to a mask: how far it is eroded, and how far its parts jump from frame to frame."""

    erosion: float  # px, from one side, the same in all frames: wrong, but steady
    jitter: float  # px, anew in each frame: unsteady


def nine_corruptions(rows: int) -> tuple[Corruption, ...]:
    """The qualification videos of Azulay et al. 2021, section 4.1: three erosions, and for each three jitters.

    The paper's 0, 10, 20 and 0, 4, 8 px are of frames of unsaid size; on 64 `rows` a quarter of them is taken.
    """
    scale = rows / _PAPER_ROWS
    return tuple(Corruption(erosion * scale, jitter * scale) for erosion in EROSIONS for jitter in JITTERS)


def erode_labels(
    labels: Int64[Tensor, "t h w"],
    radius: float,
    *,
    direction: float | None = None,
    background: int = 0,
    ignore_index: int = 255,
) -> Int64[Tensor, "t h w"]:
    """Take `radius` px from the border of every object; what is taken becomes background.

    Without `direction` it is taken all around, by a disk. With one (rad; 0 is to the right, a quarter turn down) only
    from the side that lies there, as the paper does: the same side in every frame. The image's border is no border of
    an object, and ignored pixels are neither taken nor do they take.
    """
    expect_labels("labels", labels)
    if not 0 <= radius < math.inf:
        raise InputError(f"radius must not be negative, got {radius}")
    reach = int(radius)
    if direction is None:
        steps = range(-reach, reach + 1)
        offsets = {(y, x) for y in steps for x in steps if 0 < y * y + x * x <= radius * radius}
    else:
        line = [0.5 * i for i in range(1, int(2 * radius) + 1)]
        offsets = {(round(s * math.sin(direction)), round(s * math.cos(direction))) for s in line} - {(0, 0)}
    rows, columns = (torch.arange(n, device=labels.device) for n in labels.shape[1:])
    kept = torch.ones_like(labels, dtype=torch.bool)
    for y, x in offsets:
        there = labels[:, (rows + y).clamp(0, len(rows) - 1)][:, :, (columns + x).clamp(0, len(columns) - 1)]
        kept &= (there == labels) | (there == ignore_index)
    return torch.where(kept | (labels == ignore_index), labels, background)


def jitter_labels(
    labels: Int64[Tensor, "t h w"], size: float, generator: torch.Generator, *, across: int = _TRIANGLES_ACROSS
) -> Int64[Tensor, "t h w"]:
    """Push the labels about by a piecewise-affine warp drawn anew for each frame.

    Control points lie on a grid with `across` cells over the height; each is displaced by `size` px in a direction
    drawn from `generator`, and within each of the two triangles of a cell the displacement is affine, so that pixels
    move by at most `size`. The paper says no more of its warp than "local piecewise-affine". Labels are read at the
    nearest pixel.
    """
    expect_labels("labels", labels)
    if not 0 <= size < math.inf or across < 1:
        raise InputError(f"size must not be negative and across at least 1, got {size} and {across}")
    t, height, width = labels.shape
    cell = height / across
    columns = math.ceil(width / cell)
    turn = 2 * math.pi * torch.rand(t, across + 1, columns + 1, generator=generator).to(labels.device)
    grid = pixel_grid(torch.zeros(1, 2, height, width, device=labels.device))
    pushed = grid + _piecewise_affine(size * torch.stack([turn.cos(), turn.sin()], dim=1), (grid + 0.5) / cell)
    return read_labels_at(labels, pushed)


def corrupted(
    labels: Int64[Tensor, "t h w"], corruption: Corruption, generator: torch.Generator
) -> Int64[Tensor, "t h w"]:
    """Eroded from one side, whose direction is drawn, then jittered: one of the paper's qualification videos."""
    direction = 2 * math.pi * float(torch.rand((), generator=generator))
    return jitter_labels(erode_labels(labels, corruption.erosion, direction=direction), corruption.jitter, generator)


def _piecewise_affine(corners: Float[Tensor, "t 2 r c"], place: Float[Tensor, "1 2 h w"]) -> Float[Tensor, "t 2 h w"]:
    """Values given on a grid, at places (x, y) in units of its cells; each cell is split along one diagonal."""
    x, y = place[0]
    column, row = x.long().clamp(max=corners.shape[3] - 2), y.long().clamp(max=corners.shape[2] - 2)
    u, v = x - column, y - row
    near, right, below, far = (corners[:, :, row + i, column + j] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    upper = near + u * (right - near) + v * (below - near)
    lower = far + (1 - u) * (below - far) + (1 - v) * (right - far)
    return torch.where(u + v < 1, upper, lower)


@dataclass(frozen=True)
class LabSize:
    """How much a run of the chapter looks at."""

    rooms: int  # test rooms, from the first
    frames: int  # of each clip
    panels: int  # simulated panels of raters, each with corruptions of its own
    contrast_rooms: tuple[int, ...]  # where a fast camera meets a slow one


LAB_SIZES: Mapping[str, LabSize] = MappingProxyType(
    {
        "tiny": LabSize(rooms=2, frames=10, panels=2, contrast_rooms=(2,)),
        "quick": LabSize(rooms=8, frames=16, panels=5, contrast_rooms=(1, 2)),
        "full": LabSize(rooms=24, frames=24, panels=10, contrast_rooms=tuple(range(12))),
    }
)


def lab_config(
    preset: str = "quick", *, frames: int | None = None, motion: str = "tracking", speed: float = 1.0
) -> RoomsConfig:
    """The rooms of this chapter: one thing moves by itself in each; `frames` by default as `LAB_SIZES` has it."""
    if preset not in LAB_SIZES:
        raise InputError(f"preset must be one of {', '.join(LAB_SIZES)}, got {preset!r}")
    frames = LAB_SIZES[preset].frames if frames is None else frames
    if frames <= WINDOW:
        raise InputError(f"frames must be more than {WINDOW}, for VC{WINDOW}, got {frames}")
    return replace(PRESETS[preset], motion=motion, frames=frames, moving_objects=1, speed=speed)


@dataclass(frozen=True)
class MaskVideo:
    """One object of one clip, cut out exactly, with the flows that judge its masks."""

    name: str
    clip: Clip
    mask: Int64[Tensor, "t h w"]  # 1 the object, 0 everything else
    truth: FlowEstimator  # exact flow between any two of its frames
    exact: PairFlows  # up to `REACH` frames apart, visible by rays
    estimated: PairFlows  # the same pairs by DIS, visible by the check there and back

    @property
    def size(self) -> float:
        """Pixels of the object, median over the frames."""
        return float(self.mask.flatten(1).sum(dim=1).double().quantile(0.5))


def mask_videos(rooms: Sequence[int], config: RoomsConfig) -> list[MaskVideo]:
    """Every object of these test rooms that stays in view at a fair size: each class of furniture, and what moves.

    An object is all pixels of a class but walls, floor, ceiling and background, or the thing that moves by itself. The
    flows of a clip are computed once and shared by its objects.
    Raises InputError if there is none.
    """
    found = [video for room in rooms for video in room_videos(room, config)]
    if not found:
        raise InputError(f"no object stays in view in rooms {list(rooms)}", hint="other rooms, or a slower camera")
    return found


def room_videos(room: int, config: RoomsConfig) -> list[MaskVideo]:
    """The objects of one room, as `mask_videos`; there may be none."""
    clip = render_video(video_name("test", room), config)
    assert clip.label is not None
    mover = (mover_masks(clip.video[0], config) > 0).long()
    masks = {CLASS_NAMES[c]: (clip.label == c).long() for c in clip.label.unique().tolist() if c not in _SURFACES}
    masks = {name: mask for name, mask in masks.items() if not torch.equal(mask, mover)}
    masks = {name: mask for name, mask in {"mover": mover, **masks}.items() if _in_view(mask)}
    if not masks:
        return []
    pairs = all_pairs(len(clip), farthest=REACH)
    truth = ExactRoomsFlow(scene_of(clip.video[0], config))
    flows = pair_flows(clip, truth, pairs=pairs, check=None), pair_flows(clip, DisFlow(), pairs=pairs)
    return [MaskVideo(f"{name}, room {room}", clip, mask, truth, *flows) for name, mask in masks.items()]


def _in_view(mask: Tensor) -> bool:
    share = mask.flatten(1).double().mean(dim=1)
    return bool((share > _LEAST / 4).all()) and _LEAST <= float(share.quantile(0.5)) <= _MOST


@dataclass(frozen=True)
class MeasureKind:
    """How a measure is to be read."""

    better: str  # "higher" or "lower"
    unit: float = 1.0  # what it is written in: 1e-3 thousandths


KINDS: Mapping[str, MeasureKind] = MappingProxyType(
    {
        "J": MeasureKind("higher"),
        "F": MeasureKind("higher"),
        "pixel recall": MeasureKind("higher"),
        "VC8": MeasureKind("higher"),
        "VC8, as published": MeasureKind("higher"),
        "E_smooth": MeasureKind("lower", 1e-3),
        "E_smooth, shares": MeasureKind("lower", 1e-3),
        "E_cons": MeasureKind("lower", 1e-3),
        "E_cons / sqrt(object)": MeasureKind("lower", 1e-3),
        "E_cons / boundary": MeasureKind("lower", 1e-6),
    }
)
_NORMALISED: Mapping[str, Normalisation] = MappingProxyType(
    {"E_cons / sqrt(object)": "sqrt_object", "E_cons / boundary": "boundary"}
)


def flow_measures(labels: Int64[Tensor, "t h w"], flows: PairFlows) -> dict[str, float]:
    """E_cons under each normalisation; NaN where there is nothing to measure. Lower is steadier."""
    plain = _value(lambda: e_cons(labels, flows, K=REACH, normalise="none").value)
    found = {"E_cons": plain}
    for name, normalise in _NORMALISED.items():
        size = float(object_sizes(labels, normalise).quantile(0.5))
        found[name] = plain / size if size else math.nan
    return found


def other_measures(labels: Int64[Tensor, "t h w"], truth: Int64[Tensor, "t h w"]) -> dict[str, float]:
    """The measures that look at no flow: J, F and recall, VC8, E_smooth; NaN where there is nothing to measure."""
    scores = davis_scores(labels, truth)
    return {
        "J": scores.J.mean,
        "F": scores.F.mean,
        "pixel recall": scores.pixel_recall,
        "VC8": _value(lambda: video_consistency(labels, truth, WINDOW).value),
        "VC8, as published": _value(lambda: video_consistency(labels, truth, WINDOW, official=True).value),
        "E_smooth": _value(lambda: e_smooth(labels, sigma=SIGMA).value),
        "E_smooth, shares": _value(lambda: e_smooth(labels, sigma=SIGMA, form="shares").value),
    }


def all_measures(labels: Int64[Tensor, "t h w"], truth: Int64[Tensor, "t h w"], flows: PairFlows) -> dict[str, float]:
    """Every measure of `KINDS` on the masks `labels`, in its order."""
    found = other_measures(labels, truth) | flow_measures(labels, flows)
    return {name: found[name] for name in KINDS}


def both_flows(labels: Int64[Tensor, "t h w"], video: MaskVideo) -> dict[str, float]:
    """Every measure by the exact flow, and by the estimated one, under a name with `ESTIMATED`, what uses a flow."""
    estimated = {name + ESTIMATED: value for name, value in flow_measures(labels, video.estimated).items()}
    return all_measures(labels, video.mask, video.exact) | estimated


def written(measure: str, value: float) -> str:
    """A value in the measure's unit, with as many digits as it deserves."""
    unit = KINDS[measure].unit
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if unit == 1.0 else f"{value / unit:.{2 if value < 10 * unit else 1}f}"


def _value(measure: Callable[[], float]) -> float:
    try:
        return measure()
    except NothingToMeasure:
        return math.nan
