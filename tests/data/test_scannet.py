"""ScanNet in the layouts of its exports, and what its adapter refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_scannet import (
    COLOR,
    COLOR_K,
    DEPTH,
    DEPTH_K,
    intrinsics,
    label,
    pack_labels,
    sizes,
    write_label_map,
    write_scan,
    write_scan_of_cpp_reader,
    write_scannet,
)
from miniatures import pose
from PIL import Image

from stc_lab.data import Clip, Videos, load
from stc_lab.data.check import check
from stc_lab.data.load import open_source
from stc_lab.data.scannet import BENCHMARK, INFO, OTHERS, label_map
from stc_lab.data.scannet_scene import LOST
from stc_lab.errors import InputError

SCENE = "scene0000_00"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_scannet(tmp_path / "scannet")


@pytest.fixture
def scan(root: Path) -> Path:
    return root / "scans" / SCENE


def open_one(root: Path, **options: Any) -> Videos:
    return load("scannet", root=root, scenes=SCENE, **options)


def ids_of(clip: Clip) -> list[int]:
    """The labels of the first frame's columns, each once, from left to right."""
    assert clip.label is not None
    row = clip.label[0, 0].tolist()
    return [a for i, a in enumerate(row) if i == 0 or a != row[i - 1]]


def frame_numbers(videos: Videos) -> dict[str, list[int]]:
    """The number that each frame's pose tells."""
    found = {}
    for name in videos.names:
        T_world_camera = videos.clip(name).T_world_camera
        assert T_world_camera is not None
        found[name] = (T_world_camera[:, 0, 3] / 0.1).round().int().tolist()
    return found


def test_true_layout(root: Path) -> None:
    train, val = load("scannet", root=root), load("scannet", root=root, split="val")
    assert {name: train.frame_count(name) for name in train.names} == {SCENE: 2, "scene0000_01": 2}
    assert val.names == ("scene0011_00",)
    assert train.has == {"label", "depth", "intrinsics", "pose"}
    assert not train.skipped
    clip = train.clip(SCENE)
    assert clip.T_world_camera is not None and clip.depth is not None
    assert np.allclose(clip.T_world_camera, np.stack([pose(0), pose(1)]), atol=1e-5)  # camera-to-world, as stored
    assert clip.depth[:, 0, 5, 5].tolist() == pytest.approx([1.0, 1.001])  # mm
    assert (clip.depth[..., 0] == 0).all()
    assert clip.time.tolist() == pytest.approx([0, 1 / 30])
    assert ids_of(clip) == [255, 1, 5, 2]  # unlabelled, wall, chair, floor


@pytest.mark.parametrize("place", ["scans", "scans_test", "."])
def test_places_of_scans_and_lists(tmp_path: Path, place: str) -> None:
    write_scan(tmp_path / "copy" / place / SCENE, [0])
    (tmp_path / "scannetv2_test.txt").write_text(SCENE + "\n")  # beside the root is as good as in it
    assert load("scannet", root=tmp_path / "copy", split="test").names == (SCENE,)


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    write_scan(tmp_path / SCENE, range(8, 13))
    videos = open_one(tmp_path)
    assert frame_numbers(videos) == {SCENE: [8, 9, 10, 11, 12]}
    red = videos.clip(SCENE).image[:, 0, 3, 3] * 255  # of the image it is the pose of; JPEG keeps it nearly
    assert red.tolist() == pytest.approx([8, 9, 10, 11, 12], abs=1.5) and red[-1] > red[0] + 2


@pytest.mark.parametrize("spelling", ["-inf", "-Infinity", "-1.#INF00"])
@pytest.mark.parametrize("cpp", [False, True])
def test_lost_frames_are_left_out_and_counted(tmp_path: Path, spelling: str, cpp: bool) -> None:
    write = write_scan_of_cpp_reader if cpp else write_scan
    write(tmp_path / SCENE, range(7), lost=[0, 3, 4])
    for path in tmp_path.rglob("*.txt"):
        path.write_text(path.read_text().replace("-inf", spelling))
    videos = open_one(tmp_path)
    assert frame_numbers(videos) == {f"{SCENE}-1": [1, 2], f"{SCENE}-2": [5, 6]}  # no pair across the loss
    assert videos.skipped == {LOST: 3}


def test_a_scan_that_is_lost_as_a_whole(tmp_path: Path) -> None:
    write_scan(tmp_path / SCENE, [0, 1], lost=[0, 1])
    write_scan(tmp_path / "scene0001_00", [0])
    videos = load("scannet", root=tmp_path, scenes=[SCENE, "scene0001_00"])
    assert videos.names == ("scene0001_00",)
    assert videos.skipped == {LOST: 2}
    with pytest.raises(InputError, match=r"has no frames; skipped: 2 x pose of -inf"):
        open_one(tmp_path)


def test_colour_is_brought_to_the_depth_with_its_camera(tmp_path: Path) -> None:
    """A point is seen at the same place of the view before and after; sizes and intrinsics are the true ones."""
    write_scan(tmp_path / SCENE, [0], scale=1, labels="label-filt", ids=[1, 2], bits=8)
    videos = open_one(tmp_path)
    assert (videos.size, videos.stored_size_of(SCENE)) == (DEPTH, COLOR)
    clip = videos.clip(SCENE)
    assert clip.camera is not None and clip.label is not None and clip.depth is not None
    assert clip.image.shape[-2:] == clip.label.shape[-2:] == clip.depth.shape[-2:] == DEPTH
    assert clip.label[0, 7].tolist() == [1] * 320 + [2] * 320  # nearest, never mixed
    point = np.array([0.4, -0.3, 2.0])
    stored = (intrinsics(COLOR_K)[:3, :3] @ point)[:2] / point[2]
    x, y = (stored + 0.5) * [640 / 1296, 480 / 968] - 0.5
    seen = clip.camera.K[0].double().numpy() @ point
    assert (seen[:2] / seen[2]).tolist() == pytest.approx([x, y], abs=1e-3)
    depth_camera = open_one(tmp_path, camera="depth").clip(SCENE).camera
    assert depth_camera is not None
    torch.testing.assert_close(depth_camera.K[0].double().numpy(), intrinsics(DEPTH_K)[:3, :3], rtol=1e-6, atol=0)


def test_images_exported_smaller_keep_their_size(tmp_path: Path) -> None:
    """Beside the intrinsics of the recorded size, which these then are not of."""
    write_scan(tmp_path / SCENE, [0], scale=16)
    color, _ = sizes(16)
    clip = open_one(tmp_path).clip(SCENE)
    assert clip.camera is not None and clip.depth is not None
    assert clip.image.shape[-2:] == clip.depth.shape[-2:] == color
    assert float(clip.camera.K[0, 0, 0]) == pytest.approx(COLOR_K[0] * color[1] / COLOR[1])
    assert float(clip.camera.K[0, 1, 2]) == pytest.approx((COLOR_K[3] + 0.5) * color[0] / COLOR[0] - 0.5)


def test_export_of_the_cpp_reader(tmp_path: Path) -> None:
    write_scan_of_cpp_reader(tmp_path / SCENE / "frames", [0, 1], scale=1)
    label_ids = label([0, 1], COLOR, bits=8)
    (tmp_path / SCENE / "label-filt").mkdir()
    for n in (0, 1):
        Image.fromarray(label_ids).save(tmp_path / SCENE / "label-filt" / f"{n}.png", compress_level=1)
    write_scan(tmp_path / "other" / SCENE, [0, 1], scale=1)
    one, other = (open_one(place).clip(SCENE) for place in (tmp_path, tmp_path / "other"))
    assert one.camera is not None and other.camera is not None
    torch.testing.assert_close(one.camera.K, other.camera.K, rtol=1e-5, atol=0)
    assert one.depth is not None and other.depth is not None and one.T_world_camera is not None
    assert one.depth.equal(other.depth)
    assert np.allclose(one.T_world_camera[1], pose(1), atol=1e-5)
    assert ids_of(one) == [255, 1]  # labels are named by the number alone


def test_frames_25k(tmp_path: Path) -> None:
    write_scan(
        tmp_path / SCENE,
        [0, 100, 200],
        stem="{:06d}",
        camera="intrinsics_{}.txt",
        labels="label",
        ids=[0, 1, 13, 39],
        bits=8,
    )
    clip = open_one(tmp_path).clip(SCENE)
    assert clip.camera is not None
    assert clip.time.tolist() == pytest.approx([0, 10 / 3, 20 / 3])
    assert ids_of(clip) == [255, 1, 0, 20]  # NYU40 at once: unlabelled, wall, background (blinds), otherfurniture


def test_intrinsics_of_the_scene_file(tmp_path: Path) -> None:
    write_scan(tmp_path / SCENE, [0])
    for path in (tmp_path / SCENE / "intrinsic").iterdir():
        path.unlink()
    assert "intrinsics" not in open_one(tmp_path).has
    values = dict(zip(("fx", "fy", "mx", "my"), COLOR_K, strict=True))
    lines = [f"{name}_color = {value}" for name, value in values.items()]
    (tmp_path / SCENE / f"{SCENE}.txt").write_text("\n".join([*lines, "colorHeight = 968", "colorWidth = 1296"]))
    clip = open_one(tmp_path).clip(SCENE)
    assert clip.camera is not None
    assert float(clip.camera.K[0, 0, 0]) == pytest.approx(COLOR_K[0] * 81 / 1296)


def test_what_was_not_exported_is_unknown(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / SCENE, [0, 1], lost=[1])
    for kind in ("depth", "pose", "intrinsic"):
        (scan / kind).rename(scan / f"{kind}-not")
    videos = open_one(tmp_path)
    assert videos.has == frozenset()
    assert len(videos) == 2


def test_all_ids_of_nyu40(tmp_path: Path) -> None:
    """Every id is one of the benchmark's 20, background, or unlabelled; `classes=20` ignores the latter two."""
    assert set(BENCHMARK) | set(OTHERS) == set(range(1, 41)) and not set(BENCHMARK) & set(OTHERS)
    assert INFO.classes[0] == "background" and len(INFO.classes) == 21
    assert INFO.classes[1:4] == ("wall", "floor", "cabinet") and INFO.classes[20] == "otherfurniture"
    write_scan(tmp_path / SCENE, [0], labels="label", ids=range(41), bits=8)
    full = ids_of(open_one(tmp_path).clip(SCENE))
    bench = open_one(tmp_path, classes=20)
    small = ids_of(bench.clip(SCENE))
    in_order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]  # train ids 0..19 of ScanNet's
    names = [BENCHMARK.get(n) for n in range(41)]
    assert [BENCHMARK[n] for n in in_order] == list(bench.info.classes)
    assert full == collapsed([255, *(in_order.index(n) + 1 if names[n] else 0 for n in range(1, 41))])
    assert small == collapsed([255, *(in_order.index(n) if names[n] else 255 for n in range(1, 41))])


def collapsed(values: list[int]) -> list[int]:
    return [a for i, a in enumerate(values) if i == 0 or a != values[i - 1]]


def test_own_ids_go_through_the_published_table(tmp_path: Path) -> None:
    own = [0, 1, 1163, 40, 1357, 21]
    write_scan(tmp_path / "scans" / SCENE, [0], labels="label-filt", ids=own)
    write_label_map(tmp_path / "scannetv2-labels.combined.tsv")
    # unlabelled, wall, otherfurniture, floor mat, NYU40 id 0, no NYU40 id
    assert ids_of(open_one(tmp_path).clip(SCENE)) == [255, 1, 20, 0, 255, 0]
    assert ids_of(open_one(tmp_path / "scans", classes=20).clip(SCENE)) == [255, 0, 19, 255]
    assert label_map(tmp_path)[1163] == 39


def test_ids_can_be_said(tmp_path: Path) -> None:
    write_scan(tmp_path / SCENE, [0], labels="label", ids=[1, 2], bits=16)
    write_label_map(tmp_path / "scannetv2-labels.combined.tsv")
    assert ids_of(open_one(tmp_path).clip(SCENE)) == [1, 5]  # ScanNet's own 2 is a chair
    assert ids_of(open_one(tmp_path, ids="nyu40").clip(SCENE)) == [1, 2]  # NYU40's 2 is the floor


def test_cleaned_labels_come_first(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / SCENE, [0], labels="label", ids=[1], bits=8)
    (scan / "label-filt").mkdir()
    Image.fromarray(label([2], sizes(16)[0], bits=8)).save(scan / "label-filt" / "0.png")
    assert ids_of(open_one(tmp_path).clip(SCENE)) == [2]
    assert ids_of(open_one(tmp_path, labels="label").clip(SCENE)) == [1]
    assert "label" not in open_one(tmp_path, labels="none").has


def test_packed_labels(root: Path, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(root / "cache"))
    expected = ids_of(open_one(root).clip(SCENE))
    pack_labels(scan)
    with pytest.raises(InputError, match=r"still packed: .*_2d-label-filt\.zip.*unpack=True"):
        open_one(root)
    assert ids_of(open_one(root, unpack=True).clip(SCENE)) == expected
    assert "label" not in open_one(root, labels="none").has


def test_scans_as_text(root: Path) -> None:
    assert load("scannet", root=root, scenes=f"{SCENE},scene0011_00").names == (SCENE, "scene0011_00")


def test_depth_and_labels_of_other_sizes_show_the_same_view(root: Path) -> None:
    assert check(open_source("scannet", root=root)).sound


@pytest.mark.bad_input
def test_wrong_root_and_lists(tmp_path: Path, root: Path) -> None:
    with pytest.raises(InputError, match=r"has no list file scannetv2_train\.txt.*Tasks/Benchmark"):
        load("scannet", root=tmp_path)
    (root / "scannetv2_train.txt").write_text("\n")
    with pytest.raises(InputError, match=r"scannetv2_train\.txt names no scans"):
        load("scannet", root=root)
    (root / "scannetv2_train.txt").write_text(f"{SCENE}\n../../etc\n")
    with pytest.raises(InputError, match=r"a scan must be named like scene0000_00, got '\.\./\.\./etc'"):
        load("scannet", root=root)
    (root / "scannetv2_train.txt").write_text(f"{SCENE}\nscene0500_00\n")
    with pytest.raises(InputError, match=r"scan scene0500_00 is neither in .* nor in its folders scans and scans_test"):
        load("scannet", root=root)
    assert len(open_source("scannet", root=root)) == 2  # what is there can be looked at all the same


@pytest.mark.bad_input
def test_scan_that_was_not_exported(root: Path) -> None:
    (root / "scans" / "scene0500_00").mkdir()
    (root / "scans" / "scene0500_00" / "scene0500_00.sens").write_bytes(b"\x04\x00\x00\x00")
    with pytest.raises(InputError, match=r"scene0500_00 has no frames: neither color/.*export scene0500_00\.sens"):
        load("scannet", root=root, scenes=["scene0500_00"])
    (root / "scans" / "scene0500_00" / "color").mkdir()
    with pytest.raises(InputError, match=r"scene0500_00 has no colour images.*interrupted"):
        load("scannet", root=root, scenes=["scene0500_00"])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("depth/1.png", r"depth map .*depth/1\.png of image .*color/1\.jpg is missing"),
        ("pose/1.txt", r"pose file .*pose/1\.txt of image .*color/1\.jpg is missing"),
        ("label-filt/1.png", r"label map .*label-filt/1\.png of image .*color/1\.jpg is missing"),
    ],
)
def test_missing_files_are_named(root: Path, scan: Path, file: str, message: str) -> None:
    (scan / file).unlink()
    with pytest.raises(InputError, match=message):
        open_one(root)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def of_8_bits(path: Path) -> None:
    Image.fromarray(np.ones(DEPTH, np.uint8)).save(path)


def with_nan(path: Path) -> None:
    path.write_text(path.read_text().replace("0.020000", "nan"))


def doubled(path: Path) -> None:
    np.savetxt(path, pose(1) @ np.diag([2, 2, 2, 1]), fmt="%f")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("color/1.jpg", cut, r"color/1\.jpg .* cannot be decoded"),
        ("depth/1.png", cut, r"depth/1\.png .* cannot be decoded"),
        ("depth/1.png", of_8_bits, r"depth/1\.png must have one 16-bit channel"),
        ("label-filt/1.png", cut, r"label-filt/1\.png .* cannot be decoded"),
        ("pose/1.txt", cut, r"pose/1\.txt must hold"),
        ("pose/1.txt", with_nan, r"pose/1\.txt holds NaN"),
        ("pose/1.txt", doubled, r"pose/1\.txt is no rigid motion"),
    ],
)
def test_damaged_files_are_named(
    root: Path, scan: Path, file: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(scan / file)
    with pytest.raises(InputError, match=message):
        open_one(root).clip(SCENE)
    problems = check(open_source("scannet", root=root, scenes=SCENE)).problems
    assert len(problems) == 1 and file in problems[0]


@pytest.mark.bad_input
def test_ids_that_the_table_does_not_know(tmp_path: Path) -> None:
    write_scan(tmp_path / SCENE, [0], labels="label-filt", ids=[1, 999])
    write_label_map(tmp_path / "scannetv2-labels.combined.tsv")
    with pytest.raises(InputError, match=r"label-filt/0\.png holds id 999 at"):
        open_one(tmp_path).clip(SCENE)
    write_scan(tmp_path / "b" / SCENE, [0], labels="label", ids=[1, 41], bits=8)
    with pytest.raises(InputError, match=r"label/0\.png holds id 41 at .* legal are 0 to 40"):
        open_one(tmp_path / "b").clip(SCENE)


@pytest.mark.bad_input
def test_two_kinds_of_ids_in_one_copy(root: Path) -> None:
    write_scan(root / "scans" / "scene0700_00", [0], labels="label", bits=8)
    with pytest.raises(InputError, match=r"scene0700_00/label/0\.png has 8 bits, those of other scans have 16"):
        load("scannet", root=root, scenes=[SCENE, "scene0700_00"])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"16 bits\) need scannetv2-labels\.combined\.tsv in .*--label_map"),
        ("id\tcategory\n1\twall\n", r"has no column nyu40id"),
        ("id\tnyu40id\n", r"maps no ids"),
        ("id\tnyu40id\n1\t1\nx\t2\n", r"line 3 must give whole numbers as id and nyu40id"),
        ("id\tnyu40id\n1\t1\n2\t41\n", r"line 3 maps id 2 to 41: NYU40 has the ids 1 to 40"),
        ("id\tnyu40id\n1\t1\n1\t2\n", r"line 3 maps id 1 to 2: .*an id stands for one"),
    ],
)
def test_bad_table_of_ids(root: Path, text: str | None, message: str) -> None:
    table = root / "scannetv2-labels.combined.tsv"
    table.unlink()
    if text is not None:
        table.write_text(text)
    with pytest.raises(InputError, match=message):
        load("scannet", root=root)
    assert len(load("scannet", root=root, labels="none")) == 4


@pytest.mark.bad_input
def test_bad_intrinsics(root: Path, scan: Path) -> None:
    path = scan / "intrinsic" / "intrinsic_color.txt"
    np.savetxt(path, intrinsics((500, 500, 100, 100)), fmt="%f")
    with pytest.raises(InputError, match=r"intrinsic_color\.txt have the principal point \(100, 100\).*81 x 60 or"):
        open_one(root)
    path.write_text("1 2 3\n")
    with pytest.raises(InputError, match=r"intrinsic_color\.txt must hold 4 rows of 4 numbers"):
        open_one(root)
    write_scan_of_cpp_reader(root / "cpp" / SCENE, [0])
    info = root / "cpp" / SCENE / "_info.txt"
    info.write_text(info.read_text().split("m_calibrationDepth")[0].replace(" 1 \n", "\n"))
    with pytest.raises(InputError, match=r"_info\.txt must give m_colorHeight, m_colorWidth, m_calibrationColorIntr"):
        open_one(root / "cpp")


@pytest.mark.bad_input
def test_archive_of_something_else(root: Path, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(root / "cache"))
    archive = pack_labels(scan)
    archive.rename(archive.with_name(f"{SCENE}_2d-label.zip"))
    with pytest.raises(InputError, match=r"_2d-label\.zip has no folder label/"):
        open_one(root, unpack=True)
    cut(archive.with_name(f"{SCENE}_2d-label.zip"))
    with pytest.raises(InputError, match=r"_2d-label\.zip is neither a zip nor a tar archive"):
        open_one(root, unpack=True)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [
        ("classes", 40, "20, 21"),
        ("camera", "left", "'color', 'depth'"),
        ("labels", "raw", "'label'"),
        ("ids", "x", "'nyu40'"),
    ],
)
def test_illegal_options(root: Path, option: str, value: object, legal: str) -> None:
    with pytest.raises(InputError, match=rf"option {option} of 'scannet' must be one of .*{legal}"):
        load("scannet", root=root, **{option: value})
