"""Geometry learned from images: right where the truth is known, and deaf to the truth."""

import copy
from dataclasses import replace

import pytest
import torch
from small_rooms import exact_matches

from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.experiments import pasad_geometry
from stc_lab.experiments.pasad_geometry import (
    RATE,
    VideoGeometry,
    chained_poses,
    film,
    find_geometry,
    frame_scales,
    geometry_of,
    matched,
    with_geometry,
)
from stc_lab.geometry import Camera, DepthTolerance, correspond, relative_pose, sample_labels
from stc_lab.geometry.reconstruct import Reconstruction
from stc_lab.models import load_shipped

ROOMS = RoomsConfig(train_scenes=1, val_scenes=1, test_scenes=1, frames=6, height=32, width=48)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return rooms_videos("train", ROOMS, tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def clip(videos):
    return videos.clip(videos.names[0])


def test_a_film_holds_the_frames_of_its_video(clip):
    images = film(clip, ROOMS)
    assert len(images) == 5 * RATE + 1
    torch.testing.assert_close(images[::RATE], clip.image)
    between = (images[1:] - images[:-1]).abs().mean()
    assert between < (clip.image[1:] - clip.image[:-1]).abs().mean()  # the camera moves less from frame to frame


def exact_reconstruction(clip, pairs, scale):
    matches, depth, camera = exact_matches(clip, pairs)
    i, j = matches.pairs.unbind(dim=1)
    T = relative_pose(clip.T_world_camera[i], clip.T_world_camera[j])
    return matches, Reconstruction(depth * scale[:, None, None, None], torch.ones_like(depth), T), camera


def test_frames_of_one_scale_are_left_alone(clip):
    pairs = [(i, i + 1) for i in range(5)]
    matches, whole, camera = exact_reconstruction(clip, pairs, torch.ones(6))
    torch.testing.assert_close(frame_scales(matches, whole, camera), torch.ones(6), atol=0.03, rtol=0)


def test_a_frame_in_a_unit_of_its_own_is_brought_back(clip):
    """The frame is last, so that its own motion, which has the scale of the frame before, needs no change."""
    pairs = [(i, i + 1) for i in range(5)]
    scale = torch.tensor([1.0, 1, 1, 1, 1, 1.5])
    matches, whole, camera = exact_reconstruction(clip, pairs, scale)
    found = scale * frame_scales(matches, whole, camera)
    torch.testing.assert_close(found / found[0], torch.ones(6), atol=0.04, rtol=0)


def test_poses_are_the_motions_one_after_the_other(clip):
    pairs = [(i, i + 1) for i in range(5)] + [(i, i + 2) for i in range(4)]
    matches, whole, _ = exact_reconstruction(clip, pairs, torch.ones(6))
    poses = chained_poses(matches, whole)
    first = clip.T_world_camera[:1].expand(6, -1, -1)
    torch.testing.assert_close(poses, relative_pose(clip.T_world_camera, first), atol=1e-4, rtol=0)


def test_changes_of_light_are_not_taken_for_motion(clip):
    images = film(clip, ROOMS)[:4]
    lit = (images * torch.tensor([0.7, 1.0, 0.8, 0.9])[:, None, None, None]).contiguous()
    plain, changed = matched(images).forward, matched(lit).forward
    both = plain.visible & changed.visible
    assert both.float().mean() > 0.2
    assert (plain.flow - changed.flow).norm(dim=1)[both].median() < 0.2


def test_what_is_learned_carries_labels_better_than_no_warp():
    """One room of the size that the studies have, with the depth net that the package ships."""
    config = RoomsConfig(train_scenes=1, val_scenes=1, test_scenes=1, frames=5)
    clip = rooms_videos("train", config)
    shipped = load_shipped("rooms_depth")
    clip = clip.clip(clip.names[0])
    found = find_geometry(film(clip, config), shipped.model, shipped.metadata["focal_ratio"])
    geometry = VideoGeometry(found.depth[::RATE], found.T_world_camera[::RATE], found.focal_ratio)
    videos = rooms_videos("train", config)
    learned = with_geometry(videos, {videos.names[0]: geometry}).clip(videos.names[0])
    a, b = learned[[0, 1, 2, 3]], learned[[1, 2, 3, 4]]
    where = correspond(
        a.depth, a.camera, a.motion_to(b), depth_source=b.depth, tolerance=DepthTolerance(pasad_geometry.TOLERANCE)
    )
    same = sample_labels(b.label, where) == a.label
    assert where.visible.float().mean() > 0.15
    assert same[where.visible].float().mean() > (a.label == b.label)[where.visible].float().mean() + 0.05


def test_the_truth_is_not_read(videos, clip, tmp_path, monkeypatch):
    """With the same images, false depth, poses and cameras change nothing."""
    images = film(clip, ROOMS)
    monkeypatch.setattr(pasad_geometry, "film", lambda clip, config: images)
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "true"))
    true = geometry_of(videos, ROOMS)[videos.names[0]]

    def false(rows):
        read = videos.read(rows)
        count = len(read)
        return replace(
            read,
            depth=torch.rand_like(read.depth) + 1,
            camera=Camera(read.camera.K * torch.tensor([[2.0, 1, 1], [1, 2, 1], [1, 1, 1]]), *read.camera.size),
            T_world_camera=torch.eye(4).repeat(count, 1, 1),
            label=torch.zeros_like(read.label),
        )

    other = copy.copy(videos)
    other.read = false
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "false"))
    found = geometry_of(other, ROOMS)[videos.names[0]]
    torch.testing.assert_close(found.depth, true.depth, rtol=0, atol=0)
    torch.testing.assert_close(found.T_world_camera, true.T_world_camera, rtol=0, atol=0)
    assert found.focal_ratio == true.focal_ratio
    ours, theirs = (with_geometry(v, {videos.names[0]: found}).frames([0, 3]) for v in (videos, other))
    for name in ("depth", "T_world_camera"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=0)
    torch.testing.assert_close(ours.camera.K, theirs.camera.K, rtol=0, atol=0)
    assert abs(float(ours.camera.K[0, 0, 0]) / 48 - found.focal_ratio) < 1e-6


def test_what_was_found_is_kept(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path))
    said: list[str] = []
    first = geometry_of(videos, ROOMS, log=said.append)[videos.names[0]]
    monkeypatch.setattr(pasad_geometry, "find_geometry", None)
    again = geometry_of(videos, ROOMS)[videos.names[0]]
    assert said == ["geometry: 1/1 videos"]
    assert torch.equal(first.depth, again.depth) and first.focal_ratio == again.focal_ratio
