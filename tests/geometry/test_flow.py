"""Flow from geometry and from images, and warps along it."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from planar import draw

from stc_lab.data.flow_files import read_flo
from stc_lab.data.image_files import read_image
from stc_lab.data.rooms import build_scene, render
from stc_lab.data.rooms.paths import PATHS
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.data.sintel import read_sintel_pair
from stc_lab.geometry import (
    Camera,
    DisFlow,
    Flow,
    RigidFlow,
    dis_flow,
    inverse_warp,
    inverse_warp_labels,
    pose_from,
    relative_pose,
    rigid_flow,
    ruder_visible,
    warp_by_flow,
    warp_labels_by_flow,
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def constant_flow(x: float, y: float, *size: int) -> torch.Tensor:
    return torch.tensor([x, y], dtype=torch.float64)[None, :, None, None].expand(1, 2, *size).contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_warping_by_rigid_flow_is_the_inverse_warp(dtype: torch.dtype) -> None:
    camera = Camera.from_fov(20, 30, 60.0, dtype=dtype)
    depth = 2 + 0.2 * random(2, 1, 20, 30, dtype=dtype).sin()
    depth_b = 2 + 0.2 * random(2, 1, 20, 30, seed=1, dtype=dtype).sin()
    T = pose_from(0.05 * random(2, 3, dtype=dtype), 0.1 * random(2, 3, seed=1, dtype=dtype))
    source = random(2, 3, 20, 30, dtype=dtype)
    labels = (source[:, 0] > 0).long()
    flow = rigid_flow(depth, camera, T, depth_b=depth_b)
    expected = inverse_warp(source, depth, camera, T, depth_source=depth_b)
    by_flow = warp_by_flow(source, flow.flow)
    torch.testing.assert_close(by_flow.image, expected.image, atol=1e-9 if dtype == torch.float64 else 1e-4, rtol=0)
    assert torch.equal(flow.visible, expected.visible)
    assert (by_flow.visible | ~flow.visible).all()
    expected_labels = inverse_warp_labels(labels, depth, camera, T)
    by_flow_labels = warp_labels_by_flow(labels, flow.flow)
    assert (by_flow_labels.label == expected_labels.label).double().mean() > 0.995


def test_no_motion_is_no_flow_and_unknown_depth_too() -> None:
    camera = Camera.from_fov(6, 8, 60.0)
    depth = random(1, 1, 6, 8, dtype=torch.float32)
    still = rigid_flow(depth, camera, torch.eye(4)[None])
    assert (still.flow == 0).all()
    assert torch.equal(still.visible, depth[:, 0] > 0)
    moved = rigid_flow(depth, camera, pose_from(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])))
    assert torch.equal((moved.flow == 0).all(dim=1), depth[:, 0] <= 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_pixel_flow_moves_pixels_exactly(dtype: torch.dtype) -> None:
    source, labels = random(1, 3, 9, 11, dtype=dtype), torch.arange(99).reshape(1, 9, 11)
    for x, y in ((0, 0), (3, -2)):
        flow = constant_flow(x, y, 9, 11).to(dtype)
        warped, read = warp_by_flow(source, flow), warp_labels_by_flow(labels, flow)
        expected = torch.zeros(9, 11, dtype=torch.bool)
        expected[-y:, : 11 - x] = True
        assert torch.equal(warped.visible[0], expected)
        assert torch.equal(read.visible, warped.visible)
        assert torch.equal(warped.image[..., -y:, : 11 - x], source[..., : 9 + y, x:])
        assert torch.equal(read.label[..., -y:, : 11 - x], labels[..., : 9 + y, x:])
        assert (read.label[0, ~expected] == 255).all()


@pytest.mark.parametrize("unknown", [math.nan, math.inf, 1.6e9])
def test_unknown_flow_is_invisible_and_finite(unknown: float) -> None:
    flow = constant_flow(0.5, 0.0, 5, 6)
    flow[0, 0, 2, 3] = unknown
    source = random(1, 2, 5, 6).requires_grad_()
    flow.requires_grad_()
    warped = warp_by_flow(source, flow)
    assert not warped.visible[0, 2, 3]
    assert warped.image.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(warped.image.sum(), (source, flow)))
    assert warp_labels_by_flow(torch.zeros(1, 5, 6, dtype=torch.long), flow.detach()).label[0, 2, 3] == 255
    assert not ruder_visible(flow.detach(), constant_flow(-0.5, 0.0, 5, 6), motion_boundaries=False)[0, 2, 3]


def smooth_image(height: int, width: int, shift: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """A band-limited texture, so that it can be moved by any fraction of a pixel."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(float)
    waves = [
        np.sin(fx * (x - shift[0]) + fy * (y - shift[1]) + phase)
        for fx, fy, phase in zip(*generator.normal(scale=0.4, size=(2, 40)), generator.uniform(0, 6, 40), strict=True)
    ]
    grey = np.clip(0.5 + 0.08 * np.sum(waves, axis=0), 0, 1)
    return torch.from_numpy(grey).expand(1, 3, height, width)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_flow_finds_a_shift(preset: str) -> None:
    a, b = smooth_image(96, 128), smooth_image(96, 128, (-3.0, 2.0))
    flow = dis_flow(a, b, preset=preset)  # type: ignore[arg-type]
    assert flow.dtype == a.dtype
    error = (flow - constant_flow(-3, 2, 96, 128)).norm(dim=1)[..., 8:-8, 8:-8]
    assert error.median() < 0.2


def test_dis_flow_is_opencvs_pair_by_pair() -> None:
    levels = torch.randint(0, 256, (2, 1, 32, 40), generator=torch.Generator().manual_seed(0))
    a, b = (levels / 255).expand(2, 3, 32, 40), (levels.roll(1, -1) / 255).expand(2, 3, 32, 40)
    expected = [
        cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(x, x_moved, None)
        for x, x_moved in zip(levels[:, 0].byte().numpy(), levels.roll(1, -1)[:, 0].byte().numpy(), strict=True)
    ]
    assert np.array_equal(dis_flow(a, b).permute(0, 2, 3, 1).numpy(), np.stack(expected))


def projected(depth: np.ndarray, K_a: np.ndarray, T_b_a: np.ndarray, K_b: np.ndarray) -> np.ndarray:
    """Flow [2, h, w] written out in double precision, by NumPy's inverse and products."""
    height, width = depth.shape
    pixels = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones((height, width))])
    points = np.einsum("ij,jhw->ihw", np.linalg.inv(K_a), pixels) * depth
    moved = np.einsum("ij,jhw->ihw", T_b_a[:3, :3], points) + T_b_a[:3, 3, None, None]
    seen = np.einsum("ij,jhw->ihw", K_b, moved)
    return seen[:2] / seen[2] - pixels[:2]


def orthonormal(T: torch.Tensor) -> torch.Tensor:
    """Poses that were made in float32, as rigid motions of double precision."""
    u, _, v = torch.linalg.svd(T[:, :3, :3])
    T = T.clone()
    T[:, :3, :3] = u @ v
    return T


@pytest.mark.parametrize("motion", ["dolly", "handheld"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-9)])
def test_rigid_flow_of_a_room_is_exact_also_between_two_cameras(
    motion: str, dtype: torch.dtype, tolerance: float
) -> None:
    """In px, on all pixels that a second camera of another size and lens sees, from depth and poses of this dtype."""
    scene = build_scene(3)
    poses = orthonormal(PATHS[motion](scene, 12, np.random.default_rng(3)).double())
    camera_a = Camera.from_fov(24, 36, 60.0, dtype=torch.float64)
    camera_b = Camera.from_parameters(41.0, 38.0, 21.3, 14.2, height=32, width=44, dtype=torch.float64)
    frames = [0, 3, 7]
    T_a, T_b = poses[frames], poses[[i + 2 for i in frames]]
    depth = render(scene, camera_a, T_a, shadows=False).depth
    T_b_a = relative_pose(T_a.to(dtype), T_b.to(dtype))
    found = rigid_flow(depth.to(dtype), camera_a.to(dtype=dtype), T_b_a, camera_b=camera_b.to(dtype=dtype))
    truth = ExactRoomsFlow(scene)(View(camera_a, T_a), View(camera_b, T_b))
    own = RigidFlow()(View(camera_a, T_a, depth), View(camera_b, T_b))
    assert truth.visible.double().mean() > 0.2
    for i in range(len(frames)):
        motion_b_a = np.linalg.inv(T_b[i].numpy()) @ T_a[i].numpy()
        expected = projected(depth[i, 0].numpy(), camera_a.K[0].numpy(), motion_b_a, camera_b.K[0].numpy())
        seen = truth.visible[i].numpy()
        for flow in (found.flow, truth.flow, own.flow):
            assert np.abs(flow[i].double().numpy() - expected)[:, seen].max() < tolerance
        x, y = expected[0] + np.arange(36), expected[1] + np.arange(24)[:, None]
        assert not (seen & ((x < 0) | (x > 43) | (y < 0) | (y > 31))).any()


class View:
    """A camera at its poses, with the depth that it may know."""

    def __init__(self, camera: Camera, T_world_camera: torch.Tensor, depth: torch.Tensor | None = None) -> None:
        self.camera, self.T_world_camera, self.depth = camera, T_world_camera, depth
        self.image = torch.zeros(len(T_world_camera), 3, *camera.size)


def test_exact_flow_and_the_depth_test_agree_on_what_is_seen() -> None:
    scene = build_scene(3)
    poses = PATHS["dolly"](scene, 12, np.random.default_rng(3)).double()
    camera = Camera.from_fov(48, 72, 60.0, dtype=torch.float64)
    depth = render(scene, camera, poses, shadows=False).depth
    a, b = View(camera, poses[:-1], depth[:-1]), View(camera, poses[1:], depth[1:])
    exact, tested = ExactRoomsFlow(scene)(a, b), RigidFlow()(a, b)
    assert 0.2 < exact.visible.double().mean() < 0.95
    assert (exact.visible == tested.visible).double().mean() > 0.98


def test_flows_compose_on_a_static_scene() -> None:
    """From a to b, then from where one lands on to c, is from a to c; the second flow is read between pixels."""
    K = torch.tensor([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 96, 128)
    turns = torch.tensor([[0.0, 0, 0], [0.01, -0.02, 0.03], [-0.02, 0.01, 0.05]]).double()
    poses = pose_from(turns, torch.tensor([[0.0, 0, 0], [0.1, 0.02, 0.1], [0.2, -0.03, -0.1]]).double())
    views = [draw(K, 96, 128, T) for T in poses]

    def flow(i: int, j: int) -> Flow:
        T_j_i = relative_pose(poses[i : i + 1], poses[j : j + 1])
        return rigid_flow(views[i].depth, camera, T_j_i, depth_b=views[j].depth)

    ab, bc, ac = flow(0, 1), flow(1, 2), flow(0, 2)
    further = warp_by_flow(torch.cat([bc.flow, views[1].label[:, None].double()], dim=1), ab.flow)
    one_surface = further.image[:, 2] == views[0].label  # all four pixels read are of the surface one started from
    judged = ab.visible & ac.visible & one_surface
    assert judged.double().mean() > 0.5
    error = (ab.flow + further.image[:, :2] - ac.flow).norm(dim=1)[judged]
    assert error.max() < 5e-3  # px, of bilinear reading
    back = flow(1, 0)
    round_trip = warp_by_flow(torch.cat([back.flow, views[1].label[:, None].double()], dim=1), ab.flow)
    judged = ab.visible & (round_trip.image[:, 2] == views[0].label)
    assert (ab.flow + round_trip.image[:, :2]).norm(dim=1)[judged].max() < 5e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted_before_pixels_are_computed(dtype: torch.dtype) -> None:
    camera = Camera.from_fov(6, 300, 60.0)
    depth = (2 + 0.2 * random(1, 1, 6, 300, dtype=torch.float32).sin()).to(dtype)
    T = pose_from(torch.full((1, 3), 0.01), torch.full((1, 3), 0.05))
    found = rigid_flow(depth, camera, T, depth_b=depth)
    expected = rigid_flow(depth.float(), camera, T, depth_b=depth.float())
    assert found.flow.dtype == torch.float32
    assert torch.equal(found.flow, expected.flow) and torch.equal(found.visible, expected.visible)
    flow = constant_flow(0.3, 0.0, 6, 300).to(dtype)
    assert torch.equal(warp_by_flow(depth, flow).visible, warp_by_flow(depth.float(), flow.float()).visible)
    image = smooth_image(16, 24).to(dtype)
    assert dis_flow(image, image).dtype == torch.float32


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("render", "scene", "warped_at_most", "identity_at_least"),
    [("clean", "alley_1", 0.0085, 0.035), ("final", "cave_2", 0.009, 0.037)],
)
def test_sintels_true_flow_explains_the_next_frame(
    real_data: Path, render: str, scene: str, warped_at_most: float, identity_at_least: float
) -> None:
    pair = read_sintel_pair(real_data / "sintel" / "training", render, scene, 2)
    warped = warp_by_flow(pair.b.image, pair.truth.flow)
    seen = pair.truth.visible & pair.counted
    assert (warped.visible | ~seen).all()
    assert (warped.image - pair.a.image).abs().mean(dim=1)[seen].mean() < warped_at_most
    assert (pair.b.image - pair.a.image).abs().mean(dim=1)[seen].mean() > identity_at_least


@pytest.mark.real_data
@pytest.mark.parametrize(("render", "scene", "at_most"), [("clean", "alley_1", 0.35), ("final", "cave_2", 1.3)])
def test_dis_on_sintel(real_data: Path, render: str, scene: str, at_most: float) -> None:
    """Mean end-point error (px) of the default estimator, on what the next frame shows too."""
    pair = read_sintel_pair(real_data / "sintel" / "training", render, scene, 2)
    error = (DisFlow()(pair.a, pair.b).flow - pair.truth.flow).norm(dim=1)
    seen = pair.truth.visible & pair.counted
    assert error[seen].mean() < at_most
    assert error[seen].median() < 0.3


@pytest.mark.real_data
def test_rubberwhales_true_flow_explains_the_next_frame(real_data: Path) -> None:
    root = real_data / "middlebury_rubberwhale"
    paths = [root / "other-data" / "RubberWhale" / f"frame1{i}.png" for i in (0, 1)]
    a, b = (torch.from_numpy(read_image(path)).permute(2, 0, 1)[None] / 255 for path in paths)
    truth = read_flo(root / "other-gt-flow" / "RubberWhale" / "flow10.flo")
    warped = warp_by_flow(b, truth.flow)
    assert not (warped.visible & ~truth.known).any()
    assert warped.image.isfinite().all()
    assert (warped.image - a).abs().mean(dim=1)[warped.visible].mean() < 0.006
    assert (b - a).abs().mean(dim=1)[warped.visible].mean() > 0.022
    error = (dis_flow(a, b) - truth.flow).norm(dim=1)[truth.known]
    assert error.mean() < 0.3  # px
