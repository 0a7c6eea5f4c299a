"""Each rule of occlusion against a slow loop written from its publication; their quirks, each with its reason."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from planar import draw, hidden
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry import (
    Camera,
    DepthTolerance,
    correspond,
    depth_test_visible,
    gmflow_visible,
    gordon_visible,
    inside_visible,
    pose_from,
    relative_pose,
    rigid_flow,
    ruder_visible,
)

BY_TWO_FLOWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ruder": ruder_visible,
    "ruder without boundaries": lambda ab, ba: ruder_visible(ab, ba, motion_boundaries=False),
    "gmflow": gmflow_visible,
}


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def constant_flow(x: float, y: float, *size: int) -> Tensor:
    return torch.tensor([x, y], dtype=torch.float64)[None, :, None, None].expand(1, 2, *size).contiguous()


def bilinear(values: np.ndarray, x: float, y: float, *, outside: float | None = None) -> np.ndarray:
    """Values [c, h, w] at (x, y) from the four pixels around; `outside` stands for pixels that are not there."""
    _, h, w = values.shape
    total = np.zeros(len(values))
    for j in (math.floor(y), math.floor(y) + 1):
        for i in (math.floor(x), math.floor(x) + 1):
            weight = (1 - abs(x - i)) * (1 - abs(y - j))
            if weight == 0:
                continue
            there = 0 <= i < w and 0 <= j < h
            assert there or outside is not None
            total += weight * (values[:, j, i] if there else np.full(len(values), outside))
    return total


def slow_ruder(forward: np.ndarray, backward: np.ndarray, *, boundaries: bool) -> np.ndarray:
    """Ruder et al. 2016, section on occlusions and motion boundaries, pixel by pixel."""
    _, h, w = forward.shape
    visible = np.zeros((h, w), dtype=bool)
    for y, x in np.ndindex(h, w):
        u, v = x + forward[0, y, x], y + forward[1, y, x]
        if not (0 <= u <= w - 1 and 0 <= v <= h - 1):
            continue
        there, back = forward[:, y, x], bilinear(backward, u, v)
        if ((there + back) ** 2).sum() >= 0.01 * ((there**2).sum() + (back**2).sum()) + 0.5:
            continue
        across = (forward[:, y, min(x + 1, w - 1)] - forward[:, y, max(x - 1, 0)]) / 2
        down = (forward[:, min(y + 1, h - 1), x] - forward[:, max(y - 1, 0), x]) / 2
        edge = (across**2).sum() + (down**2).sum() > 0.01 * (there**2).sum() + 0.002
        visible[y, x] = not (boundaries and edge)
    return visible


def slow_gmflow(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Xu et al. 2022: norms; the backward flow's norm at the pixel itself; zeros beyond the border."""
    _, h, w = forward.shape
    visible = np.zeros((h, w), dtype=bool)
    for y, x in np.ndindex(h, w):
        there = forward[:, y, x]
        back = bilinear(backward, x + there[0], y + there[1], outside=0.0)
        limit = 0.01 * (math.hypot(*there) + math.hypot(*backward[:, y, x])) + 0.5
        visible[y, x] = not math.hypot(*(there + back)) > limit
    return visible


@pytest.mark.parametrize("boundaries", [True, False])
def test_ruder_is_the_slow_loop(boundaries: bool) -> None:
    smooth = torch.nn.functional.avg_pool2d(8 * random(3, 2, 20, 23), 9, 1)  # so that some pixels are no boundary
    forward = smooth + constant_flow(1.5, -1.0, 12, 15) + 0.05 * random(3, 2, 12, 15, seed=1)
    backward = -forward + 0.5 * random(3, 2, 12, 15, seed=2)
    visible = ruder_visible(forward, backward, motion_boundaries=boundaries)
    assert 0.02 < visible.double().mean() < 0.98
    for i in range(3):
        expected = slow_ruder(forward[i].numpy(), backward[i].numpy(), boundaries=boundaries)
        assert np.array_equal(visible[i].numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("boundaries", [True, False])
@pytest.mark.parametrize("size", [(12, 15), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("unknown", [None, torch.nan, 1e10, torch.inf])
def test_the_compiled_check_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, boundaries: bool, size: tuple[int, int], unknown: float | None
) -> None:
    forward = (0.4 * random(3, 2, *size)).to(dtype)
    backward = -forward + (0.5 * random(3, 2, *size, seed=2)).to(dtype)
    forward[0], backward[0] = forward[0].round(), backward[0].round()  # from pixel to pixel: the neighbours have no say
    if unknown is not None:
        for flow, seed in ((forward, 3), (backward, 4)):
            flow[random(3, 2, *size, seed=seed) > 1.3] = unknown
    seen = ruder_visible(forward, backward, motion_boundaries=boundaries, boundary_absolute=0.4)
    monkeypatch.setattr("stc_lab.geometry.occlusion.compilable", lambda *_: False)
    assert torch.equal(seen, ruder_visible(forward, backward, motion_boundaries=boundaries, boundary_absolute=0.4))
    assert unknown is not None or seen.any()


def test_motion_boundaries_only_take_away() -> None:
    forward = torch.cat([constant_flow(2.0, 0.0, 8, 6), constant_flow(-1.0, 0.5, 8, 6)], dim=3)
    backward = -forward
    plain = ruder_visible(forward, backward, motion_boundaries=False)
    strict = ruder_visible(forward, backward)
    assert (plain | ~strict).all()
    assert not strict[0, :, 5:7].any(), "the two columns on either side of the jump"
    assert torch.equal(strict[0, :, 1:5], plain[0, :, 1:5])


def test_gmflow_is_the_slow_loop() -> None:
    forward = 2 * random(3, 2, 12, 15)
    backward = -forward + 0.6 * random(3, 2, 12, 15, seed=1)
    visible = gmflow_visible(forward, backward)
    assert 0.02 < visible.double().mean() < 0.98
    for i in range(3):
        assert np.array_equal(visible[i].numpy(), slow_gmflow(forward[i].numpy(), backward[i].numpy()))


def test_the_published_constants_are_the_defaults() -> None:
    forward, backward = 2 * random(1, 2, 9, 9), -2 * random(1, 2, 9, 9) + random(1, 2, 9, 9, seed=1)
    assert torch.equal(
        ruder_visible(forward, backward),
        ruder_visible(forward, backward, relative=0.01, absolute=0.5, boundary_relative=0.01, boundary_absolute=0.002),
    )
    assert torch.equal(
        gmflow_visible(forward, backward), gmflow_visible(forward, backward, relative=0.01, absolute=0.5)
    )
    assert ruder_visible(forward, backward, absolute=1e3, boundary_absolute=1e3)[inside_visible(forward)].all()
    assert gmflow_visible(forward, backward, absolute=1e3).all()


@pytest.mark.parametrize("rule", BY_TWO_FLOWS)
def test_no_motion_hides_nothing(rule: str) -> None:
    """Ruder's program drops the last row and column here, for want of a right-hand neighbour; the paper does not."""
    still = constant_flow(0.0, 0.0, 5, 7)
    assert BY_TWO_FLOWS[rule](still, still).all()
    assert inside_visible(still).all()


def test_gmflow_lets_pixels_leave_that_move_little() -> None:
    """Zero padding: outside, the way back is 0, so that the error is the flow's own length."""
    for step, seen in ((0.5, True), (0.6, False)):
        flow = constant_flow(step, 0.0, 4, 6)
        assert bool(gmflow_visible(flow, torch.zeros_like(flow))[0, :, -1].all()) == seen
        assert not ruder_visible(flow, -flow)[0, :, -1].any()
    far = constant_flow(-40.0, 0.0, 4, 6)
    assert not gmflow_visible(far, -far).any()


def test_gmflow_takes_the_way_backs_length_at_the_pixel_itself() -> None:
    """A fast object that lands on a pixel of b loosens the test of the pixel of a at the same place."""
    forward, backward = constant_flow(0.0, 0.0, 3, 9), constant_flow(0.0, 0.0, 3, 9)
    forward[0, 0, 1, 2] = 3.0
    backward[0, 0, 1, 5] = -2.4  # 0.6 px off the way there: more than 0.01 (3 + 0) + 0.5
    assert not gmflow_visible(forward, backward)[0, 1, 2]
    backward[0, 0, 1, 2] = 100.0  # where the pixel starts, not where it lands
    assert gmflow_visible(forward, backward)[0, 1, 2]


@pytest.mark.parametrize("rule", BY_TWO_FLOWS)
@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf, 1.6e9, -1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unknown_flow_is_never_visible(rule: str, unknown: float, dtype: torch.dtype) -> None:
    there = constant_flow(1.0, 0.0, 5, 9).to(dtype)
    back = -there
    plain = BY_TWO_FLOWS[rule](there, back)
    assert plain[0, :, :-1].all()
    own = there.clone()
    own[0, 1, 2, 3] = unknown
    assert not BY_TWO_FLOWS[rule](own, back)[0, 2, 3]
    assert not inside_visible(own)[0, 2, 3]
    needed = back.clone()
    needed[0, 0, 2, 4] = unknown  # where (2, 3) lands
    assert not BY_TWO_FLOWS[rule](there, needed)[0, 2, 3]
    far = torch.ones(5, 9, dtype=torch.bool)
    far[1:4, 1:6] = False
    for ab, ba in ((own, back), (there, needed)):
        assert torch.equal(BY_TWO_FLOWS[rule](ab, ba)[0][far], plain[0][far])


def test_beside_unknown_flow_a_motion_boundary_cannot_be_excluded() -> None:
    flow = constant_flow(1.0, 0.0, 5, 9)
    flow[0, 0, 2, 3] = math.nan
    strict = ruder_visible(flow, -constant_flow(1.0, 0.0, 5, 9))
    assert not strict[0, 2, 2] and not strict[0, 1, 3] and strict[0, 1, 2]


def test_inside_ends_at_the_last_pixel_on_both_sides() -> None:
    flow = constant_flow(0.0, 0.0, 4, 6)
    flow[0, 0, 0, :] = torch.tensor([-0.01, 4.0, 3.01, -3.0, -4.01, 0.0])
    flow[0, 1, 3, :] = torch.tensor([0.0, 0.01, -3.0, -3.01, 1e10, math.nan])
    visible = inside_visible(flow)[0]
    assert visible[0].tolist() == [False, True, False, True, False, True]
    assert visible[3].tolist() == [True, False, True, False, False, False]
    assert visible[1:3].all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rule", BY_TWO_FLOWS)
def test_half_precision_is_lifted(rule: str, dtype: torch.dtype) -> None:
    forward = (2 * random(1, 2, 9, 300)).to(dtype)
    backward = (-forward.double() + 0.5 * random(1, 2, 9, 300, seed=1)).to(dtype)
    assert torch.equal(BY_TWO_FLOWS[rule](forward, backward), BY_TWO_FLOWS[rule](forward.float(), backward.float()))
    assert torch.equal(inside_visible(forward), inside_visible(forward.float()))


def two_rooms(seed: int, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Camera, Tensor, Tensor, Camera]:
    """Two random depth maps of two sizes, some of it unknown, and a motion that leaves some points behind."""
    generator = torch.Generator().manual_seed(seed)
    depth_target = 1.5 + torch.rand(2, 1, 9, 11, generator=generator, dtype=dtype)
    depth_source = 1.5 + torch.rand(2, 1, 8, 13, generator=generator, dtype=dtype)
    depth_target[:, 0, 3, 4], depth_target[0, 0, 5, 5] = 0.0, math.nan
    depth_source[:, 0, 2, 6], depth_source[1, 0, 4, 4] = 0.0, math.inf
    T = pose_from(
        0.1 * torch.randn(2, 3, generator=generator, dtype=dtype),
        torch.tensor([[0.1, -0.05, 0.2], [0.0, 0.1, -2.0]], dtype=dtype),
    )
    return (
        depth_target,
        Camera.from_fov(9, 11, 70.0, dtype=dtype),
        T,
        depth_source,
        Camera.from_fov(8, 13, 60.0, dtype=dtype),
    )


def landed(depth: float, camera: Camera, T: np.ndarray, other: Camera, x: int, y: int) -> tuple[float, float, float]:
    """x, y, z of a pixel in the other camera, by the textbook."""
    point = depth * np.linalg.solve(camera.K[0].double().numpy(), [x, y, 1.0])
    moved = T[:3, :3] @ point + T[:3, 3]
    seen = other.K[0].double().numpy() @ moved
    return seen[0] / seen[2], seen[1] / seen[2], moved[2]


@pytest.mark.parametrize("seed", range(4))
def test_gordon_is_the_slow_loop(seed: int) -> None:
    """Gordon et al. 2019, section 3.4 and their program's border rule; unknown depth is ours."""
    depth_target, camera, T, depth_source, other = two_rooms(seed)
    visible = gordon_visible(depth_target, camera, T, depth_source, camera_source=other)
    expected = np.zeros((2, 9, 11), dtype=bool)
    source = np.where(np.isfinite(depth_source.numpy()) & (depth_source.numpy() > 0), depth_source.numpy(), np.nan)
    for i, y, x in np.ndindex(*expected.shape):
        depth = float(depth_target[i, 0, y, x])
        if not (math.isfinite(depth) and depth > 0):
            continue
        u, v, z = landed(depth, camera, T[i].numpy(), other, x, y)
        if z > 1e-3 and 0 <= u < 13 - 1 and 0 <= v < 8 - 1:
            expected[i, y, x] = z < bilinear(source[i], u, v)[0]
    assert expected.any() and not expected.all()
    assert np.array_equal(visible.numpy(), expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_depth_test_is_the_slow_loop(seed: int) -> None:
    depth_target, camera, T, depth_source, other = two_rooms(seed)
    tolerance = DepthTolerance(relative=0.1, absolute=0.05)
    visible = depth_test_visible(depth_target, camera, T, depth_source, camera_source=other, tolerance=tolerance)
    assert torch.equal(
        visible,
        correspond(
            depth_target, camera, T, camera_source=other, depth_source=depth_source, tolerance=tolerance
        ).visible,
    )
    expected = np.zeros((2, 9, 11), dtype=bool)
    for i, y, x in np.ndindex(*expected.shape):
        depth = float(depth_target[i, 0, y, x])
        if not (math.isfinite(depth) and depth > 0):
            continue
        u, v, z = landed(depth, camera, T[i].numpy(), other, x, y)
        if z > 1e-3 and 0 <= u <= 12 and 0 <= v <= 7:
            read = float(depth_source[i, 0, round(v), round(u)])
            expected[i, y, x] = read > 0 and abs(z - read) < 0.1 * z + 0.05
    assert expected.any() and not expected.all()
    assert np.array_equal(visible.numpy(), expected)


STILL = torch.eye(4, dtype=torch.float64)[None]


def test_gordon_sees_nothing_where_nothing_moves() -> None:
    """Strictly nearer: a depth is not nearer than itself."""
    depth = 2 + random(1, 1, 8, 10).sin()
    camera = Camera.from_fov(8, 10, 60.0, dtype=torch.float64)
    assert not gordon_visible(depth, camera, STILL, depth).any()
    assert depth_test_visible(depth, camera, STILL, depth).all()


def test_gordon_keeps_half_of_a_surface_that_two_noisy_depths_show() -> None:
    """And the swapped call keeps the other half: each pair of depths is asked once, from its nearer side."""
    camera = Camera.from_fov(60, 80, 60.0, dtype=torch.float64)
    one, two = (2 + 0.01 * random(1, 1, 60, 80, seed=seed) for seed in (0, 1))
    there, back = gordon_visible(one, camera, STILL, two), gordon_visible(two, camera, STILL, one)
    within = torch.zeros(60, 80, dtype=torch.bool)
    within[:-1, :-1] = True
    assert torch.equal(there[0] ^ back[0], within), "the last row and column are in neither"
    assert 0.47 < there[0][within].double().mean() < 0.53
    assert depth_test_visible(one, camera, STILL, two).double().mean() > 0.99


def test_gordon_keeps_an_exact_slanted_plane_for_bilinear_depth_errs_to_the_far_side() -> None:
    """Along the image of a plane 1/z is linear, so that z is convex, and a chord lies above it."""
    K = torch.tensor([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 96, 128)
    poses = pose_from(torch.zeros(2, 3).double(), torch.tensor([[0.0, 0.0, 0.0], [0.013, 0.007, 0.0]]).double())
    a, b = (draw(K, 96, 128, T) for T in poses)
    seen = gordon_visible(a.depth, camera, relative_pose(poses[:1], poses[1:]), b.depth)[0]
    wall = (a.label[0] == 0) & ~hidden(a.point, poses[1])
    assert seen[2:-2, 2:-2][wall[2:-2, 2:-2]].double().mean() > 0.97


def test_every_rule_finds_what_a_drawn_scene_hides() -> None:
    K = torch.tensor([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 96, 128)
    poses = pose_from(torch.zeros(2, 3).double(), torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0]]).double())
    a, b = (draw(K, 96, 128, T) for T in poses)
    T_b_a = relative_pose(poses[:1], poses[1:])
    ab, ba = rigid_flow(a.depth, camera, T_b_a), rigid_flow(b.depth, camera, relative_pose(poses[1:], poses[:1]))
    in_view = inside_visible(ab.flow)[0]
    covered = hidden(a.point, poses[1]) & in_view
    assert covered.sum() > 300
    masks = {name: rule(ab.flow, ba.flow) for name, rule in BY_TWO_FLOWS.items()}
    masks["depth test"] = depth_test_visible(a.depth, camera, T_b_a, b.depth)
    masks["gordon"] = gordon_visible(a.depth, camera, T_b_a, b.depth)
    for name, mask in masks.items():
        seen = in_view & ~covered
        if name == "gordon":
            seen = seen & (a.label[0] == 0)  # the card keeps its depth in this motion: rounding decides what is nearer
        assert mask[0][covered].double().mean() < 0.15, name
        assert mask[0][seen].double().mean() > (0.85 if name in ("ruder", "gordon") else 0.95), name


FLOW = torch.zeros(2, 2, 6, 8)
DEPTH, CAMERA, POSE = torch.ones(2, 1, 6, 8), Camera.from_fov(6, 8, 60.0), torch.eye(4).repeat(2, 1, 1)
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "flow without batch": (lambda: inside_visible(FLOW[0]), r"flow_ab must be \[b, 2, h, w\].*flow_ab\[None\]"),
    "a depth map as flow": (lambda: gmflow_visible(DEPTH, FLOW), r"flow_ab must be \[b, 2, h, w\], got \[2, 1, 6, 8\]"),
    "no flow back": (lambda: ruder_visible(FLOW, FLOW[:, :1]), r"flow_ba must be \[b, 2, h, w\]"),
    "integer flow": (lambda: ruder_visible(FLOW.long(), FLOW), r"flow_ab must be float.*got torch\.int64"),
    "flows of two sizes": (lambda: gmflow_visible(FLOW, FLOW[..., :7]), r"one size.*resized flow must also be scaled"),
    "flows of two dtypes": (lambda: gmflow_visible(FLOW, FLOW.double()), r"flow_ba and flow_ab must have one dtype"),
    "flows of two batches": (lambda: ruder_visible(FLOW, FLOW[:1]), r"one batch size, got 1 and 2"),
    "negative tolerance": (lambda: gmflow_visible(FLOW, FLOW, relative=-0.1), r"must not be negative, got relative"),
    "NaN boundary": (
        lambda: ruder_visible(FLOW, FLOW, boundary_absolute=math.nan),
        r"must not be negative, got boundary_absolute = nan",
    ),
    "no depth of the source": (
        lambda: gordon_visible(DEPTH, CAMERA, POSE, DEPTH[:, 0]),
        r"depth_source must be \[b, 1, h, w\].*depth_source\[:, None\]",
    ),
    "source depth of another size": (
        lambda: gordon_visible(DEPTH, CAMERA, POSE, DEPTH[..., :7]),
        r"depth_source is 6 x 7 px, but its camera's K belongs to 6 x 8 px",
    ),
    "source depth of another dtype": (
        lambda: gordon_visible(DEPTH, CAMERA, POSE, DEPTH.double()),
        r"depth_source and depth_target must have one dtype",
    ),
    "no rigid motion": (lambda: gordon_visible(DEPTH, CAMERA, POSE * 2, DEPTH), r"T_source_target is no rigid motion"),
    "depth test without source depth": (
        lambda: depth_test_visible(DEPTH, CAMERA, POSE, DEPTH[:, 0]),
        r"depth_source must be \[b, 1, h, w\]",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call()
