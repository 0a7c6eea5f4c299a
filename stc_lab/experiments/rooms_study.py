"""What the rooms offer a learner: how the picture moves, how much of that tells depth, which classes show."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.data.rooms import RoomsConfig, exact_flow, render_video, scene_of, turns
from stc_lab.data.rooms.videos import video_name
from stc_lab.errors import InputError
from stc_lab.geometry import rigid_flow
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import relative_pose, so3_log

GAPS = (1, 2, 4, 8)


@dataclass(frozen=True)
class GapMotion:
    """Motion between frames `gap` apart: medians over all pairs or pixels, and means where they are named."""

    gap: int  # frames
    rotation: float  # degrees
    translation: float  # m
    flow: float  # px
    parallax: float  # px: what remains of the flow after that of the frame's median inverse depth
    parallax_mean: float  # px
    overlap: float  # mean share of the pixels that the other frame sees, exactly


def path_motion(
    config: RoomsConfig,
    *,
    split: str = "test",
    scenes: int = 12,
    gaps: Sequence[int] = GAPS,
    turning: bool | None = None,
) -> list[GapMotion]:
    """Exact motion statistics of the first videos of a split; `turning` chooses tracking clips that turn, or do not."""
    videos = [video_name(split, i) for i in range(config.scenes(split))]
    if turning is not None:
        videos = [video for video in videos if turns(scene_of(video, config)) is turning]
    if not videos or config.moving_objects:
        raise InputError("path_motion needs videos of rooms in which nothing but the camera moves")
    pairs: dict[int, list[dict[str, Tensor]]] = {gap: [] for gap in gaps}
    for video in videos[:scenes]:
        scene, clip = scene_of(video, config), render_video(video, config)
        for gap in gaps:
            a, b = clip[:-gap], clip[gap:]
            assert a.T_world_camera is not None and b.T_world_camera is not None and a.depth is not None
            camera = config.camera()
            exact = exact_flow(scene, camera, a.T_world_camera, b.T_world_camera)
            T_b_a = relative_pose(a.T_world_camera, b.T_world_camera)
            pairs[gap].append(
                {
                    "rotation": so3_log(T_b_a[:, :3, :3]).norm(dim=1).rad2deg(),
                    "translation": T_b_a[:, :3, 3].norm(dim=1),
                    "flow": exact.flow.norm(dim=1).flatten(),
                    "parallax": (exact.flow - _flat_flow(a.depth, camera, T_b_a)).norm(dim=1).flatten(),
                    "overlap": exact.visible.double().mean(dim=(1, 2)),
                }
            )
    return [_summary(gap, parts) for gap, parts in pairs.items()]


def _flat_flow(depth: Float[Tensor, "t 1 h w"], camera: Camera, T_b_a: Float[Tensor, "t 4 4"]) -> Tensor:
    """The flow if all of a frame lay at the depth whose inverse is its median."""
    flat = 1 / (1 / depth).flatten(1).median(dim=1).values
    return rigid_flow(flat[:, None, None, None].expand_as(depth).contiguous(), camera, T_b_a).flow


def _summary(gap: int, parts: list[dict[str, Tensor]]) -> GapMotion:
    together = {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}
    medians = {name: float(values.median()) for name, values in together.items()}
    return GapMotion(
        gap=gap,
        rotation=medians["rotation"],
        translation=medians["translation"],
        flow=medians["flow"],
        parallax=medians["parallax"],
        parallax_mean=float(together["parallax"].clamp_max(100).mean()),
        overlap=float(together["overlap"].mean()),
    )


def class_shares(videos: Videos) -> Float[Tensor, " k"]:
    """Share of the labelled pixels of each class, over all frames."""
    count = torch.zeros(len(videos.info.classes), dtype=torch.int64)
    for name in videos.names:
        clip = videos.clip(name)
        clip.require("label")
        assert clip.label is not None
        count += torch.bincount(clip.label[clip.label != videos.info.ignore_index], minlength=len(count))
    if int(count.sum()) == 0:
        raise InputError(f"no pixel of {videos.info.name!r} has a label")
    return count.double() / count.sum()
