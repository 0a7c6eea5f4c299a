"""What learning depth reads of clips: the flow that is there, found once, and nothing of half-finished work."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_rooms import SMALL, exact_matches, frames_of, image_videos, small_rooms
from warp_inputs import normal

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.training import depth_matches
from stc_lab.training.depth_matches import GAPS, matched_clips, small_frames

PAIRS = sorted((i, i + gap) for gap in GAPS for i in range(SMALL.frames - gap))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return small_rooms(tmp_path_factory.mktemp("rooms"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a flow is found."""
    found: list[int] = []
    original = depth_matches.dis_flow

    def counted(*args, **options):
        found.append(1)
        return original(*args, **options)

    monkeypatch.setattr(depth_matches, "dis_flow", counted)
    return found


def test_each_clip_has_its_frames_and_flow_of_all_gaps(rooms: Videos, tmp_path: Path) -> None:
    clips = matched_clips(rooms, cache=tmp_path)
    assert [clip.video for clip in clips] == list(rooms.names)
    for clip in clips:
        assert sorted(clip.pairs) == PAIRS and sorted(clip.pairs.values()) == list(range(len(PAIRS)))
        assert clip.image.dtype == torch.uint8 and clip.image.shape == (8, 3, 16, 24)
        assert clip.flow.dtype == torch.float16 and clip.flow.shape == (len(PAIRS), 2, 2, 8, 12)
        assert clip.usable.dtype == torch.bool and clip.usable.shape == (len(PAIRS), 2, 8, 12)
        frames = small_frames(rooms.clip(clip.video).image, 2)
        torch.testing.assert_close(clip.images(), frames, atol=0.51 / 255, rtol=0)
        assert torch.equal(clip.images([5, 2]), clip.images()[[5, 2]])
        assert clip.images().dtype == torch.float32


def test_named_pairs_come_in_the_order_they_are_named(rooms: Videos, tmp_path: Path) -> None:
    clip = matched_clips(rooms, cache=tmp_path)[0]
    wanted = [(4, 6), (0, 1), (1, 7)]
    matches = clip.matches(wanted)
    assert matches.pairs.tolist() == [list(pair) for pair in wanted]
    for number, pair in enumerate(wanted):
        for way, flow in enumerate((matches.forward, matches.backward)):
            assert flow.flow.dtype == torch.float32
            assert torch.equal(flow.flow[number], clip.flow[clip.pairs[pair], way].float())
            assert torch.equal(flow.visible[number], clip.usable[clip.pairs[pair], way])
    everything = clip.matches()
    assert everything.pairs.tolist() == [list(pair) for pair in clip.pairs]
    with pytest.raises(KeyError):
        clip.matches([(0, 5)])  # no such gap


def test_usable_flow_is_near_the_true_one(tmp_path: Path) -> None:
    """In px of the grid; in rooms of twice the size, where the classical flow has something to hold on to."""
    config = replace(SMALL, train_scenes=1, height=64, width=96)
    rooms = small_rooms(tmp_path, config=config)
    clip = matched_clips(rooms, cache=tmp_path)[0]
    for gap in (1, 2):
        pairs = [(i, i + gap) for i in range(8 - gap)]
        true, _, _ = exact_matches(rooms.clip(clip.video), pairs, stride=4)
        found = clip.matches(pairs)
        for ours, theirs in ((found.forward, true.forward), (found.backward, true.backward)):
            both = ours.visible & theirs.visible
            assert 0.2 < float(ours.visible.float().mean()) < 1
            # The grid's pixel covers 4 x 4 px: its centre lies 1.5 px beyond the first of them.
            missed = (ours.flow - theirs.flow).norm(dim=1)[both]
            still = theirs.flow.norm(dim=1)[both]
            assert float(missed.median()) < min(0.25, 0.5 * float(still.median()))


def test_exposure_is_not_motion(tmp_path: Path) -> None:
    """Every other frame a third darker: what is usable and found stays about as it is."""
    rooms = small_rooms(tmp_path, config=replace(SMALL, train_scenes=1, dial=0.0))
    image = (rooms.clip(rooms.names[0]).image * 160).round()
    dark = image.clone()
    dark[1::2] = (dark[1::2] * 0.67).round()
    plain, changing = (
        matched_clips(image_videos({"a": frames.to(torch.uint8)}), cache=tmp_path)[0] for frames in (image, dark)
    )
    assert float(changing.usable.float().mean()) > 0.8 * float(plain.usable.float().mean())
    both = plain.usable & changing.usable
    apart = (plain.flow - changing.flow).float().norm(dim=2)[both]
    assert float(apart.median()) < 0.1


def test_flow_is_found_once(rooms: Videos, tmp_path: Path, calls: list[int]) -> None:
    first = matched_clips(rooms, cache=tmp_path)
    assert len(calls) == 2 * len(PAIRS) * len(rooms.names)
    again = matched_clips(rooms, cache=tmp_path)
    assert len(calls) == 2 * len(PAIRS) * len(rooms.names)
    for one, other in zip(first, again, strict=True):
        assert one.pairs == other.pairs
        assert torch.equal(one.flow, other.flow) and torch.equal(one.usable, other.usable)
        assert torch.equal(one.image, other.image)


def test_what_is_kept_goes_by_pixels_and_strides_not_by_names(rooms: Videos, tmp_path: Path, calls: list[int]) -> None:
    matched_clips(rooms, cache=tmp_path)
    before = len(calls)
    renamed = {f"other {i}": frames for i, frames in enumerate(frames_of(rooms).values())}
    assert [clip.video for clip in matched_clips(image_videos(renamed), cache=tmp_path)] == list(renamed)
    assert len(calls) == before
    one = renamed["other 0"].clone()
    one[3, 0, 0, 0] ^= 1
    matched_clips(image_videos({"one bit": one}), cache=tmp_path)
    assert len(calls) == before + 2 * len(PAIRS)
    coarse = matched_clips(image_videos({"coarse": one}), cache=tmp_path, flow_stride=8)
    assert coarse[0].flow.shape[-2:] == (4, 6)
    assert len(calls) == before + 2 * len(PAIRS) * 2


def test_interrupted_work_leaves_nothing(rooms: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, count = depth_matches.dis_flow, []

    def interrupted(*args, **options):
        count.append(1)
        if len(count) == 2 * len(PAIRS) + 7:  # in the second clip
            raise KeyboardInterrupt
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(depth_matches, "dis_flow", interrupted)
        with pytest.raises(KeyboardInterrupt):
            matched_clips(rooms, cache=tmp_path)
    kept = [path for path in (tmp_path / "matches").iterdir() if path.is_dir()]
    assert len(kept) == 1 and not kept[0].name.startswith(".")
    clips = matched_clips(rooms, cache=tmp_path)
    assert len(clips) == 2 and bool((clips[1].flow.abs() > 0).any())


def test_the_folder_is_the_environments_unless_one_is_named(
    rooms: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "kept"))
    matched_clips(rooms)
    assert len(list((tmp_path / "kept" / "matches").glob("[!.]*"))) == 2


def test_small_frames_are_means_of_blocks() -> None:
    images = normal(2, 3, 6, 9, dtype=torch.float32)
    small = small_frames(images, 3)
    expected = images.reshape(2, 3, 2, 3, 3, 3).mean(dim=(3, 5))
    torch.testing.assert_close(small, expected)
    assert torch.equal(small_frames(images, 1), images)


@pytest.mark.bad_input
def test_clips_that_are_too_short_or_too_small_are_refused(tmp_path: Path) -> None:
    frames = torch.randint(0, 255, (8, 3, 32, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with pytest.raises(InputError, match="'a' has 6 frames, learning depth needs more than 6"):
        matched_clips(image_videos({"a": frames[:6]}), cache=tmp_path)
    with pytest.raises(InputError, match=r"'a' has \[30, 48\] px, expected at least 32"):
        matched_clips(image_videos({"a": frames[..., :30, :]}), cache=tmp_path)
    assert not (tmp_path / "matches").exists()
