"""Depth, motion and focal length of videos from their images alone, by the shipped depth net, kept in the cache."""

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
from stc_lab.geometry import Camera, compose_poses, invert_pose
from stc_lab.geometry.egomotion import Trust, focal_step
from stc_lab.geometry.pose import so3_log
from stc_lab.geometry.reconstruct import Matches, Reconstruction, reconstruct
from stc_lab.models import DepthFPN, load_shipped
from stc_lab.models.store import read_safetensors, write_safetensors
from stc_lab.training.checkpoint import digest_of_weights
from stc_lab.training.depth_joint import FocalLength, grid_disparity
from stc_lab.training.depth_matches import MatchedClip, matched_clips

FLOW_STRIDE = 2  # px: depth and motion are found on the grid that a segmenter of stride 2 is taught on
NET_STRIDE = 1  # frames of 64 x 96 px are those the depth net was trained at
TURNING = 2.0  # degrees: pairs that turn less tell nothing of the focal length
_TRUST = Trust(0.5 / FLOW_STRIDE, 0.25)
_FOCAL_ROUNDS = 3
_FILE = "geometry.safetensors"
_FORM = 1  # of what is kept; counted up when it changes


@dataclass(frozen=True)
class VideoGeometry:
    """What a video's images alone tell, in a unit of length of its own."""

    depth: Float[Tensor, "t 1 hg wg"]  # on a coarser grid than the frames
    T_world_camera: Float[Tensor, "t 4 4"]  # the world is the first frame's camera
    focal_ratio: float  # focal length over the frame's width


def geometry_of(videos: Videos, *, log: Callable[[str], None] | None = None) -> dict[str, VideoGeometry]:
    """Of each video, from the cache folder; found first if it is not there. Nothing but images is read."""
    stored = load_shipped("rooms_depth")
    root = cache_root() / "learned_geometry" / f"{_FORM}-{digest_of_weights(stored.model)}"
    clips = {
        clip.video: clip for clip in matched_clips(videos, flow_stride=FLOW_STRIDE, net_stride=NET_STRIDE, log=log)
    }
    found = {}
    for number, (name, clip) in enumerate(clips.items()):
        digest = hashlib.sha256(clip.image.numpy().tobytes()).hexdigest()[:20]

        def build(partial: Path, clip: MatchedClip = clip) -> None:
            geometry = find_geometry(clip, stored.model, float(stored.metadata["focal_ratio"]))
            tensors = {"depth": geometry.depth, "pose": geometry.T_world_camera}
            write_safetensors(partial / _FILE, tensors, {"focal_ratio": geometry.focal_ratio})

        tensors, notes = read_safetensors(build_once(root / digest, build) / _FILE)
        found[name] = VideoGeometry(tensors["depth"], tensors["pose"], notes["focal_ratio"])
        if log is not None and (number + 1) % 8 == 0:
            log(f"geometry: {number + 1}/{len(clips)} videos")
    return found


@torch.no_grad()
def find_geometry(clip: MatchedClip, net: DepthFPN, focal_ratio: float) -> VideoGeometry:
    """Reconstruct a clip from its flow, started from the net's depth; the focal length follows from how it turns."""
    matches = clip.matches()
    start = 1 / grid_disparity(net, clip.images(), matches)
    focal = FocalLength(focal_ratio, learned=True)
    for _ in range(_FOCAL_ROUNDS):
        camera = focal.camera(*start.shape[-2:])
        whole = reconstruct(matches, start, camera, trust=_TRUST, sweeps=2)
        turning = so3_log(whole.T_j_i[:, :3, :3]).norm(dim=1) > TURNING * torch.pi / 180
        if bool(turning.any()):
            curvature, slope = focal_step(
                matches.sight(whole.depth, camera)[turning], whole.T_j_i[turning], trust=_TRUST
            )
            step = -float(slope.sum()) / max(float(curvature.sum()), 1e-12)
            focal.ratio *= float(torch.tensor(step).clamp(-0.2, 0.2).exp())
    whole = reconstruct(matches, start, focal.camera(*start.shape[-2:]), trust=_TRUST)
    return VideoGeometry(whole.depth, chained_poses(matches, whole), focal.ratio)


def chained_poses(matches: Matches, whole: Reconstruction) -> Float[Tensor, "t 4 4"]:
    """Poses from the motions of neighbouring frames, one after the other."""
    motions = {tuple(pair): T for pair, T in zip(matches.pairs.tolist(), whole.T_j_i, strict=True)}
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
