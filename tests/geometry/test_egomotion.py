"""Motion from flow and a depth in doubt: exact where all agree, and what no error, unit, mirror or order may change."""

from dataclasses import replace

import pytest
import torch
from sights import MIRROR, SIZE, bumps, exact_sight, mirrored, swapped, with_depths, with_noise
from torch import Tensor
from warp_inputs import normal, some_camera, some_motion, still

from stc_lab.geometry import Camera, Flow, invert_pose, pose_from, rigid_flow
from stc_lab.geometry.egomotion import Sight, Trust, fit_motion
from stc_lab.metrics import rotation_error, translation_direction_error

DOUBTS = [0.0, 0.3, 1.0]


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize("seed", range(3))
def test_an_exact_motion_is_found_exactly(seed: int, doubt: float) -> None:
    sight, T = exact_sight(4, seed=seed)
    torch.testing.assert_close(fit_motion(sight, trust=Trust(0.1, doubt)), T, atol=1e-9, rtol=0)


def test_much_doubt_takes_more_iterations() -> None:
    """The less a depth is believed, the less tells how far the camera went."""
    sight, T = exact_sight(4, seed=1)
    errors = [float((fit_motion(sight, trust=Trust(0.1, 3.0), iterations=n) - T).abs().max()) for n in (6, 12, 30)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-10


@pytest.mark.parametrize("doubt", DOUBTS)
def test_so_it_is_in_single_precision(doubt: float) -> None:
    sight, T = exact_sight(4, seed=1, dtype=torch.float32)
    found = fit_motion(sight, trust=Trust(0.1, doubt))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, T, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    "camera",
    [
        some_camera(*SIZE, batch=3, seed=5, skew=1.0),
        Camera.from_parameters(30.0, 25.0, -4.0, 27.0, height=SIZE[0], width=SIZE[1], dtype=torch.float64),
    ],
    ids=["one a pair, skewed", "off centre"],
)
def test_any_camera_serves(camera: Camera) -> None:
    sight, T = exact_sight(3, seed=2, camera=camera)
    torch.testing.assert_close(fit_motion(sight), T, atol=1e-9, rtol=0)


def test_large_turns_and_shifts_are_found_from_nothing() -> None:
    """15 degrees and 0.6 m at once; the two views still show much of the same."""
    axis = normal(4, 6, seed=3)
    turn, shift = (part / part.norm(dim=1, keepdim=True) for part in axis.split(3, dim=1))
    motion = pose_from(0.26 * turn, 0.6 * shift)
    sight, _ = exact_sight(motion=motion, seed=3)
    torch.testing.assert_close(fit_motion(sight, iterations=15), motion, atol=1e-8, rtol=0)


def test_one_direction_is_enough() -> None:
    sight, T = exact_sight(3, seed=4)
    for name in ("flow_ab", "flow_ba"):
        flow = getattr(sight, name)
        blind = Flow(torch.full_like(flow.flow, torch.nan), torch.zeros_like(flow.visible))
        torch.testing.assert_close(fit_motion(replace(sight, **{name: blind})), T, atol=1e-8, rtol=0)


@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_three_flows_in_ten_may_be_wrong(doubt: float) -> None:
    """By 8 px, where squares of errors, unweighted, would follow them."""
    sight, T = exact_sight(8, seed=5)
    flows = []
    for i, flow in enumerate((sight.flow_ab, sight.flow_ba)):
        wrong = torch.rand(flow.visible.shape, generator=torch.Generator().manual_seed(i)) < 0.3
        flows.append(Flow(flow.flow + 8 * wrong[:, None] * normal(*flow.flow.shape, seed=20 + i), flow.visible))
    sight = replace(sight, flow_ab=flows[0], flow_ba=flows[1])
    robust, squares = (fit_motion(sight, trust=Trust(deviation, doubt)) for deviation in (0.1, 1e3))
    assert float(rotation_error(robust, T).each.max()) < 0.02
    assert float(translation_direction_error(robust, T).each.max()) < 0.2
    assert float(rotation_error(squares, T).each.median()) > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_doubt_in_the_depth_pays_where_the_depth_is_off(seed: int) -> None:
    """The design's claim: a depth wrong by a smooth factor of 30 % or so misleads a fit that believes it."""
    sight, T = exact_sight(8, seed=seed)
    factors = ((0.3 * bumps(8, seed=5 * seed + i, size=SIZE)).exp() for i in (40, 41))
    off = with_depths(sight, *factors)
    believing, doubting = (fit_motion(off, trust=Trust(0.1, doubt)) for doubt in (0.0, 0.3))
    for measure in (rotation_error, translation_direction_error):
        sure, unsure = (float(measure(found, T).each.median()) for found in (believing, doubting))
        assert unsure < 0.9 * sure, measure.__name__


def test_belief_pays_where_the_depth_is_right() -> None:
    sight, T = exact_sight(16, seed=6)
    noisy = with_noise(sight, 0.2, seed=6)
    believing, doubting = (fit_motion(noisy, trust=Trust(0.2, doubt)) for doubt in (0.0, 1.0))
    sure, unsure = (float((found - T)[:, :3, 3].norm(dim=1).median()) for found in (believing, doubting))
    assert sure < 0.9 * unsure


def test_the_believing_fit_is_where_the_robust_error_has_no_slope() -> None:
    """Geman and McClure's, e^2 / (1 + e^2 / s^2) with s two deviations of the flow, summed over both directions."""
    sight, _ = exact_sight(3, seed=7)
    sight = with_noise(with_depths(sight, (0.1 * bumps(3, seed=8)).exp()), 0.1, seed=7)
    found = fit_motion(sight, trust=Trust(0.1, 0.0), iterations=100)

    def error(vector: Tensor) -> Tensor:
        T = pose_from(vector[:, :3], vector[:, 3:]) @ found
        total = torch.zeros(3, dtype=torch.float64)
        for depth, flow, motion in (
            (sight.depth_a, sight.flow_ab, T),
            (sight.depth_b, sight.flow_ba, invert_pose(T)),
        ):
            squared = ((rigid_flow(depth, sight.camera, motion).flow - flow.flow) ** 2).sum(dim=1)
            total = total + (flow.visible * squared / (1 + squared / 0.2**2)).sum(dim=(1, 2))
        return total

    nudge = 1e-5
    slopes, bends = [], []
    for way in torch.eye(6, dtype=torch.float64):
        less, here, more = (error(step * way.expand(3, 6)) for step in (-nudge, 0.0, nudge))
        slopes.append((more - less) / (2 * nudge))
        bends.append((more - 2 * here + less) / nudge**2)
    assert float(torch.stack(bends).min()) > 0  # it is a least value in each coordinate
    assert (
        float((torch.stack(slopes) / torch.stack(bends)).abs().max()) < 3e-5
    )  # the step that is left: metres, radians


@pytest.mark.parametrize("doubt", DOUBTS)
def test_seen_from_b_it_is_the_inverse(doubt: float) -> None:
    sight, _ = exact_sight(4, seed=9)
    noisy = with_noise(sight, 0.1, seed=9)
    there, back = (fit_motion(view, trust=Trust(0.1, doubt), iterations=40) for view in (noisy, swapped(noisy)))
    torch.testing.assert_close(invert_pose(back), there, atol=1e-6, rtol=0)


@pytest.mark.parametrize("unit", [1e-2, 0.3048, 1e3])
def test_the_unit_of_depth_is_that_of_the_shift(unit: float) -> None:
    sight, _ = exact_sight(4, seed=10)
    noisy = with_noise(sight, 0.1, seed=10)
    metres, others = fit_motion(noisy), fit_motion(with_depths(noisy, unit))
    torch.testing.assert_close(others[:, :3, :3], metres[:, :3, :3], atol=1e-9, rtol=0)
    torch.testing.assert_close(others[:, :3, 3], unit * metres[:, :3, 3], atol=1e-9 * unit, rtol=0)


def test_the_unit_of_the_pixel_cancels() -> None:
    """Every other pixel, on a grid twice as coarse with half the flow and half its deviation, is the same evidence."""
    sight, _ = exact_sight(3, seed=11)
    noisy = with_noise(sight, 0.1, seed=11)
    kept = torch.zeros(SIZE, dtype=torch.bool)
    kept[::2, ::2] = True
    whole, coarse = [], []
    for flow in (noisy.flow_ab, noisy.flow_ba):
        whole.append(Flow(flow.flow, flow.visible & kept))
        coarse.append(Flow(flow.flow[:, :, ::2, ::2] / 2, flow.visible[:, ::2, ::2]))
    depths = noisy.depth_a[:, :, ::2, ::2], noisy.depth_b[:, :, ::2, ::2]
    fine = fit_motion(replace(noisy, flow_ab=whole[0], flow_ba=whole[1]), trust=Trust(0.1))
    small = fit_motion(Sight(*depths, *coarse, noisy.camera.strided(2)), trust=Trust(0.05))
    torch.testing.assert_close(small, fine, atol=1e-9, rtol=0)


def test_a_mirror_turns_the_motion_about() -> None:
    sight, _ = exact_sight(4, seed=12, camera=some_camera(*SIZE, seed=12, skew=0.7))
    noisy = with_noise(sight, 0.1, seed=12)
    found, seen = fit_motion(noisy), fit_motion(mirrored(noisy))
    torch.testing.assert_close(seen, MIRROR @ found @ MIRROR, atol=1e-9, rtol=0)


def test_no_flow_is_no_motion() -> None:
    """Whatever the depth, and from wherever it starts."""
    sight, _ = exact_sight(3, seed=13)
    for name in ("flow_ab", "flow_ba"):
        flow = getattr(sight, name)
        sight = replace(sight, **{name: Flow(torch.zeros_like(flow.flow), torch.ones_like(flow.visible))})
    torch.testing.assert_close(fit_motion(sight), still(3), atol=1e-12, rtol=0)
    far = fit_motion(sight, start=some_motion(3, seed=1), iterations=15)
    torch.testing.assert_close(far, still(3), atol=1e-9, rtol=0)


def test_a_pair_that_shows_nothing_stays_at_its_start_and_harms_no_other() -> None:
    sight, T = exact_sight(3, seed=14)
    start = some_motion(3, seed=40)
    visible = sight.flow_ab.visible.clone(), sight.flow_ba.visible.clone()
    for mask in visible:
        mask[1] = False
    sight = replace(
        sight,
        flow_ab=Flow(sight.flow_ab.flow, visible[0]),
        flow_ba=Flow(sight.flow_ba.flow, visible[1]),
    )
    found = fit_motion(sight, start=start)
    torch.testing.assert_close(found[1], start[1], atol=1e-12, rtol=0)
    torch.testing.assert_close(found[[0, 2]], T[[0, 2]], atol=1e-8, rtol=0)


@pytest.mark.parametrize("pixels", [1, 2])
def test_hardly_any_flow_is_explained_by_some_motion(pixels: int) -> None:
    """Fewer equations than unknowns, or as many: the damping chooses."""
    sight, _ = exact_sight(2, seed=15)
    few = torch.zeros_like(sight.flow_ab.visible)
    few[:, 10, 12 : 12 + pixels] = True
    none = Flow(sight.flow_ba.flow, torch.zeros_like(few))
    sight = replace(sight, flow_ab=Flow(sight.flow_ab.flow, few), flow_ba=none)
    found = fit_motion(sight, trust=Trust(0.1, 0.0), iterations=20)
    missed = (rigid_flow(sight.depth_a, sight.camera, found).flow - sight.flow_ab.flow).norm(dim=1)
    assert float(missed[few].max()) < 1e-3


def test_no_pair_knows_of_the_others() -> None:
    sight, _ = exact_sight(4, seed=16, camera=some_camera(*SIZE, batch=4, seed=16))
    noisy = with_noise(sight, 0.1, seed=16)
    together = fit_motion(noisy)
    for i in range(4):
        alone = fit_motion(noisy[torch.arange(4) == i])
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-12, rtol=0)


def test_what_is_not_visible_is_not_read() -> None:
    sight, _ = exact_sight(3, seed=17)
    noisy = with_noise(sight, 0.1, seed=17)
    flows = []
    for i, flow in enumerate((noisy.flow_ab, noisy.flow_ba)):
        hidden = torch.rand(flow.visible.shape, generator=torch.Generator().manual_seed(i)) < 0.4
        flows.append((Flow(flow.flow, flow.visible & ~hidden), torch.where(hidden[:, None], torch.nan, flow.flow)))
    plain = replace(noisy, flow_ab=flows[0][0], flow_ba=flows[1][0])
    spoilt = replace(
        noisy,
        flow_ab=Flow(flows[0][1], flows[0][0].visible),
        flow_ba=Flow(flows[1][1], flows[1][0].visible),
    )
    assert torch.equal(fit_motion(plain), fit_motion(spoilt))


def test_a_good_start_needs_fewer_iterations_and_the_end_hangs_little_on_it() -> None:
    sight, T = exact_sight(3, seed=18)
    noisy = with_noise(sight, 0.1, seed=18)
    cold, warm = fit_motion(noisy, iterations=40), fit_motion(noisy, start=T, iterations=40)
    torch.testing.assert_close(cold, warm, atol=1e-6, rtol=0)
    torch.testing.assert_close(fit_motion(sight, start=T, iterations=1), T, atol=1e-12, rtol=0)


def test_it_gives_rigid_motions_without_a_gradient_and_changes_nothing() -> None:
    sight, _ = exact_sight(3, seed=19)
    wanted = sight.depth_a.clone().requires_grad_()
    start = some_motion(3, seed=2)
    kept = start.clone(), wanted.detach().clone(), sight.flow_ab.flow.clone()
    found = fit_motion(replace(sight, depth_a=wanted), start=start)
    assert not found.requires_grad
    R = found[:, :3, :3]
    torch.testing.assert_close(R @ R.transpose(1, 2), still(3)[:, :3, :3], atol=1e-12, rtol=0)
    assert all(torch.equal(a, b) for a, b in zip(kept, (start, wanted, sight.flow_ab.flow), strict=True))


def test_a_mask_picks_pairs_with_their_cameras() -> None:
    for cameras in (1, 4):
        sight, _ = exact_sight(4, seed=20, camera=some_camera(*SIZE, batch=cameras, seed=20))
        picked = sight[torch.tensor([False, True, False, True])]
        assert isinstance(picked, Sight)
        torch.testing.assert_close(picked.depth_b, sight.depth_b[[1, 3]])
        torch.testing.assert_close(picked.flow_ba.flow, sight.flow_ba.flow[[1, 3]])
        assert torch.equal(picked.flow_ab.visible, sight.flow_ab.visible[[1, 3]])
        assert torch.equal(picked.camera.K, sight.camera.K if cameras == 1 else sight.camera.K[[1, 3]])


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(half: torch.dtype) -> None:
    sight, T = exact_sight(2, seed=21, dtype=torch.float32)
    flows = (Flow(flow.flow.to(half), flow.visible) for flow in (sight.flow_ab, sight.flow_ba))
    short = Sight(sight.depth_a.to(half), sight.depth_b.to(half), *flows, sight.camera)
    found = fit_motion(short)
    assert found.dtype == torch.float32
    assert float(rotation_error(found, T).each.max()) < 1
