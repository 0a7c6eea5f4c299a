"""Memory layouts, grad modes, autocast and function transforms: the same numbers, or an error that says so."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from warp_inputs import normal, some_camera, some_depth, some_motion

from stc_lab.geometry import (
    Camera,
    correspond,
    forward_splat,
    inverse_warp,
    invert_pose,
    pose_from,
    relative_pose,
    rigid_flow,
    sample,
    transform,
    warp_by_flow,
)

HEIGHT, WIDTH, BATCH, CHANNELS = 6, 7, 2, 3
CAMERA = some_camera(HEIGHT, WIDTH, batch=BATCH)
SOURCE, DEPTH = normal(BATCH, CHANNELS, HEIGHT, WIDTH), some_depth(BATCH, HEIGHT, WIDTH)
T = some_motion(BATCH)
WEIGHT = normal(BATCH, CHANNELS, HEIGHT, WIDTH, seed=9)

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda x: x.clone(memory_format=torch.channels_last),
    "rows reversed in memory": lambda x: x.flip(-2).contiguous().flip(-2),
    "transposed": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every second of a larger one": lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
    "a window of a larger one": lambda x: torch.nn.functional.pad(x, (1, 2, 3, 4))[..., 3:-4, 1:-2],
    "batch behind channels": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
}


def results(source: Tensor, depth: Tensor, upstream: Tensor) -> list[Tensor]:
    """Image, flow warp, and the gradients to source, depth, pose and K."""
    free = [source.detach().requires_grad_(), depth.detach().requires_grad_(), T.clone().requires_grad_()]
    K = CAMERA.K.clone().requires_grad_()
    image = inverse_warp(free[0], free[1], Camera(K, HEIGHT, WIDTH), free[2]).image
    image.backward(upstream)
    flow = rigid_flow(depth, CAMERA, T).flow.detach().requires_grad_()
    moved_source = source.detach().requires_grad_()
    moved = warp_by_flow(moved_source, flow).image
    moved.backward(upstream)
    found = [image.detach(), moved.detach()]
    for value in (*free, K, flow, moved_source):
        assert value.grad is not None
        found.append(value.grad)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", ["source", "depth", "upstream gradient", "all"])
def test_the_layout_in_memory_changes_nothing(layout: str, which: str) -> None:
    expected = results(SOURCE, DEPTH, WEIGHT)
    laid = LAYOUTS[layout]
    values = [
        laid(value) if which in (name, "all") else value
        for name, value in (("source", SOURCE), ("depth", DEPTH), ("upstream gradient", WEIGHT))
    ]
    for value, plain in zip(values, (SOURCE, DEPTH, WEIGHT), strict=True):
        assert torch.equal(value, plain)
    for got, wanted in zip(results(*values), expected, strict=True):
        assert torch.equal(got, wanted)


def test_an_expanded_source_gathers_the_gradient_of_all_its_copies() -> None:
    one = normal(1, 1, HEIGHT, WIDTH).requires_grad_()
    expanded = one.expand(BATCH, CHANNELS, HEIGHT, WIDTH)
    image = inverse_warp(expanded, DEPTH, CAMERA, T).image
    copied = one.detach().repeat(BATCH, CHANNELS, 1, 1).requires_grad_()
    plain = inverse_warp(copied, DEPTH, CAMERA, T).image
    assert torch.equal(image, plain)
    (gradient,) = torch.autograd.grad((image * WEIGHT).sum(), one)
    (of_copies,) = torch.autograd.grad((plain * WEIGHT).sum(), copied)
    torch.testing.assert_close(gradient, of_copies.sum(dim=(0, 1), keepdim=True))


def test_an_expanded_depth_and_camera_too() -> None:
    depth = some_depth(1, HEIGHT, WIDTH).requires_grad_()
    K = some_camera(HEIGHT, WIDTH).K.requires_grad_()
    image = inverse_warp(SOURCE, depth.expand(BATCH, -1, -1, -1), Camera(K, HEIGHT, WIDTH), T).image
    gradients = torch.autograd.grad((image * WEIGHT).sum(), (depth, K))
    expected = [torch.zeros_like(depth), torch.zeros_like(K)]
    for i in range(BATCH):
        one, K_one = depth.detach().requires_grad_(), K.detach().requires_grad_()
        part = inverse_warp(SOURCE[i : i + 1], one, Camera(K_one, HEIGHT, WIDTH), T[i : i + 1]).image
        for total, gradient in zip(
            expected, torch.autograd.grad((part * WEIGHT[i : i + 1]).sum(), (one, K_one)), strict=True
        ):
            total += gradient
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-12, rtol=1e-10)


def test_the_gradient_of_a_sum_is_an_expanded_one() -> None:
    """`loss.sum()` and `.mean()` hand a tensor without strides back, which must not be read as memory."""
    expected = results(SOURCE, DEPTH, torch.ones_like(WEIGHT))
    for upstream in (torch.ones(()).double().expand_as(WEIGHT), torch.ones(1, 1, 1, WIDTH).double().expand_as(WEIGHT)):
        for got, wanted in zip(results(SOURCE, DEPTH, upstream), expected, strict=True):
            assert torch.equal(got, wanted)
    source = SOURCE.clone().requires_grad_()
    inverse_warp(source, DEPTH, CAMERA, T).image.sum().backward()
    assert source.grad is not None
    assert torch.equal(source.grad, expected[2])


def test_inputs_are_left_as_they_were() -> None:
    inputs = [SOURCE.clone(), DEPTH.clone(), T.clone(), CAMERA.K.clone()]
    upstream = WEIGHT.clone()
    free = [value.clone().requires_grad_() for value in inputs]
    inverse_warp(free[0], free[1], Camera(free[3], HEIGHT, WIDTH), free[2]).image.backward(upstream)
    assert all(torch.equal(a, b) for a, b in zip(free, inputs, strict=True))
    assert torch.equal(upstream, WEIGHT)


def test_the_result_is_new_memory() -> None:
    """Also without motion, where it equals the source: writing into it must not write into the source."""
    still = torch.eye(4, dtype=torch.float64).repeat(BATCH, 1, 1)
    source = SOURCE.clone()
    inverse_warp(source, DEPTH, CAMERA, still).image.zero_()
    assert torch.equal(source, SOURCE)


def test_changing_an_input_between_the_passes_is_noticed() -> None:
    """The backward pass reads the inputs again. Torch counts the writes to what was saved."""
    depth, source = DEPTH.clone().requires_grad_(), SOURCE.clone()
    image = inverse_warp(source, depth, CAMERA, T).image
    source.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        image.sum().backward()


def test_a_second_backward_says_what_to_do_and_works_when_the_graph_is_kept() -> None:
    source = SOURCE.clone().requires_grad_()
    image = inverse_warp(source, DEPTH, CAMERA, T).image
    image.backward(WEIGHT, retain_graph=True)
    assert source.grad is not None
    first = source.grad.clone()
    image.backward(WEIGHT)
    torch.testing.assert_close(source.grad, 2 * first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        image.backward(WEIGHT)


def test_a_second_derivative_is_right_or_refused() -> None:
    """Never a zero that only looks like one: the mixed derivative in source and position is not 0."""
    source, depth = SOURCE.clone().requires_grad_(), DEPTH.clone().requires_grad_()
    image = inverse_warp(source, depth, CAMERA, T).image
    try:
        (gradient,) = torch.autograd.grad((image * WEIGHT).sum(), depth, create_graph=True)
        (mixed,) = torch.autograd.grad(gradient.sum(), source)
    except RuntimeError as error:
        assert "once_differentiable" in str(error) or "does not require grad" in str(error)  # noqa: PT017
    else:
        change = normal(*SOURCE.shape, seed=11)
        with torch.enable_grad():
            moved = inverse_warp(source.detach() + change, depth, CAMERA, T).image
        (after,) = torch.autograd.grad((moved * WEIGHT).sum(), depth)
        # The gradient to the depth is linear in the source.
        torch.testing.assert_close((mixed * change).sum(), (after - gradient).sum())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_values_are_the_same(mode: Callable[[], torch.no_grad]) -> None:
    free = [value.clone().requires_grad_() for value in (SOURCE, DEPTH, T)]
    expected = inverse_warp(free[0], free[1], CAMERA, free[2])
    assert expected.image.requires_grad
    with mode():
        got = inverse_warp(free[0], free[1], CAMERA, free[2])
        read = sample(free[0], correspond(free[1], CAMERA, free[2]))
    assert not got.image.requires_grad
    assert torch.equal(got.image, expected.image)
    assert torch.equal(got.visible, expected.visible)
    torch.testing.assert_close(
        read[got.visible[:, None].expand_as(read)], got.image[got.visible[:, None].expand_as(read)]
    )
    assert not got.visible.requires_grad


def in_and_out_of_autocast(compute: Callable[[], list[Tensor]]) -> None:
    """Mixed-precision training runs the net in bfloat16, in which 301 px is 300 or 302. Geometry must not follow."""
    expected = compute()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = compute()
    for value, wanted in zip(got, expected, strict=True):
        assert value.dtype == wanted.dtype
        assert torch.equal(value, wanted)


@pytest.mark.parametrize("source_dtype", [torch.float32, torch.bfloat16])
def test_autocast_rounds_no_warp(source_dtype: torch.dtype) -> None:
    source, depth, motion = SOURCE.to(source_dtype), DEPTH.float(), T.float()

    def compute() -> list[Tensor]:
        free = [source.clone().requires_grad_(), depth.clone().requires_grad_(), motion.clone().requires_grad_()]
        K = CAMERA.K.float().requires_grad_()
        warped = inverse_warp(free[0], free[1], Camera(K, HEIGHT, WIDTH), free[2])
        gradients = torch.autograd.grad((warped.image * WEIGHT.to(source_dtype)).float().sum(), (*free, K))
        camera = CAMERA.to(dtype=torch.float32)
        where, flow = correspond(depth, camera, motion), rigid_flow(depth, camera, motion).flow
        return [
            warped.image,
            warped.visible,
            *gradients,
            where.pixels,
            where.depth,
            flow,
            warp_by_flow(source, flow).image,
            sample(source, where),
        ]

    in_and_out_of_autocast(compute)


def test_autocast_rounds_no_splat() -> None:
    camera = CAMERA.to(dtype=torch.float32)
    in_and_out_of_autocast(lambda: [forward_splat(SOURCE.float(), DEPTH.float(), camera, T.float()).image])


def test_autocast_rounds_no_pose() -> None:
    turn, shift = 0.04 * normal(BATCH, 3, dtype=torch.float32), 0.1 * normal(BATCH, 3, seed=1, dtype=torch.float32)

    def compute() -> list[Tensor]:
        free = [turn.clone().requires_grad_(), shift.clone().requires_grad_()]
        posed = pose_from(*free)
        relative = relative_pose(posed, T.float())
        gradients = torch.autograd.grad((relative * T.float()).sum(), free)
        return [posed, relative, invert_pose(posed), *gradients]

    in_and_out_of_autocast(compute)


def test_autocast_rounds_no_camera() -> None:
    camera = CAMERA.to(dtype=torch.float32)
    points = camera.backproject(DEPTH.float())

    def compute() -> list[Tensor]:
        moved = transform(T.float(), points)
        return [camera.resized(3, 4).K, camera.cropped(1, 1, 4, 4).K, camera.rays(), moved, camera.project(points)]

    in_and_out_of_autocast(compute)


def test_vmap_gives_the_batch_or_an_error() -> None:
    def single(source: Tensor, depth: Tensor, pose: Tensor) -> Tensor:
        return inverse_warp(source[None], depth[None], Camera(CAMERA.K[:1], HEIGHT, WIDTH), pose[None]).image[0]

    try:
        mapped = torch.func.vmap(single)(SOURCE, DEPTH, T)
    except RuntimeError:
        return
    K = CAMERA.K[:1].repeat(BATCH, 1, 1)
    torch.testing.assert_close(mapped, inverse_warp(SOURCE, DEPTH, Camera(K, HEIGHT, WIDTH), T).image)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, on its first jvp
def test_forward_mode_gives_the_derivative_or_an_error() -> None:
    change = normal(*SOURCE.shape, seed=12)
    try:
        _, slope = torch.func.jvp(lambda source: inverse_warp(source, DEPTH, CAMERA, T).image, (SOURCE,), (change,))
    except (RuntimeError, NotImplementedError):
        return
    torch.testing.assert_close(slope, inverse_warp(change, DEPTH, CAMERA, T).image)  # linear in the source


def test_two_threads_give_what_one_gives() -> None:
    source, depth = normal(1, 33, 80, 90, dtype=torch.float32), some_depth(1, 80, 90, dtype=torch.float32)
    camera, motion = some_camera(80, 90, dtype=torch.float32), some_motion(1, dtype=torch.float32)
    found: list[list[Tensor]] = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            free = [value.clone().requires_grad_() for value in (source, depth, motion)]
            warped = inverse_warp(free[0], free[1], camera, free[2])
            found.append([warped.image.detach(), *torch.autograd.grad(warped.image.square().sum(), free)])
        finally:
            torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4 * float(one.abs().max()), rtol=0)
