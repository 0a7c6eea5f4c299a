"""DAVIS in its true layout: what a label means in each year, the lists, and what the adapter refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mini_davis import SIZE, mask, write_davis, write_mask

from stc_lab.data import load
from stc_lab.data.load import open_source
from stc_lab.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_davis(tmp_path / "DAVIS")


def test_objects_of_2017_are_numbered_in_each_video(root: Path) -> None:
    videos = load("davis", root=root)
    assert {name: videos.frame_count(name) for name in videos.names} == {"bear": 3, "bike-packing": 3}
    assert videos.size == SIZE
    clip = videos.clip("bike-packing")
    assert clip.label is not None
    assert torch.equal(clip.label[1], torch.from_numpy(mask(2)).long())
    assert clip.time.tolist() == pytest.approx([0, 1 / 24, 2 / 24])
    assert (clip.image[:, 0, 3, 3] * 25.5).tolist() == pytest.approx([0, 1, 2], abs=0.3)
    assert (clip.depth, clip.camera, clip.T_world_camera) == (None, None, None)
    assert videos.info.classes[:3] == ("background", "object 1", "object 2")


def test_void_is_ignored_and_the_last_object_is_legal(root: Path) -> None:
    ids = mask(2)
    ids[0, 5], ids[1, 5] = 255, 20
    write_mask(root / "Annotations/480p/bear/00001.png", ids)
    label = load("davis", root=root).clip("bear").label
    assert label is not None
    assert label[1, :3, 5].tolist() == [255, 20, 0]


def test_2016_is_background_and_object(tmp_path: Path) -> None:
    videos = load("davis", root=write_davis(tmp_path, year=2016), year=2016)
    assert videos.names == ("bear", "bike-packing")
    assert videos.info.classes == ("background", "object")
    label = videos.clip("bike-packing").label
    assert label is not None
    assert label[0, 0, :4].tolist() == [0, 1, 1, 0]


def test_2016_from_the_masks_of_2017(root: Path) -> None:
    (root / "ImageSets/2016").mkdir()
    (root / "ImageSets/2016/train.txt").write_text("bike-packing\n")
    videos = load("davis", root=root, year=2016)
    assert videos.names == ("bike-packing",)
    label = videos.clip("bike-packing").label
    assert label is not None
    assert label[0, 0, :4].tolist() == [0, 1, 1, 0]


@pytest.mark.bad_input
def test_masks_of_2016_are_not_taken_for_void(tmp_path: Path) -> None:
    write_davis(tmp_path, year=2016)
    (tmp_path / "ImageSets/2017").mkdir()
    (tmp_path / "ImageSets/2017/train.txt").write_text("bear\n")
    with pytest.raises(InputError, match=r"00000\.png holds 0 and 255, so it is of DAVIS 2016.*year=2016"):
        load("davis", root=tmp_path)


def test_test_sets_have_first_masks_alone(tmp_path: Path) -> None:
    videos = load("davis", root=write_davis(tmp_path, {"aerobatics": 3}, split="test-dev"), split="test-dev")
    assert videos.rows_with("label").tolist() == [0]
    label = videos.clip("aerobatics").label
    assert label is not None
    assert label[0].max() == 3
    assert (label[1:] == 255).all()


def test_resolutions_and_unsupervised_masks(tmp_path: Path) -> None:
    write_davis(tmp_path, {"bear": 1}, resolution="Full-Resolution", size=(20, 36))
    write_davis(tmp_path, {"bear": 1})
    write_davis(tmp_path, {"bear": 4}, annotations="Annotations_unsupervised")
    assert load("davis", root=tmp_path).size == SIZE
    assert load("davis", root=tmp_path, resolution="Full-Resolution").size == (20, 36)
    label = load("davis", root=tmp_path, annotations="unsupervised").clip("bear").label
    assert label is not None
    assert label.max() == 4


def test_the_test_set_of_2019_has_a_list_of_its_own(tmp_path: Path) -> None:
    write_davis(tmp_path, {"boxing": 2}, split="test-dev", annotations="Annotations_unsupervised")
    (tmp_path / "ImageSets/2017").rename(tmp_path / "ImageSets/2019")
    videos = load("davis", root=tmp_path, split="test-dev", annotations="unsupervised")
    assert videos.names == ("boxing",)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"year": 2018}, "year of DAVIS must be one of 2016, 2017, got 2018"),
        ({"resolution": "720p"}, "resolution of DAVIS must be one of 480p, .*'720p'"),
        ({"annotations": "scribbles"}, "annotations of DAVIS must be one of semi-supervised, .*'scribbles'"),
        ({"year": 2016, "split": "test-dev"}, "DAVIS 2016 has the splits train and val"),
        ({"year": 2016, "annotations": "unsupervised"}, "one kind of annotations"),
        ({"split": "val"}, r"has no list ImageSets/2017/val\.txt"),
        ({"year": 2016}, r"no list ImageSets/2016/train\.txt or ImageSets/480p/train\.txt or"),
        ({"resolution": "Full-Resolution"}, "no folder JPEGImages/Full-Resolution.*another resolution"),
        ({"annotations": "unsupervised"}, "no folder Annotations_unsupervised/480p"),
    ],
)
def test_options_that_do_not_fit(root: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("davis", root=root, **options)


@pytest.mark.bad_input
def test_wrong_root(root: Path) -> None:
    with pytest.raises(InputError, match=r"no folder JPEGImages/480p.*root must hold"):
        load("davis", root=root / "JPEGImages")


@pytest.mark.bad_input
@pytest.mark.parametrize("line", ["a b c", "../x", "bear/x", "/JPEGImages/480p/a/1.jpg /Annotations/480p/b/1.png"])
def test_unreadable_line_is_numbered(root: Path, line: str) -> None:
    with (root / "ImageSets/2017/train.txt").open("a") as lists:
        lists.write(line + "\n")
    with pytest.raises(InputError, match=r"train\.txt, line 3 must be the name of a sequence"):
        load("davis", root=root)


@pytest.mark.bad_input
def test_empty_list(root: Path) -> None:
    (root / "ImageSets/2017/train.txt").write_text("\n")
    with pytest.raises(InputError, match=r"train\.txt names no sequences"):
        load("davis", root=root)


@pytest.mark.bad_input
def test_missing_files_are_named(root: Path) -> None:
    (root / "Annotations/480p/bear/00002.png").unlink()
    with pytest.raises(InputError, match=r"label map .*bear/00002\.png of image .* is missing"):
        load("davis", root=root)
    with (root / "ImageSets/2017/train.txt").open("a") as lists:
        lists.write("camel\n")
    (root / "JPEGImages/480p/dog").mkdir()
    with (root / "ImageSets/2017/train.txt").open("a") as lists:
        lists.write("dog\n")
    problems = open_source("davis", root=root).problems
    assert [("camel is missing" in str(p), "dog has no frames" in str(p)) for p in problems] == [
        (True, False),
        (False, True),
    ]
    with pytest.raises(InputError, match="camel is missing"):
        load("davis", root=root)


@pytest.mark.bad_input
def test_damaged_and_odd_masks(root: Path) -> None:
    path = root / "Annotations/480p/bear/00000.png"
    path.write_bytes(path.read_bytes()[:60])
    videos = load("davis", root=root)  # the first mask is looked at, but it is its frame that names it
    with pytest.raises(InputError, match=r"bear/00000\.png .*cannot be decoded"):
        videos.clip("bear")
    write_mask(path, np.full(SIZE, 21, np.uint8))
    with pytest.raises(InputError, match=r"bear/00000\.png holds id 21 at 240 pixels, legal are 0 to 20, 255"):
        load("davis", root=root).clip("bear")
    write_mask(path, mask(1, (6, 10)))
    with pytest.raises(InputError, match=r"bear/00000\.png is 6 x 10 px"):
        load("davis", root=root).clip("bear")


@pytest.mark.real_data
def test_real_slice(real_data: Path) -> None:
    root = real_data / "davis_car_shadow"
    videos = load("davis", root=root, split="val", year=2016)
    assert {name: videos.frame_count(name) for name in videos.names} == {"car-shadow": 28}
    assert videos.size == (480, 854)
    label = videos.clip("car-shadow").label
    assert label is not None
    assert label.unique().tolist() == [0, 1]
    car = label == 1
    overlap = (car[1:] & car[:-1]).sum((1, 2)) / (car[1:] | car[:-1]).sum((1, 2))
    assert float(overlap.mean()) == pytest.approx(0.933, abs=0.001)  # as it was measured of the files
    with pytest.raises(InputError, match="so it is of DAVIS 2016"):
        load("davis", root=root, split="val")
    with pytest.raises(InputError, match="so its sequences are the split 'val', got 'train'"):
        load("davis", root=root, year=2016)
