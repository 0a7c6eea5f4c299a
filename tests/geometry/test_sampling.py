"""The compiled loops against the plain tensor operations and against torch's own sampler."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry import (
    Camera,
    correspond,
    inverse_warp,
    inverse_warp_sources,
    pose_from,
    sampling,
    threads,
    warp,
)
from stc_lab.geometry import sample as sample_pixels


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The same functions as they run on other devices."""
    with monkeypatch.context() as patch:
        for module in (warp, sampling):
            patch.setattr(module, "compilable", lambda *_: False)
        yield patch


def everything(seed: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Image, visibility and every gradient of one warp with unknown depth, points behind and other intrinsics."""
    b, c, h, w, hs, ws = 3, 5, 14, 23, 17, 19
    source = random(b, c, hs, ws, seed=seed, dtype=dtype).requires_grad_()
    depth = 1.5 + 0.1 * random(b, 1, h, w, seed=seed + 1, dtype=dtype)
    depth[0, 0, 3, 4], depth[1, 0, :, 5] = 0.0, -1.0
    depth.requires_grad_()
    vector = (0.1 * random(b, 6, seed=seed + 2, dtype=dtype)).requires_grad_()
    with torch.no_grad():
        vector[2, 5] = -1.5  # walk into the scene: about half of it falls behind
    K = Camera.from_fov(h, w, 70.0, dtype=dtype).K.clone().requires_grad_()
    K_source = (Camera.from_fov(hs, ws, 55.0, dtype=dtype).K.repeat(b, 1, 1)).requires_grad_()
    warped = inverse_warp(
        source,
        depth,
        Camera(K, h, w),
        pose_from(vector[:, :3], vector[:, 3:]),
        camera_source=Camera(K_source, hs, ws),
        depth_source=1.5 + 0.1 * random(b, 1, hs, ws, seed=seed + 3, dtype=dtype),
    )
    upstream = random(*warped.image.shape, seed=seed + 4, dtype=dtype)
    gradients = torch.autograd.grad((warped.image * upstream).sum(), (source, depth, vector, K, K_source))
    return [warped.image.detach(), warped.visible, *gradients]


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_compiled_and_plain_warps_agree_in_everything(
    dtype: torch.dtype, relative: float, plainly: pytest.MonkeyPatch
) -> None:
    plain = [everything(seed, dtype) for seed in range(3)]
    plainly.undo()
    assert warp.compilable(torch.zeros(1))
    for seed, expected in enumerate(plain):
        for ours, theirs in zip(everything(seed, dtype), expected, strict=True):
            if ours.dtype == torch.bool:
                assert torch.equal(ours, theirs)
                assert 0.05 < ours.double().mean() < 0.95
            else:
                assert (ours - theirs).abs().max() < relative * theirs.abs().max()


@pytest.mark.parametrize("own", [False, True])
def test_the_result_does_not_hang_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    alone = everything(0, torch.float64)
    monkeypatch.setattr(threads, "_WORTH_A_THREAD", 1)
    if own:  # as on a system where torch's threads cannot be reached
        monkeypatch.setattr(threads, "_torch_team", lambda: None)
    for count in (2, 4, 7):  # 7: more pieces than items, and channels that do not divide evenly
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        for one, many in zip(alone, everything(0, torch.float64), strict=True):
            torch.testing.assert_close(many, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_an_error_in_another_thread_is_not_lost(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    if own:
        monkeypatch.setattr(threads, "_torch_team", lambda: None)
    done: list[int] = []

    def kernel(part: np.ndarray) -> None:
        if part[0, 3] == 2:
            raise ValueError("job 2")
        done.append(int(part[0, 3]))

    with pytest.raises(ValueError, match="job 2"):
        threads.run_jobs(kernel, threads.divided(4, 10, 2), 2)
    assert set(done) == set(range(4)) - {2}


def test_work_is_divided_without_gaps() -> None:
    for batch, length, count in ((1, 3, 8), (4, 21, 2), (3, 120, 1)):
        work = threads.divided(batch, length, count)
        assert [row[3] for row in work] == list(range(len(work)))
        for item in range(batch):
            covered = [k for row in work if row[0] == item for k in range(row[1], row[2])]
            assert covered == list(range(length))


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    source_size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([1, 3, 21]),
    batch=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 1000),
)
def test_it_is_grid_sample_with_its_border(
    size: tuple[int, int], source_size: tuple[int, int], channels: int, batch: int, dtype: torch.dtype, seed: int
) -> None:
    hs, ws = source_size
    source = random(batch, channels, hs, ws, seed=seed, dtype=dtype).requires_grad_()
    scale = torch.tensor([ws, hs], dtype=dtype).reshape(1, 2, 1, 1)
    pixels = ((0.5 + 0.6 * random(batch, 2, *size, seed=seed + 1, dtype=dtype)) * scale).requires_grad_()
    grid = torch.stack(
        [2 * pixels[:, 0] / max(ws - 1, 1) - 1, 2 * pixels[:, 1] / max(hs - 1, 1) - 1], dim=-1
    )  # with one column all lies on it, wherever the grid says
    peer = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)
    ours = sample_pixels(source, pixels)
    close = 1e-12 if dtype == torch.float64 else 3e-5
    torch.testing.assert_close(ours, peer, atol=close, rtol=close)
    upstream = random(*ours.shape, seed=seed + 2, dtype=dtype)
    for mine, theirs in zip(
        torch.autograd.grad((ours * upstream).sum(), (source, pixels)),
        torch.autograd.grad((peer * upstream).sum(), (source, pixels)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=10 * close, rtol=10 * close)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_sources_are_computed_in_float32_and_given_back_short(dtype: torch.dtype) -> None:
    source, depth = random(1, 4, 30, 40, dtype=torch.float32).to(dtype), 2 + random(1, 1, 30, 40).sin().float()
    camera = Camera.from_fov(30, 40, 60.0)
    T = pose_from(torch.tensor([[0.02, -0.05, 0.01]]), torch.tensor([[0.1, 0.05, -0.1]]))
    short, exact = inverse_warp(source, depth, camera, T), inverse_warp(source.float(), depth, camera, T)
    assert short.image.dtype == dtype
    assert torch.equal(short.image, exact.image.to(dtype))
    assert torch.equal(short.visible, exact.visible)
    source.requires_grad_()
    inverse_warp(source, depth.to(dtype), camera, T, depth_source=depth.to(dtype)).image.float().sum().backward()
    assert source.grad is not None
    assert source.grad.dtype == dtype


def test_autocast_does_not_touch_the_geometry() -> None:
    source, depth = random(1, 4, 30, 40, dtype=torch.float32), 2 + random(1, 1, 30, 40).sin().float()
    camera = Camera.from_fov(30, 40, 60.0)
    turn, shift = torch.tensor([[0.02, -0.05, 0.01]]), torch.tensor([[0.1, 0.05, -0.1]])
    expected = inverse_warp(source, depth, camera, pose_from(turn, shift))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        warped = inverse_warp(source, depth, camera, pose_from(turn, shift))
        pixels = correspond(depth, camera, pose_from(turn, shift)).pixels
    assert torch.equal(warped.image, expected.image)
    assert torch.equal(pixels, correspond(depth, camera, pose_from(turn, shift)).pixels)


def test_infinite_logits_stay_where_they_are() -> None:
    # Masked classes have logits of minus infinity: at whole positions their weight of 0 must not make NaN of them.
    source = random(1, 2, 5, 6)
    source[0, 0, 2, :3] = -torch.inf
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    assert torch.equal(sample_pixels(source, torch.stack([x, y])[None].double()), source)


def test_what_is_masked_out_of_the_loss_poisons_no_gradient() -> None:
    camera = Camera.from_fov(6, 8, 60.0, dtype=torch.float64)
    source, depth = random(1, 2, 6, 8), 2 + random(1, 1, 6, 8).sin()
    source[0, 1] = -torch.inf
    vector = (0.02 * random(1, 6)).requires_grad_()
    image = inverse_warp(source, depth, camera, pose_from(vector[:, :3], vector[:, 3:])).image
    gradient = torch.autograd.grad(image[:, 0].sum(), vector)[0]
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_positions_that_are_no_numbers_stay_inside_memory() -> None:
    source = random(1, 2, 5, 6)
    pixels = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e30]).double().expand(1, 2, 1, 5)
    read = sample_pixels(source, pixels)
    assert read.isfinite().all()
    assert torch.equal(read[..., 1], source[..., -1, -1:])


def test_behind_the_camera_is_nothing_and_unknown_depth_stays() -> None:
    camera = Camera.from_fov(6, 8, 60.0, dtype=torch.float64)
    source, depth = random(1, 3, 6, 8).requires_grad_(), torch.full((1, 1, 6, 8), 5.0, dtype=torch.float64)
    depth[..., 4:], depth[..., 3, :] = 1.0, 0.0  # the right half will be behind; one row was never measured
    depth.requires_grad_()
    T = pose_from(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[0.0, 0.0, -2.0]], dtype=torch.float64))
    warped = inverse_warp(source, depth, camera, T)
    behind = (depth == 1)[0, 0]
    assert not warped.visible[:, behind].any()
    assert not warped.visible[..., 3, :].any()
    assert (warped.image[..., behind] == 0).all()
    assert torch.equal(warped.image[..., 3, :], source[..., 3, :])
    d_depth = torch.autograd.grad(warped.image.square().sum(), depth, retain_graph=True)[0]
    assert (d_depth[..., 4:] == 0).all()
    assert (d_depth[..., 3, :] == 0).all()
    assert (d_depth[..., :4] != 0).any()
    d_source = torch.autograd.grad(warped.image[..., behind].sum(), source)[0]
    assert (d_source == 0).all()
    assert torch.autograd.gradcheck(lambda s: inverse_warp(s, depth.detach(), camera, T).image, (source,))


def test_views_and_strides_change_nothing() -> None:
    source, depth = random(2, 6, 9, 11), 2 + random(2, 1, 9, 11).sin()
    camera = Camera.from_fov(9, 11, 60.0, dtype=torch.float64)
    T = pose_from(0.05 * random(2, 3), 0.1 * random(2, 3, seed=1))
    expected = inverse_warp(source, depth, camera, T).image
    last = source.contiguous(memory_format=torch.channels_last)
    flipped = source.flip(1)[:, torch.arange(5, -1, -1)]
    for view in (last, flipped, torch.stack([source, source], dim=1)[:, 1]):
        assert torch.equal(inverse_warp(view, depth, camera, T).image, expected)
    same = source[:1].expand(2, -1, -1, -1).requires_grad_()
    assert torch.autograd.grad(inverse_warp(same, depth, camera, T).image.sum(), same)[0].shape == same.shape


def test_several_sources_are_each_warped_alone() -> None:
    b, s, h, w = 2, 3, 9, 11
    sources, depth = random(b, s, 4, h, w), 2 + random(b, 1, h, w).sin()
    depths = 2 + random(b, s, 1, h, w, seed=1).sin()
    T = pose_from(0.05 * random(b * s, 3), 0.1 * random(b * s, 3, seed=1)).unflatten(0, (b, s))
    camera = Camera.from_fov(h, w, 60.0, dtype=torch.float64)
    both = Camera(
        camera.K.repeat(b, 1, 1) + torch.arange(b)[:, None, None] * torch.diag(camera.K.new_tensor([1, 2, 0])), h, w
    )
    for target in (camera, both):
        K = target.K.expand(b, 3, 3)
        each = Camera(K.repeat_interleave(s, dim=0), h, w)
        together = inverse_warp_sources(sources, depth, target, T, camera_sources=each, depth_sources=depths)
        assert together.image.shape == (b, s, 4, h, w)
        for j in range(s):
            alone = inverse_warp(
                sources[:, j], depth, target, T[:, j], camera_source=Camera(K, h, w), depth_source=depths[:, j]
            )
            assert torch.equal(together.image[:, j], alone.image)
            assert torch.equal(together.visible[:, j], alone.visible)


def test_the_positions_of_correspond_are_those_of_the_warp() -> None:
    source, depth = random(1, 2, 9, 11), 2 + random(1, 1, 9, 11).sin()
    camera = Camera.from_fov(9, 11, 60.0, dtype=torch.float64)
    T = pose_from(0.05 * random(1, 3), 0.1 * random(1, 3, seed=1))
    where = correspond(depth, camera, T, depth_source=depth)
    warped = inverse_warp(source, depth, camera, T, depth_source=depth)
    torch.testing.assert_close(sample_pixels(source, where), warped.image, atol=1e-12, rtol=0)
    assert torch.equal(where.visible, warped.visible)
