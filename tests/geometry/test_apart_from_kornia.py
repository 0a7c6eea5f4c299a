"""Where kornia's warps and ours part, one test per place: what kornia does is pinned beside what we do instead.

A test that fails on kornia's side says that kornia has changed, and that the difference may be gone.
"""

import math

import pytest
import torch
from kornia.geometry.camera import PinholeCamera, project_points
from kornia.geometry.depth import DepthWarper, warp_frame_depth
from torch import Tensor
from warp_inputs import normal, shifted, some_camera, some_depth, some_motion, still

from stc_lab.geometry import MIN_DEPTH, Camera, correspond, inverse_warp, inverse_warp_labels, invert_pose, pose_from

HEIGHT, WIDTH = 12, 16
CAMERA = Camera.from_parameters(16.0, 20.0, 7.5, 5.5, height=HEIGHT, width=WIDTH, dtype=torch.float64)
SOURCE = 1 + normal(1, 2, HEIGHT, WIDTH).sin().abs()  # nowhere 0, so that a 0 is nobody's colour
FLAT = torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.float64)


def warp_with_depth_warper(image: Tensor, depth: Tensor, E_image: Tensor, E_depth: Tensor) -> Tensor:
    """Kornia's other warp; E are extrinsics, T_camera_world."""
    K = torch.eye(4, dtype=torch.float64)[None].clone()
    K[:, :3, :3] = CAMERA.K
    size = torch.tensor([float(HEIGHT)]), torch.tensor([float(WIDTH)])
    warper = DepthWarper(PinholeCamera(K, E_image, *size), HEIGHT, WIDTH)
    return warper.compute_projection_matrix(PinholeCamera(K, E_depth, *size))(depth, image)


def test_beyond_the_border_kornia_fades_to_zero_and_our_border_goes_on() -> None:
    """Half a pixel beyond the last column zero padding dims the value by half, a whole one makes it 0.

    A 0 is a colour, and as logits a claim (all classes alike). We repeat the border and say "not visible".
    """
    for beyond, share in ((0.25, 0.75), (0.5, 0.5), (1.0, 0.0), (3.0, 0.0)):
        T = shifted(beyond / 16, 0.0, 0.0)  # fx / z = 16 px per metre
        theirs, ours = warp_frame_depth(SOURCE, FLAT, T, CAMERA.K), inverse_warp(SOURCE, FLAT, CAMERA, T)
        torch.testing.assert_close(theirs[..., -1], share * SOURCE[..., -1])
        torch.testing.assert_close(ours.image[..., -1], SOURCE[..., -1])
        assert not ours.visible[..., -1].any()


def test_behind_the_camera_kornia_shows_a_mirrored_image_and_we_show_nothing() -> None:
    """A look over the shoulder: x / z has the right sign twice, so kornia's projection is the image upside down."""
    over_the_shoulder = pose_from(
        torch.tensor([[0.0, math.pi, 0.0]], dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    )
    theirs = warp_frame_depth(SOURCE, FLAT, over_the_shoulder, CAMERA.K)
    torch.testing.assert_close(theirs[..., 1:-1, 1:-1], SOURCE.flip(-2)[..., 1:-1, 1:-1])
    ours = inverse_warp(SOURCE, FLAT, CAMERA, over_the_shoulder)
    assert not ours.visible.any()
    assert (ours.image == 0).all()


def test_points_behind_the_camera_pull_at_kornias_depth_and_not_at_ours() -> None:
    """What is not seen must not teach: our gradient there is 0, kornia's is not."""
    gradients = []
    for warp in (
        lambda depth, T: warp_frame_depth(SOURCE, depth, T, CAMERA.K),
        lambda depth, T: inverse_warp(SOURCE, depth, CAMERA, T).image,
    ):
        depth = FLAT.clone().requires_grad_()
        warp(depth, shifted(0.1, 0.05, -2.0)).sum().backward()
        assert depth.grad is not None
        gradients.append(depth.grad)
    assert (gradients[0] != 0).sum() > 20
    assert (gradients[1] == 0).all()


def test_kornia_returns_no_mask() -> None:
    """A plain tensor, in which nothing tells a black pixel from an unseen one."""
    T = shifted(0.5, 0.0, 0.0)
    assert isinstance(warp_frame_depth(SOURCE, FLAT, T, CAMERA.K), Tensor)
    assert isinstance(warp_with_depth_warper(SOURCE, FLAT, T, still()), Tensor)
    visible = inverse_warp(SOURCE, FLAT, CAMERA, T).visible
    assert visible.dtype == torch.bool
    assert visible.sum() == HEIGHT * (WIDTH - 8)


def test_where_the_depth_is_zero_kornia_shows_the_principal_point() -> None:
    """Depth 0 means "unknown" to us: the pixel stays, unseen. Kornia does not divide, K maps (0, 0, 0) to (cx, cy)."""
    depth = FLAT.clone()
    depth[..., 3, 4] = 0
    theirs, ours = warp_frame_depth(SOURCE, depth, still(), CAMERA.K), inverse_warp(SOURCE, depth, CAMERA, still())
    torch.testing.assert_close(theirs[0, :, 3, 4], SOURCE[0, :, 5:7, 7:9].mean(dim=(1, 2)))
    assert torch.equal(ours.image[0, :, 3, 4], SOURCE[0, :, 3, 4])
    assert not ours.visible[0, 3, 4]


def test_where_the_depth_is_negative_kornia_shows_a_pixel_like_any_other() -> None:
    """The ray is followed backwards and projects to where it came from."""
    depth = FLAT.clone()
    depth[..., 3, 4] = -1
    theirs, ours = warp_frame_depth(SOURCE, depth, still(), CAMERA.K), inverse_warp(SOURCE, depth, CAMERA, still())
    torch.testing.assert_close(theirs[0, :, 3, 4], SOURCE[0, :, 3, 4])
    assert not ours.visible[0, 3, 4]


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_where_the_depth_is_not_finite_kornia_gives_nan_and_takes_the_pose_with_it(unknown: float) -> None:
    """One missing pixel, outside of the loss: kornia's gradient to the pose is NaN even so (0 times infinity)."""
    depth = FLAT.clone()
    depth[..., 3, 4] = unknown
    for theirs in (True, False):
        T = shifted(0.1, 0.0, 0.0).requires_grad_()
        if theirs:
            image = warp_frame_depth(SOURCE, depth, T, CAMERA.K)
        else:
            warped = inverse_warp(SOURCE, depth, CAMERA, T)
            image = warped.image
            assert not warped.visible[0, 3, 4]
        image[..., :3, :].sum().backward()
        assert T.grad is not None
        assert bool(image[0, :, 3, 4].isnan().all()) == theirs
        assert bool(T.grad.isnan().any()) == theirs


def test_kornias_two_warps_name_the_frames_in_opposite_ways() -> None:
    """In warp_frame_depth "dst" has the depth, in DepthWarper the image (kornia issue 4273).

    Reading "dst" as "dst" in both gives the warp by the inverse motion. We say target and source, and T_source_target.
    """
    T, depth = some_motion(1, seed=3), some_depth(1, HEIGHT, WIDTH)
    ours = inverse_warp(SOURCE, depth, CAMERA, T)
    seen = ours.visible[:, None].expand_as(SOURCE)
    src_trans_dst = T
    assert (warp_frame_depth(SOURCE, depth, src_trans_dst, CAMERA.K) - ours.image)[seen].abs().max() < 1e-8
    assert (warp_with_depth_warper(SOURCE, depth, T, still()) - ours.image)[seen].abs().max() < 1e-8
    # The same words: the dst camera at the origin and the src camera where src_trans_dst puts it.
    taken_literally = warp_with_depth_warper(SOURCE, depth, still(), src_trans_dst)
    assert (taken_literally - ours.image)[seen].abs().mean() > 0.05
    inverted = warp_frame_depth(SOURCE, depth, invert_pose(T), CAMERA.K)
    torch.testing.assert_close(taken_literally, inverted, atol=1e-8, rtol=0)


def test_kornia_divides_by_any_depth_above_1e_8_and_we_stop_at_a_millimetre() -> None:
    """Between the two lies a point that no lens sees, thrown a million pixels away; below, kornia forgets to divide.

    DepthWarper adds 1e-12 to z instead (kornia issue 4267), so that kornia's own two warps part at z = 0.
    """
    points = torch.tensor([[0.3, 0.2, z] for z in (1e-5, 1e-8, 0.0, -1.0)], dtype=torch.float64)
    theirs = project_points(points, CAMERA.K.expand(4, 3, 3))
    divided = points[:, :2] / points[:, 2:] * torch.tensor([16.0, 20.0]) + torch.tensor([7.5, 5.5])
    undivided = points[:, :2] * torch.tensor([16.0, 20.0]) + torch.tensor([7.5, 5.5])
    torch.testing.assert_close(theirs[[0, 3]], divided[[0, 3]])
    torch.testing.assert_close(theirs[[1, 2]], undivided[[1, 2]])
    for z, seen in ((1.01 * MIN_DEPTH, True), (MIN_DEPTH / 1.01, False), (1e-5, False), (0.0, False)):
        where = correspond(FLAT, CAMERA, shifted(0.0, 0.0, z - 1))
        assert where.pixels.isfinite().all()
        image = inverse_warp(SOURCE, FLAT, CAMERA, shifted(0.0, 0.0, z - 1)).image
        assert (image != 0).all() if seen else (image == 0).all()
    at_zero = shifted(0.0, 0.0, -1.0)
    first = warp_frame_depth(SOURCE, FLAT, at_zero, CAMERA.K)
    second = warp_with_depth_warper(SOURCE, FLAT, at_zero, still())
    assert (first != 0).all() and (second == 0).all()


def test_no_motion_is_exactly_nothing_only_to_us() -> None:
    """Kornia unprojects, projects, normalises and un-normalises: in float32 it comes back 1e-6 off."""
    source, depth = SOURCE.float(), some_depth(1, HEIGHT, WIDTH, dtype=torch.float32)
    theirs = warp_frame_depth(source, depth, still(dtype=torch.float32), CAMERA.K.float())
    assert 0 < (theirs - source).abs().max() < 1e-4
    camera = CAMERA.to(dtype=torch.float32)
    assert torch.equal(inverse_warp(source, depth, camera, still(dtype=torch.float32)).image, source)


def test_kornia_leaves_the_skew_out() -> None:
    """It reads four numbers of K. Ours reads five."""
    K = CAMERA.K.clone()
    K[0, 0, 1] = 2.0
    T = shifted(0.0, 0.1, 0.0)  # 2 px down, and by the skew of 2 px per unit of y / z another 0.2 px right
    assert torch.equal(warp_frame_depth(SOURCE, FLAT, T, K), warp_frame_depth(SOURCE, FLAT, T, CAMERA.K))
    moved = correspond(FLAT, Camera(K, HEIGHT, WIDTH), T).pixels - correspond(FLAT, CAMERA, T).pixels
    torch.testing.assert_close(moved[0, 0], torch.full((HEIGHT, WIDTH), 0.2, dtype=torch.float64))


def test_in_an_image_one_pixel_wide_kornia_never_leaves_it() -> None:
    """It divides by W - 1 = 0, guarded: every x is the only column. To us 5 px beside it is outside."""
    source, depth = SOURCE[..., :1], FLAT[..., :1]
    camera = Camera.from_parameters(16.0, 20.0, 0.0, 5.5, height=HEIGHT, width=1, dtype=torch.float64)
    T = shifted(5 / 16, 0.0, 0.0)
    torch.testing.assert_close(warp_frame_depth(source, depth, T, camera.K), source)
    assert not inverse_warp(source, depth, camera, T).visible.any()
    assert inverse_warp(source, depth, camera, still()).visible.all()


def test_kornia_has_one_size_and_one_camera_for_both_frames() -> None:
    """And no size that belongs to K: the intrinsics of another resolution pass unseen. Ours carry their size."""
    large = some_camera(2 * HEIGHT, 2 * WIDTH)
    with pytest.raises(Exception, match="same height and width"):
        warp_frame_depth(SOURCE, large.K.new_ones(1, 1, *large.size), still(), CAMERA.K)
    ours = inverse_warp(SOURCE, large.K.new_ones(1, 1, *large.size), large, still(), camera_source=CAMERA)
    assert ours.image.shape[-2:] == large.size
    assert warp_frame_depth(SOURCE, FLAT, still(), large.K).shape == SOURCE.shape  # no complaint


def test_half_precision_goes_with_float32_only_to_us() -> None:
    """Kornia samples in the image's dtype with a grid in the depth's, which torch refuses."""
    source, depth = SOURCE.half(), FLAT.float()
    with pytest.raises(RuntimeError, match="expected scalar type"):
        warp_frame_depth(source, depth, still(dtype=torch.float32), CAMERA.K.float())
    warped = inverse_warp(source, depth, CAMERA.to(dtype=torch.float32), still(dtype=torch.float32))
    assert warped.image.dtype == torch.float16
    assert torch.equal(warped.image, source)


def test_labels_have_a_warp_of_their_own_only_with_us() -> None:
    """warp_frame_depth is always bilinear: labels 0 and 20 meet in a 10 that nobody drew."""
    labels = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.long)
    labels[..., WIDTH // 2 :] = 20
    T = shifted(0.5 / 16, 0.0, 0.0)
    theirs = warp_frame_depth(labels[:, None].double(), FLAT, T, CAMERA.K)
    assert ((theirs - 10).abs() < 1e-9).any()
    assert set(inverse_warp_labels(labels, FLAT, CAMERA, T).label.flatten().tolist()) == {0, 20, 255}


def test_what_stands_in_front_hides_what_is_behind_only_with_us() -> None:
    """Kornia cannot be told the source's depth: a card at 0.5 m is painted onto the wall behind it."""
    depth_source = FLAT.clone()
    depth_source[..., 4:8, 6:10] = 0.5
    source = torch.where(depth_source < 1, 5.0, SOURCE)
    theirs = warp_frame_depth(source, FLAT, still(), CAMERA.K)
    assert (theirs[..., 4:8, 6:10] > 4.9).all()
    ours = inverse_warp(source, FLAT, CAMERA, still(), depth_source=depth_source)
    assert torch.equal(ours.visible, depth_source[:, 0] == 1)
