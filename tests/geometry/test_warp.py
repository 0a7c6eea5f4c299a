"""The inverse warp against analytic scenes, a slow loop and its own invariances."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw, hidden

from stc_lab.geometry import (
    Camera,
    DepthTolerance,
    correspond,
    identity_warp,
    inverse_warp,
    inverse_warp_labels,
    invert_pose,
    pose_from,
    relative_pose,
    sample,
    sample_labels,
)

UNKNOWN = [0.0, -1.0, math.nan, math.inf, -math.inf]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def some_camera(height: int, width: int, *, batch: int = 1, dtype: torch.dtype = torch.float64) -> Camera:
    K = torch.tensor([[0.9 * width, 0.3, 0.47 * width], [0, 0.8 * width, 0.55 * height], [0, 0, 1]], dtype=dtype)
    return Camera(
        K.expand(batch, 3, 3) + torch.arange(batch)[:, None, None] * torch.diag(K.new_tensor([1, 2, 0])), height, width
    )


def small_motion(batch: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return pose_from(
        0.05 * random(batch, 3, seed=seed, dtype=dtype), 0.1 * random(batch, 3, seed=seed + 1, dtype=dtype)
    )


def still(batch: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.eye(4, dtype=dtype).repeat(batch, 1, 1)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    channels=st.integers(1, 4),
    batch=st.integers(1, 3),
    focal=st.floats(1.0, 900.0),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 1000),
)
def test_identity_pose_returns_the_source_bit_by_bit(
    height: int, width: int, channels: int, batch: int, focal: float, dtype: torch.dtype, seed: int
) -> None:
    camera = Camera.from_parameters(
        focal, 1.3 * focal, 0.37 * width, 0.71 * height, height=height, width=width, dtype=dtype
    )
    source = random(batch, channels, height, width, seed=seed, dtype=dtype)
    depth = random(batch, 1, height, width, seed=seed, dtype=dtype).exp() + 0.01
    unknown = random(batch, 1, height, width, seed=seed + 1, dtype=dtype) > 1
    unknown[0, 0, 0, 0] = False
    depth = torch.where(unknown, torch.tensor(UNKNOWN[seed % len(UNKNOWN)], dtype=dtype), depth)
    warped = inverse_warp(source, depth, camera, still(batch, dtype), depth_source=depth)
    assert torch.equal(warped.image, source)
    assert torch.equal(warped.visible, ~unknown[:, 0])
    labels = torch.randint(0, 21, (batch, height, width), generator=torch.Generator().manual_seed(seed))
    warped_labels = inverse_warp_labels(labels, depth, camera, still(batch, dtype), depth_source=depth)
    assert torch.equal(warped_labels.label, labels.masked_fill(unknown[:, 0], 255))


def test_identity_pose_still_has_the_gradient_of_the_pose() -> None:
    camera = some_camera(8, 9)
    turn = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    depth = torch.full((1, 1, 8, 9), 2.0, dtype=torch.float64)
    ramp = torch.arange(9.0, dtype=torch.float64).expand(1, 1, 8, 9)
    inverse_warp(ramp, depth, camera, pose_from(turn, shift)).image[..., 2:-2, 2:-2].sum().backward()
    assert turn.grad is not None
    assert shift.grad is not None
    assert shift.grad[0, 0] == pytest.approx(4 * 5 * float(camera.K[0, 0, 0]) / 2)  # du/dt_x = fx / z at each pixel
    assert turn.grad.abs().max() > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_crop_and_a_stride_are_exact_too(dtype: torch.dtype) -> None:
    camera = Camera.from_parameters(100.0, 110.0, 31.5, 23.5, height=48, width=64, dtype=dtype)
    source = random(1, 3, 48, 64, dtype=dtype)
    crop, stride = camera.cropped(7, 13, 41, 51), camera.strided(2)  # the crop touches the last row and column
    for target, expected in ((crop, source[..., 7:48, 13:64]), (stride, source[..., ::2, ::2])):
        depth = 1 + random(1, 1, *target.size, dtype=dtype).abs()
        warped = inverse_warp(source, depth, target, still(1, dtype), camera_source=camera)
        assert torch.equal(warped.image, expected)
        assert warped.visible.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_last_row_and_column_are_visible_and_not_a_hair_more(dtype: torch.dtype) -> None:
    pixels = torch.tensor([[[[0.0, 9.0, -1e-5, 9.00001]], [[7.0, 0.0, 3.0, 3.0]]]], dtype=dtype)
    camera = Camera.from_parameters(10.0, 10.0, 4.5, 3.5, height=8, width=10, dtype=dtype)
    shift = torch.tensor([0.5, 0.25], dtype=dtype)  # of 1 m depth: exactly 5 px right, 2.5 px down
    T = still(1, dtype)
    T[0, :2, 3] = shift
    where = correspond(torch.ones(1, 1, 8, 10, dtype=dtype), camera, T)
    expected = torch.zeros(8, 10, dtype=torch.bool)
    expected[:5, :5] = True  # y + 2.5 <= 7, x + 5 <= 9
    assert torch.equal(where.visible[0], expected)
    source = random(1, 2, 8, 10, dtype=dtype)
    assert torch.equal(sample(source, pixels)[0, :, 0, :2], source[0, :, [7, 0], [0, 9]])


def test_outside_the_image_its_border_goes_on() -> None:
    source = random(1, 2, 5, 6)
    pixels = torch.tensor([-40.0, -3.0]).double().reshape(1, 2, 1, 1)
    assert torch.equal(sample(source, pixels)[..., 0, 0], source[..., 0, 0])
    labels = torch.arange(30).reshape(1, 5, 6)
    assert sample_labels(labels, -pixels).item() == 6 * 3 + 5  # row 3, last column


def test_points_behind_the_camera_are_never_visible() -> None:
    camera = some_camera(10, 12)
    depth = 1 + random(1, 1, 10, 12).abs()
    turned = pose_from(torch.tensor([[0.0, math.pi, 0.0]]).double(), torch.zeros(1, 3).double())
    assert not correspond(depth, camera, turned).visible.any()
    forward = pose_from(torch.zeros(1, 3).double(), torch.tensor([[0.0, 0.0, -1.5]]).double())  # walk 1.5 m ahead
    where = correspond(depth, camera, forward)
    torch.testing.assert_close(where.depth, depth - 1.5)
    assert not where.visible[depth[:, 0] <= 1.5].any()
    assert where.visible.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extreme", [*UNKNOWN, 1e-30, 1e29, 3e38])
def test_nothing_makes_nan_in_values_or_gradients(dtype: torch.dtype, extreme: float) -> None:
    camera = some_camera(6, 7, dtype=dtype)
    depth = 1 + random(1, 1, 6, 7, dtype=dtype).abs()
    depth[..., ::2, :] = extreme
    depth.requires_grad_(math.isfinite(extreme))  # a measured map may hold what is not finite, a net's may not
    turn = torch.tensor([[0.1, 2.0, -0.3]], dtype=dtype, requires_grad=True)  # much of the scene is behind
    shift = torch.tensor([[0.1, 0.0, -1.5]], dtype=dtype, requires_grad=True)
    source = random(1, 3, 6, 7, dtype=dtype).requires_grad_()
    for rotation in (turn, turn * 0):
        warped = inverse_warp(source, depth, camera, pose_from(rotation, shift), depth_source=depth)
        assert warped.image.isfinite().all()
        free = [value for value in (source, depth, turn, shift) if value.requires_grad]
        gradients = torch.autograd.grad(warped.image.square().sum(), free)
        assert all(gradient.isfinite().all() for gradient in gradients)


def slow_warp(
    source: np.ndarray,
    depth: np.ndarray,
    K_target: np.ndarray,
    T: np.ndarray,
    K_source: np.ndarray,
    depth_source: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The warp written pixel by pixel from its definition."""
    c, hs, ws = source.shape
    h, w = depth.shape
    image, visible = np.zeros((c, h, w)), np.zeros((h, w), dtype=bool)
    for y in range(h):
        for x in range(w):
            if not (np.isfinite(depth[y, x]) and depth[y, x] > 0):
                continue
            point = T[:3, :3] @ (np.linalg.inv(K_target) @ np.array([x, y, 1.0]) * depth[y, x]) + T[:3, 3]
            if point[2] <= 1e-3:
                continue
            u, v, _ = K_source @ (point / point[2])
            if not (0 <= u <= ws - 1 and 0 <= v <= hs - 1):
                continue
            if depth_source is not None:
                seen = depth_source[round(v), round(u)]
                if not (np.isfinite(seen) and seen > 0 and abs(seen - point[2]) < 0.04 * point[2] + 0.02):
                    continue
            visible[y, x] = True
            x0, y0 = min(int(u), ws - 2), min(int(v), hs - 2)
            a, b = u - x0, v - y0
            image[:, y, x] = (
                (1 - a) * (1 - b) * source[:, y0, x0]
                + a * (1 - b) * source[:, y0, x0 + 1]
                + (1 - a) * b * source[:, y0 + 1, x0]
                + a * b * source[:, y0 + 1, x0 + 1]
            )
    return image, visible


@pytest.mark.parametrize("occlusion", [False, True])
def test_it_is_the_slow_loop(occlusion: bool) -> None:
    batch, target, other = 2, some_camera(9, 11, batch=2), some_camera(13, 8, batch=2)
    source, T = random(batch, 3, 13, 8), small_motion(batch)
    depth = 1.5 + 0.5 * random(batch, 1, 9, 11).sin()
    depth[:, :, 2, 3], depth[:, :, 4, 5], depth[:, :, 6, 7] = 0.0, math.nan, -2.0
    depth_source = 1.5 + 0.2 * random(batch, 1, 13, 8, seed=5).sin() if occlusion else None
    if depth_source is not None:
        depth_source[:, :, 5, 4:7] = torch.tensor([0.0, math.inf, math.nan], dtype=torch.float64)
    warped = inverse_warp(source, depth, target, T, camera_source=other, depth_source=depth_source)
    assert 0.1 < warped.visible.double().mean() < 0.95
    for i in range(batch):
        image, visible = slow_warp(
            source[i].numpy(),
            depth[i, 0].numpy(),
            target.K[i].numpy(),
            T[i].numpy(),
            other.K[i].numpy(),
            None if depth_source is None else depth_source[i, 0].numpy(),
        )
        assert np.array_equal(visible, warped.visible[i].numpy())
        np.testing.assert_allclose(warped.image[i].numpy() * visible, image, atol=1e-12)


def test_gradients_to_source_depth_pose_and_intrinsics() -> None:
    source, depth = random(1, 2, 5, 6), 1.5 + 0.5 * random(1, 1, 5, 6).sin()
    turn, shift = 0.03 * random(1, 3), 0.05 * random(1, 3, seed=2)
    K, K_source = some_camera(5, 6).K, some_camera(5, 6).K + torch.tensor([[0.3, 0.1, -0.2], [0, 0.2, 0.1], [0, 0, 0]])

    def warp(*inputs: torch.Tensor) -> torch.Tensor:
        source, depth, turn, shift, K, K_source = inputs
        target, other = Camera(K, 5, 6), Camera(K_source, 5, 6)
        return inverse_warp(source, depth, target, pose_from(turn, shift), camera_source=other).image

    free = [value.clone().requires_grad_() for value in (source, depth, turn, shift)]
    assert torch.autograd.gradcheck(lambda *inputs: warp(*inputs, K, K_source), free)

    def from_numbers(numbers: torch.Tensor) -> torch.Tensor:
        rows = [
            torch.stack([n[0], n[1], n[2], 0 * n[0], n[3], n[4], 0 * n[0], 0 * n[0], 0 * n[0] + 1]) for n in numbers
        ]
        K, K_source = torch.stack(rows).reshape(2, 1, 3, 3)
        return warp(source, depth, turn, shift, K, K_source)

    numbers = torch.stack([K[0, [0, 0, 0, 1, 1], [0, 1, 2, 1, 2]], K_source[0, [0, 0, 0, 1, 1], [0, 1, 2, 1, 2]]])
    assert torch.autograd.gradcheck(from_numbers, (numbers.requires_grad_(),))


HEIGHT, WIDTH = 48, 64
K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
CAMERA = Camera(K[None], HEIGHT, WIDTH)
POSES = pose_from(
    torch.tensor([[0.0, 0.0, 0.0], [0.02, -0.05, 0.03], [-0.03, 0.04, -0.05]], dtype=torch.float64),
    torch.tensor([[0.0, 0.0, 0.0], [0.15, -0.05, 0.1], [-0.2, 0.1, 0.3]], dtype=torch.float64),
)
VIEWS = [draw(K, HEIGHT, WIDTH, T) for T in POSES]


def near_edge(label: torch.Tensor) -> torch.Tensor:
    """Pixels whose 5 x 5 surroundings hold both labels: interpolation mixes card and wall there."""
    label = label[:, None].double()
    return (F.max_pool2d(label, 5, 1, 2) + F.max_pool2d(-label, 5, 1, 2))[:, 0] > 0


def motion(source: int, target: int) -> torch.Tensor:
    return relative_pose(POSES[target][None], POSES[source][None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0), (2, 0), (1, 2)])
def test_warping_a_drawn_scene_gives_the_other_view(source: int, target: int, dtype: torch.dtype) -> None:
    s, t = VIEWS[source], VIEWS[target]
    warped = inverse_warp(
        s.image.to(dtype),
        t.depth.to(dtype),
        CAMERA.to(dtype=dtype),
        motion(source, target).to(dtype),
        depth_source=s.depth.to(dtype),
    )
    difference = (warped.image - t.image).abs().mean(dim=1)[warped.visible]
    assert warped.visible.double().mean() > 0.6
    assert difference.mean() < 3e-3
    labels = inverse_warp_labels(s.label, t.depth, CAMERA, motion(source, target), depth_source=s.depth)
    assert (labels.label == t.label)[labels.visible].double().mean() > 0.995
    # The exact visibility, by crossing lines of sight, differs only along the card's silhouette.
    seen = ~hidden(t.point, POSES[source])
    in_view = inverse_warp(s.image, t.depth, CAMERA, motion(source, target)).visible[0]
    assert (labels.visible[0] == (seen & in_view)).double().mean() > 0.98
    assert (in_view & ~seen).sum() > 20  # there is something to hide


def test_the_wrong_direction_is_worse_than_not_moving() -> None:
    s, t = VIEWS[1], VIEWS[0]
    right = inverse_warp(s.image, t.depth, CAMERA, motion(1, 0), depth_source=s.depth)
    wrong = inverse_warp(s.image, t.depth, CAMERA, invert_pose(motion(1, 0)))
    both = right.visible & wrong.visible

    def error(image: torch.Tensor) -> float:
        return float((image - t.image).abs().mean(dim=1)[both].mean())

    control = identity_warp(s.image, both)
    assert error(right.image) < 0.2 * error(control.image)
    assert error(wrong.image) > 1.2 * error(control.image)


def test_there_and_back_keeps_what_stays_visible() -> None:
    a, b = VIEWS[0], VIEWS[1]
    there = inverse_warp(a.image, b.depth, CAMERA, motion(0, 1), depth_source=a.depth)
    usable = (there.visible & ~near_edge(b.label))[:, None].double()
    back = inverse_warp(torch.cat([there.image, usable], dim=1), a.depth, CAMERA, motion(1, 0), depth_source=b.depth)
    kept = back.visible & (back.image[:, 3] == 1) & ~near_edge(a.label)
    assert kept.double().mean() > 0.45
    assert (back.image[:, :3] - a.image).abs().mean(dim=1)[kept].max() < 6e-3


def test_positions_compose() -> None:
    # Where c's pixels lie in a, asked directly and over b with b's depth read at the way-point.
    direct = correspond(VIEWS[2].depth, CAMERA, motion(0, 2), depth_source=VIEWS[0].depth)
    first = correspond(VIEWS[2].depth, CAMERA, motion(1, 2), depth_source=VIEWS[1].depth)
    over_b = correspond(VIEWS[1].depth, CAMERA, motion(0, 1), depth_source=VIEWS[0].depth)
    positions = sample(over_b.pixels, first)
    wall = VIEWS[2].label == 0
    whole = sample(over_b.visible[:, None].double(), first)[:, 0] == 1
    on_wall = sample((VIEWS[1].label == 0).double()[:, None], first)[:, 0] == 1
    both = direct.visible & first.visible & whole & wall & on_wall
    assert both.double().mean() > 0.3
    assert (positions - direct.pixels).norm(dim=1)[both].max() < 0.05  # px


def test_one_camera_serves_a_batch() -> None:
    source, depth, T = random(3, 2, 9, 11), 1.5 + 0.5 * random(3, 1, 9, 11).sin(), small_motion(3)
    one, many = some_camera(9, 11), some_camera(9, 11)
    many = Camera(many.K.repeat(3, 1, 1), 9, 11)
    a, b = inverse_warp(source, depth, one, T), inverse_warp(source, depth, many, T)
    torch.testing.assert_close(a.image, b.image, atol=1e-12, rtol=0)
    assert torch.equal(a.visible, b.visible)


def test_labels_are_read_never_mixed() -> None:
    labels = torch.tensor([[[0, 20], [0, 20]]])
    x = torch.linspace(0, 1, 9).double().expand(1, 1, 1, 9)
    read = sample_labels(labels, torch.cat([x, torch.zeros_like(x)], dim=1))
    assert set(read.flatten().tolist()) == {0, 20}


@settings(deadline=None, max_examples=30)
@given(
    st.integers(2, 12),
    st.integers(2, 12),
    st.integers(2, 12),
    st.integers(2, 12),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_shapes_and_range(h: int, w: int, hs: int, ws: int, batch: int, seed: int) -> None:
    source = random(batch, 2, hs, ws, seed=seed)
    depth = random(batch, 1, h, w, seed=seed).exp()
    warped = inverse_warp(
        source, depth, some_camera(h, w), small_motion(batch, seed=seed), camera_source=some_camera(hs, ws)
    )
    assert warped.image.shape == (batch, 2, h, w)
    assert warped.visible.shape == (batch, h, w)
    # Bilinear weights are a share each: no value leaves the range of its channel.
    low, high = source.amin(dim=(2, 3), keepdim=True), source.amax(dim=(2, 3), keepdim=True)
    assert ((warped.image >= low - 1e-9) & (warped.image <= high + 1e-9) | ~warped.visible[:, None]).all()


def test_the_tolerance_is_a_share_and_a_length() -> None:
    depth = torch.tensor([1.0, 1.0, 10.0, 10.0, 1.0, 1.0])
    other = torch.tensor([1.059, 1.061, 10.41, 10.43, math.nan, math.inf])
    assert DepthTolerance().same_surface(depth, other).tolist() == [True, False, True, False, False, False]
