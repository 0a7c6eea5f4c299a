"""The traps: each measure likes what was made for it, and the slices show what moves."""

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import KINDS, MaskVideo, lab_config, mask_videos
from stc_lab.experiments.stability_traps import (
    TRUE_MASK,
    carried,
    carried_wins,
    corruption_study,
    deception_scores,
    deceptions,
    size_study,
    slice_pair,
    speed_contrasts,
    time_slice,
    widest_row,
)
from stc_lab.losses.stability import PairFlows, all_pairs


@pytest.fixture(scope="module")
def videos() -> list[MaskVideo]:
    return mask_videos([2], lab_config("tiny"))


def test_each_measure_likes_what_was_made_for_it(videos: list[MaskVideo]) -> None:
    video = max(videos, key=lambda video: video.size)
    scores = deception_scores(video)
    assert list(scores) == list(deceptions(video)) and next(iter(scores)) == TRUE_MASK
    assert all(set(row) == set(KINDS) for row in scores.values())
    assert scores["nothing at all"]["E_cons"] == scores["all of the picture"]["E_cons"] == 0
    assert scores["all of the picture"]["pixel recall"] == 1 and scores["all of the picture"]["VC8"] < 0.5
    assert scores["all of the picture"]["VC8, as published"] == 1
    assert scores["first mask, frozen"]["E_smooth"] == scores["first mask, frozen"]["E_smooth, shares"] == 0
    blink = next(name for name in scores if name.startswith("missed"))
    assert scores[blink]["E_cons"] > 1.5 * scores[TRUE_MASK]["E_cons"]


def test_a_carried_mask_moves_as_the_flow_says(videos: list[MaskVideo]) -> None:
    true = videos[0].mask
    pairs = all_pairs(len(true), farthest=1)
    shift = torch.zeros(len(pairs), 2, *true.shape[1:])
    shift[:, 0] = -2.0  # of q's pixels: they come from 2 px to the left of p
    seen = torch.ones(len(pairs), *true.shape[1:], dtype=torch.bool)
    flows = PairFlows(pairs, -shift, shift, seen, seen)
    video = MaskVideo("moved", videos[0].clip, true, videos[0].truth, flows, flows)
    moved = carried(true[:1], video)
    # A pixel q reads p at q + flow_qp = q - 2: the mask wanders right by 2 px a frame.
    assert torch.equal(moved[3, :, 6:], true[0, :, :-6]) and int(moved[3, :, :6].sum()) == 0


def test_masks_carried_along_a_flow_win_against_it_only(videos: list[MaskVideo]) -> None:
    wins = carried_wins(videos)
    assert wins["exact"][0] <= wins["estimated"][0] and wins["exact"][1] == wins["estimated"][1] > 0


def test_jitter_raises_stability_measures_in_the_nine(videos: list[MaskVideo]) -> None:
    tables = corruption_study(videos)
    for name in ("E_cons", "E_cons / boundary", "E_cons / sqrt(object)"):
        assert tables[name].shape == (3, 3)
        assert bool((tables[name][:, 2] > tables[name][:, 0]).all())
    assert bool((tables["J"].diff(dim=0) < 0).all())
    assert float(tables["J"][0, 0]) == 1.0
    assert float(tables["E_cons, DIS"][0, 0]) > float(tables["E_cons"][0, 0])


def test_the_size_study_has_a_value_for_each_object(videos: list[MaskVideo]) -> None:
    study = size_study(videos)
    assert set(study.values) == {"E_cons", "E_cons / sqrt(object)", "E_cons / boundary"}
    assert study.correlation("E_cons").support == len(videos)
    assert study.correlation("E_cons").value > study.correlation("E_cons / boundary").value


def test_fast_and_clean_against_slow_and_jittered() -> None:
    for contrast in speed_contrasts([2], preset="tiny", jitter=3.0):  # 1.5 px there: less is lost in the nearest pixel
        assert contrast.fast.name == contrast.slow.name
        assert not contrast.prefers_jitter("E_cons / boundary")
        assert not torch.equal(contrast.jittered, contrast.slow.mask)


def test_slices_are_rows_of_the_video(videos: list[MaskVideo]) -> None:
    video = videos[0]
    row = widest_row(video.mask)
    plain = time_slice(video, video.mask, row)
    assert torch.equal(plain.mask, video.mask[:, row]) and bool(plain.visible.all())
    assert torch.equal(plain.image[:, 3], video.clip.image[3, :, row])
    plain, followed = slice_pair(video, video.mask)
    middle = len(video.mask) // 2
    assert torch.equal(followed.mask[middle], plain.mask[middle]) and bool(followed.visible[middle].all())
    assert torch.allclose(followed.image[:, middle], plain.image[:, middle], atol=1e-5)
    # What can be followed keeps its label, but for the nearest pixel at borders.
    same = (followed.mask == followed.mask[middle])[followed.visible].double().mean()
    assert float(same) > 0.95


@pytest.mark.bad_input
def test_no_common_object_is_refused() -> None:
    with pytest.raises(InputError, match="no object stays in view"):
        speed_contrasts([], preset="tiny")
