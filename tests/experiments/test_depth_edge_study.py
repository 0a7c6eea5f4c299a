"""Edges are told where they are: jumps and not slants, by pixel loops and on scenes whose edges are known."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import CLASS_NAMES, PRESETS, rooms_videos
from stc_lab.data.rooms.classes import Label
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_study import (
    BOTH,
    DEPTH_ONLY,
    IGNORE,
    LABEL_ONLY,
    NOTHING,
    Borders,
    depth_edge_study,
    depth_edges,
    edge_kinds,
    label_edges,
    plain_depth_edges,
    telling_frame,
)
from stc_lab.geometry import Camera
from stc_lab.models import load_shipped
from stc_lab.training import predict


def plane(normal, distance, height=24, width=32, fov=60.0):
    """Depth of the plane normal . X = distance, as a camera in the origin sees it."""
    rays = Camera.from_fov(height, width, fov, dtype=torch.float64).rays()
    return distance / (rays * torch.tensor(normal, dtype=torch.float64)[None, :, None, None]).sum(dim=1, keepdim=True)


def slow_jumps(depth, threshold):
    """By the definition, border by border, along each row: (row, column of the left pixel)."""
    found = set()
    for y, row in enumerate(depth.tolist()):
        for x in range(len(row) - 1):
            here, there = row[x], row[x + 1]
            if min(here, there) <= 0:
                continue
            least = abs(1 / here - 1 / there)
            if x > 0 and row[x - 1] > 0:  # the plane through the two pixels before, continued by one
                least = min(least, abs(1 / there - (2 / here - 1 / row[x - 1])))
            if x + 2 < len(row) and row[x + 2] > 0:
                least = min(least, abs(1 / here - (2 / there - 1 / row[x + 2])))
            if least > threshold * min(1 / here, 1 / there):
                found.add((y, x))
    return found


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.02, 0.05, 0.2]))
def test_jumps_are_those_of_the_definition(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    depth = 1 + 0.2 * torch.rand(1, 1, 6, 7, generator=generator, dtype=torch.float64)
    depth += torch.rand(1, 1, 6, 7, generator=generator) < 0.3
    depth[torch.rand(1, 1, 6, 7, generator=generator) < 0.1] = 0
    found = depth_edges(depth, threshold=threshold)
    assert {tuple(i) for i in found.across[0].nonzero().tolist()} == slow_jumps(depth[0, 0], threshold)
    assert {tuple(i[::-1]) for i in found.down[0].nonzero().tolist()} == slow_jumps(depth[0, 0].T, threshold)


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.0, 0.9, 0.3), (0.4, 0.2, 0.6)])
def test_a_plane_has_no_edge_however_slanted(normal):
    assert depth_edges(plane(normal, 2.0)).count() == 0


def test_a_floor_that_recedes_has_plain_edges_and_no_jump():
    floor = plane((0.0, 1.0, 0.5), 1.2)
    assert bool((floor > 0).all())
    assert plain_depth_edges(floor).count() > 0
    assert depth_edges(floor).count() == 0


def test_a_joint_of_two_walls_is_no_jump_and_a_board_before_a_wall_is():
    left, right = plane((0.7, 0.0, 0.7), 2.0), plane((-0.7, 0.0, 0.7), 2.0)
    corner = torch.minimum(left.where(left > 0, torch.inf), right.where(right > 0, torch.inf))
    assert depth_edges(corner).count() == 0
    board = plane((0.0, 0.0, 1.0), 2.0)
    board[:, :, 8:16, 10:20] = 1.0
    found = depth_edges(board)
    assert int(found.across.sum()) == 2 * 8 and int(found.down.sum()) == 2 * 10
    assert found.pixels()[0, 8, 10] and found.pixels()[0, 7, 10] and not found.pixels()[0, 12, 14]


def test_the_unit_of_depth_does_not_matter():
    depth = 1 + torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for edges in (depth_edges, plain_depth_edges):
        one, other = edges(depth), edges(1000 * depth)
        assert torch.equal(one.across, other.across) and torch.equal(one.down, other.down) and one.count() > 0


@pytest.mark.parametrize("unknown", [0.0, torch.nan, torch.inf, -1.0])
def test_what_is_unknown_borders_on_no_depth_edge(unknown):
    depth = torch.ones(1, 1, 5, 6)
    depth[:, :, 2, 3] = unknown
    assert depth_edges(depth).count() == plain_depth_edges(depth).count() == 0


def test_label_edges_are_between_classes_that_are_known():
    labels = torch.tensor([[[0, 0, 1], [0, IGNORE, 1]]])
    edges = label_edges(labels)
    assert edges.across.tolist() == [[[False, True], [False, False]]]
    assert edges.down.tolist() == [[[False, False, False]]]


def test_near_is_the_square_distance_of_either_pixel():
    labels = torch.zeros(1, 1, 9, dtype=torch.int64)
    labels[..., 4:] = 1  # the border lies between pixels 3 and 4
    edge = label_edges(labels)
    for place in range(9):
        pixels = torch.zeros(1, 1, 9, dtype=torch.bool)
        pixels[..., place] = True
        for radius in (0, 1, 2):
            expected = min(abs(place - 3), abs(place - 4)) <= radius
            assert (edge.near(pixels, radius).count() == 1) == expected


def picture_and_box():
    """A wall (1) with a picture (2) on it and a box (3) before it; beside the box a step inside the wall's class."""
    labels = torch.ones(1, 20, 40, dtype=torch.int64)
    depth = torch.full((1, 1, 20, 40), 3.0)
    labels[:, 2:8, 2:8], labels[:, 2:8, 16:22] = 2, 3
    depth[:, :, 2:8, 16:22] = 1.5
    depth[:, :, :, 30:] = 2.0
    return labels, depth


def test_kinds_of_a_scene_whose_edges_are_known():
    kinds = edge_kinds(*picture_and_box())[0]
    assert kinds[2, 2] == kinds[1, 3] == LABEL_ONLY
    assert kinds[2, 16] == kinds[5, 22] == BOTH
    assert kinds[10, 29] == kinds[10, 30] == DEPTH_ONLY
    assert kinds[15, 5] == kinds[5, 5] == kinds[5, 19] == NOTHING


def test_nothing_is_lost_by_counting_pair_by_pair():
    config = replace(PRESETS["tiny"], test_scenes=2, frames=4)
    videos = rooms_videos("test", config)
    study = depth_edge_study(videos)
    clips = [videos.clip(name) for name in videos.names]
    assert study.frames == 8
    assert study.label_edges == sum(label_edges(clip.label).count() for clip in clips)
    assert study.depth_edges == sum(depth_edges(clip.depth).count() for clip in clips)
    for row in study.rows:
        assert row.with_depth <= row.label_edges and row.with_label <= row.depth_edges
        if row.classes[0] != row.classes[1]:
            assert row.with_label == row.depth_edges  # it is itself a label edge
        else:
            assert row.label_edges == 0 and row.name == f"inside {row.classes[0]}"
    by_hand = 0
    for clip in clips:
        sides = clip.label[:, :, 1:], clip.label[:, :, :-1], clip.label[:, 1:], clip.label[:, :-1]
        for a, b in (sides[:2], sides[2:]):
            by_hand += int((((a == Label.WALL) & (b == Label.FLOOR)) | ((b == Label.WALL) & (a == Label.FLOOR))).sum())
    assert study.row("floor", "wall").label_edges == by_hand > 0


def test_a_wider_radius_finds_more_and_a_higher_threshold_less():
    videos = rooms_videos("test", replace(PRESETS["tiny"], test_scenes=1, frames=3))
    near, wide, strict = (
        depth_edge_study(videos, radius=radius, threshold=threshold)
        for radius, threshold in ((0, 0.05), (2, 0.05), (0, 0.3))
    )
    assert strict.with_depth < near.with_depth < wide.with_depth
    assert near.chance_depth < wide.chance_depth < wide.with_depth
    assert 0 <= near.slant_share < 1


def test_what_hangs_flat_on_a_wall_has_no_depth_edge():
    """The claim of the chapter, on other rooms than it shows."""
    study = depth_edge_study(rooms_videos("val", replace(PRESETS["quick"], val_scenes=3, frames=4)))
    assert study.row("wall", "door").share_with_depth < 0.2
    assert study.row("lamp", "wall").share_with_depth > 0.9
    assert study.with_depth > 3 * study.chance_depth
    assert all(row.share_with_depth <= 0.2 for row in study.flat())


def test_the_telling_frame_has_most_of_the_rarer_kind():
    videos = rooms_videos("test", replace(PRESETS["tiny"], test_scenes=2, frames=4))
    rarer = {}
    for name in videos.names:
        clip = videos.clip(name, step=2)
        kinds = edge_kinds(clip.label, clip.depth)
        for kind, index in zip(kinds, clip.index.tolist(), strict=True):
            rarer[name, index] = min(int((kind == BOTH).sum()), int((kind == LABEL_ONLY).sum()))
    found = telling_frame(videos, step=2)
    assert rarer[found.video[0], int(found.index)] == max(rarer.values()) > 0


def test_with_a_net_only_what_it_knows_is_picked():
    videos = rooms_videos("test", replace(PRESETS["tiny"], test_scenes=2, frames=4))
    model = load_shipped("rooms_fpn").model
    right = {
        (name, index): float((predict(model, clip.image) == clip.label).float().mean())
        for name in videos.names
        for index in range(4)
        for clip in [videos.clip(name)[index]]
    }
    most = max(right.values())
    found = telling_frame(videos, step=1, model=model, right=most - 1e-4)
    assert right[found.video[0], int(found.index)] == pytest.approx(most, abs=2e-4)
    with pytest.raises(InputError, match="the net labels none of these frames right at 100%"):
        telling_frame(videos, model=model, right=1.0)


@pytest.mark.bad_input
def test_bad_input_is_refused():
    depth = torch.ones(1, 1, 4, 4)
    with pytest.raises(InputError, match="threshold must be a positive share of the depth, got 0"):
        depth_edges(depth, threshold=0)
    with pytest.raises(InputError, match="radius must be 0 px or more, got -1"):
        edge_kinds(torch.zeros(1, 4, 4, dtype=torch.int64), depth, radius=-1)
    videos = rooms_videos("test", replace(PRESETS["tiny"], test_scenes=1, frames=2))
    study = depth_edge_study(videos)
    assert "lamp" in CLASS_NAMES
    with pytest.raises(InputError, match="no border between sky and lamp"):
        study.row("sky", "lamp")


def test_borders_combine_like_sets():
    a = Borders(torch.tensor([[[True, False]]]), torch.zeros(1, 0, 3, dtype=torch.bool))
    assert (a & ~a).count() == 0 and (a | ~a).count() == 2
