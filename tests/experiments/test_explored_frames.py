"""What is kept of frames: computed once, thrown out in the order of use, and never another frame's."""

from dataclasses import replace

import pytest
import torch
from explored_rooms import net, rooms
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.experiments.explored_frames import ExploredFrames, aligned_image, explored
from stc_lab.geometry import dis_flow
from stc_lab.losses import image_edges
from stc_lab.models import FPNSegmenter


class Counting(FPNSegmenter):
    """A net that notes how many frames it sees at a time."""

    def __init__(self) -> None:
        super().__init__(21, generator=torch.Generator().manual_seed(0))
        self.seen: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        return super().forward(images)


def test_every_frame_is_seen_once_and_alone() -> None:
    model = Counting()
    frames = ExploredFrames(rooms(), model)
    first = frames.logits([3, 1, 3, 2])
    assert model.seen == [1, 1, 1] and torch.equal(first[0], first[2])
    assert torch.equal(frames.logits([1, 2]), first[[1, 3]]) and len(model.seen) == 3
    assert torch.equal(frames.labels([2, 3]), first[[3, 0]].argmax(dim=1)) and len(model.seen) == 3
    frames.logits([1], exposure=0.5)
    assert len(model.seen) == 4 and torch.equal(frames.logits([1]), first[[1]])


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=5), min_size=1, max_size=6))
def test_little_room_forgets_but_never_mixes_frames_up(asked: list[list[int]]) -> None:
    frames = ExploredFrames(rooms(), net(), limit=1)
    for rows in asked:
        assert torch.equal(frames.clip(rows).image, rooms().frames(rows).image)
        with torch.no_grad():
            expected = torch.cat([net()(rooms().frames([row]).image) for row in rows])
        assert torch.equal(frames.logits(rows), expected)
        assert frames._bytes <= frames.limit
        assert frames._bytes == sum(_size(value) for value in frames._kept.values())


def _size(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(_size(getattr(value, name)) for name in ("image", "label", "depth", "T_world_camera"))


def test_what_was_not_asked_for_longest_goes_first() -> None:
    model = Counting()
    frames = ExploredFrames(rooms(), model, limit=1)  # seven frames' logits
    frames.logits([0])
    for row in range(1, 12):
        frames.logits([row])
        frames.logits([0])
    before = len(model.seen)
    frames.logits([0, 11])
    assert len(model.seen) == before
    frames.logits([1])
    assert len(model.seen) == before + 1


def test_edges_and_flows_are_the_library_s() -> None:
    frames = ExploredFrames(rooms(), net())
    a, b = rooms().frames([2]).image, rooms().frames([4]).image
    assert torch.equal(frames.edges([2]), image_edges(a))
    assert torch.equal(frames.flow([2], [4]), dis_flow(a, b))
    assert torch.equal(frames.flow([2], [4], aligned=True), dis_flow(a, aligned_image(b, a)))
    assert not torch.equal(frames.flow([4], [2]), frames.flow([2], [4]))


def test_aligned_images_have_the_other_s_light() -> None:
    generator = torch.Generator().manual_seed(0)
    image, like = torch.rand(1, 3, 8, 9, generator=generator) * 0.2 + 0.1, torch.rand(1, 3, 8, 9, generator=generator)
    found = aligned_image(image, like * 0.3 + 0.3)
    assert float(found.mean()) == pytest.approx(float((like * 0.3 + 0.3).mean()), abs=1e-4)
    assert float(found.std()) == pytest.approx(float((like * 0.3).std()), rel=1e-3)


def test_a_frame_without_a_pose_hides_no_other_s() -> None:
    videos = rooms()
    import copy

    partly = copy.copy(videos)

    def read(rows: list[int]):  # type: ignore[no-untyped-def]  # of a test
        clip = videos.read(rows)
        return replace(clip, T_world_camera=None) if 1 in rows else clip

    partly.read = read
    frames = ExploredFrames(partly, net())
    assert frames.clip([0, 1, 2]).T_world_camera is None
    assert frames.clip([0, 2]).T_world_camera is not None


def test_classes_are_named_by_whoever_knows_them() -> None:
    assert ExploredFrames(rooms(), net()).classes == rooms().info.classes
    small = FPNSegmenter(3)
    assert ExploredFrames(rooms(), small).classes == ("class 0", "class 1", "class 2")
    assert ExploredFrames(rooms(), small, classes=["a", "b", "c"]).classes == ("a", "b", "c")


@pytest.mark.bad_input
def test_a_net_that_answers_on_a_coarser_grid_is_told_so() -> None:
    class Coarse(FPNSegmenter):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.coarse(images)

    with pytest.raises(InputError, match="every pixel"):
        ExploredFrames(rooms(), Coarse(3)).logits([0])
    with pytest.raises(InputError, match="other videos"):
        explored(rooms(), net(), ExploredFrames(rooms().resized((16, 24)), net()))
