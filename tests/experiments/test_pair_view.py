"""A view of a pair against the functions of the library that say the same, one by one."""

import math

import pytest
import torch
from explored_rooms import net, rooms

from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.pair_places import GEOMETRIES, OCCLUSIONS, occlusions_of
from stc_lab.experiments.pair_view import PairView, pair_view
from stc_lab.geometry import (
    DepthTolerance,
    depth_test_visible,
    dis_flow,
    gmflow_visible,
    gordon_visible,
    inverse_warp,
    inverse_warp_labels,
    rigid_flow,
    ruder_visible,
    warp_by_flow,
)
from stc_lab.losses import LogitsConsistency, image_edges, logits_consistency
from stc_lab.metrics import temporal_agreement

WEIGHTS = LogitsConsistency(0.5, 0.3, 0.2)


def view_of(earlier: int = 1, later: int = 3, **options: object) -> PairView:
    return pair_view(rooms(), net(), earlier, later, **options)  # type: ignore[arg-type]  # given by the tests


def test_exact_views_are_the_inverse_warp_and_its_loss() -> None:
    view = view_of(weights=WEIGHTS)
    videos, model = rooms(), net()
    target, source = videos.frames([1]), videos.frames([3])
    with torch.no_grad():
        own, other = model(target.image), model(source.image)
    assert torch.equal(view.logits_target, own) and torch.equal(view.logits_source, other)
    assert target.depth is not None and target.camera is not None
    sides = target.depth, target.camera, target.motion_to(source)
    options = {"camera_source": source.camera, "depth_source": source.depth}
    warped = inverse_warp(other, *sides, **options)
    assert torch.equal(view.visible, warped.visible)
    assert torch.allclose(view.warped.image[:, :, view.visible[0]], warped.image[:, :, view.visible[0]], atol=1e-5)
    labels = inverse_warp_labels(other.argmax(dim=1), *sides, **options)
    assert torch.equal(view.warped_labels.label, labels.label)
    agreement = temporal_agreement(own.argmax(dim=1), labels)
    assert view.numbers()["disagreement"] == pytest.approx(1 - agreement.value)
    loss = logits_consistency(warped, own, image_edges(target.image), WEIGHTS)
    assert view.loss is not None
    for name in ("total", "uniform", "label_prior", "pixel_prior"):
        assert float(getattr(view.loss, name)) == pytest.approx(float(getattr(loss, name)), rel=1e-5)
        assert view.numbers()[name] == pytest.approx(float(getattr(loss, name)), rel=1e-5)
    assert int(view.loss.support) == int(loss.support) and int(view.loss.edge_support) == int(loss.edge_support)
    mean = view.loss_maps["total"].sum() / loss.support
    assert float(mean) == pytest.approx(float(loss.total), rel=1e-5)


def test_disagreement_by_a_slow_loop() -> None:
    view = view_of(2, 5)
    pixels, height, width = view.places.pixels[0], *view.visible.shape[-2:]
    own, other = view.logits_target[0], view.logits_source[0]
    counted = apart = 0
    for y in range(height):
        for x in range(width):
            if not view.visible[0, y, x]:
                assert not view.disagreement[0, y, x] and view.soft_disagreement[0, y, x] == 0
                continue
            u, v = (float(value) for value in pixels[:, y, x])
            counted += 1
            label = int(other[:, round(v), round(u)].argmax())
            apart += label != int(own[:, y, x].argmax())
            assert bool(view.disagreement[0, y, x]) == (label != int(own[:, y, x].argmax()))
    assert counted > 200
    assert view.numbers()["disagreement"] == pytest.approx(apart / counted)
    assert view.numbers()["visible"] == pytest.approx(counted / (height * width))
    p, q = own.softmax(dim=0), view.warped.image[0].softmax(dim=0)
    soft = 1 - torch.minimum(p, q).sum(dim=0)  # another way to write half the L1 distance
    assert torch.allclose(view.soft_disagreement[0][view.visible[0]], soft[view.visible[0]], atol=1e-5)


def test_backward_and_forward_change_places() -> None:
    there, back = view_of(1, 3, direction="backward"), view_of(1, 3, direction="forward")
    assert there.rows == (1, 3) and back.rows == (3, 1)
    assert torch.equal(there.target.image, back.source.image) and torch.equal(there.logits_source, back.logits_target)
    assert torch.allclose(there.places.back, back.places.flow, atol=1e-4)


def test_every_rule_is_its_function_in_the_library() -> None:
    view = view_of()
    solid = view.places.solid
    assert solid is not None
    pair = solid.depth_target, solid.camera_target, solid.T_source_target
    there = rigid_flow(*pair).flow
    inside = rigid_flow(*pair).visible
    back = view_of(direction="forward").places.flow
    expected = {
        "depth test": depth_test_visible(*pair, solid.depth_source, tolerance=DepthTolerance(0.08, 0.04)),
        "gordon": gordon_visible(*pair, solid.depth_source),
        "ruder": ruder_visible(there, back, relative=0.02, absolute=1.0) & inside,
        "ruder without boundaries": ruder_visible(there, back, relative=0.02, absolute=1.0, motion_boundaries=False)
        & inside,
        "gmflow": gmflow_visible(there, back, relative=0.02, absolute=1.0) & inside,
        "inside": inside,
    }
    assert set(expected) == set(OCCLUSIONS)
    for rule, mask in expected.items():
        found = view_of(occlusion=rule, disturbance=Disturbance(tolerance=2.0)).visible
        assert (found != mask).float().mean() < 0.002, rule  # a pixel on the very limit may fall either way


def test_estimated_views_follow_the_flow_of_the_two_images() -> None:
    view = view_of(geometry="estimated")
    a, b = rooms().frames([1]).image, rooms().frames([3]).image
    there, back = dis_flow(a, b), dis_flow(b, a)
    assert torch.equal(view.places.flow, there) and torch.equal(view.places.back, back)
    assert torch.equal(view.visible, ruder_visible(there, back, motion_boundaries=False))
    warped = warp_by_flow(view.logits_source, there)
    assert torch.allclose(view.warped.image[:, :, view.visible[0]], warped.image[:, :, view.visible[0]], atol=1e-5)
    assert view.depth_target is None and view.places.depth is None


def test_learned_views_see_their_own_depth_and_motion() -> None:
    view = view_of(geometry="learned")
    assert view.depth_target is not None and torch.equal(view.depth_target, view.frames.learned_depth([1]))
    solid = view.places.solid
    assert solid is not None and not torch.allclose(solid.T_source_target, torch.eye(4)[None], atol=1e-4)
    assert torch.equal(view.visible, view_of(geometry="learned", memory=view.frames).visible)
    back = view_of(geometry="learned", memory=view.frames, direction="forward").places.solid
    assert back is not None
    assert torch.allclose(back.T_source_target @ solid.T_source_target, torch.eye(4)[None], atol=1e-5)


@pytest.mark.parametrize("geometry", ["exact", "learned"])
def test_disturbances_move_the_pixels_as_a_hand_made_pair_says(geometry: str) -> None:
    wrong = Disturbance(depth_scale=1.3, yaw=2.0, pitch=-1.0, shift=0.1, focal_scale=1.1)
    plain, view = (view_of(geometry=geometry, disturbance=d) for d in (Disturbance(), wrong))
    before = plain.places.solid
    assert before is not None and view.depth_target is not None
    assert torch.allclose(view.depth_target, before.depth_target * 1.3)
    K, T = before.camera_target.K.clone(), wrong.of_motion(before.T_source_target)
    K[:, (0, 1), (0, 1)] *= 1.1
    x, y = 30, 12
    ray = torch.linalg.inv(K[0].double()) @ torch.tensor([x, y, 1.0], dtype=torch.float64)
    point = T[0, :3, :3].double() @ (ray * float(before.depth_target[0, 0, y, x]) * 1.3) + T[0, :3, 3].double()
    landed = K[0].double() @ point / point[2]
    assert view.places.pixels[0, :, y, x].tolist() == pytest.approx(landed[:2].tolist(), abs=2e-3)
    assert not torch.equal(plain.visible, view.visible)


def test_exposure_changes_the_source_and_what_the_net_says_of_it_alone() -> None:
    plain, bright = view_of(), view_of(disturbance=Disturbance(exposure=1.5))
    assert torch.equal(plain.target.image, bright.target.image)
    assert torch.equal(plain.logits_target, bright.logits_target)
    assert bright.source.image.mean() > plain.source.image.mean()
    with torch.no_grad():
        assert torch.equal(bright.logits_source, net()(bright.source.image))
    assert torch.equal(bright.labels_source, bright.logits_source.argmax(dim=1))
    assert torch.equal(plain.visible, bright.visible)


def test_nothing_visible_has_no_loss_and_no_number_that_pretends() -> None:
    view = view_of(disturbance=Disturbance(yaw=90.0))
    assert not view.visible.any() and view.loss is None
    numbers = view.numbers()
    assert numbers["visible"] == 0 and all(math.isnan(numbers[name]) for name in ("total", "disagreement", "motion"))
    assert all(not part.any() for part in view.loss_maps.values())


def test_memory_gives_the_same_view_whether_large_or_small() -> None:
    fresh = view_of(2, 4)
    for limit in (1, 100):
        frames = ExploredFrames(rooms(), net(), limit=limit)
        for _ in range(2):
            view = pair_view(rooms(), net(), 2, 4, memory=frames)
            assert torch.equal(view.warped.image, fresh.warped.image) and torch.equal(view.edges, fresh.edges)
        assert frames._bytes <= frames.limit


def test_two_models_are_seen_side_by_side() -> None:
    from stc_lab.models import FPNSegmenter

    other = FPNSegmenter(21, generator=torch.Generator().manual_seed(3))
    here, there = view_of(), pair_view(rooms(), other, 1, 3)
    assert torch.equal(here.visible, there.visible)
    assert not torch.equal(here.labels_target, there.labels_target)
    with pytest.raises(InputError, match="another model"):
        pair_view(rooms(), other, 1, 3, memory=here.frames)


def test_a_model_keeps_its_mode() -> None:
    net().train()
    try:
        view_of(4, 5)
        assert net().training
    finally:
        net().eval()


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_rules_of_a_geometry_are_those_that_work(geometry: str) -> None:
    for rule in OCCLUSIONS:
        view = view_of(geometry=geometry, occlusion=rule)
        if rule in occlusions_of(view.geometry):
            assert view.visible.dtype == torch.bool
        else:
            with pytest.raises(InputError, match="depth"):
                _ = view.visible


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"earlier": 3, "later": 1}, "earlier row first"),
        ({"earlier": 3, "later": 3}, "earlier row first"),
        ({"earlier": 7, "later": 8}, "one video"),
        ({"later": 99}, "rows 1 and 99"),
        ({"direction": "sideways"}, "direction"),
        ({"geometry": "guessed"}, "geometry"),
        ({"geometry": "estimated", "disturbance": Disturbance(yaw=1)}, "yaw"),
    ],
)
def test_pairs_that_cannot_be_shown(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        view_of(**options)  # type: ignore[arg-type]  # what is wrong with it is the test


@pytest.mark.bad_input
def test_a_rule_that_nobody_knows() -> None:
    with pytest.raises(InputError, match="occlusion"):
        _ = view_of(occlusion="guess").visible


@pytest.mark.bad_input
def test_memories_need_room_and_a_focal_length_with_a_depth_net() -> None:
    with pytest.raises(InputError, match="limit"):
        ExploredFrames(rooms(), net(), limit=0)
    with pytest.raises(InputError, match="focal"):
        ExploredFrames(rooms(), net(), focal_ratio=0.7)
    with pytest.raises(InputError, match="21 classes"):
        ExploredFrames(rooms(), net(), classes=["wall"])
