"""What published warps got wrong or left to chance: visibility, masks and their gradients. One test per trap."""

import math

import pytest
import torch
import torch.nn.functional as F
from warp_inputs import by_w_minus_one, normal, pixel_grid, shifted, some_camera, some_depth, some_motion, still

from stc_lab.geometry import (
    Camera,
    correspond,
    gmflow_visible,
    gordon_visible,
    inverse_warp,
    pose_from,
    ruder_visible,
    warp_by_flow,
)


def test_what_lies_behind_the_camera_is_not_projected() -> None:
    """Monodepth2 divides by z + 1e-7 and looks at no sign: what is behind lands in the image, mirrored.

    With about a quarter of the points behind (so far as some published motions lead), scores of them lie inside. None
    may count here, none may teach: the gradients are those of the points in front alone.
    """
    height, width = 24, 32
    camera, source = some_camera(height, width), normal(1, 2, height, width)
    depth = 1.5 + 0.6 * normal(1, 1, height, width, seed=3)
    depth = depth.clamp(min=0.2)
    T = pose_from(torch.tensor([[0.05, -0.1, 0.02]]).double(), torch.tensor([[0.05, 0.02, -1.1]]).double())
    points = torch.einsum("ij,jhw->ihw", T[0, :3, :3], camera.backproject(depth)[0]) + T[0, :3, 3:, None]
    x, y, z = points
    behind = z <= 0
    assert 0.2 < behind.double().mean() < 0.35
    u = camera.K[0, 0, 0] * x / (z + 1e-7) + camera.K[0, 0, 2]
    v = camera.K[0, 1, 1] * y / (z + 1e-7) + camera.K[0, 1, 2]
    mirrored = behind & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    assert mirrored.sum() > 20
    warped = inverse_warp(source, depth, camera, T)
    assert not warped.visible[0, behind].any()
    assert (warped.image[..., behind] == 0).all()

    gradients = []
    for pixels in (torch.ones_like(behind), ~behind):  # a loss without any mask, and one of the points in front
        free = [value.clone().requires_grad_() for value in (source, depth, T, camera.K)]
        image = inverse_warp(free[0], free[1], Camera(free[3], height, width), free[2]).image
        gradients.append(torch.autograd.grad((image * normal(1, 2, height, width, seed=4))[..., pixels].sum(), free))
    assert (gradients[0][1][0, 0, behind] == 0).all()
    for everywhere, in_front in zip(*gradients, strict=True):
        torch.testing.assert_close(everywhere, in_front)


def test_a_point_close_to_the_lens_still_has_its_gradient() -> None:
    """SfMLearner clamps z at 1e-3 before it divides, which throws points far out and stops their gradient.

    Two millimetres before the lens, on the optical axis, a point is seen and its gradient is whole: du/dt_x = fx / z.
    """
    camera = Camera.from_parameters(8.0, 8.0, 4.0, 3.0, height=7, width=9, dtype=torch.float64)
    ramp = pixel_grid(7, 9)[:, :1]
    T = shifted(0.0, 0.0, 0.002 - 2).requires_grad_()
    inverse_warp(ramp, torch.full((1, 1, 7, 9), 2.0).double(), camera, T).image[0, 0, 3, 4].backward()
    assert T.grad is not None
    assert T.grad[0, 0, 3] == pytest.approx(8 / 0.002)


def test_the_last_row_and_column_belong_to_the_image() -> None:
    """Gordon's mask is strict above, so that even without motion the last row and column are lost. Ours is not."""
    camera, depth = some_camera(6, 8), some_depth(1, 6, 8)
    assert correspond(depth, camera, still()).visible.all()
    theirs = gordon_visible(depth, camera, still(), depth + 1)  # everything nearer than what is seen there
    assert theirs[:, :-1, :-1].all()
    assert not theirs[:, -1].any() and not theirs[:, :, -1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_border_is_inside_to_the_last_bit_and_no_further(dtype: torch.dtype) -> None:
    """0 <= x <= W - 1, both inclusive: at W - 1 a pixel is seen, at the next larger number it is not."""
    height, width = 4, 6
    for axis, last in ((0, width - 1), (1, height - 1)):
        end = torch.tensor(float(last), dtype=dtype)
        beyond = torch.nextafter(end, torch.tensor(math.inf, dtype=dtype))
        below = torch.nextafter(torch.zeros((), dtype=dtype), torch.tensor(-math.inf, dtype=dtype))
        for value, seen in ((end, True), (beyond, False), (0 * end, True), (-0.0 * end, True), (below, False)):
            flow = torch.zeros(1, 2, height, width, dtype=dtype)
            flow[0, axis, 0, 0] = value
            assert bool(warp_by_flow(normal(1, 1, height, width, dtype=dtype), flow).visible[0, 0, 0]) == seen


def test_a_padded_zero_is_a_false_term_in_a_loss_on_logits() -> None:
    """Zero logits are the claim that all classes are alike. A scene that never changes must cost nothing.

    The camera moves before a wall of one class. With zero padding an L1 on probabilities, over all pixels, is far from
    0; over the visible ones, divided by their number, it is 0.
    """
    camera = Camera.from_fov(12, 16, 60.0)
    logits = torch.zeros(1, 5, 12, 16)
    logits[:, 2] = 8.0
    depth, T = torch.full((1, 1, 12, 16), 2.0), shifted(0.6, 0.0, 0.0, dtype=torch.float32)
    where = correspond(depth, camera, T)
    grid = by_w_minus_one(where.pixels, 12, 16)
    padded = F.grid_sample(logits, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    target = logits.softmax(dim=1)
    assert (padded.softmax(dim=1) - target).abs().sum(dim=1).mean() > 0.2
    warped = inverse_warp(logits, depth, camera, T)
    difference = (warped.image.softmax(dim=1) - target).abs().sum(dim=1)
    assert 0.3 < warped.visible.double().mean() < 0.9
    assert difference[warped.visible].mean() == 0
    assert difference.max() == 0  # for the border goes on: also what is not visible holds logits of the scene


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_zero_times_nan_is_nan_so_masks_select_and_never_multiply(poison: float) -> None:
    """Gordon's loss of 2019 multiplies NaN by a zero mask, which stays NaN; the revision of 2021 guards the product.

    NaN in the source must not leak into pixels that do not read it, nor into their gradients.
    """
    camera = Camera.from_parameters(8.0, 8.0, 4.0, 3.0, height=7, width=9, dtype=torch.float64)
    source, depth = normal(1, 2, 7, 9), torch.full((1, 1, 7, 9), 2.0).double()
    source[0, :, 3, 4] = poison
    # Without motion every pixel reads itself, its neighbours' weights are 0.
    assert torch.equal(inverse_warp(source, depth, camera, still()).image.isfinite(), source.isfinite())
    # Turned back, a camera reads nothing at all.
    turned = pose_from(torch.tensor([[0.0, math.pi, 0.0]], dtype=torch.float64), torch.zeros(1, 3).double())
    assert (inverse_warp(source, depth, camera, turned).image == 0).all()
    # A step of 1.5 px: only the four positions within a pixel of the poisoned one may show it, weight 0 included.
    source.requires_grad_()
    depth.requires_grad_()
    image = inverse_warp(source, depth, camera, shifted(1.5 / 4, 0.0, 0.0)).image
    clean = image.isfinite().all(dim=1)
    near = torch.zeros(7, 9, dtype=torch.bool)
    near[2:4, 2:4] = True  # the row above reads it with weight 0, as torch's sampler does
    assert (clean[0] | near).all()
    assert not clean[0, 3, 2:4].any()
    to_source, to_depth = torch.autograd.grad(image[clean[:, None].expand_as(image)].sum(), (source, depth))
    assert to_source.isfinite().all()
    assert to_depth[:, 0][clean].isfinite().all()


@pytest.mark.parametrize("unknown", [0.0, -1.0, math.nan, math.inf, 3e38])
def test_a_masked_loss_has_finite_gradients_where_the_depth_is_unknown(unknown: float) -> None:
    """The backward of x / z under a mask is 0 times infinity unless the division itself was spared."""
    camera, source, depth = some_camera(7, 9), normal(1, 2, 7, 9), some_depth(1, 7, 9)
    depth[..., ::3, 1::2] = unknown
    learned = math.isfinite(unknown)  # a learned depth that is not finite is an error of its own
    free = [value.clone().requires_grad_() for value in (source, some_motion(1), camera.K)]
    depth.requires_grad_(learned)
    warped = inverse_warp(free[0], depth, Camera(free[2], 7, 9), free[1])
    assert not warped.visible[..., ::3, 1::2].any()
    difference = (warped.image - source).abs().mean(dim=1)
    for loss in ((difference * warped.visible).sum(), difference[warped.visible].mean(), difference.sum()):
        for gradient in torch.autograd.grad(loss, free, retain_graph=True):
            assert gradient.isfinite().all()
        if learned:
            (gradient,) = torch.autograd.grad(loss, depth, retain_graph=True)
            assert gradient.isfinite().all()
            assert (gradient[..., ::3, 1::2] == 0).all()
            assert (gradient != 0).any()


def test_gordons_rule_counts_only_what_is_nearer_than_what_is_seen() -> None:
    """One-sided: what moved in FRONT of the seen surface counts, what lies behind it is left out; equal is out too.

    Ours keeps one surface within a tolerance, and nothing else: the two rules answer different questions.
    """
    camera, depth = some_camera(6, 8), torch.full((1, 1, 6, 8), 2.0).double()
    for seen, theirs, ours in ((2.5, True, False), (2.01, True, True), (2.0, False, True), (1.5, False, False)):
        depth_source = torch.full_like(depth, seen)
        judged = gordon_visible(depth, camera, still(), depth_source)[:, :-1, :-1]
        assert judged.all() if theirs else not judged.any()
        kept = correspond(depth, camera, still(), depth_source=depth_source).visible
        assert kept.all() if ours else not kept.any()


def test_the_flow_back_is_read_where_the_pixel_landed() -> None:
    """UnFlow's and GMFlow's size term, and one occlusion test of UnFlow, read the flow back at x and not at x + w.

    Left half: flow +4 px. Right half: still. Read at the landing the way back fits; read at x it does not.
    """
    there, back = torch.zeros(1, 2, 6, 16).double(), torch.zeros(1, 2, 6, 16).double()
    there[:, 0, :, :8] = 4.0
    back[:, 0, :, 4:12] = -4.0
    judged = ruder_visible(there, back, motion_boundaries=False)
    assert judged[:, :, :8].all()  # at x < 4 the unwarped flow back is 0 and would say "occluded"
    assert not judged[:, :, 8:12].any()  # still pixels where b shows what came from the left
    assert judged[:, :, 12:].all()


def test_what_leaves_the_frame_is_not_seen_however_short_its_way() -> None:
    """GMFlow pads the flow back with zeros: a pixel that leaves by less than the tolerance passes. Ruder's does not."""
    there = torch.zeros(1, 2, 6, 8).double()
    there[:, 0] = 0.45
    back = -there
    leaving = torch.zeros(1, 6, 8, dtype=torch.bool)
    leaving[..., -1] = True
    assert torch.equal(ruder_visible(there, back, motion_boundaries=False), ~leaving)
    assert gmflow_visible(there, back).all()
