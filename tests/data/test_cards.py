"""A data card says what its adapter does: every field of it is held against the adapter."""

from pathlib import Path

import pytest
import torch
from cards import CARDS, MINIATURES, card, front_matter
from miniatures import write_camvid, write_sevenscenes

from stc_lab.data import SourceInfo, Videos, available, load
from stc_lab.data.rooms import PRESETS
from stc_lab.data.rooms.videos import INFO as ROOMS_INFO
from stc_lab.data.sources import ADAPTERS, source

HUGGING_FACE = {"pretty_name", "license", "task_categories", "size_categories", "tags"}
IN_WORDS = {"camera", "consent", "papers", "access"}  # for readers; numbers of cameras are compared where they can be
OF_ONE = {"rooms": {"frames_per_video"}, "sevenscenes": {"camera_registered"}}  # fields that a test below looks at


def info_of(name: str) -> SourceInfo:
    return ROOMS_INFO if name == "rooms" else source(name).info


def opened(name: str, tmp_path: Path) -> Videos:
    """The data set as far as it can be had without its files."""
    if name == "rooms":
        return load("rooms", root=tmp_path, split="val", preset="tiny")
    return load(name, root=MINIATURES[name](tmp_path / "copy"), split=info_of(name).splits[0])


def test_one_card_and_one_miniature_for_each_data_set() -> None:
    assert {path.stem for path in CARDS.glob("*.md")} - {"README"} == set(available())
    assert set(MINIATURES) == set(ADAPTERS)


@pytest.mark.parametrize("name", available())
def test_every_field_fits_the_adapter(name: str) -> None:
    assert set(front_matter(name)) >= HUGGING_FACE
    own, info = card(name), info_of(name)
    depth = {"units_per_metre": info.depth_per_metre or 1.0, "unknown": list(info.depth_unknown)}
    of_adapter = {
        "name": info.name,
        "frame_rate": info.frame_rate,
        "has": sorted(info.has),
        "label_map": dict(enumerate(info.classes)),
        "label_ids": "same" if info.label_ids is None else dict(info.label_ids),
        "ignore_ids": dict(info.ignore_ids),
        "ignore_index": info.ignore_index,
        "depth": depth if "depth" in info.has else "none",
        "poses": info.stored_poses if "pose" in info.has else "none",
        "splits": set(info.splits),
        "licence": info.licence,
        "reference": info.reference,
    }
    compared = {key: own.get(key) for key in of_adapter}
    compared |= {"has": sorted(own["has"]), "splits": set(own["splits"])}
    assert compared == of_adapter
    assert info.name == name
    assert set(own) - OF_ONE.get(name, set()) == set(of_adapter) | IN_WORDS
    assert all(own[field] for field in IN_WORDS)
    assert isinstance(own["papers"], list)
    assert ("intrinsics" in info.has) == (own["camera"] != "unknown")


@pytest.mark.parametrize("name", available())
def test_a_copy_opens_as_the_card_says(name: str, tmp_path: Path) -> None:
    own, videos = card(name), opened(name, tmp_path)
    assert videos.has <= set(own["has"])
    rows = videos.rows_with("intrinsics")
    camera = videos.frames([int(rows[0])]).camera if len(rows) else None
    if camera is not None and camera.size == (own["camera"].get("height"), own["camera"].get("width")):
        given = {name: own["camera"][name] for name in ("fx", "fy", "cx", "cy") if name in own["camera"]}
        K = camera.K[0].tolist()
        found = dict(zip(("fx", "fy", "cx", "cy"), (K[0][0], K[1][1], K[0][2], K[1][2]), strict=True))
        assert given == pytest.approx({name: found[name] for name in given})
    with pytest.raises(ValueError, match=f"legal: {', '.join(own['splits'])}"):
        load(name, root=tmp_path, split="no such split")


def test_camvid_videos(tmp_path: Path) -> None:
    own = card("camvid")
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
    own = card("sevenscenes")["camera_registered" if registered else "camera"]
    camera = load("sevenscenes", root=write_sevenscenes(tmp_path, 1, registered=registered)).frames([0]).camera
    assert camera is not None
    assert camera.size == (own["height"], own["width"])
    assert camera.K[0, [0, 1, 0, 1], [0, 1, 2, 2]].tolist() == [own[name] for name in ("fx", "fy", "cx", "cy")]


@pytest.mark.real_data
def test_icl_camera(real_data: Path) -> None:
    own = card("icl")["camera"]
    camera = load("icl", root=real_data / "icl_livingroom1").frames([0]).camera
    assert camera is not None
    assert camera.size == (own["height"], own["width"])
    assert camera.K[0, [0, 1, 0, 1], [0, 1, 2, 2]].tolist() == [own[name] for name in ("fx", "fy", "cx", "cy")]


def test_rooms_presets(tmp_path: Path) -> None:
    own = card("rooms")
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
