"""What published warps got wrong or left to chance: geometry. One test per trap, which says what the trap is.

The traps of sampling and of masks are in test_published_traps_of_sampling.py and test_published_traps_of_masks.py.
"""

import pytest
import torch
import torch.nn.functional as F
from planar import View, draw
from torch import Tensor
from warp_inputs import normal, shifted, some_camera, some_depth, some_motion, still

from stc_lab.geometry import (
    Camera,
    correspond,
    forward_splat,
    identity_warp,
    inverse_warp,
    invert_pose,
    pose_from,
    relative_pose,
    rigid_flow,
    so3_exp,
    transform,
)

HEIGHT, WIDTH = 48, 64
K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
CAMERA = Camera(K[None], HEIGHT, WIDTH)
# Two frames of a drawn scene, i before j, a good part of a metre apart.
T_WORLD = pose_from(
    torch.tensor([[0.0, 0.0, 0.0], [0.02, -0.08, 0.03]], dtype=torch.float64),
    torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.05, 0.2]], dtype=torch.float64),
)
FRAME_I, FRAME_J = (draw(K, HEIGHT, WIDTH, T) for T in T_WORLD)
T_I_J = relative_pose(T_WORLD[1:], T_WORLD[:1])  # maps points of j into i


def error(image: Tensor, target: View, pixels: Tensor) -> float:
    return float((image - target.image).abs().mean(dim=1)[pixels].mean())


def test_the_depth_is_the_targets_and_with_the_sources_it_is_another_image() -> None:
    """Pasad et al. write w(L_t, d_t, M_{t,t+1}): the depth of the frame that is warped.

    Read literally that is a forward splat. Put into the inverse warp that their code builds on, the same depth sits on
    the wrong grid. Both right readings explain frame j, the mixture does not.
    """
    inverse = inverse_warp(FRAME_I.image, FRAME_J.depth, CAMERA, T_I_J, depth_source=FRAME_I.depth)
    splat = forward_splat(FRAME_I.image, FRAME_I.depth, CAMERA, invert_pose(T_I_J))
    mixture = inverse_warp(FRAME_I.image, FRAME_I.depth, CAMERA, T_I_J)
    pixels = inverse.visible & splat.visible & mixture.visible
    assert pixels.double().mean() > 0.5
    unwarped = error(identity_warp(FRAME_I.image, pixels).image, FRAME_J, pixels)
    assert error(inverse.image, FRAME_J, pixels) < 0.05 * unwarped
    assert error(splat.image, FRAME_J, pixels) < 0.2 * unwarped
    assert error(mixture.image, FRAME_J, pixels) > 3 * error(inverse.image, FRAME_J, pixels)


def test_gordons_motion_of_i_and_j_is_already_the_one_the_warp_of_i_into_j_needs() -> None:
    """Their net sees (I_i, I_j) and its motion is applied to the points of j's depth, which lands them in frame i.

    So Omega(I_t, I_{t+1}) maps t+1 -> t: as it is, the inverse warp of frame t onto the grid of t+1 wants it, with
    the depth of t+1. Who "corrects" the direction by inverting it moves the image the wrong way.
    """
    motion_of_i_and_j = T_I_J
    # What their loss compares: j's points, moved by the motion, against the depth map of i.
    where = correspond(FRAME_J.depth, CAMERA, motion_of_i_and_j, depth_source=FRAME_I.depth)
    moved = transform(motion_of_i_and_j, CAMERA.backproject(FRAME_J.depth))
    torch.testing.assert_close(where.depth, moved[:, 2:])
    assert where.visible.double().mean() > 0.5
    right = inverse_warp(FRAME_I.image, FRAME_J.depth, CAMERA, motion_of_i_and_j, depth_source=FRAME_I.depth)
    again = inverse_warp(FRAME_I.image, FRAME_J.depth, CAMERA, invert_pose(motion_of_i_and_j))
    pixels = right.visible & again.visible
    unmoved = error(FRAME_I.image, FRAME_J, pixels)
    assert error(right.image, FRAME_J, pixels) < 0.05 * unmoved
    assert error(again.image, FRAME_J, pixels) > 1.2 * unmoved


def test_a_turn_is_one_axis_and_one_angle_not_three_turns_after_another() -> None:
    """SfMLearner and Gordon compose Rx Ry Rz, monodepth2 reads the same three numbers as axis and angle.

    To first order they are one; at 0.3 rad they are some degrees apart, and Rz Ry Rx is a third thing.
    """
    for angle, apart in ((1e-4, False), (0.3, True)):
        x, y, z = numbers = angle * torch.tensor([1.0, -0.8, 0.6], dtype=torch.float64)
        single = so3_exp(torch.diag(numbers))  # the turns about each axis alone
        in_turn = single[0] @ single[1] @ single[2]
        R = so3_exp(torch.stack([x, y, z])[None])[0]
        assert bool((R - in_turn).abs().max() > 1e-2) == apart
        assert bool((R - single[2] @ single[1] @ single[0]).abs().max() > 1e-2) == apart
        torch.testing.assert_close(R @ numbers, numbers)  # the axis stays


def test_a_motion_backwards_in_time_is_the_inverse_and_not_the_negated_vector() -> None:
    """Monodepth2's net sees frames in their order in time and inverts the matrix where the source came before.

    Negating the six numbers turns first and moves then, in the wrong frame: right only without rotation.
    """
    turn, shift = torch.tensor([[0.3, -0.5, 0.2]]).double(), torch.tensor([[0.5, 0.1, -0.8]]).double()
    T, negated = pose_from(turn, shift), pose_from(-turn, -shift)
    torch.testing.assert_close(invert_pose(T) @ T, still(), atol=1e-12, rtol=0)
    assert (negated @ T - still()).abs().max() > 0.1
    torch.testing.assert_close(negated[:, :3, :3], invert_pose(T)[:, :3, :3])
    torch.testing.assert_close(pose_from(0 * turn, -shift), invert_pose(pose_from(0 * turn, shift)))


@pytest.mark.parametrize("width", [5, 64, 161, 1242])
def test_pixels_are_one_apart(width: int) -> None:
    """SfMLearner's first grid spreads W pixels over 0..W, so that its K is off by W / (W - 1).

    A shift of the camera moves each pixel of a wall by fx t / z exactly, at the left as at the right border.
    """
    camera = Camera.from_parameters(200.0, 100.0, 0.3 * width, 2.0, height=4, width=width, dtype=torch.float64)
    flow = rigid_flow(torch.full((1, 1, 4, width), 2.0).double(), camera, shifted(0.03, -0.02, 0.0)).flow
    torch.testing.assert_close(flow[0, 0], torch.full((4, width), 3.0).double(), atol=1e-10, rtol=0)
    torch.testing.assert_close(flow[0, 1], torch.full((4, width), -1.0).double(), atol=1e-10, rtol=0)
    steps = camera.rays()[0, 0].diff(dim=1)
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 200))


def test_the_middle_of_w_pixels_is_half_of_w_minus_one() -> None:
    """Monodepth2 and Gordon put the principal point at W / 2, half a pixel off the middle of integer centres.

    Seen upside down, by a camera turned half about its axis, the image must land on itself pixel by pixel.
    """
    upside_down = still()
    upside_down[0, 0, 0] = upside_down[0, 1, 1] = -1
    source, depth = normal(1, 2, 9, 12), torch.full((1, 1, 9, 12), 2.0).double()  # numbers without rounding
    camera = Camera.from_parameters(8.0, 16.0, 5.5, 4.0, height=9, width=12, dtype=torch.float64)
    warped = inverse_warp(source, depth, camera, upside_down)
    assert warped.visible.all()
    torch.testing.assert_close(warped.image, source.flip(-1, -2), atol=1e-12, rtol=0)
    off = Camera.from_parameters(8.0, 16.0, 6.0, 4.5, height=9, width=12, dtype=torch.float64)
    assert inverse_warp(source, depth, off, upside_down).visible.double().mean() < 0.85  # a row and a column are lost


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_smaller_image_has_its_centre_half_a_pixel_further_than_k_over_the_factor(factor: int) -> None:
    """SfMLearner and Gordon divide fx, fy, cx and cy by the factor; with integer centres c' = (c + 0.5) / s - 0.5.

    A pixel of the smaller image is the mean of s x s pixels and looks along their mean ray.
    """
    camera = some_camera(16, 32)
    small = camera.resized(16 // factor, 32 // factor)
    mean_ray = F.avg_pool2d(camera.rays(), factor)
    torch.testing.assert_close(small.rays(), mean_ray)
    K_divided = camera.K / factor
    K_divided[:, 2, 2] = 1
    divided = Camera(K_divided, *small.size)
    off = (divided.project(mean_ray) - small.project(mean_ray))[0, :, 0, 0]
    torch.testing.assert_close(off, torch.full((2,), 0.5 - 0.5 / factor).double())


def test_a_mirrored_image_has_cx_at_w_minus_one_minus_cx_and_a_mirrored_motion() -> None:
    """Flipping images for augmentation and keeping K, or taking W - cx, or keeping the pose, each bends the warp."""
    camera, T = some_camera(9, 12), some_motion(1, seed=3)
    source, depth = normal(1, 2, 9, 12), some_depth(1, 9, 12)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    expected = inverse_warp(source, depth, camera, T)
    assert 0.3 < expected.visible.double().mean() < 1

    def flipped(camera: Camera, T: Tensor) -> tuple[Tensor, Tensor]:
        warped = inverse_warp(source.flip(-1), depth.flip(-1), camera, T)
        return warped.image.flip(-1), warped.visible.flip(-1)

    image, visible = flipped(camera.flipped(), mirror @ T @ mirror)
    assert torch.equal(visible, expected.visible)
    torch.testing.assert_close(image, expected.image, atol=1e-9, rtol=0)
    K_beside = camera.flipped().K.clone()
    K_beside[:, 0, 2] += 1  # W - cx
    for wrong in (
        flipped(camera, mirror @ T @ mirror),
        flipped(camera.flipped(), T),
        flipped(Camera(K_beside, 9, 12), mirror @ shifted(0.0, 0.0, 0.3) @ T @ mirror),
    ):
        assert (wrong[0] - expected.image).abs()[expected.visible[:, None].expand_as(image)].max() > 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_far_end_of_published_depth_ranges_is_a_point_at_infinity(dtype: torch.dtype) -> None:
    """Depth is 0.1..100 to monodepth2, 1 / (10 s + 0.01) to SfMLearner, unbounded above (softplus) to Gordon.

    At a million metres a step of 10 cm moves nothing: the warp is the homography K R K^-1 of the rotation alone.
    """
    camera = some_camera(9, 12, dtype=dtype)
    T = some_motion(1, seed=2, dtype=dtype)
    far = correspond(torch.full((1, 1, 9, 12), 1e6, dtype=dtype), camera, T)
    homography = camera.K.double() @ T[:, :3, :3].double() @ torch.linalg.inv(camera.K.double())
    y, x = torch.meshgrid(torch.arange(9).double(), torch.arange(12).double(), indexing="ij")
    expected = torch.einsum("ij,jhw->ihw", homography[0], torch.stack([x, y, torch.ones_like(x)]))
    torch.testing.assert_close(far.pixels.double()[0], expected[:2] / expected[2:], atol=1e-4, rtol=0)
    assert far.visible.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.02, 0.1, 1 / 10.01, 80.0, 100.0, 1e6])
def test_the_warp_knows_no_unit_of_length(scale: float, dtype: torch.dtype) -> None:
    """Learned depth has the scale its author chose. A scene and a motion twice as large are the same image.

    From 2 cm to 1000 km no range is built in but the millimetre in front of the lens.
    """
    camera, depth, T = some_camera(9, 12, dtype=dtype), some_depth(1, 9, 12, dtype=dtype), some_motion(1, dtype=dtype)
    large = T.clone()
    large[:, :3, 3] *= scale
    expected, scaled = correspond(depth, camera, T), correspond(depth * scale, camera, large)
    torch.testing.assert_close(scaled.pixels, expected.pixels, atol=1e-4 if dtype == torch.float32 else 1e-11, rtol=0)
    torch.testing.assert_close(scaled.depth / scale, expected.depth)
    assert torch.equal(scaled.visible, expected.visible)
