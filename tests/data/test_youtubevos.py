"""YouTube-VOS in its true layout: masks of some frames, objects and categories, and what the adapter refuses."""

import json
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from mini_davis import mask, write_mask
from mini_youtubevos import SIZE, write_youtubevos

from stc_lab.data import load
from stc_lab.data.check import check
from stc_lab.data.load import open_source
from stc_lab.data.youtubevos import CATEGORIES
from stc_lab.errors import InputError

FIRST, SECOND = "003234408d", "0043f083b5"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_youtubevos(tmp_path / "YouTubeVOS")


def test_every_fifth_frame(root: Path) -> None:
    videos = load("youtubevos", root=root)
    assert {name: videos.frame_count(name) for name in videos.names} == {FIRST: 3, SECOND: 3}
    clip = videos.clip(FIRST)
    assert (clip.image[:, 0, 3, 3] * 25.5).tolist() == pytest.approx([0, 5, 10], abs=0.3)
    assert clip.time.tolist() == pytest.approx([0, 1 / 6, 2 / 6])
    assert clip.label is not None
    assert np.array_equal(clip.label[2], mask(3, SIZE))
    assert len(videos.rows_with("label")) == 6


def test_categories_of_the_objects(root: Path) -> None:
    videos = load("youtubevos", root=root, labels="category")
    penguin, person, bus, sedan = (1 + CATEGORIES.index(name) for name in ("penguin", "person", "bus", "sedan"))
    first, second = (videos.clip(name, stop=1).label for name in (FIRST, SECOND))
    assert first is not None and second is not None
    assert first[0, 0, :5].tolist() == [0, penguin, penguin, person, 0]
    assert second[0, 0, :4].tolist() == [0, bus, sedan, 0]
    assert videos.info.classes[penguin] == "penguin"
    assert len(videos.info.classes) == 67
    report = check(open_source("youtubevos", root=root, labels="category"))
    assert report.sound
    assert report.class_share["penguin"] == pytest.approx(0.05)  # 2 of 20 columns in half of the frames
    again = ForkingPickler.loads(ForkingPickler.dumps(videos))
    assert np.array_equal(again.clip(FIRST).label, videos.clip(FIRST).label)


def test_validation_has_the_masks_where_objects_appear(tmp_path: Path) -> None:
    write_youtubevos(tmp_path, {"abc": ["penguin", "kangaroo"]}, split="valid", first=5, count=4, masks_of=[5, 15])
    videos = load("youtubevos", root=tmp_path, split="valid")
    assert videos.rows_with("label").tolist() == [0, 2]
    clip = videos.clip("abc")
    assert clip.label is not None
    assert (clip.label[[1, 3]] == 255).all()
    assert clip.time.tolist() == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6])
    label = load("youtubevos", root=tmp_path, split="valid", labels="category").clip("abc").label
    assert label is not None
    assert label[0, 0, 2] == 66  # kangaroo is no category of the training videos


@pytest.mark.parametrize("folder", ["train_all_frames", "all_frames/train_all_frames"])
def test_all_frames(tmp_path: Path, folder: str) -> None:
    write_youtubevos(tmp_path, {"abc": ["dog"]}, count=2, all_frames=folder)
    videos = load("youtubevos", root=tmp_path, all_frames=True)
    assert videos.frame_count("abc") == 6
    assert videos.rows_with("label").tolist() == [0, 5]
    clip = videos.clip("abc")
    assert clip.time.tolist() == pytest.approx([i / 30 for i in range(6)])
    assert (clip.image[:, 0, 3, 3] * 25.5).tolist() == pytest.approx(list(range(6)), abs=0.3)
    assert clip.label is not None
    assert (clip.label[1:5] == 255).all()
    assert clip.label[5].max() == 1


def test_a_gap_cuts_a_video(root: Path) -> None:
    for kind, form in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (root / "train" / kind / FIRST / f"00005.{form}").unlink()
        source = root / "train" / kind / FIRST
        for n in (40, 45):
            (source / f"{n:05d}.{form}").write_bytes((source / f"00000.{form}").read_bytes())
    videos = load("youtubevos", root=root)
    assert {name: videos.frame_count(name) for name in videos.names if name != SECOND} == {
        f"{FIRST}-1": 1,
        f"{FIRST}-2": 1,
        f"{FIRST}-3": 2,
    }


@pytest.mark.bad_input
def test_missing_files_are_named(root: Path) -> None:
    (root / "train/Annotations" / FIRST / "00005.png").unlink()
    with pytest.raises(InputError, match=rf"label map .*{FIRST}/00005\.png of image .* is missing"):
        load("youtubevos", root=root)
    for path in (root / "train/JPEGImages" / SECOND).iterdir():
        path.unlink()
    with pytest.raises(InputError, match=rf"{SECOND} has no frames"):
        load("youtubevos", root=root)
    (root / "train/JPEGImages" / SECOND).rmdir()  # it is still in meta.json
    with pytest.raises(InputError, match=rf"folder .*{SECOND} is missing"):
        load("youtubevos", root=root)


@pytest.mark.bad_input
def test_without_meta_objects_are_numbers(root: Path) -> None:
    (root / "train/meta.json").unlink()
    assert load("youtubevos", root=root).names == (FIRST, SECOND)
    with pytest.raises(InputError, match=r"meta\.json is missing.*labels='instance'"):
        load("youtubevos", root=root, labels="category")


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["", "[]", '{"videos": [1]}', '{"videos": {"a": {"objects": {"x": {}}}}}'])
def test_meta_that_cannot_be_read(root: Path, text: str) -> None:
    (root / "train/meta.json").write_text(text)
    for labels in ("instance", "category"):
        with pytest.raises(InputError, match=r"meta\.json must hold videos, each with numbered objects"):
            load("youtubevos", root=root, labels=labels)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("split", "category", "message"),
    [("train", "kangaroo", "'kangaroo', which is none of the 65"), ("valid", "", "'', which is none of the 65")],
)
def test_categories_that_cannot_be(tmp_path: Path, split: str, category: str, message: str) -> None:
    write_youtubevos(tmp_path, {"abc": [category]}, split=split)
    with pytest.raises(InputError, match=f"object 1 of video abc in .*{message}"):
        load("youtubevos", root=tmp_path, split=split, labels="category")


@pytest.mark.bad_input
def test_ids_that_cannot_be(root: Path) -> None:
    path = root / "train/Annotations" / SECOND / "00000.png"
    write_mask(path, mask(3, SIZE))
    assert load("youtubevos", root=root).clip(SECOND).label is not None
    with pytest.raises(InputError, match=rf"{SECOND}/00000\.png holds id 3 at 12 pixels, legal are 0 to 2, 255"):
        load("youtubevos", root=root, labels="category").clip(SECOND)
    write_mask(path, np.full(SIZE, 77, np.uint8))
    with pytest.raises(InputError, match=r"holds id 77 at 240 pixels, legal are 0 to 20, 255"):
        load("youtubevos", root=root).clip(SECOND)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=rf"{SECOND}/00000\.png .*cannot be decoded"):
        load("youtubevos", root=root).clip(SECOND)


@pytest.mark.bad_input
def test_options_and_roots_that_do_not_fit(root: Path) -> None:
    for options, message in (
        ({"labels": "semantic"}, "labels of YouTube-VOS must be one of instance, category, got 'semantic'"),
        ({"all_frames": "False"}, "all_frames of YouTube-VOS must be True or False, got 'False'"),
        ({"all_frames": True}, "no folder train_all_frames/JPEGImages or all_frames/train_all_frames/JPEGImages"),
        ({"split": "valid"}, "no folder valid/JPEGImages.*root must hold train, valid or test"),
        ({"split": "val"}, "legal: train, valid, test"),
    ):
        with pytest.raises(InputError, match=message):
            load("youtubevos", root=root, **options)
    (root / "test/JPEGImages").mkdir(parents=True)
    with pytest.raises(InputError, match="test/JPEGImages has no videos"):
        load("youtubevos", root=root, split="test")


def test_meta_names_what_should_be_there(root: Path) -> None:
    meta = json.loads((root / "train/meta.json").read_text())
    del meta["videos"][SECOND]
    (root / "train/meta.json").write_text(json.dumps(meta))
    assert load("youtubevos", root=root).names == (FIRST, SECOND)
