"""Gradients of warps against numbers: alone and together, at the border, near the lens, from and to every layout."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor
from warp_inputs import normal, pixel_grid, shifted, some_camera, some_depth, some_motion

from stc_lab.geometry import (
    MIN_DEPTH,
    Camera,
    correspond,
    inverse_warp,
    pose_from,
    rigid_flow,
    sample,
    warp_by_flow,
)

HEIGHT, WIDTH, BATCH = 5, 6, 2
TARGET, OTHER = some_camera(HEIGHT, WIDTH, batch=BATCH), some_camera(7, 4, batch=BATCH, seed=3)


def intrinsics(camera: Camera) -> Tensor:
    """The five numbers of K, [b, 5]."""
    return torch.stack([camera.K[:, i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 1))], dim=1)


def from_intrinsics(numbers: Tensor, height: int, width: int) -> Camera:
    fx, fy, cx, cy, skew = numbers.unbind(dim=1)
    o = torch.zeros_like(fx)
    return Camera(torch.stack([fx, skew, cx, o, fy, cy, o, o, o + 1], dim=1).reshape(-1, 3, 3), height, width)


INPUTS = {
    "source": normal(BATCH, 2, 7, 4),
    "depth": some_depth(BATCH, HEIGHT, WIDTH),
    "rotation": 0.05 * normal(BATCH, 3, seed=5),
    "translation": 0.1 * normal(BATCH, 3, seed=6),
    "target": intrinsics(TARGET),
    "other": intrinsics(OTHER),
}


def warp(**inputs: Tensor) -> Tensor:
    """The warped image as a function of all that it can be differentiated in."""
    return inverse_warp(
        inputs["source"],
        inputs["depth"],
        from_intrinsics(inputs["target"], HEIGHT, WIDTH),
        pose_from(inputs["rotation"], inputs["translation"]),
        camera_source=from_intrinsics(inputs["other"], 7, 4),
    ).image


def flow(**inputs: Tensor) -> Tensor:
    return rigid_flow(
        inputs["depth"],
        from_intrinsics(inputs["target"], HEIGHT, WIDTH),
        pose_from(inputs["rotation"], inputs["translation"]),
        camera_b=from_intrinsics(inputs["other"], 7, 4),
    ).flow


def checked(function: Callable[..., Tensor], free: tuple[str, ...]) -> bool:
    """Whether autograd's derivatives in the named inputs are those of differences."""
    return torch.autograd.gradcheck(
        lambda *values: function(**{**INPUTS, **dict(zip(free, values, strict=True))}),
        [INPUTS[name].clone().requires_grad_() for name in free],
    )


def test_the_inputs_are_partly_outside() -> None:
    """Or else the checks below would say nothing of the border."""
    where = correspond(
        INPUTS["depth"], TARGET, pose_from(INPUTS["rotation"], INPUTS["translation"]), camera_source=OTHER
    )
    assert 0.2 < where.visible.double().mean() < 0.95


@pytest.mark.parametrize("name", INPUTS)
def test_warp_in_each_input_alone(name: str) -> None:
    assert checked(warp, (name,))


def test_warp_in_all_inputs_together() -> None:
    assert checked(warp, tuple(INPUTS))


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "source"])
def test_rigid_flow_in_each_input_alone(name: str) -> None:
    assert checked(flow, (name,))


def test_rigid_flow_in_all_inputs_together() -> None:
    assert checked(flow, tuple(name for name in INPUTS if name != "source"))


def test_where_pixels_lie_and_how_deep() -> None:
    """Also `depth`, which a loss on depths differentiates."""

    def where(depth: Tensor, rotation: Tensor, translation: Tensor, numbers: Tensor) -> Tensor:
        found = correspond(depth, from_intrinsics(numbers, HEIGHT, WIDTH), pose_from(rotation, translation))
        return torch.cat([found.pixels, found.depth], dim=1)

    free = [INPUTS[name].clone().requires_grad_() for name in ("depth", "rotation", "translation", "target")]
    assert torch.autograd.gradcheck(where, free)


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=4))[1:], ids=str)
def test_any_subset_of_inputs_may_ask_for_its_gradient(chosen: tuple[bool, ...]) -> None:
    """What is not asked for is not computed, and what is asked for does not depend on the rest."""
    camera, T = TARGET, pose_from(INPUTS["rotation"], INPUTS["translation"])
    values = [normal(BATCH, 3, HEIGHT, WIDTH), INPUTS["depth"], T, camera.K]
    weight = normal(BATCH, 3, HEIGHT, WIDTH, seed=8)

    def gradients(asked: tuple[bool, ...]) -> list[Tensor | None]:
        inputs = [value.clone().requires_grad_(ask) for value, ask in zip(values, asked, strict=True)]
        image = inverse_warp(inputs[0], inputs[1], Camera(inputs[3], *camera.size), inputs[2]).image
        (image * weight).sum().backward()
        return [value.grad for value in inputs]

    everything = gradients((True,) * 4)
    for got, expected, ask in zip(gradients(chosen), everything, chosen, strict=True):
        assert (got is not None) == ask
        if got is not None and expected is not None:
            torch.testing.assert_close(got, expected, atol=1e-13, rtol=1e-12)


@pytest.mark.parametrize("offset", [-1e-3, 1e-3])
def test_sampling_just_inside_and_just_outside_each_border(offset: float) -> None:
    """Outside the border goes on, so the derivative across it is 0 there, and along it is not."""
    left, right, top, bottom = offset, WIDTH - 1 + offset, offset, HEIGHT - 1 + offset
    x = torch.tensor([left, left, left, 2.3, 2.3, right, right, right], dtype=torch.float64)
    y = torch.tensor([top, 1.6, bottom, top, bottom, top, 1.6, bottom], dtype=torch.float64)
    pixels = torch.stack([x, y]).reshape(1, 2, 2, 4).requires_grad_()
    source = normal(1, 2, HEIGHT, WIDTH).requires_grad_()
    assert torch.autograd.gradcheck(sample, (source, pixels))
    (gradient,) = torch.autograd.grad(sample(source, pixels).sum(), pixels)
    outside = (pixels < 0) | (pixels > torch.tensor([WIDTH - 1, HEIGHT - 1]).reshape(1, 2, 1, 1))
    assert torch.equal(gradient == 0, outside)


def test_far_outside_nothing_pulls_and_the_border_pixel_is_pushed() -> None:
    source, pixels = (
        normal(1, 2, HEIGHT, WIDTH).requires_grad_(),
        torch.full((1, 2, 3, 3), 1e6).double().requires_grad_(),
    )
    gradient, pull = torch.autograd.grad(sample(source, pixels).sum(), (source, pixels))
    assert (pull == 0).all()
    assert (gradient[..., -1, -1] == 9).all()
    assert gradient.sum() == 18


def test_flow_warp_in_source_and_flow() -> None:
    source, moved = normal(2, 3, HEIGHT, WIDTH).requires_grad_(), (1.5 * normal(2, 2, HEIGHT, WIDTH)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: warp_by_flow(a, b).image, (source, moved))


def test_flow_warp_where_some_flow_is_unknown() -> None:
    source, moved = normal(1, 2, HEIGHT, WIDTH).requires_grad_(), 0.7 * normal(1, 2, HEIGHT, WIDTH)
    moved[:, :, 1:3, 2] = torch.tensor([1.7e9, float("nan")])
    moved.requires_grad_()
    image = warp_by_flow(source, moved).image
    gradients = torch.autograd.grad((image * normal(1, 2, HEIGHT, WIDTH, seed=3)).sum(), (source, moved))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[1][:, :, 1:3, 2] == 0).all()


@pytest.mark.parametrize("z", [0.0, -0.5, MIN_DEPTH / 1.01, 1.01 * MIN_DEPTH, 3 * MIN_DEPTH, 0.05])
def test_at_and_near_the_lens(z: float) -> None:
    """A wall that ends up at z: in front of 1 mm the gradient is that of differences, from there on it is 0.

    Pixels near the optical axis alone, for the others are thrown out of the image.
    """
    camera = Camera.from_parameters(4.0, 4.0, 2.5, 2.0, height=HEIGHT, width=WIDTH, dtype=torch.float64)
    source, depth = normal(1, 2, HEIGHT, WIDTH).requires_grad_(), torch.full((1, 1, HEIGHT, WIDTH), 2.0).double()
    T = shifted(1e-4 * z, 2e-4 * z, z - 2)
    free = [depth.requires_grad_(), T.requires_grad_(), source]
    image = inverse_warp(source, depth, camera, T).image
    gradients = torch.autograd.grad(image.sum(), free)
    assert all(gradient.isfinite().all() for gradient in gradients)
    if z <= MIN_DEPTH:
        assert all((gradient == 0).all() for gradient in gradients)
        return
    assert gradients[2].sum() == pytest.approx(2 * HEIGHT * WIDTH)  # the weights of a pixel add up to 1
    step = 1e-6 * z
    for row, tolerance in ((0, 1e-5), (1, 1e-5), (2, 1e-4)):
        change = torch.zeros_like(T)
        change[0, row, 3] = step
        with torch.no_grad():
            sums = [inverse_warp(source, depth, camera, T + sign * change).image.sum() for sign in (1, -1)]
        numeric = float((sums[0] - sums[1]) / (2 * step))
        assert gradients[1][0, row, 3] == pytest.approx(numeric, rel=tolerance, abs=1e-4)


@pytest.mark.parametrize("unknown", [0.0, -1.0, 1e25])
def test_a_depth_map_with_unknown_pixels(unknown: float) -> None:
    """They have no gradient, and the rest has the one of differences."""
    depth = INPUTS["depth"].clone()
    depth[:, :, 1:3, 2:4] = unknown
    known = (depth > 0) & (depth < 1e20)

    def warp_known(values: Tensor, rotation: Tensor, translation: Tensor, source: Tensor) -> Tensor:
        mixed = depth.masked_scatter(known, values)
        return warp(**{**INPUTS, "depth": mixed, "rotation": rotation, "translation": translation, "source": source})

    free = [depth[known], INPUTS["rotation"], INPUTS["translation"], INPUTS["source"]]
    assert torch.autograd.gradcheck(warp_known, [value.clone().requires_grad_() for value in free])
    depth.requires_grad_()
    (gradient,) = torch.autograd.grad(warp(**{**INPUTS, "depth": depth}).sum(), depth)
    assert (gradient[~known] == 0).all()


def test_the_pose_has_its_derivative_at_exactly_no_motion() -> None:
    """There the value is the source bit by bit, and the derivative the mean of the ones to the left and to the right.

    On a ramp the two are one, so that differences in both directions must agree with autograd's.
    """
    camera = Camera.from_fov(9, 12, 60.0, dtype=torch.float64)
    source = torch.cat([pixel_grid(9, 12), pixel_grid(9, 12).sum(dim=1, keepdim=True)], dim=1)
    depth = some_depth(1, 9, 12)
    inner = (..., slice(2, -2), slice(2, -2))

    def loss(vector: Tensor) -> Tensor:
        image = inverse_warp(source, depth, camera, pose_from(vector[:, :3], vector[:, 3:])).image
        return (image * normal(1, 3, 9, 12, seed=2))[inner].sum()

    vector = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(vector), vector)
    assert (gradient.abs() > 1e-2).all()
    for i in range(6):
        for step in (1e-6, -1e-6):
            change = torch.zeros_like(vector)
            change[0, i] = step
            with torch.no_grad():
                one_sided = (loss(vector + change) - loss(vector)) / step
            assert gradient[0, i] == pytest.approx(float(one_sided), rel=1e-4, abs=1e-4)


def test_the_depth_has_no_derivative_without_motion() -> None:
    depth = some_depth(1, HEIGHT, WIDTH).requires_grad_()
    still = torch.eye(4, dtype=torch.float64)[None]
    inverse_warp(normal(1, 2, HEIGHT, WIDTH), depth, some_camera(HEIGHT, WIDTH), still).image.sum().backward()
    assert depth.grad is not None
    assert (depth.grad == 0).all()


def test_float32_has_the_gradients_of_float64() -> None:
    gradients = []
    for dtype in (torch.float32, torch.float64):
        free = {name: value.to(torch.float32).to(dtype).requires_grad_() for name, value in INPUTS.items()}
        loss = (warp(**free) * normal(BATCH, 2, HEIGHT, WIDTH, seed=4, dtype=dtype)).sum()
        gradients.append(torch.autograd.grad(loss, tuple(free.values())))
    for name, single, double in zip(INPUTS, *gradients, strict=True):
        assert single.dtype == torch.float32
        scale = float(double.abs().max())
        assert (single.double() - double).abs().max() < 1e-4 * scale, name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sources_have_half_precision_gradients(dtype: torch.dtype) -> None:
    camera, T = some_camera(HEIGHT, WIDTH, dtype=torch.float32), some_motion(1, dtype=torch.float32)
    source, depth = normal(1, 3, HEIGHT, WIDTH, dtype=dtype), some_depth(1, HEIGHT, WIDTH, dtype=torch.float32)
    results = []
    for value in (source, source.float()):
        free = [value.clone().requires_grad_(), depth.clone().requires_grad_(), T.clone().requires_grad_()]
        inverse_warp(free[0], free[1], camera, free[2]).image.float().sum().backward()
        results.append([value.grad for value in free])
    (half, *others), (single, *expected) = results
    assert half is not None and single is not None
    assert half.dtype == dtype
    torch.testing.assert_close(half, single.to(dtype))
    for got, wanted in zip(others, expected, strict=True):
        torch.testing.assert_close(got, wanted)
