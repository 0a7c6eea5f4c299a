"""A moment of a video under several claims: their errors, what the masks do, and that no claim has a unit."""

import pytest
import torch
from depth_clips import RATIO, FlatNet, tracking_clip

from stc_lab.errors import InputError
from stc_lab.experiments.depth_lesson import (
    CONSTANT,
    FOUND,
    IDENTITY,
    KEPT,
    LEARNED,
    MISSED,
    OUT,
    TRUE,
    WASTED,
    Explanation,
    Moment,
    common_means,
    explanations,
    grid_flows,
    lesson_moment,
    lesson_videos,
    mask_report,
)
from stc_lab.geometry import correspond, relative_pose
from stc_lab.losses import photometric_error


@pytest.fixture(scope="module")
def moment() -> Moment:
    return lesson_moment(tracking_clip(), 2)


@pytest.fixture(scope="module")
def claims(moment: Moment) -> dict[str, Explanation]:
    return explanations(moment, FlatNet(), RATIO)


def test_the_moment_is_the_one_whose_neighbours_hide_most() -> None:
    clip, scores = tracking_clip(), {}
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    camera = clip[0].camera
    assert camera is not None
    for t in range(2, len(clip) - 2):
        hidden = seen = 0.0
        for u in (t - 2, t + 2):
            T = relative_pose(clip.T_world_camera[t, None], clip.T_world_camera[u, None])
            tested = correspond(clip.depth[t, None], camera, T, depth_source=clip.depth[u, None])
            x, y = tested.pixels[0].round().long()
            inside = correspond(clip.depth[t, None], camera, T).visible[0]
            there = clip.depth[u, 0][y.clamp(0, 63), x.clamp(0, 95)]
            hidden += float((inside & ~tested.visible[0] & (there < tested.depth[0, 0])).double().mean())
            seen += float(tested.visible.double().mean())
        scores[t] = hidden * seen
    best = lesson_moment(clip, 2)
    assert int(best.target.index[0]) == max(scores, key=scores.__getitem__)
    assert best.sources.index.tolist() == [int(best.target.index[0]) - 2, int(best.target.index[0]) + 2]


def test_the_truth_explains_most_and_no_warp_least(claims: dict[str, Explanation]) -> None:
    assert list(claims) == [IDENTITY, CONSTANT, LEARNED, TRUE]
    for source in (0, 1):
        means = common_means(claims, source)
        assert means[TRUE] < 0.8 * means[CONSTANT] and means[CONSTANT] < 0.8 * means[IDENTITY]


def test_an_error_is_that_of_the_image_it_belongs_to(moment: Moment, claims: dict[str, Explanation]) -> None:
    for claim in claims.values():
        again = photometric_error(claim.warped, moment.target.image.repeat(2, 1, 1, 1))
        torch.testing.assert_close(claim.error, again)
    seen = torch.stack([claim.visible[1] for claim in claims.values()]).all(dim=0)
    assert common_means(claims, 1)[TRUE] == pytest.approx(float(claims[TRUE].error[1][seen].mean()), rel=1e-5)
    assert claims[IDENTITY].warped.equal(moment.sources.image)


def test_a_learned_depth_has_no_unit(moment: Moment, claims: dict[str, Explanation]) -> None:
    other = explanations(moment, FlatNet(20.0), RATIO)
    torch.testing.assert_close(other[LEARNED].warped, claims[LEARNED].warped, rtol=0, atol=0.01)
    assert claims[LEARNED].focal == pytest.approx(RATIO * 96)


def test_masks_say_what_a_loop_says(moment: Moment, claims: dict[str, Explanation]) -> None:
    claim = claims[TRUE]
    masks = mask_report(moment, claim)
    still = photometric_error(moment.sources.image, moment.target.image.repeat(2, 1, 1, 1))
    assert moment.target.depth is not None
    for y, x in ((5, 5), (20, 40), (33, 70), (50, 20), (60, 90), (0, 0)):
        errors = [float(claim.error[s, y, x]) for s in (0, 1) if bool(claim.visible[s, y, x])]
        assert bool(masks.in_view[y, x]) == bool(errors)
        if errors:
            assert float(masks.least[y, x]) == pytest.approx(min(errors))
            assert float(masks.average[y, x]) == pytest.approx(sum(errors) / len(errors))
            assert bool(masks.moving[y, x]) == (min(errors) < float(still[:, y, x].min()))
            winner = int(masks.winner[y, x])
            assert float(claim.error[winner, y, x]) == pytest.approx(min(errors))
    assert masks.mean_least < masks.mean_average


def test_the_closer_mask_is_as_good_as_its_depth(moment: Moment, claims: dict[str, Explanation]) -> None:
    exact, flat = mask_report(moment, claims[TRUE]).far, mask_report(moment, claims[LEARNED]).far
    assert set(exact.unique().tolist()) <= {KEPT, FOUND, MISSED, WASTED, OUT}
    assert float((exact == FOUND).sum()) > 20

    def left_out(far: torch.Tensor, yes: int, no: int) -> float:
        return float((far == yes).sum()) / float(((far == yes) | (far == no)).sum())

    assert left_out(exact, FOUND, MISSED) > 0.9 and left_out(exact, WASTED, KEPT) < 0.2
    # One depth everywhere orders nothing: it leaves out hidden and seen pixels alike, all of them or none.
    assert left_out(flat, FOUND, MISSED) == pytest.approx(left_out(flat, WASTED, KEPT), abs=0.2)


def test_flows_on_the_grid_are_those_of_the_frames(moment: Moment) -> None:
    """At the true depth, the flow of a clean clip agrees with the geometry to a fraction of a pixel of the grid."""
    ab, _ = grid_flows(moment.target, moment.sources[1])
    depth, camera = moment.target.depth, moment.target.camera
    assert depth is not None and camera is not None
    where = correspond(depth, camera, moment.true_motions()[1:]).pixels
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    true = torch.nn.functional.avg_pool2d(where - torch.stack([x, y])[None], 4) / 4
    off = (ab.flow - true).norm(dim=1)[ab.visible]
    assert ab.flow.shape[-2:] == (16, 24) and float(off.median()) < 0.2 and float(ab.visible.double().mean()) > 0.4


@pytest.mark.bad_input
def test_what_cannot_be_asked() -> None:
    clip = tracking_clip()
    with pytest.raises(InputError, match="gap must lie between 1 and 4"):
        lesson_moment(clip, 5)
    with pytest.raises(InputError, match="rooms, icl, sevenscenes"):
        lesson_videos("scannet", "train", "quick")
    moment = lesson_moment(clip, 2)
    claims = explanations(moment, FlatNet(), RATIO)
    with pytest.raises(InputError, match="identity"):
        mask_report(moment, claims[IDENTITY])
