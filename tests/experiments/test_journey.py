"""One pixel's stations against whole-image geometry, and each reason why a pixel is not seen on a case made for it."""

from dataclasses import replace

import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.journey import (
    BEHIND,
    FARTHER,
    OCCLUDED,
    OUTSIDE,
    REASONS,
    UNKNOWN,
    UNKNOWN_THERE,
    VISIBLE,
    follow_pixel,
    most_hidden,
    near_pixel,
    reason_map,
)
from stc_lab.geometry import correspond, transform

HEIGHT, WIDTH = SIZE
STEPS = [[0.0, 0.0, 0.0], [0.3, -0.1, 0.2], [-0.4, 0.0, 0.6]]
TURNS = [[0.0, 0.0, 0.0], [0.02, -0.05, 0.03], [0.0, 0.08, 0.0]]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return planar_clip(STEPS, turns=TURNS)


def with_depth(clip: Clip, depth: torch.Tensor) -> Clip:
    return replace(clip, depth=depth)


@pytest.mark.parametrize("source", [1, 2])
def test_the_stations_are_those_of_the_whole_image(clip: Clip, source: int) -> None:
    target, other = clip[0], clip[source]
    assert target.camera is not None and target.depth is not None and other.camera is not None
    T = target.motion_to(other)
    points = target.camera.backproject(target.depth)
    moved = transform(T, points)
    landed = other.camera.project(moved)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        x, y = (int(torch.randint(n, (), generator=generator)) for n in (WIDTH, HEIGHT))
        journey = follow_pixel(target, other, x, y)
        assert journey.ray == pytest.approx(target.camera.rays()[0, :, y, x].tolist())
        assert journey.in_target == pytest.approx(points[0, :, y, x].tolist())
        assert journey.in_source == pytest.approx(moved[0, :, y, x].tolist())
        assert journey.lands == pytest.approx(landed[0, :, y, x].tolist())
        assert journey.depth == pytest.approx(float(target.depth[0, 0, y, x]))


@pytest.mark.parametrize("source", [0, 1, 2])
def test_the_verdict_is_the_mask_of_the_warp(clip: Clip, source: int) -> None:
    target, other = clip[0], clip[source]
    assert target.camera is not None and target.depth is not None
    visible = correspond(target.depth, target.camera, target.motion_to(other), depth_source=other.depth).visible
    reason = reason_map(target, other)
    assert torch.equal(reason == VISIBLE, visible)
    for y in range(0, HEIGHT, 5):
        for x in range(0, WIDTH, 5):
            assert follow_pixel(target, other, x, y).reason == reason[0, y, x], (x, y)


def test_the_candidates_lie_on_one_line_from_near_to_far_with_the_true_place_among_them(clip: Clip) -> None:
    journey = follow_pixel(clip[0], clip[1], 20, 15, candidates=9)
    places = torch.tensor([[c.x, c.y] for c in journey.candidates], dtype=torch.float64)
    along = places - places[0]
    assert torch.linalg.matrix_rank(along, tol=1e-6) == 1
    assert [c.depth for c in journey.candidates] == sorted(c.depth for c in journey.candidates)
    direction = along[-1] / along[-1].norm()
    true = torch.tensor(journey.lands, dtype=torch.float64) - places[0]
    assert float((true - (true @ direction) * direction).norm()) < 1e-9  # on the line
    assert 0 < float(true @ direction) < float(along[-1].norm())  # and between its ends


def test_a_camera_that_only_turns_shows_no_parallax() -> None:
    clip = planar_clip([[0.0, 0.0, 0.0]] * 2, turns=[[0.0, 0.0, 0.0], [0.02, -0.05, 0.03]])
    journey = follow_pixel(clip[0], clip[1], 20, 15)
    assert journey.lands is not None
    for candidate in journey.candidates:
        assert (candidate.x, candidate.y) == pytest.approx(journey.lands)
    still = follow_pixel(clip[0], clip[0], 20, 15)
    assert still.lands == pytest.approx((20, 15)) and still.reason == VISIBLE


def test_another_depth_moves_the_pixel_along_its_line(clip: Clip) -> None:
    true, wrong = follow_pixel(clip[0], clip[1], 20, 15), follow_pixel(clip[0], clip[1], 20, 15, depth_factor=1.5)
    assert true.depth is not None and wrong.depth == pytest.approx(1.5 * true.depth)
    assert wrong.candidates == true.candidates and wrong.lands != pytest.approx(true.lands)
    assert follow_pixel(clip[0], clip[1], 20, 15, depth_factor=0.5).reason == FARTHER


def card_and_wall(source: list[float]) -> tuple[Clip, Clip]:
    clip = planar_clip([[0.0, 0.0, 0.0], source])
    return clip[0], clip[1]


def test_a_pixel_of_unknown_depth_goes_nowhere(clip: Clip) -> None:
    for unknown in (0.0, torch.nan, torch.inf):
        assert clip.depth is not None
        depth = clip.depth[:1].clone()
        depth[0, 0, 15, 20] = unknown
        journey = follow_pixel(with_depth(clip[0], depth), clip[1], 20, 15)
        assert journey.reason == UNKNOWN and journey.verdict == "not visible: depth unknown"
        assert journey.depth is journey.in_target is journey.in_source is journey.lands is None
        assert len(journey.candidates) == 13  # the line is there all the same


def test_behind_the_camera() -> None:
    target, source = card_and_wall([0.0, 0.0, 3.0])  # walked past the card
    journey = follow_pixel(target, source, WIDTH // 2, HEIGHT // 2)
    assert journey.reason == BEHIND and journey.lands is None and "z = -1.00 m" in journey.verdict
    assert all(c.depth > 3.0 for c in journey.candidates)


def test_outside_the_image() -> None:
    target, source = card_and_wall([1.0, 0.0, 0.0])
    journey = follow_pixel(target, source, 1, HEIGHT // 2)
    assert journey.reason == OUTSIDE and journey.lands is not None and journey.lands[0] < 0
    assert journey.depth_there is None and journey.verdict == f"not visible: {REASONS[OUTSIDE]}"


def test_occluded_by_the_card() -> None:
    target, source = card_and_wall([-0.35, 0.0, 0.0])
    reason = reason_map(target, source)[0]
    y, x = (int(v) for v in (reason == OCCLUDED).nonzero()[0])
    journey = follow_pixel(target, source, x, y)
    assert journey.reason == OCCLUDED and journey.depth_there == pytest.approx(2.0)
    assert journey.in_source is not None and journey.in_source[2] > 3
    assert "occluded by a nearer surface" in journey.verdict and "2.00 m" in journey.verdict


def test_a_farther_surface_and_no_depth_there() -> None:
    target, source = card_and_wall([-0.35, 0.0, 0.0])
    assert source.depth is not None
    seen = follow_pixel(target, source, WIDTH // 2, HEIGHT // 2)
    assert seen.reason == VISIBLE and seen.verdict.startswith("visible: the source sees a surface at 2.00 m")
    behind = follow_pixel(target, with_depth(source, source.depth + 1), WIDTH // 2, HEIGHT // 2)
    assert behind.reason == FARTHER
    nothing = follow_pixel(target, with_depth(source, torch.zeros_like(source.depth)), WIDTH // 2, HEIGHT // 2)
    assert nothing.reason == UNKNOWN_THERE and nothing.lands == seen.lands and nothing.depth_there is None


def test_the_pair_that_hides_most_is_found() -> None:
    clip = planar_clip([[0.0, 0, 0], [0.05, 0, 0], [0.1, 0, 0], [-0.3, 0, 0], [-0.32, 0, 0]])
    assert most_hidden(clip, 1) == 2
    shares = [(reason_map(clip[t], clip[t + 2]) == OCCLUDED).double().mean() for t in range(3)]
    assert most_hidden(clip, 2) == max(range(3), key=shares.__getitem__)


def test_the_pixel_to_follow_is_near_and_safe() -> None:
    target, source = card_and_wall([-0.2, 0.0, 0.0])
    x, y = near_pixel(target, source)
    assert follow_pixel(target, source, x, y).depth == pytest.approx(2.0)
    assert bool((reason_map(target, source)[0, y - 4 : y + 5, x - 4 : x + 5] == VISIBLE).all())
    far = card_and_wall([50.0, 0.0, 0.0])
    assert near_pixel(*far) == (WIDTH // 2, HEIGHT // 2)


@pytest.mark.bad_input
def test_what_cannot_be_followed_is_said(clip: Clip) -> None:
    with pytest.raises(InputError, match=r"pixel \(48, 0\) lies outside the target of 48 x 36 px"):
        follow_pixel(clip[0], clip[1], 48, 0)
    with pytest.raises(InputError, match="depth_factor must be positive"):
        follow_pixel(clip[0], clip[1], 0, 0, depth_factor=0)
    with pytest.raises(InputError, match="two single frames, got clips of 2 and 1"):
        follow_pixel(clip[:2], clip[1], 0, 0)
    with pytest.raises(InputError, match="has no depth"):
        follow_pixel(replace(clip[0], depth=None), clip[1], 0, 0)
    with pytest.raises(InputError, match="gap must lie between 1 and 2"):
        most_hidden(clip, 3)
