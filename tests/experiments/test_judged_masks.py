"""Masks judged pixel by pixel add up to the counts of the study; without truth nothing is scored."""

import pytest
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.errors import InputError
from stc_lab.experiments.judged_masks import (
    CALLED,
    EXACT,
    FALSE_ALARM,
    FOUND,
    MISSED,
    NOT_JUDGED,
    SEEN,
    judge_by_gap,
    judge_masks,
)
from stc_lab.experiments.occlusion_study import occlusion_of_pair
from stc_lab.experiments.scenes import open_truth, open_video
from stc_lab.plots import judged_panels


@pytest.fixture(scope="module")
def clip() -> Clip:
    return open_video("rooms", preset="tiny", seed=3)


@pytest.fixture(scope="module")
def truth() -> ExactRoomsFlow:
    found = open_truth("rooms", preset="tiny", seed=3)
    assert found is not None
    return found


def test_colours_add_up_to_the_counts(clip: Clip, truth: ExactRoomsFlow) -> None:
    masks = judge_masks(clip[1], clip[4], truth)
    assert [mask.title for mask in masks][:3] == [EXACT, "Depth test", "Gordon's depth ordering"] and len(masks) == 5
    for mask in masks:
        assert mask.counts is not None
        by_colour = [int((mask.verdict == kind).sum()) for kind in (FOUND, FALSE_ALARM, MISSED, SEEN)]
        assert by_colour == [mask.counts.hits, mask.counts.false_alarms, mask.counts.misses, mask.counts.kept]
        assert mask.counts.pixels == int((mask.verdict != NOT_JUDGED).sum())
    assert masks[0].counts is not None and masks[0].counts.precision == masks[0].counts.recall == 1


def test_the_counts_are_those_of_the_study(clip: Clip, truth: ExactRoomsFlow) -> None:
    pair = occlusion_of_pair(clip[1], clip[4], truth, methods=("gordon",))
    _, in_view = pair.counts(("gordon", "depth"))
    (mine,) = [mask for mask in judge_masks(clip[1], clip[4], truth) if mask.title.startswith("Gordon")]
    assert mine.counts == in_view


def test_without_truth_nothing_is_scored(clip: Clip) -> None:
    masks = judge_masks(clip[1], clip[4], None)
    assert [mask.title for mask in masks] == [
        "Depth test",
        "Gordon's depth ordering",
        "Forward-backward, estimated flow",
    ]
    for mask in masks:
        assert mask.counts is None and set(mask.verdict.unique().tolist()) <= {SEEN, CALLED, NOT_JUDGED}
    assert all("truth is unknown" in panel.caption for panel in judged_panels(masks, clip[1].image[0]))


def test_unknown_depth_is_not_judged(clip: Clip, truth: ExactRoomsFlow) -> None:
    assert clip.depth is not None
    depth = clip.depth.clone()
    depth[1, 0, :5] = 0
    lost = Clip(**{**vars(clip), "depth": depth})
    for mask in judge_masks(lost[1], lost[4], truth):
        assert bool((mask.verdict[:5] == NOT_JUDGED).all())


def test_gaps_pool_their_pairs(clip: Clip, truth: ExactRoomsFlow) -> None:
    pooled = judge_by_gap(clip, [3], truth, every=4)[3]
    parts = [judge_masks(clip[t], clip[t + 3], truth) for t in (0, 4)]
    for title, counts in pooled.items():
        single = [mask.counts for part in parts for mask in part if mask.title == title]
        assert single[0] is not None and single[1] is not None and counts == single[0] + single[1]
    assert EXACT not in pooled and len(pooled) == 4


def test_real_video_has_no_exact_truth() -> None:
    assert open_truth("icl") is None


@pytest.mark.bad_input
def test_bad_arguments_say_what_is_legal(clip: Clip, truth: ExactRoomsFlow) -> None:
    with pytest.raises(InputError, match="one pair of frames, got clips of 2 and 1"):
        judge_masks(clip[:2], clip[2], truth)
    with pytest.raises(InputError, match="gaps must lie between 1 and"):
        judge_by_gap(clip, [len(clip)], truth)
    with pytest.raises(InputError, match="preset must be one of tiny, quick, full"):
        open_truth("rooms", preset="huge")


def test_the_exact_mask_hides_behind_near_things(clip: Clip, truth: ExactRoomsFlow) -> None:
    """Hidden pixels lie farther away than what hides them: on average beyond the seen ones next to them."""
    mask = judge_masks(clip[1], clip[4], truth)[0]
    assert clip.depth is not None
    hidden = mask.verdict == FOUND
    near = torch.nn.functional.max_pool2d(hidden[None, None].double(), 5, 1, 2)[0, 0] > 0
    ring = near & (mask.verdict == SEEN)
    depth = clip.depth[1, 0]
    assert bool(hidden.any()) and depth[hidden].mean() > depth[ring].quantile(0.25)
