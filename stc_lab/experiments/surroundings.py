"""What surrounds a pixel, how it changes from frame to frame, and what a net's prediction makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import correspond, sample, sample_labels
from stc_lab.metrics import ContextReliance, context_reliance
from stc_lab.models import Segmenter
from stc_lab.training import predict

RADIUS = 10  # px: a window of 21 x 21
BINS = (0.0, 0.02, 0.1, 0.2, 0.3, 1.0)
_IGNORE = 255


@dataclass(frozen=True)
class SurroundingsPair:
    """A frame and a later one of a video: how the same surface points are surrounded and labelled in both."""

    target: Clip  # frame t
    other: Clip  # frame t+k
    change: Float[Tensor, "h w"]  # share of the window around the point that belongs to other classes in t+k
    flipped: Bool[Tensor, "h w"]  # the net gives the visible point another class in t+k
    visible: Bool[Tensor, "h w"]  # of t in t+k; the change means nothing elsewhere
    place: Float[Tensor, "2 h w"]  # (x, y) in t+k, px

    def extreme(self, margin: int) -> tuple[float, tuple[int, int]]:
        """The largest change at a flipped point, and its (x, y); -1 if none flips.

        Points that lie within `margin` px of the border of either frame are left out.
        """
        height, width = self.change.shape
        last = torch.tensor([width - 1, height - 1], dtype=self.place.dtype)[:, None, None]
        inner = ((self.place >= margin) & (self.place <= last - margin)).all(dim=0)
        inner[:margin], inner[height - margin :] = False, False
        inner[:, :margin], inner[:, width - margin :] = False, False
        change = torch.where(self.flipped & inner, self.change, -1.0)
        row, column = divmod(int(change.argmax()), width)
        return float(change.max()), (column, row)

    def later(self, point: tuple[int, int]) -> tuple[int, int]:
        """(x, y) of a visible point of t in t+k, to the nearest pixel."""
        x, y = self.place[:, point[1], point[0]].round().long().tolist()
        return x, y


@dataclass(frozen=True)
class FlipRate:
    """Points whose surroundings changed about alike, and how often their prediction flips."""

    change: float  # mean share of the window that belongs to other classes in the later frame
    flips: float  # share of the points that get another class there
    support: int  # points


def surroundings_pairs(
    model: Segmenter, clip: Clip, gap: int, *, radius: int = RADIUS, step: int = 1, stride: int = 1
) -> list[SurroundingsPair]:
    """Every `step`-th frame with the one `gap` later, for a clip with labels, depth, camera and poses.

    The surroundings of a point are the true classes in the window of 2 radius + 1 px around it; their change is the
    total variation between the two frames, where 1 means that no class stayed. `stride` looks at every stride-th pixel
    only, with the window shrunk alike.
    """
    clip.require("label", "depth", "camera", "T_world_camera")
    if gap < 1 or len(clip) <= gap:
        raise InputError(f"gap must be from 1 to {len(clip) - 1} frames in a clip of {len(clip)}, got {gap}")
    prediction = predict(model, clip.image)[..., ::stride, ::stride]
    clip = clip.strided(stride)
    assert clip.label is not None
    mix = class_mix(clip.label, model.num_classes, max(1, radius // stride))
    first = torch.arange(0, len(clip) - gap, step)
    target, other = clip[first], clip[first + gap]
    assert target.depth is not None and target.camera is not None
    where = correspond(
        target.depth,
        target.camera,
        target.motion_to(other),
        camera_source=other.camera,
        depth_source=other.depth,
    )
    change = (sample(mix[first + gap], where) - mix[first]).abs().sum(dim=1) / 2
    flipped = where.visible & (sample_labels(prediction[first + gap], where) != prediction[first])
    return [
        SurroundingsPair(target[i], other[i], change[i], flipped[i], where.visible[i], where.pixels[i])
        for i in range(len(first))
    ]


def telling_pair(
    model: Segmenter, videos: Videos, gap: int, *, radius: int = RADIUS
) -> tuple[SurroundingsPair, tuple[int, int]]:
    """The pair of all videos with the flipped point whose surroundings changed most, and that point.

    An extreme case, picked to be looked at; what is usual is counted by `flips_by_surroundings`. The whole window must
    lie in both frames.
    """
    best, found = -1.0, None
    for name in videos.names:
        if videos.frame_count(name) > gap:
            for pair in surroundings_pairs(model, videos.clip(name), gap, radius=radius, step=2):
                change, point = pair.extreme(radius)
                if change > best:
                    best, found = change, (pair, point)
    if found is None:
        raise InputError(f"no prediction flips within {gap} frames where the whole window is seen")
    return found


def class_mix(labels: Int64[Tensor, "b h w"], classes: int, radius: int) -> Float[Tensor, "b k h w"]:
    """Share of each class in the window around each pixel, of its labelled pixels inside the image."""
    known = labels != _IGNORE
    ones = F.one_hot(torch.where(known, labels, classes), classes + 1)[..., :classes].permute(0, 3, 1, 2).float()
    columns = F.avg_pool2d(ones, (2 * radius + 1, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    sums = F.avg_pool2d(columns, (1, 2 * radius + 1), stride=1, padding=(0, radius), count_include_pad=False)
    return sums / sums.sum(dim=1, keepdim=True).clamp(min=1e-12)


def flips_by_surroundings(
    model: Segmenter,
    videos: Videos,
    *,
    gap: int = 2,
    radius: int = RADIUS,
    bins: Sequence[float] = BINS,
    step: int = 2,
    stride: int = 2,
) -> list[FlipRate]:
    """How often the class of a surface point flips within `gap` frames, by how much its surroundings changed.

    The premise of He et al. 2021 (section 1) as a measurement: they saw nets give a thing that stays the same another
    class when what surrounds it changes. Points that the later frame does not see do not count; a bin without points
    is left out. A rising curve proves no cause: points near edges, and those that a camera comes close to, change in
    more than their surroundings (see `swapped_surroundings`).
    """
    shares, flips = [], []
    for name in videos.names:
        if videos.frame_count(name) > gap:
            for pair in surroundings_pairs(model, videos.clip(name), gap, radius=radius, step=step, stride=stride):
                shares.append(pair.change[pair.visible])
                flips.append(pair.flipped[pair.visible])
    share = torch.cat(shares) if shares else torch.zeros(0)
    if len(share) == 0:
        raise InputError(f"no point to follow: no video has two frames {gap} apart that show the same surface")
    flipped, place = torch.cat(flips).double(), torch.bucketize(share, torch.tensor(bins[1:-1]), right=True)
    found = [place == i for i in range(len(bins) - 1)]
    return [
        FlipRate(float(share[here].mean()), float(flipped[here].mean()), int(here.sum()))
        for here in found
        if bool(here.any())
    ]


@dataclass(frozen=True)
class SwappedSurroundings:
    """Frames in which each class in turn was put into another room."""

    frames: Clip
    filler: Float[Tensor, "t 3 h w"]  # the other rooms
    reliance: ContextReliance

    def swapped(self, frame: int, class_id: int) -> Float[Tensor, "3 h w"]:
        """The picture that the net was given for this class."""
        assert self.frames.label is not None
        return torch.where(self.frames.label[frame] == class_id, self.frames.image[frame], self.filler[frame])

    def ordinary(self, pixels: int = 200) -> tuple[int, int]:
        """Frame and class of at least so many pixels whose prediction stays at nearest to the share of all."""
        assert self.frames.label is not None
        found = []
        for frame, label in enumerate(self.frames.label):
            for class_id in label[label != _IGNORE].unique().tolist():
                stays = self.reliance.map[frame][label == class_id]
                if len(stays) >= pixels:
                    found.append((abs(float(stays.mean()) - self.reliance.value), frame, class_id))
        if not found:
            raise InputError(f"no class takes {pixels} pixels of a frame", hint="small frames: ask for fewer")
        return min(found)[1:]


def swapped_surroundings(model: Segmenter, videos: Videos, *, frames: int = 2) -> SwappedSurroundings:
    """Put each class of some frames of every video into the next video's room, and see where the prediction stays.

    `frames` of each video, evenly spread. Here the surroundings alone are changed, so that what changes with them is
    their doing; but a class cut out and pasted also gets edges that no room has.
    """
    if len(videos.names) < 2:
        raise InputError("surroundings are swapped between videos: at least two are needed")
    parts = []
    for name in videos.names:
        count = videos.frame_count(name)
        parts.append(videos.frames([videos.row(name, int((i + 0.5) * count / frames)) for i in range(frames)]))
    labels = [part.label for part in parts if part.label is not None]
    if len(labels) < len(parts):
        raise InputError(f"swapping the surroundings of a class needs labels: {videos.info.name!r} lacks some")
    together = Clip(
        video=tuple(name for part in parts for name in part.video),
        index=torch.cat([part.index for part in parts]),
        time=torch.cat([part.time for part in parts]),
        image=torch.cat([part.image for part in parts]),
        label=torch.cat(labels),
    )
    filler = together.image.roll(frames, dims=0)
    assert together.label is not None
    reliance = context_reliance(lambda images: predict(model, images), together.image, together.label, filler)
    return SwappedSurroundings(together, filler, reliance)
