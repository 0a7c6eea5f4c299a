"""Frames and clips: images and whatever is known about them (CONVENTIONS.md, frames)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import relative_pose


@dataclass(frozen=True)
class Clip:
    """Frames stacked along `t`: usually consecutive frames of one video, but any batch of frames will do.

    What a data set does not know is None, never zero. Where it knows labels or depth of some of its frames alone, those
    of the others are 255 or 0 all over; camera and poses are None unless every frame of the clip has its own.
    """

    video: tuple[str, ...]  # name of the video of each frame
    index: Int64[Tensor, " t"]  # position of each frame in its video
    time: Float[Tensor, " t"]  # s since the first frame of the video
    image: Float[Tensor, "t 3 h w"]  # RGB in [0, 1]
    label: Int64[Tensor, "t h w"] | None = None  # class ids, 255 = ignore
    depth: Float[Tensor, "t 1 h w"] | None = None  # z in metres; 0 = unknown
    camera: Camera | None = None  # one K for each frame
    T_world_camera: Float[Tensor, "t 4 4"] | None = None  # camera-to-world, metres

    def __post_init__(self) -> None:
        if self.image.ndim != 4 or self.image.shape[1] != 3:
            raise InputError(f"image must be [t, 3, h, w], got {list(self.image.shape)}")
        t, _, h, w = self.image.shape
        if t == 0:
            raise InputError("a clip needs at least one frame, got none", hint="an empty folder or an empty index")
        expected = {
            "index": (t,),
            "time": (t,),
            "label": (t, h, w),
            "depth": (t, 1, h, w),
            "T_world_camera": (t, 4, 4),
        }
        if len(self.video) != t:
            raise InputError(f"video must name each of the {t} frames, got {len(self.video)} names")
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise InputError(f"{name} must be {list(shape)} to fit the images, got {list(value.shape)}")
        if self.camera is not None:
            self.camera.expect_size("image", h, w)
            if self.camera.K.shape[0] != t:
                raise InputError(f"the clip's camera must hold one K for each of {t} frames, got {len(self.camera.K)}")

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, frames: int | slice | Sequence[int] | Tensor) -> "Clip":
        """The chosen frames as a clip; an integer gives a clip of one frame."""
        chosen = torch.arange(len(self))[frames].reshape(-1)
        names = tuple(self.video[i] for i in chosen.tolist())
        camera = None if self.camera is None else Camera(self.camera.K[chosen], *self.camera.size)
        tensors: dict[str, Any] = {
            f.name: None if getattr(self, f.name) is None else getattr(self, f.name)[chosen]
            for f in fields(self)
            if f.name not in ("video", "camera")
        }
        return Clip(video=names, camera=camera, **tensors)

    def to(self, device: torch.device | str) -> "Clip":
        moved: dict[str, Any] = {
            f.name: value if value is None or isinstance(value, tuple) else value.to(device)
            for f in fields(self)
            for value in [getattr(self, f.name)]
        }
        return Clip(**moved)

    def strided(self, step: int) -> "Clip":
        """Every step-th pixel from the first, in image, label, depth and camera alike; nothing is interpolated."""
        return Clip(
            video=self.video,
            index=self.index,
            time=self.time,
            image=self.image[..., ::step, ::step],
            label=None if self.label is None else self.label[..., ::step, ::step],
            depth=None if self.depth is None else self.depth[..., ::step, ::step],
            camera=None if self.camera is None else self.camera.strided(step),
            T_world_camera=self.T_world_camera,
        )

    def require(self, *names: str) -> None:
        """Raise unless the clip knows all the named fields."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise InputError(
                f"video {self.video[0]!r} has no {', '.join(missing)}",
                hint="this data set does not come with it, or not for all of these frames: videos.rows_with(...) tells",
            )

    def motion_to(self, other: "Clip") -> Float[Tensor, "t 4 4"]:
        """`T_other_self` frame by frame: maps points of this clip's cameras into the cameras of `other`."""
        self.require("T_world_camera")
        other.require("T_world_camera")
        assert self.T_world_camera is not None and other.T_world_camera is not None
        return relative_pose(self.T_world_camera, other.T_world_camera)
