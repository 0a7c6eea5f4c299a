"""Knobs that switch a failure on: the frames change as they say, and what is known stays exact."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stc_lab.data import Clip
from stc_lab.data.rooms import PRESETS, RoomsConfig, build_scene, exact_flow, mover_masks, object_poses, render_video
from stc_lab.data.rooms.clips import scene_of
from stc_lab.data.rooms.paths import PATHS
from stc_lab.data.rooms.primitives import Texture
from stc_lab.data.rooms.textures import SurfacePoints, albedo
from stc_lab.geometry import Flow, Warped, inverse_warp, rigid_flow

VIDEO = "rooms-train-0001"
CLEAN = replace(PRESETS["tiny"], motion="tracking", frames=5, dial=0.0)


def _flow(clip: Clip, config: RoomsConfig, a: int, b: int) -> Flow:
    assert clip.T_world_camera is not None
    T, index = clip.T_world_camera, clip.index.to(clip.T_world_camera)
    scene, camera = scene_of(clip.video[0], config), config.camera()
    return exact_flow(scene, camera, T[a, None], T[b, None], time_a=index[a, None], time_b=index[b, None])


def _known(clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
    assert clip.depth is not None and clip.label is not None and clip.T_world_camera is not None
    return clip.depth, clip.label, clip.T_world_camera


@pytest.mark.parametrize("motion", PATHS)
def test_a_camera_without_speed_stands_where_the_path_begins(motion: str) -> None:
    moving = render_video(VIDEO, replace(CLEAN, motion=motion))
    config = replace(CLEAN, motion=motion, speed=0.0)
    still = render_video(VIDEO, config)
    for ours, first in zip((still.image, *_known(still)), (moving.image, *_known(moving)), strict=True):
        assert torch.equal(ours, first[:1].expand_as(ours))
    flow = _flow(still, config, 0, 4)
    assert float(flow.flow.abs().max()) < 1e-4
    assert flow.visible[:, 1:-1, 1:-1].all()


@pytest.mark.parametrize("motion", PATHS)
def test_half_the_speed_shows_every_frame_of_the_path_later(motion: str) -> None:
    """Frame 2k is frame k at full speed; between two of them the camera is half way, and its depth and flow exact."""
    config = replace(CLEAN, motion=motion, speed=0.5, shadows=False)
    full, half = render_video(VIDEO, replace(config, speed=1.0)), render_video(VIDEO, config)
    for ours, theirs in zip((half.image, *_known(half)), (full.image, *_known(full)), strict=True):
        assert torch.equal(ours[::2], theirs[:3])
    depth, _, T = _known(half)
    middle = (T[0, :3, 3] + T[2, :3, 3]) / 2
    assert torch.allclose(T[1, :3, 3], middle, atol=1e-5)
    exact = _flow(half, config, 1, 3)
    by_depth = rigid_flow(depth[1, None], config.camera(), half[1:2].motion_to(half[3:4]))
    assert torch.allclose(exact.flow, by_depth.flow, atol=1e-3)
    warped = _warped(half, 3, 1)
    seen = exact.visible & warped.visible
    unwarped = (half.image[3] - half.image[1]).abs().mean(dim=0)[seen[0]].mean()
    assert float((warped.image[0] - half.image[1]).abs().mean(dim=0)[seen[0]].mean()) < 0.5 * float(unwarped)


def _warped(clip: Clip, source: int, target: int) -> Warped:
    """The source frame seen from the target, whose true depth says where each pixel lies."""
    depth, _, _ = _known(clip)
    here, there = clip[target : target + 1], clip[source : source + 1]
    assert here.camera is not None
    return inverse_warp(
        there.image, depth[target, None], here.camera, here.motion_to(there), depth_source=depth[source, None]
    )


def test_things_move_before_a_camera_that_stands_still() -> None:
    config, video = replace(CLEAN, speed=0.0, moving_objects=2), "rooms-test-0002"
    clip, masks, poses = render_video(video, config), mover_masks(video, config), object_poses(video, config)
    assert (masks[0] > 0).any()
    flow = _flow(clip, config, 0, 3)
    assert float(flow.flow.norm(dim=1)[masks[:1] > 0].min()) > 0.1
    assert float(flow.flow.abs().amax(dim=1)[masks[:1] == 0].max()) < 1e-4
    assert float((poses[3, :, :3, 3] - poses[0, :, :3, 3]).norm(dim=1).min()) > 0.03


@pytest.mark.parametrize("setting", [{"texture": 0.0}, {"texture": 0.3}, {"gloss": 10.0}])
def test_texture_and_gloss_change_the_picture_alone(setting: dict[str, Any]) -> None:
    usual, other = render_video(VIDEO, CLEAN), render_video(VIDEO, replace(CLEAN, **setting))
    for a, b in zip(_known(usual), _known(other), strict=True):
        assert torch.equal(a, b)
    assert float((usual.image - other.image).abs().mean()) > 0.005


def _points(seed: int, pixel: float) -> SurfacePoints:
    """Fifty points on every surface of a room, each `pixel` (m) wide."""
    surfaces = len(build_scene(seed).materials.label)
    own = 3 * torch.rand(3, 50 * surfaces, generator=torch.Generator().manual_seed(seed))
    surface = torch.arange(surfaces).repeat_interleave(50)
    width = torch.full((len(surface),), pixel)
    return SurfacePoints(surface, own, own[0], own[2], width, width)


def test_without_texture_a_surface_has_one_colour_that_of_its_texture_far_away() -> None:
    """But for pictures: their shapes are large, and stay however far one goes."""
    materials = build_scene(3).materials
    near = _points(3, 0.001)
    plain = albedo(materials, 0.4, near, texture=0.0).unflatten(1, (-1, 50))
    assert float((plain - plain[:, :, :1]).abs().max()) < 1e-6
    varied = albedo(materials, 0.4, near).unflatten(1, (-1, 50))
    assert float(varied.std(dim=2).mean()) > 0.02
    far = albedo(materials, 0.4, _points(3, 100.0)).unflatten(1, (-1, 50))
    others = (materials.texture != Texture.ART).nonzero()[:, 0]
    assert len(others) < len(materials.texture)
    assert torch.allclose(far[:, others], plain[:, others], atol=1e-6)


def test_texture_is_the_contrast_left() -> None:
    """Half way between plain and full, but for the micro texture, which multiplies what is left."""
    materials, points = build_scene(3).materials, _points(3, 0.002)
    plain, half, full = (albedo(materials, 0.0, points, texture=share) for share in (0.0, 0.5, 1.0))
    assert torch.allclose(half, (plain + full) / 2, atol=1e-5)
    relief = [albedo(materials, 0.4, points, texture=share) / base for share, base in ((0.5, half), (1.0, full))]
    assert torch.allclose(2 * (relief[0] - 1), relief[1] - 1, atol=1e-4)


def test_highlights_move_with_the_camera() -> None:
    """With much gloss and no texture, a surface point looks different from elsewhere; with none it does not."""
    change = []
    for gloss in (0.0, 10.0):
        config = replace(CLEAN, texture=0.0, gloss=gloss, auto_exposure=0.0, shadows=False)
        clip = render_video("rooms-test-0001", config)
        warped = _warped(clip, 4, 0)
        change.append(float((warped.image - clip.image[:1]).abs().mean(dim=1)[warped.visible].median()))
    assert change[1] > 5 * change[0]
