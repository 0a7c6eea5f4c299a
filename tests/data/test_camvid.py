"""CamVid in its true layout, and what its adapter refuses."""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from miniatures import CAMVID_SIZE, write_camvid
from PIL import Image

from stc_lab.data import load, supervised_rows
from stc_lab.data.sequences import evenly_spaced_runs
from stc_lab.errors import InputError

LONG = {"0001TP": [6690, 6720, 6750], "0016E5": [390, 420, 450, 1000, 1030, 1060, 1090]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "CamVid", LONG)


def test_true_layout(root: Path) -> None:
    videos = load("camvid", root=root)
    assert {name: videos.frame_count(name) for name in videos.names} == {"0001TP": 3, "0016E5-1": 3, "0016E5-2": 4}
    assert videos.size == CAMVID_SIZE
    clip = videos.clip("0016E5-2", start=1)
    numbers = (clip.image[:, 0, 3, 3] * 255).round() + 256 * (clip.image[:, 1, 3, 3] * 255).round()
    assert numbers.tolist() == [1030, 1060, 1090]
    assert clip.time.tolist() == [1.0, 2.0, 3.0]
    assert clip.label is not None
    assert clip.label[0, 0, 0] == 255  # void
    assert clip.label[0].unique().tolist() == [0, 3, 255]
    assert (clip.label[0, CAMVID_SIZE[0] // 2 :] == 3).all()
    assert clip.depth is None
    assert clip.camera is None
    assert videos.info.classes[3] == "Road"


def test_lists_with_other_prefixes_and_letters(tmp_path: Path) -> None:
    for i, prefix in enumerate(("", "./", "C:/data/CamVid/".replace("C:", "/c"))):
        root = write_camvid(tmp_path / str(i), {"Seq05VD": [0, 30]}, split="val", line_prefix=prefix, number="f{:05d}")
        assert load("camvid", root=root, split="val").clip("Seq05VD").time.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [
        ([5], [1]),
        ([5, 9], [2]),
        ([0, 30, 60, 90], [4]),
        ([0, 30, 60, 1000, 1030], [3, 2]),
        ([0, 30, 60, 67, 69, 71, 73], [3, 4]),  # 1 Hz, then 15 Hz
        ([0, 2, 4, 34, 64, 94], [3, 3]),  # the frame where the spacing changes stays with the first run
        ([0, 30, 45, 75, 105], [2, 3]),
    ],
)
def test_runs_never_straddle_a_break(numbers: list[int], runs: list[int]) -> None:
    found = evenly_spaced_runs(numbers)
    assert [len(run) for run in found] == runs
    assert [i for run in found for i in run] == list(range(len(numbers)))
    for run in found:
        assert len(set(np.diff([numbers[i] for i in run]))) <= 1


def test_opening_decodes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    load_pixels = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: decoded.append(1) or load_pixels(self))
    videos = load("camvid", root=root, size=(6, 8))
    videos.pairs(1)
    supervised_rows(videos, 3, seed=0)
    assert not decoded
    videos.frames([0])
    assert decoded


def image_of(root: Path) -> Path:
    return root / "train" / "0001TP_006720.png"


def label_of(root: Path) -> Path:
    return root / "trainannot" / "0001TP_006720.png"


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder .*nowhere of data set 'camvid' is missing.*typing error"):
        load("camvid", root=tmp_path / "nowhere")


def test_folder_without_list(root: Path) -> None:
    with pytest.raises(InputError, match=r"has no list file val\.txt.*root must be"):
        load("camvid", root=root, split="val")


def test_empty_list(root: Path) -> None:
    (root / "train.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"train\.txt names no frames"):
        load("camvid", root=root)


@pytest.mark.parametrize(
    "line",
    ["train/0001TP_6690.png", "a b c", "train/x.png trainannot/x.png", "train/a_1.png trainannot/a_2.png", "\x00 \xff"],
)
def test_unreadable_line_is_numbered(root: Path, line: str) -> None:
    with (root / "train.txt").open("a") as lists:
        lists.write(line + "\n")
    with pytest.raises(InputError, match=r"train\.txt, line 11 must"):
        load("camvid", root=root)


def test_frame_listed_twice(root: Path) -> None:
    with (root / "train.txt").open("a") as lists:
        lists.write("train/0001TP_006720.png trainannot/0001TP_006720.png\n")
    with pytest.raises(InputError, match=r"0001TP has the frame number 6720 twice"):
        load("camvid", root=root)


def test_missing_image_or_label(root: Path) -> None:
    label_of(root).unlink()
    with pytest.raises(InputError, match=r"label map .*annot/0001TP_006720\.png of image .* is missing"):
        load("camvid", root=root)
    image_of(root).unlink()
    with pytest.raises(InputError, match=r"image .*train/0001TP_006720\.png is missing"):
        load("camvid", root=root)


@pytest.mark.parametrize("which", [image_of, label_of])
@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_bytes(b""), lambda path: path.write_text("no")])
def test_damaged_picture_is_named(root: Path, which, damage) -> None:
    damage(which(root))
    videos = load("camvid", root=root)
    with pytest.raises(InputError, match=rf"{which(root)}.* cannot be decoded.*cut short"):
        videos.clip("0001TP")
    assert len(videos.clip("0001TP", stop=1)) == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncation_is_never_grey(root: Path, form: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*CAMVID_SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image_of(root), form)
    videos = load("camvid", root=root)
    expected = videos.clip("0001TP", start=1, stop=2).image
    whole = image_of(root).read_bytes()
    image_of(root).write_bytes(whole[: int(share * len(whole))])
    try:
        got = videos.clip("0001TP", start=1, stop=2).image
    except InputError as error:
        assert "cannot be decoded" in str(error)  # noqa: PT017
    else:  # only the bytes after the last pixel are lost
        assert share > 0.9
        assert torch.equal(got, expected)


def test_file_that_vanished_after_opening(root: Path) -> None:
    videos = load("camvid", root=root)
    image_of(root).unlink()
    with pytest.raises(InputError, match=r"006720\.png is missing.*changed after"):
        videos.clip("0001TP")


def test_label_id_out_of_range(root: Path) -> None:
    label = np.zeros(CAMVID_SIZE, np.uint8)
    label[2, 3] = 12
    label[4, :2] = 200
    Image.fromarray(label).save(label_of(root))
    with pytest.raises(InputError, match=r"006720\.png holds id 12, 200 at 3 pixels, legal are 0 to 11"):
        load("camvid", root=root).clip("0001TP")


def test_label_in_colours(root: Path) -> None:
    shutil.copy(image_of(root), label_of(root))
    with pytest.raises(InputError, match=r"annot/0001TP_006720\.png must have one 8-bit channel.*RGB.*colours"):
        load("camvid", root=root).clip("0001TP")


@pytest.mark.parametrize("which", [image_of, label_of])
def test_picture_of_another_size(root: Path, which) -> None:
    with Image.open(which(root)) as picture:
        picture.resize((8, 6)).save(which(root))
    with pytest.raises(InputError, match=r"006720\.png is 6 x 8 px, but .* is 12 x 16 px"):
        load("camvid", root=root).clip("0001TP")


def test_absurd_pixel_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stc_lab.data.image_files.MAX_PIXELS", 100)
    with pytest.raises(InputError, match=r"must have at most 100 pixels, got 16 x 12"):
        load("camvid", root=root)


def test_decompression_bomb(root: Path) -> None:
    data = image_of(root).read_bytes()
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + data[24:29]  # a PNG tells its size before all else
    image_of(root).write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(InputError, match=r"006720\.png must have at most 50000000 pixels"):
        load("camvid", root=root).clip("0001TP")


def test_depth_in_the_place_of_an_image(root: Path) -> None:
    Image.fromarray(np.zeros(CAMVID_SIZE, np.uint16)).save(image_of(root))
    with pytest.raises(InputError, match=r"006720\.png must be a colour or grey picture"):
        load("camvid", root=root).clip("0001TP")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_picture_modes_are_read(root: Path, mode: str) -> None:
    with Image.open(image_of(root)) as picture:
        picture.convert(mode).save(image_of(root))
    assert load("camvid", root=root).clip("0001TP").image.shape[1] == 3


@pytest.mark.real_data
def test_real_slices(real_data: Path) -> None:
    train = load("camvid", root=real_data / "camvid_1hz")
    assert len(train) == 181
    assert {name.split("-")[0] for name in train.names} == {"0001TP", "0006R0", "0016E5"}
    assert train.frame_count("0001TP") == 62
    assert train.frame_count("0006R0") == 51
    val = load("camvid", root=real_data / "camvid_15hz", split="val")
    assert (val.names, len(val), val.size) == (("0016E5",), 52, (360, 480))
    clip = val.clip("0016E5", step=6)
    assert torch.allclose(clip.time[1] - clip.time[0], torch.tensor(12 / 30))
    assert clip.label is not None
    share = torch.bincount(clip.label[clip.label < 255], minlength=11) / clip.label.numel()
    published = torch.tensor([9.2, 26.0, 0.6, 29.0, 8.7, 16.3, 0.9, 3.1, 1.8, 0.65, 2.2]) / 100  # whole val split
    assert (share - published).abs().max() < 0.05
    assert 0.1 < float(clip.image.mean()) < 0.6
