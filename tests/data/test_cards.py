"""A data card says what its adapter does."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from miniatures import write_camvid, write_icl, write_sevenscenes

from stc_lab.data import SourceInfo, Videos, available, load
from stc_lab.data.camvid import VOID
from stc_lab.data.rooms import PRESETS

CARDS = Path(__file__).parents[2] / "data_cards"


def card(name: str) -> dict[str, Any]:
    front = (CARDS / f"{name}.md").read_text(encoding="utf-8").split("---\n")[1]
    fields: dict[str, Any] = yaml.safe_load(front)
    return fields


def opened(name: str, tmp_path: Path) -> Videos:
    """The data set as far as it can be had without its files."""
    if name == "rooms":
        return load("rooms", root=tmp_path, split="val", preset="tiny")
    if name == "camvid":
        return load("camvid", root=write_camvid(tmp_path, {"0001TP": [1, 2]}))
    if name == "sevenscenes":
        return load("sevenscenes", root=write_sevenscenes(tmp_path, 1))
    return load("icl", root=write_icl(tmp_path, 1))


def test_one_card_for_each_data_set() -> None:
    assert {path.stem for path in CARDS.glob("*.md")} - {"README"} == set(available())


@pytest.mark.parametrize("name", available())
def test_front_matter_fits_the_adapter(name: str, tmp_path: Path) -> None:
    fields = card(name)
    assert set(fields) >= {"pretty_name", "license", "task_categories", "size_categories", "tags"}
    own = fields["stc_lab"]
    info: SourceInfo = opened(name, tmp_path).info
    assert own["name"] == info.name == name
    assert own["frame_rate"] == info.frame_rate
    assert set(own["has"]) == info.has
    assert own["label_map"] == dict(enumerate(info.classes))
    assert own["ignore_index"] == info.ignore_index
    assert own["licence"] == info.licence
    assert own["reference"] == info.reference
    assert own["consent"]
    with pytest.raises(ValueError, match=f"legal: {', '.join(own['splits'])}"):
        load(name, root=tmp_path, split="no such split")


def test_camvid_videos(tmp_path: Path) -> None:
    own = card("camvid")["stc_lab"]
    assert own["ignore_ids"] == {VOID: "Void"}
    frames = {  # first and last frame number and spacing of the published lists
        "train": {
            "0001TP": [*range(6690, 8521, 30)],
            "0006R0": [*range(930, 3931, 30)],
            "0016E5": [*range(390, 2401, 30), *range(4350, 7921, 30), *range(8190, 8641, 30)],
        },
        "val": {"0016E5": [*range(7959, 8160, 2)]},
        "test": {"0001TP": [*range(8550, 10381, 30)], "Seq05VD": [*range(0, 5101, 30)]},
    }
    for split, sequences in frames.items():
        videos = load("camvid", root=write_camvid(tmp_path, sequences, split=split), split=split)
        assert {name: videos.frame_count(name) for name in videos.names} == own["splits"][split]


@pytest.mark.parametrize("registered", [False, True])
def test_sevenscenes_camera(tmp_path: Path, registered: bool) -> None:
    own = card("sevenscenes")["stc_lab"]["camera_registered" if registered else "camera"]
    camera = load("sevenscenes", root=write_sevenscenes(tmp_path, 1, registered=registered)).frames([0]).camera
    assert camera is not None
    assert camera.size == (own["height"], own["width"])
    assert camera.K[0, [0, 1, 0, 1], [0, 1, 2, 2]].tolist() == [own[name] for name in ("fx", "fy", "cx", "cy")]


@pytest.mark.real_data
def test_icl_camera(real_data: Path) -> None:
    own = card("icl")["stc_lab"]["camera"]
    camera = load("icl", root=real_data / "icl_livingroom1").frames([0]).camera
    assert camera is not None
    assert camera.size == (own["height"], own["width"])
    assert camera.K[0, [0, 1, 0, 1], [0, 1, 2, 2]].tolist() == [own[name] for name in ("fx", "fy", "cx", "cy")]


def test_rooms_presets(tmp_path: Path) -> None:
    own = card("rooms")["stc_lab"]
    for preset, config in PRESETS.items():
        assert config.frames == own["frames_per_video"][preset]
        assert {split: own["splits"][split][preset] for split in own["splits"]} == {
            split: config.scenes(split) for split in own["splits"]
        }
    assert (PRESETS["quick"].height, PRESETS["quick"].width) == (own["camera"]["height"], own["camera"]["width"])
    for motion, fov in own["camera"]["horizontal_fov"].items():
        videos = load("rooms", root=tmp_path, split="val", preset="tiny", val_scenes=1, frames=1, motion=motion)
        focal = videos.frames([0]).camera.K[0, 0, 0]  # type: ignore[union-attr]
        assert float(2 * torch.atan(videos.size[1] / 2 / focal).rad2deg()) == pytest.approx(fov, abs=1e-3)
        first = own["splits"]["val"]["videos"].split(" ")[0]
        assert videos.names == (first,)
