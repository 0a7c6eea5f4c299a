"""The motion net: which way its motion goes, its cameras, its residual field."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stc_lab.geometry import Camera, inverse_warp, so3_exp
from stc_lab.models import Motion, MotionNet, PairMotionNet, average_camera, both_ways, camera_from_raw
from stc_lab.models.segmenter import Segmenter

TINY = {"widths": (4, 4, 6, 6, 8), "radius": 2}
VARIANTS = [
    {"matching": "concat"},
    {"matching": "correlation"},
    {"matching": "concat", "residual": True},
    {"matching": "correlation", "residual": True, "intrinsics": "shared", "norm": "group"},
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed))


def fixed(rotation: list[float], translation: list[float]) -> PairMotionNet:
    """A net that gives this motion for every pair."""
    net = PairMotionNet(**TINY, intrinsics="given").eval()
    with torch.no_grad():
        net.pose.weight.zero_()
        net.pose.bias.copy_(torch.tensor(rotation + translation) / 0.01)
    return net


@pytest.mark.parametrize("matching", ["concat", "correlation"])
@pytest.mark.parametrize("residual", [False, True])
def test_is_a_motion_net_of_less_than_a_million_parameters(matching, residual):
    net = PairMotionNet(matching=matching, residual=residual)
    assert isinstance(net, MotionNet) and not isinstance(net, Segmenter)
    assert 400_000 < sum(p.numel() for p in net.parameters()) < 700_000


def test_the_motion_takes_points_of_b_into_a():
    """The camera of b stands at `translation` in a's frame, turned by the axis-angle `rotation`."""
    camera = Camera.from_fov(16, 24, 60.0)
    rotation, translation = [0.1, -0.3, 0.2], [0.5, 0.25, 2.0]
    motion = fixed(rotation, translation)(noise(1, 3, 16, 24), noise(1, 3, 16, 24, seed=2), camera=camera)
    point = torch.tensor([0.3, -0.2, 4.0])
    expected = Rotation.from_rotvec(rotation).as_matrix() @ point.numpy() + translation
    seen = motion.transform(point[None, :, None, None])
    np.testing.assert_allclose(seen.detach().flatten().numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose((motion.T_a_b @ torch.tensor([0.0, 0, 0, 1]))[0, :3].detach(), translation, rtol=1e-6)
    torch.testing.assert_close(motion.T_b_a @ motion.T_a_b, torch.eye(4)[None], rtol=0, atol=1e-6)
    torch.testing.assert_close(so3_exp(motion.rotation), motion.T_a_b[:, :3, :3])
    assert torch.equal(motion.translation, motion.T_a_b[:, :3, 3]) and motion.camera is camera


def sidesteps(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A wall, filmed before and after a step aside that shows `right` more pixels of it: images a, b, and right."""
    generator = seeded(seed)
    right = torch.randint(-3, 4, (count,), generator=generator)
    walls = torch.rand(count, 3, 6, 10, generator=generator)
    walls = torch.nn.functional.interpolate(walls, size=(24, 40), mode="bicubic", align_corners=False).clamp(0, 1)
    b = torch.stack([wall[..., 8 + r : 32 + r] for wall, r in zip(walls, right.tolist(), strict=True)])
    return walls[..., 8:32], b, right


def test_photometric_training_finds_the_direction_of_the_motion():
    """The inverse warp of a into b takes T_source_target = T_a_b as it comes: b's pixel x lies at x + right in a."""
    net = PairMotionNet(matching="correlation", widths=(8, 12, 12, 12, 12), intrinsics="given", generator=seeded())
    focal, distance = 24.0, 2.0
    camera = Camera.from_parameters(focal, focal, 11.5, 11.5, height=24, width=24)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    depth = torch.full((16, 1, 24, 24), distance)
    for step in range(40):
        a, b, _ = sidesteps(16, step)
        motion = net(a, b, camera=camera)
        warped = inverse_warp(a, depth, motion.camera, motion.T_a_b)
        loss = ((warped.image - b).abs().mean(dim=1) * warped.visible).sum() / warped.visible.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    a, b, right = sidesteps(64, 1000)
    with torch.no_grad():
        motion = net.eval()(a, b, camera=camera)
    found = focal * (
        motion.translation[:, 0] / distance + motion.rotation[:, 1]
    )  # of a wall, both move all pixels alike
    assert np.corrcoef(found.numpy(), right.numpy())[0, 1] > 0.9


def test_scales_are_learned_and_kept_from_zero():
    net = fixed([0.01, 0.02, 0.03], [1.0, 2.0, 3.0])
    camera = Camera.from_fov(16, 16, 60.0)
    images = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=2)
    assert net.scales.tolist() == [pytest.approx(0.01)] * 2
    with torch.no_grad():
        net.scales.copy_(torch.tensor([0.02, -5.0]))
    motion = net(*images, camera=camera)
    torch.testing.assert_close(motion.rotation, torch.tensor([[0.02, 0.04, 0.06]]).expand(2, -1))
    torch.testing.assert_close(motion.translation, torch.tensor([[0.1, 0.2, 0.3]]).expand(2, -1))  # 0.001 / 0.01
    motion.translation.sum().backward()
    assert float(net.scales.grad[1]) == pytest.approx(2 * 600, rel=1e-5)  # it can come back


@settings(max_examples=8, deadline=None)
@given(height=st.integers(16, 50), width=st.integers(16, 50), variant=st.sampled_from(VARIANTS))
def test_any_size_gives_a_motion_a_camera_and_a_field_of_every_pixel(height, width, variant):
    net = PairMotionNet(**TINY | variant, generator=seeded()).eval()
    motion = net(noise(2, 3, height, width), noise(2, 3, height, width, seed=2))
    assert isinstance(motion, Motion) and motion.T_a_b.shape == (2, 4, 4) and motion.camera.size == (height, width)
    assert (motion.residual is not None) == ("residual" in variant)
    if motion.residual is not None:
        assert motion.residual.shape == (2, 3, height, width)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pairs_of_a_batch_do_not_see_each_other_and_gradients_reach_every_parameter(variant):
    net = PairMotionNet(**variant, generator=seeded())
    a, b = noise(3, 3, 48, 64), noise(3, 3, 48, 64, seed=2)
    motion = net(a, b)
    total = motion.T_a_b.square().sum() + motion.camera.K.square().sum()
    (total if motion.residual is None else total + motion.residual.square().sum()).backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in net.parameters())
    net.eval()
    with torch.no_grad():
        together = net(a, b)
        for i in range(3):
            alone = net(a[i : i + 1], b[i : i + 1])
            torch.testing.assert_close(alone.T_a_b[0], together.T_a_b[i], rtol=0, atol=1e-6)
            torch.testing.assert_close(alone.camera.K[0], together.camera.K[i], rtol=1e-5, atol=1e-4)


def test_equal_generators_make_equal_nets():
    a, b, other = (PairMotionNet(residual=True, generator=seeded(seed)) for seed in (7, 7, 8))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.pose.weight, other.pose.weight)


@pytest.mark.parametrize("matching", ["concat", "correlation"])
def test_starts_with_a_small_motion_and_a_sane_camera(matching):
    net = PairMotionNet(matching=matching, residual=True, initial_focal=0.9, generator=seeded())
    motion = net(noise(4, 3, 48, 64), noise(4, 3, 48, 64, seed=2))
    assert float(motion.rotation.detach().abs().max()) < 0.02 and float(motion.translation.detach().abs().max()) < 0.02
    assert float(motion.residual.detach().abs().max()) < 0.05
    K = motion.camera.K.detach()
    torch.testing.assert_close(K[:, 0, 0], torch.full((4,), 0.9 * 64), rtol=0.1, atol=0)
    torch.testing.assert_close(K[:, 1, 1], torch.full((4,), 0.9 * 48), rtol=0.1, atol=0)
    torch.testing.assert_close(K[:, :2, 2], torch.tensor([[31.5, 23.5]]).expand(4, -1), rtol=0, atol=1.0)


@given(raw=st.lists(st.floats(-5, 5), min_size=4, max_size=4), height=st.integers(1, 400), width=st.integers(1, 400))
def test_the_camera_is_gordons_with_integer_pixel_centres(raw, height, width):
    """His code: f = softplus(raw) * (W, H), c = (raw + 0.5) * (W, H), measured from the image's corner."""
    camera = camera_from_raw(torch.tensor([raw], dtype=torch.float64), height, width)
    fx, fy = (math.log1p(math.exp(value)) * side for value, side in zip(raw[:2], (width, height), strict=True))
    cx, cy = ((value + 0.5) * side - 0.5 for value, side in zip(raw[2:], (width, height), strict=True))
    expected = torch.tensor([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]], dtype=torch.float64)
    torch.testing.assert_close(camera.K, expected)
    square = camera_from_raw(torch.tensor([raw], dtype=torch.float64), height, width, square_pixels=True)
    assert float(square.K[0, 1, 1]) == float(square.K[0, 0, 0]) == pytest.approx(fx)
    # What is learned is a share of the image: at another size the same numbers are the resized camera's.
    again = camera_from_raw(torch.tensor([raw], dtype=torch.float64), 2 * height, 3 * width)
    torch.testing.assert_close(again.K, camera.resized(2 * height, 3 * width).K)


def test_shared_cameras_belong_to_videos_and_not_to_pairs():
    net = PairMotionNet(**TINY, intrinsics="shared", cameras=3, generator=seeded()).eval()
    with torch.no_grad():
        net.camera.focal.add_(torch.arange(6.0))
    a, b = noise(2, 3, 16, 24), noise(2, 3, 16, 24, seed=2)
    motion = net(a, b, video=torch.tensor([2, 0]))
    swapped = net(b, a, video=torch.tensor([2, 0]))
    assert torch.equal(motion.camera.K, swapped.camera.K)
    assert bool(motion.camera.K[0, 0, 0] > motion.camera.K[1, 0, 0])
    assert torch.equal(net(a, b, video=torch.tensor([0, 2])).camera.K, motion.camera.K.flip(0))
    with torch.no_grad():
        alone = PairMotionNet(**TINY, intrinsics="shared", square_pixels=True, learn_centre=False)(a, b).camera
    assert torch.equal(alone.K[0], alone.K[1])
    torch.testing.assert_close(alone.K[0, :2], torch.tensor([[0.7 * 24, 0, 11.5], [0, 0.7 * 24, 7.5]]))


def test_a_pair_with_square_pixels_has_one_focal_length():
    net = PairMotionNet(**TINY, square_pixels=True, learn_centre=False, generator=seeded())
    K = net(noise(3, 3, 16, 24), noise(3, 3, 16, 24, seed=2)).camera.K.detach()
    assert torch.equal(K[:, 0, 0], K[:, 1, 1]) and len(set(K[:, 0, 0].tolist())) == 3
    assert K[:, :2, 2].tolist() == [[11.5, 7.5]] * 3


@pytest.mark.parametrize("intrinsics", ["pair", "shared", "given"])
def test_both_ways_is_two_calls_with_one_camera(intrinsics):
    net = PairMotionNet(**TINY, intrinsics=intrinsics, residual=True, cameras=2, generator=seeded()).eval()
    a, b = noise(2, 3, 24, 32), noise(2, 3, 24, 32, seed=2)
    mask_a, mask_b = noise(2, 24, 32, seed=3) > 0.5, noise(2, 24, 32, seed=4) > 0.5
    options = {
        "pair": {},
        "shared": {"video": torch.tensor([1, 0])},
        "given": {"camera": Camera.from_fov(24, 32, 50.0)},
    }[intrinsics]
    with torch.no_grad():
        ab, ba = both_ways(net, a, b, object_mask_a=mask_a, object_mask_b=mask_b, **options)
        expected_ab, expected_ba = net(a, b, object_mask=mask_b, **options), net(b, a, object_mask=mask_a, **options)
    for got, expected in ((ab, expected_ab), (ba, expected_ba)):
        torch.testing.assert_close(got.T_a_b, expected.T_a_b)
        torch.testing.assert_close(got.residual, expected.residual)
        torch.testing.assert_close(
            got.camera.K, ((expected_ab.camera.K + expected_ba.camera.K) / 2).expand_as(got.camera.K)
        )


def test_the_residual_moves_only_what_may_move():
    net = PairMotionNet(**TINY, residual=True, generator=seeded()).eval()
    a, b, mask = noise(2, 3, 25, 31), noise(2, 3, 25, 31, seed=2), noise(2, 25, 31, seed=3) > 0.7
    with torch.no_grad():
        free, held = net(a, b), net(a, b, object_mask=mask)
    inside = mask[:, None].expand_as(free.residual)
    assert torch.equal(held.residual[inside], free.residual[inside])
    assert not bool(held.residual[~inside].any()) and bool(free.residual[~inside].all())
    points = noise(2, 3, 25, 31, seed=5) + 1
    rigid = Motion(held.T_a_b, held.rotation, held.translation, held.camera).transform(points)
    torch.testing.assert_close(held.transform(points) - rigid, held.residual, rtol=0, atol=1e-6)


def test_the_correlation_nets_fine_features_are_frame_bs():
    """The residual lives on b's grid: nothing of a may enter where it would be out of place."""
    encoder = PairMotionNet(**TINY, matching="correlation", generator=seeded()).eval().encoder
    a, other, b = (noise(1, 3, 32, 32, seed=seed) for seed in (1, 2, 3))
    for level, (one, two) in enumerate(zip(encoder(a, b), encoder(other, b), strict=True)):
        assert torch.equal(one, two) == (level < 2)


def test_motion_is_float32_at_least():
    net = PairMotionNet(**TINY, residual=True, generator=seeded()).eval()
    a, b = noise(1, 3, 32, 32).half(), noise(1, 3, 32, 32, seed=2).half()
    torch.testing.assert_close(net(a, b).T_a_b, net(a.float(), b.float()).T_a_b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        motion = net(a.float(), b.float())
    assert {motion.T_a_b.dtype, motion.camera.K.dtype, motion.residual.dtype} == {torch.float32}
    assert net.double()(a.double(), b.double()).T_a_b.dtype == torch.float64


def test_cameras_are_averaged():
    one, two = (Camera.from_parameters(f, f + 1, 4, 5, height=9, width=9) for f in (10.0, 20.0))
    expected = Camera.from_parameters(15, 16, 4, 5, height=9, width=9)
    assert torch.equal(average_camera(one, two).K, expected.K)


@pytest.mark.bad_input
def test_impossible_nets_and_pairs_are_refused():
    from stc_lab.errors import InputError

    for options, message in (
        ({"matching": "flow"}, "'concat' or 'correlation', got 'flow'"),
        ({"intrinsics": "known"}, "'pair', 'shared' or 'given', got 'known'"),
        ({"widths": (4, 4, 4, 4)}, "five positive widths"),
        ({"encoder": "vit"}, "'compact', 'resnet18' or 'resnet50', got 'vit'"),
        ({"encoder": "resnet18", "matching": "correlation"}, "resnet18 sees a pair as one stack"),
        ({"intrinsics": "shared", "cameras": 0}, "cameras must be at least 1"),
        ({"initial_focal": 0.0}, "positive share"),
        ({"weights": "file.pth"}, "weights are those of a ResNet encoder"),
    ):
        with pytest.raises(InputError, match=message):
            PairMotionNet(**options)
    a, b = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=2)
    camera = Camera.from_fov(16, 16, 60.0)
    net = PairMotionNet(**TINY)
    for arguments, options, message in (
        ((a, b[:1]), {}, "one shape"),
        ((a, b.double()), {}, "one dtype"),
        ((a * 255, b), {}, r"image_a must hold values in \[0, 1\]"),
        ((a, b[0]), {}, r"image_b must be \[b, 3, h, w\]"),
        ((a, b), {"camera": camera}, "it learns its own"),
        ((a, b), {"object_mask": torch.ones(2, 16, 16, dtype=torch.bool)}, "residual=True"),
    ):
        with pytest.raises(InputError, match=message):
            net(*arguments, **options)
    given = PairMotionNet(**TINY, intrinsics="given")
    with pytest.raises(InputError, match="none came"):
        given(a, b)
    with pytest.raises(InputError, match="belongs to 8 x 8 px"):
        given(a, b, camera=Camera.from_fov(8, 8, 60.0))
    shared = PairMotionNet(**TINY, intrinsics="shared", cameras=2)
    with pytest.raises(InputError, match="which of 2 cameras"):
        shared(a, b)
    with pytest.raises(InputError, match=r"0 to 1, got \[0, 2\]"):
        shared(a, b, video=torch.tensor([0, 2]))
    moving = PairMotionNet(**TINY, residual=True)
    with pytest.raises(InputError, match=r"object_mask must be bool \[b, h, w\]"):
        moving(a, b, object_mask=torch.ones(2, 16, 16))
    with pytest.raises(InputError, match="both be given or neither"):
        both_ways(moving, a, b, object_mask_a=torch.ones(2, 16, 16, dtype=torch.bool))
