"""Flow from geometry and from images, warps along it, and the forward-backward check."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from planar import draw

from stc_lab.geometry import (
    Camera,
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


def read_flo(path: Path) -> torch.Tensor:
    """Middlebury .flo: magic 202021.25, width, height, then (u, v) row by row."""
    data = path.read_bytes()
    assert np.frombuffer(data[:4], "<f4")[0] == np.float32(202021.25)
    width, height = np.frombuffer(data[4:12], "<i4")
    flow = np.frombuffer(data[12:], "<f4").reshape(height, width, 2)
    return torch.from_numpy(flow.transpose(2, 0, 1).copy())[None]


def read_image(path: Path) -> torch.Tensor:
    image = cv2.imread(str(path))
    assert image is not None, path
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255


def read_mask(path: Path) -> torch.Tensor:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert mask is not None, path
    return torch.from_numpy(mask)[None] > 127


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("kind", "scene", "warped_at_most", "identity_at_least"),
    [("clean", "alley_1", 0.0085, 0.035), ("final", "cave_2", 0.009, 0.037)],
)
def test_sintels_true_flow_explains_the_next_frame(
    real_data: Path, kind: str, scene: str, warped_at_most: float, identity_at_least: float
) -> None:
    root = real_data / "sintel" / "training"
    a, b = (read_image(root / kind / scene / f"frame_000{i}.png") for i in (2, 3))
    flow = read_flo(root / "flow" / scene / "frame_0002.flo")
    masked = read_mask(root / "occlusions" / scene / "frame_0002.png")
    masked = masked | read_mask(root / "invalid" / scene / "frame_0002.png")
    warped = warp_by_flow(b, flow)
    seen = warped.visible & ~masked
    assert (warped.image - a).abs().mean(dim=1)[seen].mean() < warped_at_most
    assert (b - a).abs().mean(dim=1)[seen].mean() > identity_at_least
    # The check, with the true flow out and an estimated flow back, keeps what is seen and drops much of what is hidden.
    judged = ruder_visible(flow, dis_flow(b, a), motion_boundaries=False)
    assert judged[seen].float().mean() > 0.88
    assert judged[masked].float().mean() < 0.5


@pytest.mark.real_data
def test_rubberwhales_true_flow_explains_the_next_frame(real_data: Path) -> None:
    root = real_data / "middlebury_rubberwhale"
    a, b = (read_image(root / "other-data" / "RubberWhale" / f"frame1{i}.png") for i in (0, 1))
    flow = read_flo(root / "other-gt-flow" / "RubberWhale" / "flow10.flo")
    warped = warp_by_flow(b, flow)
    assert 0.005 < (~warped.visible).float().mean() < 0.05  # unknown flow is marked by huge values
    assert warped.image.isfinite().all()
    assert (warped.image - a).abs().mean(dim=1)[warped.visible].mean() < 0.006
    assert (b - a).abs().mean(dim=1)[warped.visible].mean() > 0.022
    estimated = dis_flow(a, b)
    error = (estimated - flow).norm(dim=1)[flow.abs().amax(dim=1) < 1e9]
    assert error.mean() < 0.5  # px
