"""What every warp must keep, whatever its size, dtype, batch and channels: drawn by hypothesis."""

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from warp_inputs import normal, pixel_grid, some_camera, some_depth, some_motion, still

from stc_lab.geometry import (
    MIN_DEPTH,
    Camera,
    correspond,
    inverse_warp,
    inverse_warp_labels,
    rigid_flow,
    sample,
    sample_labels,
    warp_by_flow,
    warp_labels_by_flow,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
EPSILON = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float32: 1e-6, torch.float64: 1e-14}  # of values of about 1

sides, seeds = st.integers(1, 9), st.integers(0, 10_000)
properties = settings(deadline=None, max_examples=30, derandomize=True)


class Spec(NamedTuple):
    """Numbers alone, for hypothesis; the tensors are made in the test."""

    height: int
    width: int
    batch: int
    channels: int
    dtype: torch.dtype
    cameras: str  # one for all, or one for each
    motion: float
    unknown: float  # depth that stands for unknown
    known: float  # the larger, the fewer unknown ones
    seed: int

    def scene(self) -> tuple[Tensor, Tensor, Camera, Tensor]:
        """Source, depth, camera and T_source_target."""
        size, seed = (self.height, self.width), self.seed
        wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        source = normal(self.batch, self.channels, *size, seed=seed, dtype=self.dtype)
        depth = some_depth(self.batch, *size, seed=seed, dtype=wide)
        lost = normal(self.batch, 1, *size, seed=seed + 1) > self.known
        lost[0, 0, 0, 0] &= math.isfinite(self.unknown)  # all of them is an error
        depth[lost] = self.unknown
        camera = some_camera(*size, batch=1 if self.cameras == "one" else self.batch, seed=seed, dtype=wide)
        return source, depth, camera, some_motion(self.batch, seed=seed, size=self.motion, dtype=wide)


specs = st.builds(
    Spec,
    height=sides,
    width=sides,
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    dtype=st.sampled_from(DTYPES),
    cameras=st.sampled_from(["one", "each"]),
    motion=st.sampled_from([0.2, 1.0, 5.0, 30.0]),
    unknown=st.sampled_from([0.0, -1.0, float("nan"), float("inf")]),
    known=st.sampled_from([0.5, 2.0, 9.0]),
    seed=seeds,
)


@properties
@given(specs)
def test_no_motion_changes_nothing(spec: Spec) -> None:
    source, depth, camera, T = spec.scene()
    known = (depth > 0)[:, 0] & depth.isfinite()[:, 0]
    warped = inverse_warp(source, depth, camera, still(len(T), T.dtype))
    assert warped.image.dtype == source.dtype
    assert torch.equal(warped.visible, known)
    seen = known[:, None].expand_as(source)
    assert torch.equal(warped.image[seen], source[seen])
    flow = rigid_flow(depth, camera, still(len(T), T.dtype))
    assert (flow.flow == 0).all()
    assert torch.equal(warp_by_flow(source, flow.flow).image, source)


@properties
@given(specs)
def test_a_warp_is_a_sample_of_where_the_pixels_lie(spec: Spec) -> None:
    source, depth, camera, T = spec.scene()
    where, warped = correspond(depth, camera, T), inverse_warp(source, depth, camera, T)
    assert where.pixels.isfinite().all()
    assert warped.image.isfinite().all()
    assert torch.equal(warped.visible, where.visible)
    seen = where.visible[:, None].expand_as(source)
    # In float32 the same formula in another order of operations: 1e-6 of a pixel, times a contrast of about 3.
    apart = (warped.image.double() - sample(source, where).double())[seen].abs()
    assert (apart <= 30 * EPSILON[source.dtype]).all()
    flow = rigid_flow(depth, camera, T)
    assert torch.equal(flow.visible, where.visible)
    labels = torch.arange(source[:, 0].numel()).reshape(source[:, 0].shape) % 21
    read = inverse_warp_labels(labels, depth, camera, T)
    assert torch.equal(read.visible, where.visible)
    assert torch.equal(read.label, torch.where(where.visible, sample_labels(labels, where), 255))


@properties
@given(specs)
def test_what_is_visible_is_known_in_front_and_inside(spec: Spec) -> None:
    _, depth, camera, T = spec.scene()
    where = correspond(depth, camera, T)
    height, width = camera.size
    x, y = where.pixels.unbind(dim=1)
    within = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    known = (depth > 0)[:, 0] & depth.isfinite()[:, 0]
    in_front = where.depth[:, 0] > MIN_DEPTH
    assert torch.equal(where.visible, within & known & in_front)
    hidden = correspond(depth, camera, T, depth_source=torch.full_like(depth, 0.01)).visible
    assert not hidden.any()  # a curtain at 1 cm hides all of it
    assert (where.visible | ~correspond(depth, camera, T, depth_source=depth).visible).all()  # a test only takes away


@properties
@given(specs)
def test_channels_and_batch_may_change_places(spec: Spec) -> None:
    source, depth, camera, T = spec.scene()
    warped = inverse_warp(source, depth, camera, T)
    backwards = inverse_warp(source.flip(1), depth, camera, T)
    assert torch.equal(backwards.image, warped.image.flip(1))
    one = inverse_warp(source[:, :1], depth, camera, T)
    assert torch.equal(one.image, warped.image[:, :1])
    many = inverse_warp(source.repeat(1, 4, 1, 1), depth, camera, T)
    assert torch.equal(many.image, warped.image.repeat(1, 4, 1, 1))
    K = camera.K.expand(len(T), 3, 3)
    turned = inverse_warp(source.flip(0), depth.flip(0), Camera(K.flip(0), *camera.size), T.flip(0))
    assert torch.equal(turned.visible, warped.visible.flip(0))
    assert torch.equal(turned.image, warped.image.flip(0))
    for i in range(len(T)):
        alone = inverse_warp(source[i : i + 1], depth[i : i + 1], Camera(K[i : i + 1], *camera.size), T[i : i + 1])
        assert torch.equal(alone.visible, warped.visible[i : i + 1])
        assert torch.equal(alone.image, warped.image[i : i + 1])


@properties
@given(specs, st.floats(-100, 100, width=16))
def test_a_constant_image_stays_constant(spec: Spec, value: float) -> None:
    source, depth, camera, T = spec.scene()
    warped = inverse_warp(torch.full_like(source, value), depth, camera, T)
    seen = warped.visible[:, None].expand_as(source)
    expected = torch.full_like(source, value)
    assert torch.equal(warped.image[seen], expected[seen])  # bit by bit: the weights' rounding has nothing to act on
    assert torch.equal(sample(expected, correspond(depth, camera, T)), expected)


@properties
@given(specs)
def test_a_warp_is_linear_in_the_source_and_keeps_its_range(spec: Spec) -> None:
    source, depth, camera, T = spec.scene()
    other = source.flip(-1)
    both, first, second = (
        inverse_warp(value, depth, camera, T).image.double() for value in (2 * source - other, source, other)
    )
    apart = 2 * first - second
    assert (both - apart).abs().max() <= 50 * EPSILON[source.dtype]
    warped = inverse_warp(source, depth, camera, T)
    low, high = (f(source, dim=(2, 3), keepdim=True).expand_as(source) for f in (torch.amin, torch.amax))
    seen = warped.visible[:, None].expand_as(source)
    room = 4 * EPSILON[source.dtype]
    assert ((warped.image >= low - room) & (warped.image <= high + room))[seen].all()


@properties
@given(sides, sides, st.integers(1, 3), st.integers(1, 5), st.sampled_from(DTYPES), seeds)
def test_whole_positions_are_read_exactly(
    height: int, width: int, batch: int, channels: int, dtype: torch.dtype, seed: int
) -> None:
    """In any order, in any number, and for outside ones at the border."""
    generator = torch.Generator().manual_seed(seed)
    source = normal(batch, channels, height, width, seed=seed, dtype=dtype)
    x = torch.randint(-3, width + 3, (batch, 4, 7), generator=generator)
    y = torch.randint(-3, height + 3, (batch, 4, 7), generator=generator)
    pixels = torch.stack([x, y], dim=1).to(torch.float64 if dtype == torch.float64 else torch.float32)
    row, column = y.clamp(0, height - 1), x.clamp(0, width - 1)
    item = torch.arange(batch)[:, None, None]
    expected = source[item, :, row, column].permute(0, 3, 1, 2)
    assert torch.equal(sample(source, pixels), expected)
    labels = torch.randint(0, 124, (batch, height, width), generator=generator)
    near = pixels + 0.9 * (torch.rand(pixels.shape, generator=generator) - 0.5)
    assert torch.equal(sample_labels(labels, near.to(pixels.dtype)), labels[item, row, column])


@properties
@given(sides, sides, st.integers(1, 4), seeds)
def test_labels_are_the_likeliest_of_nearest_one_hot_maps(height: int, width: int, classes: int, seed: int) -> None:
    """Which torch's nearest sampler gives, but for its rounding half to even on the way through [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (1, height, width), generator=generator)
    pixels = pixel_grid(height, width) + 3 * normal(1, 2, height, width, seed=seed)
    size = pixels.new_tensor([max(width - 1, 1), max(height - 1, 1)]).reshape(1, 2, 1, 1)
    one_hot = F.one_hot(labels, classes).permute(0, 3, 1, 2).double()
    grid = (pixels / size * 2 - 1).permute(0, 2, 3, 1)
    theirs = F.grid_sample(one_hot, grid, mode="nearest", padding_mode="border", align_corners=True).argmax(dim=1)
    tie = ((pixels - pixels.floor() - 0.5).abs() < 1e-6).any(dim=1)
    if min(height, width) > 1:  # torch's grid has no place beside the only row or column
        assert torch.equal(sample_labels(labels, pixels)[~tie], theirs[~tie])
    flow = pixels - pixel_grid(height, width)
    by_flow = warp_labels_by_flow(labels, flow)
    whole = sample_labels(labels, pixel_grid(height, width) + flow)
    assert torch.equal(by_flow.label, torch.where(by_flow.visible, whole, 255))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_of_one_row_or_column_has_an_inside(height: int, width: int, dtype: torch.dtype) -> None:
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    source = normal(1, 2, height, width, dtype=dtype)
    flow = torch.zeros(1, 2, height, width, dtype=wide)
    still_there = warp_by_flow(source, flow)
    assert still_there.visible.all()
    assert torch.equal(still_there.image, source)
    for axis, side in ((0, width), (1, height)):
        moved = flow.clone()
        moved[:, axis] = 0.25
        assert warp_by_flow(source, moved).visible.sum() == (0 if side == 1 else 6)
        assert warp_by_flow(source, moved).image.isfinite().all()
    # Half a pixel along the long side is the mean of two neighbours.
    if (height, width) != (1, 1):
        along = torch.where(torch.tensor([width > 1, height > 1]), 0.5, 0.0).to(wide).reshape(1, 2, 1, 1)
        mean = warp_by_flow(source, flow + along).image.double().flatten(2)[..., :-1]
        values = source.double().flatten(2)
        assert (mean - (values[..., 1:] + values[..., :-1]) / 2).abs().max() < 3 * EPSILON[dtype]
