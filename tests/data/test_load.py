"""The one door says what is legal."""

from pathlib import Path

import pytest
from miniatures import write_camvid

from stc_lab.data import available, load
from stc_lab.errors import InputError


def test_unknown_names_list_the_legal_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown data set: 'kitty'; legal: rooms, camvid, icl, sevenscenes"):
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
    assert available() == ("rooms", "camvid", "icl", "sevenscenes")
