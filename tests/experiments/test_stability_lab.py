"""Corruptions of masks: what they take, what they move, and that only they do."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import LinearNDInterpolator
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import (
    KINDS,
    REACH,
    SIGMA,
    Corruption,
    MaskVideo,
    all_measures,
    both_flows,
    corrupted,
    erode_labels,
    flow_measures,
    jitter_labels,
    lab_config,
    mask_videos,
    nine_corruptions,
    written,
)
from stc_lab.experiments.stability_lab import _piecewise_affine as piecewise_affine
from stc_lab.metrics import e_cons, e_smooth
from stc_lab.metrics.stability import Normalisation


def disk_mask(radius: float = 9.0, frames: int = 3) -> Tensor:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    inside = (x - 24).square() + (y - 20).square() <= radius**2
    return inside.long().expand(frames, -1, -1).contiguous()


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5, 4.0])
def test_erosion_all_around_is_opencvs(radius: float) -> None:
    mask = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(1)) < 0.95
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    expected = [cv2.erode(frame.numpy().astype(np.uint8), disk, borderType=cv2.BORDER_REPLICATE) for frame in mask]
    assert np.array_equal(erode_labels(mask.long(), radius).numpy(), np.stack(expected))


@pytest.mark.parametrize("direction", [0.0, math.pi / 2, math.pi, -math.pi / 2])
def test_erosion_from_one_side_takes_that_many_pixels_there(direction: float) -> None:
    square = torch.zeros(1, 20, 20, dtype=torch.int64)
    square[:, 6:14, 6:14] = 3
    left = erode_labels(square, 2.5, direction=direction)[0] == 3
    rows, columns = left.any(dim=1).nonzero()[:, 0], left.any(dim=0).nonzero()[:, 0]
    assert int(left.sum()) == 8 * 6
    middle = torch.tensor([columns.double().mean(), rows.double().mean()]) - 9.5
    away = torch.tensor([-math.cos(direction), -math.sin(direction)])
    assert torch.allclose(middle.double(), away.double(), atol=1e-6)  # by half of what was taken, away from its side


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 6), st.floats(0, 2 * math.pi), st.integers(0, 1000))
def test_erosion_only_takes_and_knows_no_names(radius: float, direction: float, seed: int) -> None:
    labels = torch.randint(0, 3, (1, 5, 6), generator=torch.Generator().manual_seed(seed))
    labels = labels.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    eroded = erode_labels(labels, radius, direction=direction)
    assert bool(((eroded == labels) | (eroded == 0)).all())
    swapped = erode_labels(labels.where(labels == 0, 3 - labels), radius, direction=direction)
    assert torch.equal(swapped, eroded.where(eroded == 0, 3 - eroded))


def test_neither_the_images_border_nor_ignored_pixels_erode() -> None:
    labels = torch.ones(1, 12, 12, dtype=torch.int64)
    labels[:, 5] = 255
    assert torch.equal(erode_labels(labels, 3.0), labels)
    assert torch.equal(erode_labels(labels, 3.0, direction=1.0), labels)


def test_a_corner_grid_is_interpolated_affinely_in_triangles() -> None:
    corners = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    place = torch.rand(1, 2, 30, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    place = place * torch.tensor([4.0, 3.0])[None, :, None, None]
    found = piecewise_affine(corners, place)
    for i in range(3):
        for j in range(4):
            for near in ((i, j), (i + 1, j + 1)):
                triangle = [near, (i, j + 1), (i + 1, j)]
                values = np.array([corners[0, :, r, c].numpy() for r, c in triangle])
                points = np.array([(c, r) for r, c in triangle], dtype=np.float64)
                expected = LinearNDInterpolator(points, values)(place[0].permute(1, 2, 0).numpy())
                inside = np.isfinite(expected).all(axis=2)
                assert np.allclose(found[0].permute(1, 2, 0).numpy()[inside], expected[inside], atol=1e-9)


@pytest.mark.parametrize("size", [1.0, 2.0, 4.0])
def test_jitter_moves_borders_by_no_more_than_its_size_and_anew_in_each_frame(size: float) -> None:
    mask = disk_mask(frames=6)
    moved = jitter_labels(mask, size, torch.Generator().manual_seed(0))
    slack = size + math.sqrt(0.5)  # the nearest pixel
    assert bool((moved >= disk_mask(9 - slack, 6)).all()) and bool((moved <= disk_mask(9 + slack, 6)).all())
    assert len({frame.numpy().tobytes() for frame in moved}) == 6
    assert torch.equal(moved, jitter_labels(mask, size, torch.Generator().manual_seed(0)))


def test_no_corruption_changes_nothing() -> None:
    labels = torch.randint(0, 5, (2, 30, 44), generator=torch.Generator().manual_seed(0))
    assert torch.equal(corrupted(labels, Corruption(0.0, 0.0), torch.Generator().manual_seed(1)), labels)


def test_the_nine_are_the_papers_and_shrink_with_the_picture() -> None:
    full = nine_corruptions(256)
    assert {one.erosion for one in full} == {0, 10, 20} and {one.jitter for one in full} == {0, 4, 8}
    assert [(one.erosion, one.jitter) for one in nine_corruptions(64)][5] == (2.5, 2.0)
    assert len(set(full)) == 9


@pytest.fixture(scope="module")
def videos() -> list[MaskVideo]:
    return mask_videos([2], lab_config("tiny"))


def test_objects_are_cut_out_of_their_clips(videos: list[MaskVideo]) -> None:
    assert len({video.name for video in videos}) == len(videos) >= 3
    for video in videos:
        assert set(video.mask.unique().tolist()) == {0, 1}
        assert video.mask.shape == video.clip.label.shape  # type: ignore[union-attr]  # rooms have labels
        assert video.size == pytest.approx(float(video.mask.sum(dim=(1, 2)).median()), abs=40)
        assert max(q - p for p, q in video.exact.pairs) == REACH
        assert video.exact.pairs == video.estimated.pairs


def test_true_masks_follow_the_exact_flow_and_jitter_is_noticed(videos: list[MaskVideo]) -> None:
    for video in videos:
        true = flow_measures(video.mask, video.exact)
        worse = flow_measures(jitter_labels(video.mask, 1.0, torch.Generator().manual_seed(0)), video.exact)
        assert all(worse[name] > true[name] for name in true)


def test_the_measures_are_the_packages(videos: list[MaskVideo]) -> None:
    video = videos[0]
    mask = jitter_labels(video.mask, 1.0, torch.Generator().manual_seed(0))
    found = all_measures(mask, video.mask, video.exact)
    assert list(found) == list(KINDS)
    normalised: dict[str, Normalisation] = {
        "E_cons": "none",
        "E_cons / sqrt(object)": "sqrt_object",
        "E_cons / boundary": "boundary",
    }
    for name, normalise in normalised.items():
        assert found[name] == pytest.approx(e_cons(mask, video.exact, K=REACH, normalise=normalise).value)
    assert found["E_smooth, shares"] == pytest.approx(e_smooth(mask, sigma=SIGMA, form="shares").value)
    both = both_flows(mask, video)
    assert both["E_cons, DIS"] == pytest.approx(e_cons(mask, video.estimated, K=REACH, normalise="none").value)


def test_nothing_to_measure_is_no_zero(videos: list[MaskVideo]) -> None:
    nothing = all_measures(torch.zeros_like(videos[0].mask), videos[0].mask, videos[0].exact)
    assert nothing["J"] == 0 and nothing["E_cons"] == 0 and nothing["VC8, as published"] == 1
    assert math.isnan(nothing["E_cons / boundary"]) and math.isnan(nothing["E_smooth"])
    assert written("E_cons / boundary", math.nan) == "-"
    shown = [("J", 0.5), ("E_cons", 0.0123), ("E_cons / boundary", 5e-6)]
    assert [written(*one) for one in shown] == ["0.500", "12.3", "5.00"]


@pytest.mark.bad_input
def test_what_is_refused() -> None:
    mask = disk_mask()
    with pytest.raises(InputError, match="radius must not be negative"):
        erode_labels(mask, -1.0)
    with pytest.raises(InputError, match="size must not be negative"):
        jitter_labels(mask, math.nan, torch.Generator())
    with pytest.raises(InputError, match="preset must be one of tiny, quick, full"):
        lab_config("huge")
    with pytest.raises(InputError, match="frames must be more than 8"):
        lab_config("tiny", frames=8)
