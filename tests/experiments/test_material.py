"""What a frame knows, in words and numbers that are checked against the frame itself; and the data cards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.load import available, load_info
from stc_lab.data.rooms.videos import INFO
from stc_lab.errors import InputError
from stc_lab.experiments.material import (
    frame_facts,
    has_world,
    knowledge,
    open_clip,
    open_videos,
    read_card,
    split_of,
)

HEIGHT, WIDTH = SIZE


def test_every_fact_is_that_of_the_frame() -> None:
    frame = planar_clip([[0.1, 0.2, 0.3]])
    facts = frame_facts(frame, INFO)
    assert facts["image"] == f"{WIDTH} x {HEIGHT} px, RGB in [0, 1]"
    assert facts["label"] == "2 of 21 classes, 100 % of the pixels labelled"
    assert facts["camera"].endswith("60 degrees wide")
    assert facts["pose"] == "stands at (0.10, 0.20, 0.30) m, looks along (0.00, 0.00, 1.00)"
    assert frame.depth is not None
    assert facts["depth"].startswith(f"{float(frame.depth.min()):.2f} to {float(frame.depth.max()):.2f} m, 100 %")
    assert facts["time"].startswith("0.00 s, frame 0 of planar")


def test_what_is_unknown_is_none_and_not_zero() -> None:
    frame = replace(planar_clip([[0.0, 0.0, 0.0]]), label=None, depth=None, camera=None, T_world_camera=None)
    facts = frame_facts(frame, INFO)
    assert {field for field, words in facts.items() if words.startswith("None")} == {"label", "depth", "camera", "pose"}
    assert not has_world(frame)


def test_holes_in_labels_and_depth_are_counted() -> None:
    frame = planar_clip([[0.0, 0.0, 0.0]])
    assert frame.label is not None and frame.depth is not None
    label, depth = frame.label.clone(), frame.depth.clone()
    label[:, : HEIGHT // 2] = 255
    depth[..., : WIDTH // 4] = 0
    depth[..., -WIDTH // 4 :] = torch.nan
    facts = frame_facts(replace(frame, label=label, depth=depth), INFO)
    assert "50 % of the pixels labelled" in facts["label"] and "50 % of the pixels known" in facts["depth"]
    nowhere = frame_facts(replace(frame, depth=torch.zeros_like(depth)), INFO)
    assert nowhere["depth"] == "0 % of the pixels known"


def test_the_table_is_that_of_the_adapters() -> None:
    known = knowledge()
    assert set(known) == set(available()) - {"folder", "video"}
    assert all(known[name] == load_info(name).has for name in known)


def test_every_card_has_its_essentials() -> None:
    for name in knowledge():
        card = read_card(name)
        essentials = card.essentials()
        assert essentials["licence"] == load_info(name).licence and all(essentials.values())
        assert essentials["splits"] == ", ".join(load_info(name).splits)
    assert "surface" in read_card("rooms").paragraphs["Classes"]


def test_the_rooms_are_opened_small_and_large() -> None:
    videos = open_videos("rooms", preset="tiny")
    clip = open_clip("rooms", videos, preset="tiny", seed=1)
    assert videos.size == (32, 48) and len(videos.names) == 3
    assert clip.video[0] == "rooms-test-0001" and clip.image.shape[-2:] == (48, 64) and has_world(clip)


@pytest.mark.real_data
@pytest.mark.parametrize(("source", "size"), [("camvid", (240, 320)), ("kitti", (97, 320)), ("icl", (240, 320))])
def test_real_videos_come_small_and_in_shape(real_data: Path, source: str, size: tuple[int, int]) -> None:
    videos = open_videos(source)
    clip = open_clip(source, videos, seed=1)
    assert videos.size == size and len(clip) <= 60 and split_of(source) == "train"
    assert has_world(clip) == (source == "icl")


@pytest.mark.bad_input
def test_what_cannot_be_described_is_said() -> None:
    with pytest.raises(InputError, match="describes one frame, got a clip of 2"):
        frame_facts(planar_clip([[0.0, 0.0, 0.0]] * 2), INFO)
    with pytest.raises(InputError, match=r"no data card nowhere\.md"):
        read_card("nowhere")
