"""One moment of a video under several claims about its geometry: what each explains, and what each mask takes away."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_rooms import depth_rooms
from stc_lab.experiments.depth_slices import open_slice
from stc_lab.experiments.journey import OCCLUDED, VISIBLE, reason_map
from stc_lab.geometry import Camera, DisFlow, Flow, correspond, gmflow_visible, inverse_warp_sources, sample
from stc_lab.geometry.egomotion import Sight, Trust, fit_motion
from stc_lab.losses import auto_mask, average_reprojection, closer_mask, minimum_reprojection, photometric_error
from stc_lab.models import DepthNet
from stc_lab.training.depth import predict_depth

FLOW_STRIDE = 4  # px: motion is fitted on a grid this much coarser than the frames
AT_ITS_WORD = Trust(0.5 / FLOW_STRIDE, 0.0)  # flow half a pixel of the frames off, depth not at all
MOTION_TRUST = Trust(0.5 / FLOW_STRIDE, 0.25)  # as at the end of training: depth off by a quarter
SLICES_WITH_TRUTH = ("icl", "sevenscenes")  # real clips with depth and poses to compare with
IDENTITY, CONSTANT, LEARNED, TRUE = "no warp", "constant depth", "learned depth", "true depth"


@dataclass(frozen=True)
class Moment:
    """A target frame, and the frames as many before and after it."""

    target: Clip
    sources: Clip  # two frames: before, after

    @property
    def images(self) -> Float[Tensor, "1 2 3 h w"]:
        return self.sources.image[None]

    @property
    def twice(self) -> Clip:
        """The target once for each source."""
        return self.target[[0] * len(self.sources)]

    def true_motions(self) -> Float[Tensor, "2 4 4"]:
        """`T_source_target` of each source."""
        return self.twice.motion_to(self.sources)


@dataclass(frozen=True)
class Explanation:
    """The two sources as they would look from the target, if one claim about depth, camera and motion were right."""

    warped: Float[Tensor, "2 3 h w"]
    visible: Bool[Tensor, "2 h w"]  # lands inside the source; nobody asks here what hides what
    error: Float[Tensor, "2 h w"]  # photometric error pe: 0.85 SSIM + 0.15 L1
    closer: Bool[Tensor, "2 h w"] | None = None  # strictly nearer than what the source has there (Gordon et al. 2019)
    focal: float | None = None  # px; what was taken for the focal length


@dataclass(frozen=True)
class Masks:
    """What each mask of the photometric loss does with the pixels of a target, in mean errors and in maps."""

    average: Float[Tensor, "h w"]  # error, mean over the sources that see the pixel
    least: Float[Tensor, "h w"]  # of the better source
    mean_average: float
    mean_least: float
    winner: Int64[Tensor, "h w"]  # 0: the frame before explains the pixel better, 1: the frame after, -1: neither sees
    moving: Bool[Tensor, "h w"]  # kept by the auto-mask; False where nothing is in view
    in_view: Bool[Tensor, "h w"]  # some source sees the pixel
    far: Int64[Tensor, "h w"]  # of FAR: what the closer-mask of the frame after does, beside what is truly hidden


FAR = ("kept, and seen", "left out, and hidden", "kept, but hidden", "left out, but seen", "not in view")
KEPT, FOUND, MISSED, WASTED, OUT = range(len(FAR))


def lesson_videos(source: str, split: str, preset: str) -> Videos:
    """The clips of the chapter: tracking shots of rooms, or a real RGB-D clip in STC_LAB_DATA.

    Of the latter there is one alone, so that what is looked at is also what was learned from.
    """
    if source == "rooms":
        return depth_rooms(split, preset)
    if source not in SLICES_WITH_TRUTH:
        raise InputError(f"source must be one of rooms, {', '.join(SLICES_WITH_TRUTH)}, got {source!r}")
    return open_slice(source)


def lesson_clip(videos: Videos, gap: int) -> Clip:
    """The clip whose best moment has most to explain (see `lesson_moment`)."""
    clips = [videos.clip(name) for name in videos.names]
    return max(clips, key=lambda clip: max(_much_hidden(clip, gap).values()))


def lesson_moment(clip: Clip, gap: int) -> Moment:
    """The moment of which its neighbours hide most, among those that overlap: the one with most to explain.

    Ranked by the share of pixels that a neighbour does not see for something nearer, times the share it sees.
    """
    scores = _much_hidden(clip, gap)
    t = max(scores, key=scores.__getitem__)
    return Moment(clip[t], clip[[t - gap, t + gap]])


def _much_hidden(clip: Clip, gap: int) -> dict[int, float]:
    """For each frame that has both neighbours, the share they hide times the share they see."""
    if not 0 < 2 * gap < len(clip):
        raise InputError(f"gap must lie between 1 and {(len(clip) - 1) // 2} for {len(clip)} frames, got {gap}")
    scores = {}
    for t in range(gap, len(clip) - gap):
        reason = reason_map(clip[[t, t]], clip[[t - gap, t + gap]])
        scores[t] = float((reason == OCCLUDED).double().mean() * (reason == VISIBLE).double().mean())
    return scores


def explanations(moment: Moment, net: DepthNet, focal_ratio: float) -> dict[str, Explanation]:
    """By name: no warp, a constant depth, the net's depth and focal length, and the truth.

    The motions of the second and the third are fitted to the flow, from those depths; the constant one is given the
    true focal length, which it could never find out.
    """
    moment.target.require("depth", "camera", "T_world_camera")
    images, true_camera = torch.cat([moment.target.image, moment.sources.image]), moment.target.camera
    assert moment.target.depth is not None and moment.sources.depth is not None and true_camera is not None
    everywhere = torch.ones_like(moment.sources.image[:, 0], dtype=torch.bool)
    still = photometric_error(moment.sources.image, moment.twice.image)
    found = {IDENTITY: Explanation(moment.sources.image, everywhere, still)}
    learned_camera = camera_of_ratio(focal_ratio, *images.shape[-2:])
    guesses = {
        CONSTANT: (torch.ones_like(images[:, :1]), true_camera, AT_ITS_WORD),
        LEARNED: (predict_depth(net, images), learned_camera, MOTION_TRUST),
    }
    flows = grid_flows(moment.twice, moment.sources)
    for name, (depth, camera, trust) in guesses.items():
        T = fit_motion(grid_sight(flows, depth[[0, 0]], depth[1:], camera), trust=trust)
        found[name] = explain(moment, depth[:1], depth[1:], camera, T)
    motions = moment.true_motions()
    return found | {TRUE: explain(moment, moment.target.depth, moment.sources.depth, true_camera, motions)}


def explain(
    moment: Moment,
    depth: Float[Tensor, "1 1 h w"],
    depth_sources: Float[Tensor, "2 1 h w"],
    camera: Camera,
    T_sources_target: Float[Tensor, "2 4 4"],
) -> Explanation:
    """Warp the sources into the target under a claim about depth, camera and motion."""
    warped = inverse_warp_sources(moment.images, depth, camera, T_sources_target[None])
    image, visible = warped.image[0], warped.visible[0]
    where = correspond(depth.expand(2, -1, -1, -1), camera, T_sources_target)
    closer = closer_mask(where.depth, sample(depth_sources, where), where.visible)
    error = photometric_error(image, moment.twice.image)
    return Explanation(image, visible, error, closer, float(camera.K[0, 0, 0]))


def common_means(claims: Mapping[str, Explanation], source: int) -> dict[str, float]:
    """Mean photometric error of each claim over the pixels that all of them keep in view of one source."""
    seen = torch.stack([claim.visible[source] for claim in claims.values()]).all(dim=0)
    return {name: float(claim.error[source][seen].double().mean()) for name, claim in claims.items()}


def mask_report(moment: Moment, claim: Explanation) -> Masks:
    """What minimum, auto-mask and closer-mask do under a claim; `hidden` is judged by the true geometry."""
    if claim.closer is None:
        raise InputError("masks need a claim about depth, got the identity, which has none")
    errors, visible = claim.error[None], claim.visible[None]
    still = photometric_error(moment.sources.image, moment.twice.image)[None]
    least = minimum_reprojection(errors, visible)
    average = average_reprojection(errors, visible)
    reason = reason_map(moment.target, moment.sources[1])[0]
    hidden, closer = reason == OCCLUDED, claim.closer[1]
    far = torch.where(hidden, torch.where(closer, MISSED, FOUND), torch.where(closer, KEPT, WASTED))
    in_view = claim.visible[1] & ((reason == VISIBLE) | hidden)
    return Masks(
        average.map[0],
        least.map[0],
        float(average.total),
        float(least.total),
        least.winner[0],
        auto_mask(errors, still, visible)[0] & least.usable[0],
        least.usable[0],
        far.masked_fill(~in_view, OUT),
    )


def camera_of_ratio(focal_ratio: float, height: int, width: int) -> Camera:
    """The camera of a focal length over the width: square pixels, and the middle of the image as principal point."""
    focal = focal_ratio * width
    return Camera.from_parameters(focal, focal, (width - 1) / 2, (height - 1) / 2, height=height, width=width)


def grid_flows(a: Clip, b: Clip, *, stride: int = FLOW_STRIDE) -> tuple[Flow, Flow]:
    """Estimated flow a -> b and b -> a on a coarser grid (px of it), `visible` where both agree."""
    ab, ba = (DisFlow("fine")(*pair).flow for pair in ((a, b), (b, a)))
    agree = [gmflow_visible(*pair, relative=0.025, absolute=1.0) for pair in ((ab, ba), (ba, ab))]
    size = [side // stride for side in ab.shape[-2:]]
    coarse = [
        Flow(
            F.interpolate(flow, size=size, mode="area") / stride,
            F.interpolate(good[:, None].float(), size=size, mode="area")[:, 0] > 0.99,
        )
        for flow, good in zip((ab, ba), agree, strict=True)
    ]
    return coarse[0], coarse[1]


def grid_sight(
    flows: tuple[Flow, Flow], depth_a: Float[Tensor, "p 1 h w"], depth_b: Float[Tensor, "p 1 h w"], camera: Camera
) -> Sight:
    """Depth and camera of the frames, brought to the grid of their flow."""
    size = flows[0].flow.shape[-2:]
    a, b = (1 / F.interpolate(1 / depth, size=size, mode="area") for depth in (depth_a, depth_b))
    return Sight(a, b, *flows, camera.resized(*size))
