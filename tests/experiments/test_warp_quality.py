"""The bench that measures warps: exact on rooms, worse with each error, never flattered by its own mask."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stc_lab.data import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.scenes import open_video
from stc_lab.experiments.warp_quality import (
    ERRORS,
    GeometryError,
    confound_map,
    perturbation_sweep,
    warp_by_gap,
    warp_pair,
)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return open_video("rooms", preset="tiny", seed=0)


def test_exact_geometry_carries_labels_and_leaves_little_but_noise() -> None:
    walk = RoomsConfig(motion="handheld", height=96, width=128, frames=8, dial=0.0, noise=0.02)
    agreements, errors = [], []
    for scene in range(4):
        quality = warp_by_gap(render_video(f"rooms-test-{scene:04d}", walk), [1])[1]
        assert quality.label_agreement is not None and quality.label_agreement_identity is not None
        assert quality.label_agreement > quality.label_agreement_identity
        agreements.append(quality.label_agreement)
        errors.append(quality.photometric)
    assert sum(agreements) / len(agreements) >= 0.99
    # Two frames with noise of standard deviation s differ by 2 s / sqrt(pi) on average; half as much again is texture.
    assert sum(errors) / len(errors) < 1.5 * 2 * 0.02 / torch.pi**0.5


def test_the_identity_pair_has_no_error(clip: Clip) -> None:
    quality = warp_pair(clip[3], clip[3]).quality
    assert quality.photometric == 0.0
    assert quality.label_agreement == 1.0


def test_the_wrong_direction_is_worse_than_no_warp(clip: Clip) -> None:
    far = clip[0], clip[4]
    inverted = warp_pair(*far, GeometryError(inverted=True)).quality
    assert inverted.photometric > 1.1 * inverted.photometric_identity > 1.1 * warp_pair(*far).quality.photometric


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_costs_in_colour_and_in_labels(clip: Clip, error: str) -> None:
    sizes = [-30, 0, 30] if error.endswith("scale") else [-6, 0, 6] if error in ("yaw", "pitch") else [-0.3, 0, 0.3]
    low, none, high = perturbation_sweep(clip[0], clip[4], error, sizes)
    assert none.photometric < low.photometric and none.photometric < high.photometric
    assert low.label_agreement is not None and none.label_agreement is not None and high.label_agreement is not None
    assert none.label_agreement > low.label_agreement and none.label_agreement > high.label_agreement


def test_a_sweep_is_its_pairs(clip: Clip) -> None:
    found = perturbation_sweep(clip[0], clip[4], "forward", [-0.2, 0.1], yaw=2.0)
    assert found == [warp_pair(clip[0], clip[4], GeometryError(forward=size, yaw=2.0)).quality for size in (-0.2, 0.1)]


def test_sizes_have_the_units_of_the_sliders() -> None:
    assert GeometryError.of(depth_scale=30, translation_scale=-50, yaw=2, forward=0.1) == GeometryError(
        depth_scale=1.3, translation_scale=0.5, yaw=2, forward=0.1
    )
    assert GeometryError.of() == GeometryError()


def test_a_step_forward_is_taken_along_the_axis(clip: Clip) -> None:
    """Moving the source's camera back by as much as the error moves its points forth undoes the error."""
    assert clip.T_world_camera is not None
    moved = clip.T_world_camera.clone()
    moved[4, :3, 3] += 0.2 * moved[4, :3, 2]  # its own z axis: points come 0.2 m nearer
    undone = warp_pair(clip[0], replace(clip, T_world_camera=moved)[4], GeometryError(forward=0.2))
    plain = warp_pair(clip[0], clip[4])
    both = undone.warped.visible & plain.warped.visible
    assert both.any()
    assert torch.allclose(undone.error[both], plain.error[both], atol=1e-3)


def test_depth_and_translation_hide_each_other(clip: Clip) -> None:
    """The disguise is perfect: on the diagonal the error is that of no error, elsewhere it is larger."""
    sizes = [-30.0, 0.0, 30.0]
    found = confound_map(clip[0], clip[4], "depth_scale", sizes, "translation_scale", sizes)
    assert found.diagonal().tolist() == pytest.approx([float(found[1, 1])] * 3, rel=2e-2)
    assert all(float(found[y, x]) > 1.05 * float(found[1, 1]) for y in range(3) for x in range(3) if x != y)


def test_a_map_has_the_second_error_in_its_rows(clip: Clip) -> None:
    found = confound_map(clip[0], clip[4], "yaw", [0, 2, 4], "sideways", [0, 0.1])
    assert found.shape == (2, 3)
    assert float(found[1, 2]) == pytest.approx(
        warp_pair(clip[0], clip[4], GeometryError(yaw=4, sideways=0.1)).quality.photometric
    )


def test_gaps_pool_all_pairs(clip: Clip) -> None:
    pairs = [warp_pair(clip[t], clip[t + 3]).quality for t in range(len(clip) - 3)]
    pooled = warp_by_gap(clip, [3])[3]
    pixels = sum(q.pixels for q in pairs)
    assert pooled.pixels == pixels
    assert pooled.photometric == pytest.approx(sum(q.photometric * q.pixels for q in pairs) / pixels)
    labelled = sum(q.labelled_pixels for q in pairs)
    assert pooled.label_agreement == pytest.approx(
        sum((q.label_agreement or 0) * q.labelled_pixels for q in pairs) / labelled
    )


def test_frames_that_do_not_overlap_are_refused(clip: Clip) -> None:
    turned = clip[1].T_world_camera.clone()  # type: ignore[union-attr]
    turned[:, :3, :3] = turned[:, :3, :3] @ torch.diag(torch.tensor([-1.0, 1.0, -1.0]))  # looks back
    away = Clip(**{**vars(clip[1]), "T_world_camera": turned})
    with pytest.raises(InputError, match="no pixel of 'rooms-test-0000' frame 0 is visible in frame 1"):
        warp_pair(clip[0], away)


def test_bad_arguments_say_what_is_legal(clip: Clip) -> None:
    with pytest.raises(InputError, match="gaps must lie between 1 and"):
        warp_by_gap(clip, [len(clip)])
    with pytest.raises(InputError, match="error must be one of depth_scale, focal_scale, translation_scale, yaw"):
        perturbation_sweep(clip[0], clip[1], "roll", [1])
    with pytest.raises(InputError, match="scales must be positive"):
        GeometryError(depth_scale=0)
    with pytest.raises(InputError, match="two different errors, got 'yaw' twice"):
        confound_map(clip[0], clip[1], "yaw", [1], "yaw", [1])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("source", "factors"),
    [("icl", {1: 2.93, 5: 5.90, 10: 6.96}), ("sevenscenes", {1: 1.69, 5: 3.11, 10: 3.53})],
)
def test_real_video_is_explained_by_its_geometry(real_data: Path, source: str, factors: dict[int, float]) -> None:
    """Over all pairs, at the chapter's size; the factors are those of a separate check of the slices at full size."""
    quality = warp_by_gap(open_video(source), list(factors))
    for gap, factor in factors.items():
        assert quality[gap].photometric_identity >= factor * quality[gap].photometric, (source, gap)
