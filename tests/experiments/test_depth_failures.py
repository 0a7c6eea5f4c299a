"""The failure gallery: each failure shows, by numbers that could come out otherwise, and so does what remedies do."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from jaxtyping import Float

from stc_lab.data.rooms import RoomsConfig, exact_flow, mover_masks, render_video, scene_of
from stc_lab.errors import InputError
from stc_lab.experiments.depth_failures import FAILURES, DepthFailure, depth_failure
from stc_lab.experiments.depth_landscapes import CURVES, FACTORS, Landscape
from stc_lab.losses import photometric_error

SEEDS = (0, 9)
CLEAN = RoomsConfig(
    motion="tracking", frames=5, shadows=False, dial=0.0, noise=0.01, memory=0.0, auto_exposure=0.0
)  # what the gallery says of its clips


@lru_cache
def found(name: str, seed: int = 0) -> DepthFailure:
    return depth_failure(name, seed=seed)


def test_the_minimum_of_a_landscape() -> None:
    x = np.log2(FACTORS)
    bowl = Landscape(tuple(0.1 + (x - 0.25) ** 2))
    assert bowl.best == pytest.approx(2**0.25) and bowl.off_truth
    assert bowl.at_truth == pytest.approx(0.1 + 0.25**2)
    assert bowl.contrast == pytest.approx(1 - 0.1 / np.mean(bowl.error))
    assert Landscape(tuple(3 * e for e in bowl.error)).contrast == pytest.approx(bowl.contrast)
    assert not Landscape(tuple(0.1 + (x - 1 / 8) ** 2)).off_truth  # two steps
    for level in (0.0, 0.3):
        flat = Landscape((level,) * len(FACTORS))
        assert flat.best is None and flat.contrast < 1e-12 and not flat.off_truth
    assert FACTORS[0] == 0.5 and FACTORS[-1] == 2 and 1.0 in FACTORS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_shows_where_the_truth_was_best_before(name: str, seed: int) -> None:
    """With the knob off, L1 + SSIM finds the true depth within two steps of the search."""
    failure = found(name, seed)
    assert failure.shown, failure.text
    assert int(failure.region.sum()) >= 0.01 * failure.region.numel()
    off = failure.off.landscapes["loss"]
    assert off.best is not None and not off.off_truth
    assert (failure.off.value, failure.on.value) == (failure.failure.off, failure.failure.on)
    assert (failure.region <= (failure.off.visible & failure.on.visible)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_static_camera_leaves_nothing_to_learn_and_the_auto_mask_takes_it_all(seed: int) -> None:
    failure = found("static camera", seed)
    for key, landscape in failure.on.landscapes.items():
        assert landscape.contrast < 1e-5, key
        assert failure.off.landscapes[key].contrast > 0.1, key
    assert failure.auto_masked(failure.on) == 1 and failure.auto_masked(failure.off) < 0.2
    # What is left is the noise of two frames: its absolute difference has the mean 2 sigma / sqrt(pi).
    assert failure.on.landscapes["l1"].at_truth == pytest.approx(2 * 0.01 / np.sqrt(np.pi), rel=0.1)
    unwarped = photometric_error(failure.on.sources, failure.on.target.expand(2, -1, -1, -1))
    expected = float(unwarped.mean(dim=0)[failure.region].mean())
    assert failure.on.landscapes["loss"].at_truth == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_on_plain_surfaces_the_minimum_loses_its_depth(seed: int) -> None:
    failure = found("plain surfaces", seed)
    off, on = failure.off.landscapes["loss"], failure.on.landscapes["loss"]
    assert off.contrast > 0.3 and on.contrast < off.contrast / 5
    label = render_video(failure.video, CLEAN).label
    assert label is not None and set(label[2][failure.region].tolist()) <= {1, 2, 3}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_moves_by_itself_is_explained_by_a_wrong_depth_until_its_motion_is_known(seed: int) -> None:
    failure = found("moving things", seed)
    off, on, own = (
        failure.off.landscapes["loss"],
        failure.on.landscapes["loss"],
        failure.on.landscapes["own_motion"],
    )
    assert on.off_truth and on.at_truth > 3 * off.at_truth
    assert own.best is not None and not own.off_truth
    assert own.at_truth < 0.7 * on.at_truth and own.contrast > 1.5 * on.contrast
    masks = mover_masks(failure.video, replace(CLEAN, moving_objects=3))
    assert (masks[2][failure.region] > 0).all()
    assert "own_motion" not in failure.off.landscapes


@pytest.mark.parametrize("seed", [0, 6, 11])
def test_highlights_seem_to_lie_behind_the_surface_and_ssim_is_misled_less(seed: int) -> None:
    failure = found("highlights", seed)
    l1, loss = failure.on.landscapes["l1"].best, failure.on.landscapes["loss"].best
    assert l1 is not None and loss is not None
    assert l1 > 1.3 and loss <= l1
    brighter = (failure.on.target - failure.off.target).mean(dim=0)
    assert (brighter[failure.region] > 0.1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_another_exposure_drowns_l1_more_than_ssim_and_aligning_repairs_it(seed: int) -> None:
    failure = found("exposure changes", seed)
    off, on = failure.off.landscapes, failure.on.landscapes
    assert on["l1"].contrast < off["l1"].contrast / 5 and on["ssim"].contrast > off["ssim"].contrast / 2
    assert on["l1"].at_truth > 5 * off["l1"].at_truth and on["ssim"].at_truth < 2 * off["ssim"].at_truth
    assert on["aligned"].at_truth < 1.3 * off["aligned"].at_truth
    assert on["aligned"].contrast > on["loss"].contrast
    assert on["aligned"].best is not None and not on["aligned"].off_truth


def _bilinear(image: Float[np.ndarray, "3 h w"], x: float, y: float) -> np.ndarray:
    i, j = min(int(y), image.shape[1] - 2), min(int(x), image.shape[2] - 2)
    v, u = y - i, x - j
    top, bottom = ((1 - u) * image[:, k, j] + u * image[:, k, j + 1] for k in (i, i + 1))
    return np.asarray((1 - v) * top + v * bottom)


def test_the_landscape_of_l1_is_that_of_projecting_point_by_point() -> None:
    """At half, true and twice the depth, in double precision, over every seventh judged pixel's own mean."""
    failure = found("exposure changes", 9)
    clip = render_video(failure.video, replace(CLEAN, exposure=failure.on.value))
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    K, T = clip.camera.K[0].double().numpy(), clip.T_world_camera.double().numpy()
    image, depth = clip.image.double().numpy(), clip.depth.double().numpy()
    for number in (0, 16, 32):
        errors = []
        for y, x in failure.region.nonzero().tolist():
            world = T[2] @ np.append(FACTORS[number] * depth[2, 0, y, x] * np.linalg.solve(K, [x, y, 1.0]), 1)
            for source in (0, 4):
                seen = K @ np.linalg.solve(T[source], world)[:3]
                value = _bilinear(image[source], seen[0] / seen[2], seen[1] / seen[2])
                errors.append(np.abs(value - image[2, :, y, x]).mean())
        assert failure.on.landscapes["l1"].error[number] == pytest.approx(float(np.mean(errors)), rel=1e-3)


def test_what_both_sources_see_is_exact() -> None:
    failure = found("static camera")
    clip, scene = render_video(failure.video, CLEAN), scene_of(failure.video, CLEAN)
    T = clip.T_world_camera
    assert T is not None
    seen = [exact_flow(scene, CLEAN.camera(), T[2, None], T[s, None]).visible[0] for s in (0, 4)]
    assert torch.equal(failure.off.visible, seen[0] & seen[1])
    assert torch.equal(failure.off.target, clip.image[2]) and torch.equal(failure.off.sources, clip.image[[0, 4]])


def test_a_knob_at_its_off_value_changes_nothing() -> None:
    failure = depth_failure("exposure changes", 0.0, size=(32, 48))
    assert failure.on.landscapes == failure.off.landscapes
    assert torch.equal(failure.on.error, failure.off.error) and not failure.shown
    assert failure.text.startswith("The failure does not show in this room.")


def test_rooms_in_which_too_little_can_be_judged_are_left_out() -> None:
    assert [found("moving things", seed).video for seed in (0, 1)] == ["rooms-test-0000", "rooms-test-0002"]


def test_text_names_the_numbers_and_the_knob() -> None:
    text = found("static camera").text
    assert f"Judged: all pixels, {int(found('static camera').region.sum())} pixels." in text
    assert "with speed at 0 flat at 0.0" in text and "of them, then 100 %" in text
    assert CURVES["aligned"] in found("exposure changes").text


@pytest.mark.bad_input
def test_bad_input() -> None:
    with pytest.raises(InputError, match="name must be one of static camera, plain surfaces"):
        depth_failure("fog")
    with pytest.raises(InputError, match="gap must be at least 1 and seed at least 0, got 0 and 0"):
        depth_failure("highlights", gap=0)
    with pytest.raises(InputError, match="texture must be between 0 and 1, got 2"):
        depth_failure("plain surfaces", 2.0)
    with pytest.raises(InputError, match="can 1 % of the pixels be judged for 'moving things'"):
        depth_failure("moving things", 0, size=(8, 12))
