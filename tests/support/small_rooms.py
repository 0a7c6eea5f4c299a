"""Rooms small enough to learn depth from within a second or two, and videos that know nothing but their images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stc_lab.data import Clip, SourceInfo, Videos, array_videos, frame_features
from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.geometry import Camera, invert_pose, relative_pose, rigid_flow
from stc_lab.geometry.reconstruct import Matches

SMALL = RoomsConfig(train_scenes=2, val_scenes=2, test_scenes=2, frames=8, height=32, width=48, motion="tracking")


def small_rooms(cache: Path, split: str = "train", config: RoomsConfig = SMALL) -> Videos:
    """Two clips of eight frames of 32 x 48 px."""
    return rooms_videos(split, config, cache)


def image_videos(images: dict[str, Tensor]) -> Videos:
    """Videos of these frames, uint8 [t, 3, h, w] each, without label, depth, camera or pose."""
    import datasets

    columns: dict[str, list] = {name: [] for name in ("video", "index", "time", "image")}
    for name, frames in images.items():
        for i, frame in enumerate(frames):
            columns["video"].append(name)
            columns["index"].append(i)
            columns["time"].append(i / 10)
            columns["image"].append(np.asarray(frame))
    size = tuple(next(iter(images.values())).shape[-2:])
    info = SourceInfo("images", 10.0, frozenset(), "none", "none")
    return array_videos(info, datasets.Dataset.from_dict(columns, features=frame_features(frozenset(), size)))


def frames_of(videos: Videos) -> dict[str, Tensor]:
    """Each video's frames, uint8 [t, 3, h, w]."""
    return {name: (videos.clip(name).image * 255).round().to(torch.uint8) for name in videos.names}


def blind(videos: Videos) -> Videos:
    """The same images, and nothing else that is known of them."""
    return image_videos(frames_of(videos))


def exact_matches(clip: Clip, pairs: list[tuple[int, int]], stride: int = 1) -> tuple[Matches, Tensor, Camera]:
    """True flow between these frames of a clip, their depth and their camera, at every `stride`-th pixel."""
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    camera = Camera(clip.camera.K[:1], *clip.camera.size).strided(stride)
    depth = clip.depth[:, :, ::stride, ::stride].contiguous()
    i, j = torch.tensor(pairs).unbind(dim=1)
    T = relative_pose(clip.T_world_camera[i], clip.T_world_camera[j])
    there = rigid_flow(depth[i], camera, T, depth_b=depth[j])
    back = rigid_flow(depth[j], camera, invert_pose(T), depth_b=depth[i])
    return Matches(torch.tensor(pairs), there, back), depth, camera


class FreeDepth(nn.Module):
    """A depth net that looks at no image: one number for each pixel of each of some frames."""

    def __init__(self, depth: Tensor, initial_depth: float | None = None) -> None:
        super().__init__()
        self.log_depth = nn.Parameter(depth.log().clone())
        self.initial_depth = float(depth.log().mean().exp()) if initial_depth is None else initial_depth

    @property
    def architecture(self) -> dict[str, object]:
        return {"name": "FreeDepth", "initial_depth": self.initial_depth}

    def disparities(self, images: Tensor) -> tuple[Tensor, ...]:
        return ((-self.log_depth).exp(),)

    def forward(self, images: Tensor) -> Tensor:
        return self.log_depth.exp()


class Oracle(nn.Module):
    """A depth net that knows the frames of some clips by heart, by their small images, and says their true depth."""

    def __init__(self, small_images: Tensor, depths: Tensor, unit: float = 1.0) -> None:
        super().__init__()
        self.images, self.depths, self.unit = small_images, depths, unit
        self.register_parameter("nothing", nn.Parameter(torch.zeros(())))

    @property
    def architecture(self) -> dict[str, object]:
        return {"name": "Oracle"}

    def disparities(self, images: Tensor) -> tuple[Tensor, ...]:
        return (1 / self(images),)

    def forward(self, images: Tensor) -> Tensor:
        known = torch.cdist(images.flatten(1), self.images.flatten(1)).argmin(dim=1)
        return self.unit * self.depths[known]
