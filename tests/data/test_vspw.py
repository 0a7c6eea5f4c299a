"""VSPW in its true layout, and what its adapter refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from mini_vspw import SIZE, write_vspw
from PIL import Image

from stc_lab.data import load
from stc_lab.data.check import check
from stc_lab.data.load import open_source
from stc_lab.data.vspw import CLASSES, INFO, NUMBERS
from stc_lab.errors import InputError

NAME = "1001_3iEIq5HBY1s"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_vspw(tmp_path / "VSPW_480p")


def mask_of(root: Path, number: int = 2059) -> Path:
    return root / "data" / NAME / "mask" / f"{number:08d}.png"


def test_true_layout(root: Path) -> None:
    write_vspw(root, {"10_a": [1, 2]}, split="val")
    train, val = load("vspw", root=root), load("vspw", root=root, split="val")
    assert (train.names, val.names) == ((NAME,), ("10_a",))
    clip = train.clip(NAME)
    numbers = (clip.image[:, :2, 3, 9] * 255).round() @ clip.image.new_tensor([1, 256])
    assert abs(numbers - clip.image.new_tensor([2058, 2059, 2060])).max() <= 2  # as JPEG keeps them
    assert clip.time.tolist() == pytest.approx([0, 1 / 15, 2 / 15])  # from the first frame's number on
    assert clip.depth is None and clip.camera is None and clip.T_world_camera is None
    assert train.size == SIZE


def test_ids(root: Path) -> None:
    """As the authors train: 0 and 255 are void, 1..124 count from 0."""
    label = load("vspw", root=root).clip(NAME).label
    assert label is not None
    assert label[0, 0, :6].tolist() == [255, 0, 13, 123, 255, 13]
    ids = np.arange(126, dtype=np.uint8)
    ids[125] = 255
    every = np.zeros(SIZE, np.uint8)
    every.ravel()[:126] = ids
    Image.fromarray(every).save(mask_of(root, 2058))
    label = load("vspw", root=root).frames([0]).label
    assert label is not None
    theirs = every.copy()  # the lines their page recommends, in uint8
    theirs[theirs == 0] = 255
    theirs = theirs - 1
    theirs[theirs == 254] = 255
    assert (label[0].numpy() == theirs).all()
    assert (len(CLASSES), CLASSES[0], CLASSES[13], CLASSES[60], CLASSES[123]) == (
        124,
        "wall",
        "floor",
        "person",
        "train",
    )
    assert len(set(CLASSES)) == 124


def test_a_missing_number_cuts_the_video(root: Path) -> None:
    write_vspw(root, {"10_a": [5, 6, 8, 9]})
    videos = load("vspw", root=root)
    assert {name: videos.frame_count(name) for name in videos.names} == {"10_a-1": 2, "10_a-2": 2}


def test_hidden_files_are_passed_over(root: Path) -> None:
    for kind, suffix in (("origin", "jpg"), ("mask", "png")):
        (root / "data" / NAME / kind / f"._00002058.{suffix}").write_bytes(b"\x00\x05\x16\x07")
    (root / "data" / ".DS_Store").write_bytes(b"")
    assert len(load("vspw", root=root)) == len(load("vspw", root=root, videos="all")) == 3


def test_test_split_has_no_masks(root: Path) -> None:
    write_vspw(root, {"2000_b": [7, 8]}, split="test", masks=False)
    videos = load("vspw", root=root, split="test")
    assert videos.has == frozenset()
    assert videos.clip("2000_b").label is None


def test_named_videos_may_lack_masks(root: Path) -> None:
    write_vspw(root, {"2000_b": [7, 8]}, split="test", masks=False)
    videos = load("vspw", root=root, videos="all")
    assert videos.names == (NAME, "2000_b")
    assert videos.rows_with("label").tolist() == [0, 1, 2]
    assert load("vspw", root=root, videos=[NAME]).names == load("vspw", root=root, videos=NAME).names == (NAME,)


def test_480p(tmp_path: Path) -> None:
    """int(480 w / h), as the authors' script has it; the smaller release stays what it is."""
    sizes = {"a": (540, 960), "b": (480, 853), "c": (720, 404), "d": (1080, 1920)}
    root = write_vspw(tmp_path, {name: [1] for name in sizes}, sizes=sizes)
    videos = load("vspw", root=root, resolution="480p")
    found = {name: videos.size_of(name) for name in sizes}
    assert found == {name: (480, int(480 * w / h)) for name, (h, w) in sizes.items()}
    assert found["b"] == found["d"] == found["a"] == (480, 853)
    clip = videos.clip("a")
    assert clip.label is not None
    assert clip.image.shape[-2:] == clip.label.shape[-2:] == (480, 853)
    assert set(clip.label.unique().tolist()) <= {0, 13, 123, 255}  # never mixed
    plain = load("vspw", root=root)
    assert plain.size_of("d") == (1080, 1920)
    with pytest.raises(InputError, match=r"have no one size"):
        _ = plain.size


def test_own_list_of_ids(root: Path) -> None:
    named = json.loads((root / NUMBERS).read_text())
    assert INFO.stored_ids() == {int(named[name]): i for i, name in enumerate(CLASSES)}
    (root / NUMBERS).unlink()  # it is no condition
    load("vspw", root=root)


@pytest.mark.bad_input
def test_another_numbering_is_refused(root: Path) -> None:
    named = json.loads((root / NUMBERS).read_text())
    named["wall"], named["floor"] = named["floor"], named["wall"]
    (root / NUMBERS).write_text(json.dumps(named))
    with pytest.raises(InputError, match=r"label_num_dic_final\.json calls id 1 'floor', expected 'wall'"):
        load("vspw", root=root)
    del named["floor"]
    (root / NUMBERS).write_text(json.dumps(named))
    with pytest.raises(InputError, match=r"calls id 1 'nothing', expected 'wall'"):
        load("vspw", root=root)
    for text in ("{", "[1, 2]", '{"wall": "x"}'):
        (root / NUMBERS).write_text(text)
        with pytest.raises(InputError, match=r"label_num_dic_final\.json must be like"):
            load("vspw", root=root)


@pytest.mark.bad_input
def test_wrong_root_and_lists(root: Path) -> None:
    with pytest.raises(InputError, match=r"has no folder data/.*root must be the folder VSPW"):
        load("vspw", root=root / "data")
    with pytest.raises(InputError, match=r"has no list file val\.txt.*videos="):
        load("vspw", root=root, split="val")
    (root / "val.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"val\.txt names no videos"):
        load("vspw", root=root, split="val")
    for name in ("10_gone", "../data"):
        (root / "val.txt").write_text(f"{NAME}\n{name}\n")
        with pytest.raises(InputError, match=rf"video '{name}' is not in .*incomplete copy"):
            load("vspw", root=root, split="val")
    assert len(open_source("vspw", root=root, split="val")) == 3  # what is there can be looked at all the same


@pytest.mark.bad_input
def test_illegal_options(root: Path) -> None:
    with pytest.raises(InputError, match=r"resolution of 'vspw' must be 'stored' or '480p', got '720p'"):
        load("vspw", root=root, resolution="720p")


@pytest.mark.bad_input
def test_empty_video(root: Path) -> None:
    for path in (root / "data" / NAME / "origin").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"origin has no frames named by numbers"):
        load("vspw", root=root)


@pytest.mark.bad_input
def test_missing_masks(root: Path) -> None:
    mask_of(root).unlink()
    with pytest.raises(InputError, match=r"label map .*00002059\.png of image .*00002059\.jpg is missing"):
        load("vspw", root=root)
    (root / "data" / NAME / "mask").rename(root / "gone")
    with pytest.raises(InputError, match=rf"video {NAME} has no label maps, folder .*mask.*test split"):
        load("vspw", root=root)


@pytest.mark.bad_input
def test_damaged_files_are_named(root: Path) -> None:
    """An image of 0 bytes as in the first release, an illegal id, and a mask of another size."""
    image = root / "data" / NAME / "origin" / "00002058.jpg"
    image.write_bytes(b"")
    Image.fromarray(np.full(SIZE, 125, np.uint8)).save(mask_of(root, 2059))
    Image.fromarray(np.ones((8, 8), np.uint8)).save(mask_of(root, 2060))
    videos = load("vspw", root=root)
    for row, message in enumerate(
        (
            r"00002058\.jpg \(0 bytes\) cannot be decoded",
            r"00002059\.png holds id 125 at 1296 pixels, legal are 0 to 124, 255",
            r"00002060\.png is 8 x 8 px",
        )
    ):
        with pytest.raises(InputError, match=message):
            videos.frames([row])
    assert len(check(videos).problems) == 3


@pytest.mark.real_data
def test_real_frames(real_data: Path) -> None:
    videos = load("vspw", videos="all")
    assert {name: videos.frame_count(name) for name in videos.names} == {NAME: 32}
    assert videos.size == (480, 853)
    assert videos.has == frozenset()
    clip = videos.clip(NAME, stop=2)
    assert 0.05 < float((clip.image[1] - clip.image[0]).abs().mean()) < 0.2  # a moving camera
    assert load("vspw", videos=NAME, resolution="480p").frames([0]).image.equal(clip.image[:1])
