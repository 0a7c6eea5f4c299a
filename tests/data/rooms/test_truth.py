"""Exact flow and visibility, and what depth maps and warps make of the same frames."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stc_lab.data.rooms import PRESETS, build_scene, exact_flow, render, render_video, scene_of
from stc_lab.data.rooms.paths import PATHS
from stc_lab.geometry import rigid_flow, warp_by_flow, warp_labels_by_flow
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import relative_pose


def _poses(motion: str, seed: int = 1, frames: int = 24) -> Tensor:
    return PATHS[motion](build_scene(seed), frames, np.random.default_rng(seed)).double()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-6)])
def test_flow_is_that_of_the_depth_map_and_the_motion(dtype: torch.dtype, tolerance: float) -> None:
    """Against the projection written out point by point in double precision."""
    scene, camera, poses = build_scene(1), Camera.from_fov(24, 36, 50.0), _poses("dolly").to(dtype)
    a, b = poses[[0, 5, 14]], poses[[1, 6, 16]]
    exact = exact_flow(scene, camera, a, b)
    assert exact.flow.dtype == dtype
    assert float(exact.visible.float().mean()) > 0.2
    depth = render(scene, camera, a, shadows=False).depth.double()
    K = camera.K[0].double()
    for i, y, x in exact.visible.nonzero()[::29].tolist():
        ray = torch.linalg.solve(K, torch.tensor([x, y, 1.0], dtype=torch.float64))
        world = a[i].double() @ torch.cat([depth[i, 0, y, x] * ray, torch.ones(1, dtype=torch.float64)])
        seen = K @ torch.linalg.solve(b[i].double(), world)[:3]
        expected = seen[:2] / seen[2] - torch.tensor([x, y])
        assert float((exact.flow[i, :, y, x] - expected).abs().max()) < tolerance


def test_no_motion_is_no_flow_and_all_visible() -> None:
    scene, camera = build_scene(1), Camera.from_fov(24, 36, 50.0)
    for dtype in (torch.float32, torch.float64):
        T = _poses("dolly").to(dtype)[:4]
        exact = exact_flow(scene, camera, T, T)
        assert float(exact.flow.abs().max()) < 1e-3
        assert exact.visible[:, 1:-1, 1:-1].all()


def test_visible_is_what_a_finer_look_from_the_other_camera_finds() -> None:
    """Camera b's own depth at the very spot, rendered at 12 times the size, instead of a ray to the point."""
    scene, camera = build_scene(5), Camera.from_fov(24, 36, 50.0, dtype=torch.float64)
    poses = _poses("dolly", 5)
    a, b = poses[[2, 8]], poses[[3, 10]]
    exact = exact_flow(scene, camera, a, b)
    depth_a = render(scene, camera, a, shadows=False).depth
    fine = camera.resized(24 * 12, 36 * 12)
    depth_b = render(scene, fine, b, shadows=False).depth
    same = rigid_flow(depth_a, camera, relative_pose(a, b), camera_b=fine, depth_b=depth_b).visible
    border = 0.5 - 0.5 / 12  # the finer image sees this much more than the outer pixel centres, which bound `visible`
    grid = torch.stack(torch.meshgrid(torch.arange(36), torch.arange(24), indexing="xy"))
    x, y = (grid + exact.flow).unbind(dim=1)
    inside = (x >= border) & (x <= 35 - border) & (y >= border) & (y <= 23 - border)
    assert float((exact.visible == same)[inside].float().mean()) > 0.995
    assert exact.visible.any() and (~exact.visible & inside).any()


@pytest.mark.parametrize("motion", PATHS)
def test_labels_agree_under_the_exact_warp(motion: str) -> None:
    """At least 99 % of the pixels that the depth test calls visible, on all videos of `tiny` at its own size."""
    config = PRESETS["tiny"]
    good = total = kept = found = both = 0
    for split in ("train", "val", "test"):
        for i in range(config.scenes(split)):
            video = f"rooms-{split}-{i:04d}"
            scene, camera = scene_of(video, config), Camera.from_fov(64, 96, 50.0)
            T = PATHS[motion](scene, 10, np.random.default_rng([scene.seed, 1]))
            frames = render(scene, camera, T, shadows=False)
            exact = exact_flow(scene, camera, T[:-1], T[1:])
            tested = rigid_flow(
                frames.depth[:-1], camera, relative_pose(T[:-1], T[1:]), depth_b=frames.depth[1:]
            ).visible
            warped = warp_labels_by_flow(frames.label[1:], exact.flow).label
            good += int(((warped == frames.label[:-1]) & tested).sum())
            total += int(tested.sum())
            kept, found = kept + int(exact.visible.sum()), found + int(tested.sum())
            both += int((exact.visible & tested).sum())
    assert good / total >= 0.99
    assert both / found > 0.98, "precision of the depth test"
    assert both / kept > 0.98, "recall of the depth test"


def test_the_warped_neighbour_differs_by_little_more_than_the_noise() -> None:
    """Hand-held, fixed exposure: the mean L1 on visible pixels is within 40 % of what the noise alone makes."""
    noise = 0.02
    config = PRESETS["quick"]
    settings = {"motion": "handheld", "frames": 6, "dial": 0.0, "auto_exposure": 0.0}
    error, count = {"clean": 0.0, "noisy": 0.0, "unwarped": 0.0, "floor": 0.0}, 0
    for i in range(4):
        video = f"rooms-val-{i:04d}"
        clean = replace(config, **settings, memory=0.0)  # type: ignore[arg-type]
        clips = {"clean": render_video(video, clean), "noisy": render_video(video, replace(clean, noise=noise))}
        clip = clips["clean"]
        assert clip.T_world_camera is not None and clip.camera is not None and clip.depth is not None
        camera = Camera(clip.camera.K[:1], *clip.camera.size)
        T = clip.T_world_camera
        exact = exact_flow(scene_of(video), camera, T[:-1], T[1:])
        tested = rigid_flow(clip.depth[:-1], camera, relative_pose(T[:-1], T[1:]), depth_b=clip.depth[1:])
        seen = exact.visible & tested.visible
        count += int(seen.sum())
        for name, one in clips.items():
            difference = (warp_by_flow(one.image[1:], exact.flow).image - one.image[:-1]).abs().mean(dim=1)
            error[name] += float(difference[seen].sum())
        error["unwarped"] += float((clip.image[1:] - clip.image[:-1]).abs().mean(dim=1)[seen].sum())
        draws = torch.randn(2, *clip.image[1:].shape, generator=torch.Generator().manual_seed(i)) * noise
        floor = (warp_by_flow(draws[0], exact.flow).image - draws[1]).abs().mean(dim=1)
        error["floor"] += float(floor[seen].sum())
    mean = {name: value / count for name, value in error.items()}
    assert mean["noisy"] < 1.4 * mean["floor"], mean
    assert mean["clean"] < 0.5 * mean["floor"], mean
    assert mean["clean"] < 0.25 * mean["unwarped"], mean
    assert math.isfinite(sum(mean.values()))
