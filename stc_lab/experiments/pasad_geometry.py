"""Depth, motion and focal length of videos from their images alone, by the shipped depth net, kept in the cache.

A dolly moves by a quarter of the picture between two frames of the rooms, which no flow follows. So the camera is taken
to film at four times the rate, of which the rooms keep every fourth frame; what lies between is seen only here.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.rooms import RoomsConfig, develop, render, scene_of
from stc_lab.experiments.depth_lesson import grid_flows
from stc_lab.geometry import Camera, Flow, compose_poses, correspond, invert_pose, sample
from stc_lab.geometry.egomotion import Trust, focal_step
from stc_lab.geometry.path import interpolate_path
from stc_lab.geometry.pose import so3_log
from stc_lab.geometry.reconstruct import Matches, Reconstruction, reconstruct
from stc_lab.models import DepthFPN, load_shipped
from stc_lab.models.store import read_safetensors, write_safetensors
from stc_lab.training.checkpoint import digest_of_weights
from stc_lab.training.depth_joint import FocalLength

RATE = 4  # frames filmed for each frame of the rooms
STEPS = (1, 2)  # filmed frames between two that are matched
FLOW_STRIDE = 4  # px: depth and motion are found on a grid this much coarser than the frames
TURNING = 2.0  # degrees: pairs that turn less tell nothing of the focal length
ROUNDS = 4  # of reconstructing a video, and of bringing its frames to one scale and focal length
TOLERANCE = 0.15  # of the depth: how far two learned depths of one surface may differ
_TRUST = Trust(0.5 / FLOW_STRIDE, 0.25)
_LEAST_SEEN = 20  # points of the grid that two frames must see both to compare their scales
_FILE = "geometry.safetensors"
_FORM = 2  # of what is kept; counted up when it changes


@dataclass(frozen=True)
class VideoGeometry:
    """What a video's images alone tell, in a unit of length of its own."""

    depth: Float[Tensor, "t 1 hg wg"]  # on a coarser grid than the frames
    T_world_camera: Float[Tensor, "t 4 4"]  # the world is the first frame's camera
    focal_ratio: float  # focal length over the frame's width


def geometry_of(
    videos: Videos, config: RoomsConfig, *, log: Callable[[str], None] | None = None
) -> dict[str, VideoGeometry]:
    """Of each video of these rooms, from the cache folder; filmed and found first if it is not there (5-8 s each)."""
    stored = load_shipped("rooms_depth")
    root = cache_root() / "learned_geometry" / f"{_FORM}-{digest_of_weights(stored.model)}"
    found = {}
    for number, name in enumerate(videos.names):
        clip = videos.clip(name)
        pixels = (clip.image * 255).round().to(torch.uint8).contiguous().numpy().tobytes()
        digest = hashlib.sha256(name.encode() + config.digest().encode() + pixels).hexdigest()[:20]

        def build(partial: Path, clip: Clip = clip) -> None:
            whole = find_geometry(film(clip, config), stored.model, float(stored.metadata["focal_ratio"]))
            tensors = {"depth": whole.depth[::RATE].contiguous(), "pose": whole.T_world_camera[::RATE].contiguous()}
            write_safetensors(partial / _FILE, tensors, {"focal_ratio": whole.focal_ratio})

        tensors, notes = read_safetensors(build_once(root / digest, build) / _FILE)
        found[name] = VideoGeometry(tensors["depth"], tensors["pose"], notes["focal_ratio"])
        if log is not None and ((number + 1) % 8 == 0 or number + 1 == len(videos.names)):
            log(f"geometry: {number + 1}/{len(videos.names)} videos")
    return found


def film(clip: Clip, config: RoomsConfig) -> Float[Tensor, "n 3 h w"]:
    """What the camera of a room sees on its way at `RATE` times the frame rate; every `RATE`-th frame is the clip's.

    Rendering needs to know where the camera was. Only images leave here.
    """
    clip.require("T_world_camera")
    assert clip.T_world_camera is not None
    times = torch.arange(len(clip), dtype=torch.float64)
    between = torch.arange((len(clip) - 1) * RATE + 1, dtype=torch.float64) / RATE
    poses = interpolate_path(times, clip.T_world_camera, between)
    frames = render(scene_of(clip.video[0], config), config.camera(), poses)
    draws = torch.Generator().manual_seed(0)
    seen = develop(frames.radiance, auto_exposure=config.auto_exposure)
    filmed = config.sensor().record(seen, config.sensor().draw(len(seen), draws), draws)
    filmed[::RATE] = clip.image
    return filmed


@torch.no_grad()
def find_geometry(images: Float[Tensor, "t 3 h w"], net: DepthFPN, focal_ratio: float) -> VideoGeometry:
    """Reconstruct a video from its flow, started from the net's depth of each frame and from a focal length.

    The net says of close-ups, which it never saw, how they are shaped rather than how near they are. So in turns the
    video is reconstructed, its frames are brought to the scale that makes neighbours agree, and the focal length
    follows from how the camera turns.
    """
    matches = matched(images)
    size = matches.forward.flow.shape[-2:]
    start = 1 / F.interpolate(1 / net(images), size=size, mode="area")
    focal = FocalLength(focal_ratio, learned=True)
    for _ in range(ROUNDS):
        camera = focal.camera(*size)
        whole = reconstruct(matches, start, camera, trust=_TRUST, sweeps=2)
        start = start * frame_scales(matches, whole, camera)[:, None, None, None]
        turning = so3_log(whole.T_j_i[:, :3, :3]).norm(dim=1).rad2deg() > TURNING
        if bool(turning.any()):
            sight = matches.sight(whole.depth, camera)[turning]
            curvature, slope = focal_step(sight, whole.T_j_i[turning], trust=_TRUST)
            focal.ratio *= float((-slope.sum() / curvature.sum().clamp(min=1e-12)).clamp(-0.2, 0.2).exp())
    whole = reconstruct(matches, start, focal.camera(*size), trust=_TRUST)
    return VideoGeometry(whole.depth, chained_poses(matches, whole), focal.ratio)


def matched(images: Float[Tensor, "t 3 h w"]) -> Matches:
    """Flow between frames `STEPS` apart, both ways, after all were given one brightness and contrast."""
    level, contrast = images.mean(dim=(1, 2, 3), keepdim=True), images.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3)
    even = ((images - level) * (contrast.mean() / contrast) + level.mean()).clamp(0, 1)
    count = torch.arange(len(images))
    clip = Clip(video=("film",) * len(images), index=count, time=count.float(), image=even)
    pairs = [(i, i + step) for step in STEPS for i in range(len(images) - step)]
    there, back = grid_flows(clip[[i for i, _ in pairs]], clip[[j for _, j in pairs]], stride=FLOW_STRIDE)
    return Matches(torch.tensor(pairs), Flow(there.flow, there.visible), Flow(back.flow, back.visible))


def frame_scales(matches: Matches, whole: Reconstruction, camera: Camera) -> Float[Tensor, " t"]:
    """Factors, 1 in the geometric mean, after which matched frames give what both see the same depth."""
    first, second = matches.pairs.unbind(dim=1)
    where = correspond(whole.depth[first], camera, whole.T_j_i)
    known = where.visible & matches.forward.visible
    ratio = (sample(whole.depth[second], where)[:, 0] / where.depth.reshape(known.shape)).log()
    apart = torch.where(known, ratio, torch.nan).flatten(1).nanmedian(dim=1).values
    support = known.flatten(1).sum(dim=1)
    usable = (support > _LEAST_SEEN) & apart.isfinite()
    # In double precision: its last bits hang on where memory lies, and must not show in what is kept.
    weight = torch.where(usable, support, 0).double()
    count, pairs = len(whole.depth), torch.arange(len(first))
    difference = torch.zeros(len(first), count, dtype=torch.float64)
    difference[pairs, second], difference[pairs, first] = 1.0, -1.0
    wanted = torch.where(usable, -apart, 0).double()
    # A little weight on no change keeps frames that nothing links where they are.
    normal = difference.T @ (weight[:, None] * difference) + 0.01 * torch.eye(count, dtype=torch.float64)
    scale = torch.linalg.solve(normal, difference.T @ (weight * wanted))
    return (scale - scale.mean()).exp().to(whole.depth.dtype)


def chained_poses(matches: Matches, whole: Reconstruction) -> Float[Tensor, "t 4 4"]:
    """Poses from the motions of neighbouring frames, one after the other."""
    motions = {(int(i), int(j)): T for (i, j), T in zip(matches.pairs, whole.T_j_i, strict=True)}
    poses = [torch.eye(4)[None]]
    for i in range(len(whole.depth) - 1):
        poses.append(compose_poses(poses[-1], invert_pose(motions[i, i + 1][None])))
    return torch.cat(poses)


def with_geometry(videos: Videos, found: Mapping[str, VideoGeometry]) -> Videos:
    """The same videos with this depth, camera and motion in the place of their own."""
    other = copy.copy(videos)
    other.read = _LearnedReader(videos.read, dict(found))
    return other


@dataclass(frozen=True)
class _LearnedReader:
    read: Callable[[list[int]], Clip]
    found: Mapping[str, VideoGeometry]

    def __call__(self, rows: list[int]) -> Clip:
        clip = self.read(rows)
        own = [(self.found[name], index) for name, index in zip(clip.video, clip.index.tolist(), strict=True)]
        height, width = clip.image.shape[-2:]
        disparity = torch.cat([1 / geometry.depth[index : index + 1] for geometry, index in own])
        depth = 1 / F.interpolate(disparity, size=(height, width), mode="bilinear", align_corners=False)
        cameras = [FocalLength(geometry.focal_ratio, learned=False).camera(height, width) for geometry, _ in own]
        return replace(
            clip,
            depth=depth,
            camera=Camera(torch.cat([camera.K for camera in cameras]), height, width),
            T_world_camera=torch.stack([geometry.T_world_camera[index] for geometry, index in own]),
        )
