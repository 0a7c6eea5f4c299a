"""Pairs: which are drawn, and what is compared on them."""

from collections import Counter

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Warped
from stc_lab.losses import LogitsConsistency, logits_consistency
from stc_lab.training import PairSampler, SegmentationRecipe, pair_consistency, warp_logits


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pairs_lie_in_one_video_at_a_legal_gap_and_share_the_anchor(videos):
    labelled = [3, 12]
    sampler = PairSampler(videos, labelled, gaps=(1, 2, 4), anchored=0.5)
    generator, drawn = seeded(), []
    for _ in range(300):
        first, second = sampler.draw(4, generator)
        gaps = {b - a for a, b in zip(first, second, strict=True)}
        assert len(gaps) == 1 and gaps <= {1, 2, 4}
        drawn += zip(first, second, strict=True)
    assert all(a // 8 == b // 8 for a, b in drawn)  # 8 frames a video
    with_label = sum(not {a, b}.isdisjoint(labelled) for a, b in drawn) / len(drawn)
    by_chance = sum(not set(p).isdisjoint(labelled) for p in videos.pairs(2)) / len(videos.pairs(2))
    assert with_label == pytest.approx(0.5 + 0.5 * by_chance, abs=0.06)
    assert len({b - a for a, b in drawn}) == 3
    assert min(Counter(drawn).values()) >= 1 and len(set(drawn)) > 30


def test_all_or_none_are_anchored_at_the_ends(videos):
    labelled = [3]
    always = PairSampler(videos, labelled, gaps=(2,), anchored=1.0).draw(50, seeded())
    assert set(zip(*always, strict=True)) == {(1, 3), (3, 5)}
    PairSampler(videos, [], gaps=(2,), anchored=0.0).draw(5, seeded())


def logits_of(clip, scale: float = 10.0) -> torch.Tensor:
    return torch.nn.functional.one_hot(clip.label, 4).permute(0, 3, 1, 2).float() * scale


def test_true_labels_are_consistent_along_the_warp_and_not_in_place(make_videos):
    videos = make_videos(shift=2)
    source, target = videos.frames([0, 9]).strided(2), videos.frames([1, 10]).strided(2)
    edges = torch.ones_like(target.label, dtype=torch.bool)
    losses = {}
    for warp in ("geometry", "identity"):
        recipe = SegmentationRecipe.continuation(warp=warp)
        losses[warp] = pair_consistency(
            (logits_of(source), logits_of(target)), (source, target), (edges, edges), recipe
        )
    assert float(losses["geometry"].total) == pytest.approx(0, abs=1e-4)
    assert float(losses["identity"].total) > 0.1
    assert losses["geometry"].visible == losses["identity"].visible == pytest.approx(11 / 12)
    assert losses["geometry"].skipped == 0


def test_the_identity_control_does_not_warp_but_keeps_the_mask(videos):
    source, target = videos.frames([0]).strided(2), videos.frames([4]).strided(2)
    logits = torch.rand(1, 4, 8, 12, generator=seeded())
    moved, kept = (warp_logits(logits, source, target, warp=warp) for warp in ("geometry", "identity"))
    assert torch.equal(kept.image, logits) and not torch.equal(moved.image, logits)
    assert torch.equal(kept.visible, moved.visible)
    torch.testing.assert_close(moved.image[..., :-2], logits[..., 2:])  # 4 px of the image are 2 of its grid
    assert torch.equal(moved.visible[0, 0], torch.arange(12) < 10)


def test_both_directions_are_averaged_with_the_weights_of_the_recipe(videos):
    source, target = videos.frames([0, 8]).strided(2), videos.frames([2, 10]).strided(2)
    a, b = (torch.rand(2, 4, 8, 12, generator=seeded(i)) for i in (1, 2))
    ea, eb = (torch.rand(2, 8, 12, generator=seeded(i)) < 0.4 for i in (3, 4))
    recipe = SegmentationRecipe.continuation(uniform=0.5, label_prior=0.2, pixel_prior=0.3)
    loss = pair_consistency((a, b), (source, target), (ea, eb), recipe)
    seen_b, seen_a = (torch.arange(12).expand(2, 8, 12) < 11, torch.arange(12).expand(2, 8, 12) >= 1)
    weights = LogitsConsistency(0.5, 0.2, 0.3)
    forward = logits_consistency(Warped(a.roll(-1, 3), seen_b), b, eb, weights)
    backward = logits_consistency(Warped(b.roll(1, 3), seen_a), a, ea, weights)
    torch.testing.assert_close(loss.total, (forward.total + backward.total) / 2)
    assert loss.uniform == pytest.approx(float(forward.uniform + backward.uniform) / 2)
    assert loss.label_prior == pytest.approx(float(forward.label_prior + backward.label_prior) / 2)
    assert loss.pixel_prior == pytest.approx(float(forward.pixel_prior + backward.pixel_prior) / 2)


def test_pairs_without_overlap_are_counted_and_cost_nothing(make_videos):
    videos = make_videos(shift=6)  # 4 frames on, nothing is seen again
    near, far = videos.frames([0, 0]).strided(2), videos.frames([1, 5]).strided(2)
    logits = torch.rand(2, 4, 8, 12, generator=seeded(), requires_grad=True)
    edges = torch.zeros(2, 8, 12, dtype=torch.bool)
    recipe = SegmentationRecipe.continuation()
    mixed = pair_consistency((logits, logits.flip(1)), (near, far), (edges, edges), recipe)
    assert mixed.skipped == 2 and float(mixed.total.detach()) > 0
    none = pair_consistency((logits[1:], logits[1:].flip(1)), (near[1:], far[1:]), (edges[1:], edges[1:]), recipe)
    assert none.skipped == 2 and float(none.total) == 0 and none.visible == 0


@pytest.mark.bad_input
def test_gaps_without_partners_are_refused(videos):
    with pytest.raises(InputError, match="two frames 8 apart; the longest has 8"):
        PairSampler(videos, [0], gaps=(1, 8), anchored=0.0)
    with pytest.raises(InputError, match=r"no labelled frame has a partner 5 frames away, but anchored is 0.2"):
        PairSampler(videos, [3], gaps=(1, 5), anchored=0.2)
