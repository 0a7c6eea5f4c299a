"""The one door says what is legal."""

import inspect
from pathlib import Path

import pytest
from miniatures import write_camvid

from stc_lab.data import available, load
from stc_lab.data.sources import ADAPTERS, source
from stc_lab.errors import InputError


def test_unknown_names_list_the_legal_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown data set: 'kitty'; legal: rooms, .*camvid, .*icl"):
        load("kitty")
    with pytest.raises(InputError, match="unknown split of 'camvid': 'valid'; legal: train, val, test"):
        load("camvid", root=tmp_path, split="valid")
    with pytest.raises(InputError, match="unknown option of 'camvid': 'preset'; legal: none"):
        load("camvid", root=tmp_path, preset="tiny")


def test_root_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_camvid(tmp_path / "camvid_15hz", {"0016E5": [1, 3]}, split="val")
    monkeypatch.setenv("STC_LAB_DATA", str(tmp_path))
    assert len(load("camvid", split="val")) == 2
    with pytest.raises(InputError, match=r"camvid_1hz of data set 'camvid' is missing.*STC_LAB_DATA"):
        load("camvid", split="train")
    with pytest.raises(InputError, match="split 'test' of 'camvid' has no folder in STC_LAB_DATA"):
        load("camvid", split="test")
    monkeypatch.delenv("STC_LAB_DATA")
    with pytest.raises(InputError, match=r"needs the folder of its files.*root=.*STC_LAB_DATA="):
        load("camvid")


def test_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        load("icl", root=tmp_path / "file")


def test_names() -> None:
    assert available() == ("rooms", *ADAPTERS)
    assert {"camvid", "icl", "sevenscenes"} <= set(ADAPTERS)
    assert list(ADAPTERS) == sorted(set(ADAPTERS))


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_adapter_is_what_its_name_says(name: str) -> None:
    found = source(name)
    assert found.info.name == name
    assert found.info.splits and found.info.licence and found.info.reference
    root, split, *options = inspect.signature(found.videos).parameters.values()
    assert (root.name, split.name) == ("root", "split")
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in options)


def test_rooms_are_rendered_into_the_root(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    videos = load(
        "rooms",
        root=tmp_path,
        preset="tiny",
        train_scenes=2,
        frames=2,
        size=(16, 24),
        progress=lambda *scenes: done.append(scenes),
    )
    assert done == [(1, 2), (2, 2)]
    clip = videos.frames([0, 3])
    assert clip.image.shape == (2, 3, 16, 24)
    assert clip.camera is not None
    assert clip.camera.size == (16, 24)
    assert any(tmp_path.rglob("*.arrow"))


def test_rooms_options(tmp_path: Path) -> None:
    for options, message in (
        ({"preset": "huge"}, "unknown preset of 'rooms': 'huge'; legal: tiny, quick, full"),
        ({"movement": "dolly"}, "unknown option of 'rooms': 'movement'; legal: preset, progress, .*train_scenes"),
        ({"motion": "flying"}, "motion must be one of dolly"),
        ({"split": "exam"}, "unknown split of 'rooms': 'exam'; legal: train, val, test"),
    ):
        with pytest.raises(InputError, match=message):
            load("rooms", root=tmp_path, **options)
    assert not list(tmp_path.iterdir())
