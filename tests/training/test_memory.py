"""Frames in memory are the frames of the table."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from stc_lab.errors import InputError
from stc_lab.losses import image_edges
from stc_lab.training import FrameMemory


@pytest.mark.parametrize("limit", [0, 500])
def test_frames_come_back_in_order_whether_kept_or_not(videos, limit):
    memory = FrameMemory(videos, limit=limit)
    for rows in ([3, 0, 17, 3], [17, 5], [3, 0, 17, 3]):
        clip, direct = memory.frames(rows), videos.frames(rows)
        assert clip.video == direct.video and torch.equal(clip.index, direct.index)
        for name in ("time", "image", "label", "depth", "T_world_camera"):
            assert torch.equal(getattr(clip, name), getattr(direct, name)), name
        assert torch.equal(clip.camera.K, direct.camera.K) and clip.camera.size == direct.camera.size


def test_a_kept_frame_is_not_read_again(videos, monkeypatch):
    memory = FrameMemory(videos)
    memory.frames([1, 2])
    asked = []
    monkeypatch.setattr(type(videos), "frames", lambda self, rows: asked.append(list(rows)))
    memory.frames([2, 1, 1])
    assert asked == []


def test_what_a_frame_knows_does_not_hang_on_its_company(videos, monkeypatch):
    whole = type(videos).frames

    def partly(self, rows):
        clip = whole(self, rows)
        return replace(clip, T_world_camera=None) if 3 in rows else clip

    monkeypatch.setattr(type(videos), "frames", partly)
    memory = FrameMemory(videos)
    assert memory.frames([3, 4]).T_world_camera is None
    assert torch.equal(memory.frames([4, 5]).T_world_camera, whole(videos, [4, 5]).T_world_camera)


def test_the_limit_holds(videos):
    one_frame = 16 * 24 * (3 + 2 + 4) + 9 * 4 + 16 * 4
    memory = FrameMemory(videos, limit=1)
    memory.frames(list(range(len(videos))))
    assert len(memory._frames) == min(len(videos), 10**6 // one_frame)
    tight = FrameMemory(videos, limit=0)
    tight.frames([0])
    assert not tight._frames


def test_edges_are_those_of_the_block_and_do_not_depend_on_company(videos):
    memory = FrameMemory(videos)
    rows = [4, 9, 20]
    images = memory.frames(rows).image
    edges = memory.edges(rows, images, stride=2)
    expected = torch.stack(
        [F.max_pool2d(image_edges(image[None]).float(), 2, ceil_mode=True)[0] > 0 for image in images]
    )
    assert torch.equal(edges, expected) and edges.shape[1:] == images[..., ::2, ::2].shape[2:]
    assert bool(edges.any())
    again = FrameMemory(videos).edges([20, 9], images[[2, 1]], stride=2)
    assert torch.equal(again, edges[[2, 1]])
    assert torch.equal(FrameMemory(videos, limit=0).edges(rows, images, stride=2), edges)


@pytest.mark.bad_input
def test_a_negative_limit_is_refused(videos):
    with pytest.raises(InputError, match="limit must be 0 MB or more, got -1"):
        FrameMemory(videos, limit=-1)
