"""What there is to walk down: errors over one depth factor pixel by pixel, and over the focal length pair by pair."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_landscapes import FACTORS
from stc_lab.experiments.depth_lesson import AT_ITS_WORD, FLOW_STRIDE, Moment, grid_flows, grid_sight
from stc_lab.geometry import Camera, DisFlow, correspond, inverse_warp, so3_log
from stc_lab.geometry.egomotion import fit_motion
from stc_lab.geometry.flow import landing
from stc_lab.geometry.landing import landing_errors
from stc_lab.losses import minimum_reprojection, photometric_error
from stc_lab.models import DepthNet
from stc_lab.training.depth import predict_depth

WITHIN = 1.1  # a factor this near to the true depth counts as having arrived
FOCAL_FACTORS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6)  # on the true focal length
PHOTOMETRIC, FLOW = "photometric error", "distance from the flow (px)"
_TRUTH = FACTORS.index(1.0)


@dataclass(frozen=True)
class DepthValleys:
    """Two errors of each pixel at the true depth times each of `FACTORS`; camera and motion are exact."""

    error: Mapping[str, Float[Tensor, "n h w"]]  # by PHOTOMETRIC (least of both sources) and FLOW (mean of both)
    judged: Bool[Tensor, "h w"]  # inside both sources at every factor, and the flow there and back agrees

    def curve(self, name: str, region: Bool[Tensor, "h w"]) -> list[float]:
        """Mean over a region."""
        return [float(value) for value in self.error[name][:, region].double().mean(dim=1)]

    def arrivals(self, name: str) -> list[float]:
        """For each factor to start from: the share of the judged pixels from which the way down ends near the truth."""
        error = self.error[name][:, self.judged]
        ends = _downhill(error)
        near = torch.tensor([max(factor, 1 / factor) <= WITHIN for factor in FACTORS])
        return [float(share) for share in near[ends].double().mean(dim=1)]

    def minima(self, name: str) -> Int64[Tensor, "h w"]:
        """How many minima each pixel has between the first and the last factor."""
        middle, before, after = self.error[name][1:-1], self.error[name][:-2], self.error[name][2:]
        return ((middle < before) & (middle < after)).sum(dim=0)

    def typical_pixel(self) -> tuple[int, int]:
        """(x, y) of a judged pixel with the median number of photometric minima: the first one, from the middle on.

        Only pixels whose smallest photometric error lies at the true depth: whoever looks everywhere would find it.
        """
        known = self.judged & (self.error[PHOTOMETRIC].argmin(dim=0) == _TRUTH)
        if not bool(known.any()):
            raise InputError("no pixel has its smallest photometric error at the true depth")
        minima = self.minima(PHOTOMETRIC)
        median = int(minima[self.judged].median())
        wanted = known & ((minima - median).abs() == (minima - median).abs()[known].min())
        y, x = wanted.nonzero().unbind(dim=1)
        height, width = self.judged.shape
        first = int(((y - height // 2) ** 2 + (x - width // 2) ** 2).argmin())
        return int(x[first]), int(y[first])


def depth_valleys(moment: Moment) -> DepthValleys:
    """Both errors at every factor on the true depth, under the true camera and motions."""
    target = moment.target
    target.require("depth", "camera", "T_world_camera")
    assert target.depth is not None and target.camera is not None
    depth = target.depth * target.depth.new_tensor(FACTORS)[:, None, None, None]
    images = target.image.expand(len(FACTORS), -1, -1, -1)
    photometric, distance, judged = [], [], []
    for number, T in enumerate(moment.true_motions()):
        motion, source = T.expand(len(FACTORS), -1, -1), moment.sources[number]
        warped = inverse_warp(source.image.expand_as(images), depth, target.camera, motion)
        photometric.append(photometric_error(warped.image, images))
        flow = DisFlow("fine")(target, source)
        where = correspond(depth, target.camera, motion)
        distance.append((where.pixels - landing(flow.flow)).norm(dim=1))
        judged.append(where.visible.all(dim=0) & flow.visible[0])
    errors = torch.stack(photometric, dim=1)
    least = minimum_reprojection(errors, torch.ones_like(errors, dtype=torch.bool)).map
    maps = {PHOTOMETRIC: least, FLOW: torch.stack(distance).mean(dim=0)}
    return DepthValleys(MappingProxyType(maps), torch.stack(judged).all(dim=0))


def square(size: tuple[int, int], x: int, y: int, side: int) -> Bool[Tensor, "h w"]:
    """A square window of a map, as far as it lies inside."""
    mask = torch.zeros(size, dtype=torch.bool)
    half = side // 2
    mask[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1] = True
    return mask


@dataclass(frozen=True)
class FocalValley:
    """What is left unexplained at `FOCAL_FACTORS` times the true focal length, the motions fitted anew at each."""

    error: Mapping[str, tuple[float, ...]]  # by FLOW (median over pixels, px of the frames) and PHOTOMETRIC (mean)
    turn: float  # degrees between the two frames, mean over the pairs


def focal_cases(videos: Videos, net: DepthNet, gap: int = 3) -> dict[str, FocalValley]:
    """Focal valleys of the clip that turns most and of the one that turns least, and what the depth has to do with it.

    Of a single clip, only those that differ by their depth.
    """
    clips = sorted((videos.clip(name) for name in videos.names), key=turning_rate)
    wanted = [("turning, true depth", clips[-1]), ("straight, true depth", clips[0])][: len(clips)]
    found = {}
    for name, clip in (*wanted, ("turning, learned depth", clips[-1]), ("turning, constant depth", clips[-1])):
        pair = spread_pairs(clip, gap)
        if "true" in name:
            depths = [frames.depth for frames in pair]
        elif "learned" in name:
            depths = [predict_depth(net, frames.image) for frames in pair]
        else:
            depths = [torch.ones_like(frames.image[:, :1]) for frames in pair]
        assert depths[0] is not None and depths[1] is not None
        found[name] = focal_valley(*pair, depths[0], depths[1])
    return found


def focal_valley(a: Clip, b: Clip, depth_a: Float[Tensor, "p 1 h w"], depth_b: Float[Tensor, "p 1 h w"]) -> FocalValley:
    """Errors of some pairs of frames over the focal length, for a depth that is taken at its word."""
    a.require("camera", "T_world_camera")
    assert a.camera is not None
    flows, found = grid_flows(a, b), dict[str, list[float]]({FLOW: [], PHOTOMETRIC: []})
    for factor in FOCAL_FACTORS:
        camera = _refocused(a.camera, factor)
        sight = grid_sight(flows, depth_a, depth_b, camera)
        T = fit_motion(sight, trust=AT_ITS_WORD, iterations=15)
        landed = landing_errors(sight.depth_a, flows[0].flow, sight.camera, T)
        usable = flows[0].visible.flatten(1) & landed.real
        found[FLOW].append(FLOW_STRIDE * float(landed.error.norm(dim=1)[usable].median()))
        warped = inverse_warp(b.image, depth_a, camera, T)
        found[PHOTOMETRIC].append(float(photometric_error(warped.image, a.image)[warped.visible].double().mean()))
    turn = so3_log(a.motion_to(b)[:, :3, :3]).norm(dim=1).rad2deg().mean()
    return FocalValley(MappingProxyType({name: tuple(values) for name, values in found.items()}), float(turn))


def spread_pairs(clip: Clip, gap: int, count: int = 6) -> tuple[Clip, Clip]:
    """`count` pairs of frames `gap` apart, spread over the clip."""
    last = len(clip) - 1 - gap
    if last < 0:
        raise InputError(f"a clip of {len(clip)} frames has no pairs {gap} apart")
    first = sorted({round(i * last / max(1, count - 1)) for i in range(count)})
    return clip[first], clip[[t + gap for t in first]]


def turning_rate(clip: Clip) -> float:
    """Degrees that the camera turns from frame to frame, median."""
    turned = so3_log(clip[:-1].motion_to(clip[1:])[:, :3, :3]).norm(dim=1).rad2deg()
    return float(turned.median())


def _refocused(camera: Camera, factor: float) -> Camera:
    K = camera.K.clone()
    K[:, :2, :2] *= factor
    return Camera(K, *camera.size)


def _downhill(error: Float[Tensor, "n m"]) -> Int64[Tensor, "n m"]:
    """Where one ends who steps to the lower neighbour as long as there is one: a row for each place to start from."""
    count = len(error)
    high = error.new_full((1, error.shape[1]), torch.inf)
    below, above = torch.cat([high, error[:-1]]), torch.cat([error[1:], high])
    here = torch.arange(count)[:, None]
    step = torch.where((below < error) & (below <= above), here - 1, torch.where(above < error, here + 1, here))
    ends = here.expand_as(error)
    for _ in range(count):
        ends = step.gather(0, ends)
    return ends
