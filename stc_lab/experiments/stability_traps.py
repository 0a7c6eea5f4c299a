"""How measures of stability are fooled: masks made to please them, fast objects, large objects, slices through time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import (
    MaskVideo,
    all_measures,
    both_flows,
    corrupted,
    erode_labels,
    flow_measures,
    jitter_labels,
    lab_config,
    nine_corruptions,
    room_videos,
)
from stc_lab.geometry import warp_labels_by_flow
from stc_lab.geometry.flow import warp_by_flow
from stc_lab.metrics import RankCorrelation, spearman

TRUE_MASK = "the true mask"
_BLINK = 4  # frames: one of so many is missed
_CARRIED = "wrong, carried along the flow"


def corruption_study(videos: Sequence[MaskVideo], seed: int = 0) -> dict[str, Float64[Tensor, "3 3"]]:
    """Every measure over the nine corruptions (rows: erosion), with both flows: the median over the objects.

    The nine masks of an object share the side of the erosion and the directions of the jumps.
    """
    nine = nine_corruptions(videos[0].mask.shape[1])
    rows = [
        [both_flows(corrupted(video.mask, one, torch.Generator().manual_seed(seed + i)), video) for one in nine]
        for i, video in enumerate(videos)
    ]
    return {
        name: torch.tensor([[one[name] for one in row] for row in rows], dtype=torch.float64)
        .nanquantile(0.5, dim=0)
        .reshape(3, 3)
        for name in rows[0][0]
    }


def deceptions(video: MaskVideo, seed: int = 0) -> dict[str, Int64[Tensor, "t h w"]]:
    """Masks of one object that each please some measure, by what was done; first the true one.

    The carried mask starts as the first frame's, pushed aside by two fifths of the
    picture, and is then warped from frame to frame by the estimated flow that judges it.
    """
    true = video.mask
    t, height, width = true.shape
    pixel = height / 64
    jump = max(1.0, pixel)  # half a pixel is lost in the nearest one
    blinking = true.clone()
    blinking[_BLINK - 1 :: _BLINK] = 0
    return {
        TRUE_MASK: true,
        f"{2.5 * pixel:g} px eroded all around": erode_labels(true, 2.5 * pixel),
        f"jittered by {jump:g} px": jitter_labels(true, jump, torch.Generator().manual_seed(seed)),
        f"missed in every {_BLINK}th frame": blinking,
        "first mask, frozen": true[:1].expand(t, -1, -1).contiguous(),
        "nothing at all": torch.zeros_like(true),
        "all of the picture": torch.ones_like(true),
        _CARRIED: carried(torch.roll(true[:1], 2 * width // 5, dims=2), video),
    }


def carried(first: Int64[Tensor, "1 h w"], video: MaskVideo) -> Int64[Tensor, "t h w"]:
    """A mask of the first frame, warped on from frame to frame by the estimated flow; 0 from outside."""
    frames = [first]
    for i in range(1, len(video.mask)):
        back = video.estimated.flow_qp[video.estimated.pairs.index((i - 1, i)), None]
        warped = warp_labels_by_flow(frames[-1], back)
        frames.append(warped.label.masked_fill(~warped.visible, 0))
    return torch.cat(frames)


def deception_scores(video: MaskVideo, seed: int = 0) -> dict[str, dict[str, float]]:
    """Every measure on each of the `deceptions`, flows estimated: what anybody could measure on a real video."""
    return {name: all_measures(mask, video.mask, video.estimated) for name, mask in deceptions(video, seed).items()}


def carried_wins(videos: Sequence[MaskVideo], measure: str = "E_cons / boundary") -> dict[str, tuple[int, int]]:
    """How often a wrong mask that is carried along the estimated flow scores better than the true one, by each flow.

    (Wins, objects), where the objects are those whose carried mask does not vanish.
    """
    wins: dict[str, list[bool]] = {"estimated": [], "exact": []}
    for video in videos:
        wrong = deceptions(video)[_CARRIED]
        for flow, table in (("estimated", video.estimated), ("exact", video.exact)):
            found, true = (flow_measures(mask, table)[measure] for mask in (wrong, video.mask))
            if not math.isnan(found):
                wins[flow].append(found < true)
    return {flow: (sum(each), len(each)) for flow, each in wins.items()}


@dataclass(frozen=True)
class SpeedContrast:
    """One object, seen by a fast camera with its true masks, and by a slow one with jittered masks."""

    fast: MaskVideo
    slow: MaskVideo
    jittered: Int64[Tensor, "t h w"]  # of the slow one
    clean_scores: dict[str, float]  # of the fast one
    jittered_scores: dict[str, float]

    def prefers_jitter(self, measure: str) -> bool:
        """Whether a measure (lower is better) finds the jittered masks steadier than the true ones."""
        return self.jittered_scores[measure] < self.clean_scores[measure]


def speed_contrasts(
    rooms: Sequence[int], *, preset: str = "quick", slow: float = 0.1, jitter: float = 1.0, seed: int = 0
) -> list[SpeedContrast]:
    """The contrast for every object that stays in view of both cameras, hand-held through the same rooms.

    The slow camera goes `slow` times as far along the same path. `jitter` in px of 64 rows.
    """
    found, jumps = [], torch.Generator().manual_seed(seed)
    for room in rooms:
        fast, slowed = (
            {v.name: v for v in room_videos(room, lab_config(preset, motion="handheld", speed=speed))}
            for speed in (1.0, slow)
        )
        for name in fast:
            if name in slowed:
                true = slowed[name].mask
                mask = jitter_labels(true, jitter * true.shape[1] / 64, jumps)
                clean = all_measures(fast[name].mask, fast[name].mask, fast[name].exact)
                worse = all_measures(mask, true, slowed[name].exact)
                found.append(SpeedContrast(fast[name], slowed[name], mask, clean, worse))
    if not found:
        raise InputError(f"no object stays in view of both cameras in rooms {list(rooms)}", hint="other rooms")
    return found


@dataclass(frozen=True)
class SizeStudy:
    """The same jitter on objects of all sizes: what each normalisation makes of it (section 3, Figure 4)."""

    sizes: Float[Tensor, " n"]  # square root of the object's pixels
    values: dict[str, Float[Tensor, " n"]]

    def correlation(self, measure: str) -> RankCorrelation:
        """Spearman's, of the measure with the size: 0 is what a fair normalisation leaves."""
        return spearman(self.sizes.double().numpy(), self.values[measure].double().numpy())


def size_study(videos: Sequence[MaskVideo], *, jitter: float = 1.0, seed: int = 0) -> SizeStudy:
    """E_cons by exact flow of every object, all jittered by `jitter` px of 64 rows."""
    jumps = torch.Generator().manual_seed(seed)
    rows = [flow_measures(jitter_labels(v.mask, jitter * v.mask.shape[1] / 64, jumps), v.exact) for v in videos]
    sizes = torch.tensor([video.size for video in videos]).sqrt()
    return SizeStudy(sizes, {name: torch.tensor([row[name] for row in rows]) for name in rows[0]})


@dataclass(frozen=True)
class TimeSlice:
    """One row of the picture over time: frames from top to bottom."""

    image: Float[Tensor, "3 t w"]
    mask: Int64[Tensor, "t w"]
    visible: Bool[Tensor, "t w"]


def widest_row(mask: Int64[Tensor, "t h w"]) -> int:
    """The row that shows most of the object over the whole clip."""
    return int(mask.sum(dim=(0, 2)).argmax())


def time_slice(video: MaskVideo, mask: Int64[Tensor, "t h w"], row: int) -> TimeSlice:
    """The row as it is in each frame."""
    image = video.clip.image[:, :, row].transpose(0, 1)
    return TimeSlice(image, mask[:, row], torch.ones_like(mask[:, row], dtype=torch.bool))


def slice_pair(video: MaskVideo, mask: Int64[Tensor, "t h w"]) -> tuple[TimeSlice, TimeSlice]:
    """A row over time as it is, and looked up in every frame along the exact flow from the middle one (Figure 5).

    In the second a steady mask has straight edges, however fast its object. The row is the one of which most of the
    object can be followed.
    """
    t = len(mask)
    found = video.truth(video.clip[[t // 2] * t], video.clip)
    image, label = warp_by_flow(video.clip.image, found.flow), warp_labels_by_flow(mask, found.flow)
    visible = found.visible & label.visible
    row = int((visible & (video.mask[t // 2] > 0)).sum(dim=(0, 2)).argmax())
    followed = label.label[:, row].masked_fill(~visible[:, row], 0)
    return time_slice(video, mask, row), TimeSlice(image.image[:, :, row].transpose(0, 1), followed, visible[:, row])
