"""Frames without labels: clips, pairs of labelled frames, and the flow between the frames of a clip."""

import pytest
import torch

from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.geometry import RigidFlow
from stc_lab.losses import all_pairs, pair_flows
from stc_lab.training.clips import ClipSampler, FlowMemory, LabelledPairSampler


def drawing(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_clip_is_consecutive_frames_of_one_video_and_any_comes_up(videos):
    drawn = ClipSampler(videos, 3).draw(400, drawing())
    assert {tuple(clip) for clip in drawn} == {(s, s + 1, s + 2) for v in range(3) for s in range(8 * v, 8 * v + 6)}
    assert all(len(set(videos.videos_of(clip))) == 1 for clip in drawn)
    assert drawn == ClipSampler(videos, 3).draw(400, drawing()) != ClipSampler(videos, 3).draw(400, drawing(1))


def test_labelled_pairs_are_of_one_video_and_come_both_ways_round(videos):
    here, there = LabelledPairSampler(videos, [9, 2, 15, 7, 20]).draw(100, drawing())
    assert set(zip(here, there, strict=True)) == {(2, 7), (7, 2), (9, 15), (15, 9)}


def test_flow_is_that_of_the_coarse_grid_and_each_pair_is_found_once(videos, monkeypatch):
    memory = FlowMemory(flow="rigid", stride=2, warp="geometry")
    clip = videos.frames([8, 9, 10, 11])
    found = memory.flows([8, 9, 10, 11], clip)
    direct = pair_flows(clip.strided(2), RigidFlow(), check=None)
    assert found.pairs == all_pairs(4)
    for name in ("flow_pq", "flow_qp", "visible_p", "visible_q"):
        torch.testing.assert_close(getattr(found, name), getattr(direct, name))
    # The poster moves by one pixel a frame to the left: half a pixel of the coarse grid.
    seen = found.visible_p[2]
    assert found.pairs[2] == (0, 3) and 0.8 < float(seen.float().mean()) < 1
    torch.testing.assert_close(found.flow_pq[2][:, seen], torch.tensor([[-1.5], [0.0]]).expand(2, int(seen.sum())))
    asked: list[int] = []
    monkeypatch.setattr(memory, "_estimated", lambda clip, pairs: asked.extend(pairs) or pair_flows_of(clip, pairs))
    again = memory.flows([8, 9, 10, 11], clip)
    assert asked == [] and torch.equal(again.flow_pq, found.flow_pq)
    other = memory.flows([9, 10, 11, 12], videos.frames([9, 10, 11, 12]))
    assert asked == [(0, 3), (1, 3), (2, 3)]  # the rest is known from the clip before
    torch.testing.assert_close(other.flow_pq[0], found.flow_pq[3])


def pair_flows_of(clip, pairs):
    return pair_flows(clip.strided(2), RigidFlow(), pairs=pairs, check=None)


def test_a_full_memory_finds_the_same_again(videos):
    kept, new = (FlowMemory(flow="rigid", stride=2, warp="geometry", limit=limit) for limit in (300, 0))
    clip = videos.frames([0, 1, 2])
    for _ in range(2):
        assert torch.equal(kept.flows([0, 1, 2], clip).flow_qp, new.flows([0, 1, 2], clip).flow_qp)
    assert not new._known and len(kept._known) == 3


def test_the_control_does_not_move_and_looks_at_the_same_pixels(videos):
    clip = videos.frames([0, 1, 2])
    real, control = (
        FlowMemory(flow="rigid", stride=2, warp=w).flows([0, 1, 2], clip) for w in ("geometry", "identity")
    )
    assert float(control.flow_pq.abs().max()) == 0 == float(control.flow_qp.abs().max())
    assert torch.equal(real.visible_p, control.visible_p) and torch.equal(real.visible_q, control.visible_q)


def test_estimated_flow_is_near_the_exact_one_on_the_coarse_grid():
    config = RoomsConfig(motion="handheld", height=96, width=128, frames=2, dial=0.0)
    clip = render_video("rooms-test-0001", config)
    exact, found = (FlowMemory(flow=f, stride=2, warp="geometry").flows([0, 1], clip) for f in ("rigid", "dis"))
    both = exact.visible_p & found.visible_p
    error = (exact.flow_pq - found.flow_pq).square().sum(1).sqrt()[both]
    moved = exact.flow_pq.square().sum(1).sqrt()[both]
    assert float(both.float().mean()) > 0.5 and float(error.median()) < 0.25 * float(moved.median())


@pytest.mark.bad_input
def test_what_cannot_be_drawn_is_refused(videos):
    with pytest.raises(InputError, match="no video of 'posters' has a clip of 9 frames; the longest has 8"):
        ClipSampler(videos, 9)
    with pytest.raises(InputError, match="no two of the 3 labelled frames are of one video"):
        LabelledPairSampler(videos, [1, 9, 17])
    with pytest.raises(InputError, match="no two of the 0 labelled frames"):
        LabelledPairSampler(videos, [])
