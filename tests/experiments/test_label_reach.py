"""Labels carried through space: counts against a slow loop, each pixel once, and only where it is seen."""

from pathlib import Path

import pytest
import torch
from small_rooms import small_rooms
from torch import Tensor

from stc_lab.data import Videos, supervised_rows
from stc_lab.errors import InputError
from stc_lab.experiments.label_reach import carried_label, label_reach
from stc_lab.geometry import inverse_warp_labels


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return small_rooms(tmp_path_factory.mktemp("rooms"))


def slowly(videos: Videos, labelled: list[int], gaps: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Pixels reached and right by class: pair by pair, in the order of the labelled frames."""
    classes = len(videos.info.classes)
    reached, right = torch.zeros(classes, dtype=torch.int64), torch.zeros(classes, dtype=torch.int64)
    taken: dict[int, Tensor] = {}
    for source in labelled:
        for gap in gaps:
            for target in (source - gap, source + gap):
                if not 0 <= target < len(videos) or target in labelled:
                    continue
                if videos.videos_of([target]) != videos.videos_of([source]):
                    continue
                a, b = videos.frames([source]), videos.frames([target])
                assert a.label is not None and b.label is not None and b.depth is not None and b.camera is not None
                warped = inverse_warp_labels(
                    a.label, b.depth, b.camera, b.motion_to(a), camera_source=a.camera, depth_source=a.depth
                )
                seen = taken.setdefault(target, torch.zeros_like(b.label[0], dtype=torch.bool))
                new = warped.visible[0] & ~seen
                for k in range(classes):
                    reached[k] += int((new & (warped.label[0] == k)).sum())
                    right[k] += int((new & (warped.label[0] == k) & (b.label[0] == k)).sum())
                seen |= new
    return reached, right


def test_counts_are_those_of_a_slow_loop(videos: Videos) -> None:
    labelled = supervised_rows(videos, 4, seed=0)
    found = label_reach(videos, labelled, gaps=(1, 2))
    reached, right = slowly(videos, labelled, (1, 2))
    assert [one.reached for one in found] == reached.tolist()
    assert [one.right for one in found] == right.tolist()


def test_labels_of_the_frames_add_up(videos: Videos) -> None:
    labelled = supervised_rows(videos, 3, seed=1)
    found = label_reach(videos, labelled, gaps=(1,))
    labels = videos.frames(labelled).label
    assert labels is not None
    assert [one.labelled for one in found] == torch.bincount(labels.flatten(), minlength=21).tolist()
    assert sum(one.share for one in found) == pytest.approx(1)
    for one in found:
        assert sum(teacher.labelled for teacher in one.teachers) == one.labelled
        assert sum(teacher.reached for teacher in one.teachers) == one.reached
        assert [t.reached for t in one.teachers] == sorted((t.reached for t in one.teachers), reverse=True)
        assert (one.factor != one.factor) == (one.labelled == 0)


def test_exact_geometry_carries_right_labels(videos: Videos) -> None:
    found = label_reach(videos, supervised_rows(videos, 2, seed=0), gaps=(1, 2))
    assert sum(one.right for one in found) > 0.97 * sum(one.reached for one in found) > 0


def test_frames_with_labels_need_none_and_all_labelled_reach_nothing(videos: Videos) -> None:
    found = label_reach(videos, list(range(len(videos))), gaps=(1, 2))
    assert sum(one.reached for one in found) == 0


def test_a_label_comes_home_as_it_is(videos: Videos) -> None:
    own = videos.frames([3]).label
    assert own is not None and torch.equal(carried_label(videos, 3, 3), own[0])


@pytest.mark.bad_input
def test_bad_input(tmp_path: Path) -> None:
    videos = small_rooms(tmp_path)
    with pytest.raises(InputError, match="labelled frames"):
        label_reach(videos, [])
    with pytest.raises(InputError, match="gaps"):
        label_reach(videos, [0], gaps=(0,))
