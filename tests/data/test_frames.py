"""A clip keeps its frames and what is known about them together."""

from dataclasses import replace

import pytest
import torch

from stc_lab.data import Clip
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import pose_from


def drawn(t: int = 4) -> Clip:
    torch.manual_seed(0)
    K = Camera.from_parameters(7.0, 7.0, 3.5, 2.5, height=6, width=8).K
    return Clip(
        video=tuple("abcdefgh"[:t]),
        index=torch.arange(t),
        time=torch.arange(t) / 10,
        image=torch.rand(t, 3, 6, 8),
        label=torch.randint(0, 5, (t, 6, 8)),
        depth=torch.rand(t, 1, 6, 8),
        camera=Camera(K + torch.arange(t)[:, None, None] * torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]), 6, 8),
        T_world_camera=pose_from(torch.rand(t, 3), torch.rand(t, 3)),
    )


@pytest.mark.parametrize("frames", [2, slice(1, 4, 2), [3, 0, 0], torch.tensor([1, 2])])
def test_chosen_frames_stay_together(frames: int | slice | list[int] | torch.Tensor) -> None:
    clip, chosen = drawn(), torch.arange(4)[frames].reshape(-1)
    part = clip[frames]
    assert part.index.tolist() == chosen.tolist()
    assert part.video == tuple(clip.video[i] for i in chosen)
    for name in ("time", "image", "label", "depth", "T_world_camera"):
        assert torch.equal(getattr(part, name), getattr(clip, name)[chosen])
    assert part.camera is not None
    assert clip.camera is not None
    assert torch.equal(part.camera.K, clip.camera.K[chosen])


def test_strided_takes_pixels_and_moves_the_camera() -> None:
    clip = drawn()
    small = clip.strided(2)
    assert torch.equal(small.image, clip.image[..., ::2, ::2])
    assert small.camera is not None
    assert clip.camera is not None
    assert small.camera.size == (3, 4)
    torch.testing.assert_close(small.camera.rays(), clip.camera.rays()[..., ::2, ::2])


def test_motion_maps_points_between_the_cameras() -> None:
    clip = drawn()
    point = torch.rand(4, 1)
    point[3] = 1
    assert clip.T_world_camera is not None
    here, there = clip[0], clip[2]
    world = clip.T_world_camera[0] @ point
    expected = torch.linalg.inv(clip.T_world_camera[2]) @ world
    torch.testing.assert_close(here.motion_to(there)[0] @ point, expected)


def test_what_is_unknown_is_asked_for_by_name() -> None:
    clip = replace(drawn(), depth=None, T_world_camera=None)
    assert clip[1].depth is None
    assert clip.strided(2).depth is None
    assert clip.to("cpu").T_world_camera is None
    with pytest.raises(InputError, match="video 'a' has no depth, T_world_camera"):
        clip.require("depth", "label", "T_world_camera")
    with pytest.raises(InputError, match="no T_world_camera"):
        clip.motion_to(drawn())


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(4, 6, 8)}, r"image must be \[t, 3, h, w\], got \[4, 6, 8\]"),
        ({"image": torch.rand(0, 3, 6, 8)}, "at least one frame, got none"),
        ({"label": torch.zeros(4, 5, 8, dtype=torch.int64)}, r"label must be \[4, 6, 8\].*got \[4, 5, 8\]"),
        ({"depth": torch.rand(4, 6, 8)}, r"depth must be \[4, 1, 6, 8\]"),
        ({"depth": torch.rand(4, 1, 3, 4)}, r"depth must be \[4, 1, 6, 8\] to fit the images, got \[4, 1, 3, 4\]"),
        ({"video": ("a",)}, "video must name each of the 4 frames, got 1"),
        ({"camera": Camera(torch.eye(3)[None], 6, 8)}, "one K for each of 4 frames, got 1"),
        (
            {"camera": Camera(torch.eye(3).repeat(4, 1, 1), 12, 16)},
            "image is 6 x 8 px, but its camera's K belongs to 12",
        ),
    ],
)
def test_fields_that_do_not_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(drawn(), **change)
