"""Frames in files: what is known of some of them, sizes that differ, labels of every kind, cameras that follow."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import pose
from PIL import Image

from stc_lab.data import SourceInfo
from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.framing import Framing
from stc_lab.data.image_files import id_lookup, read_labels
from stc_lab.data.pose_files import read_pose
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

INFO = SourceInfo(
    "drawn",
    frame_rate=10.0,
    has=frozenset({"label", "depth", "intrinsics", "pose"}),
    licence="none",
    reference="none",
    classes=("sky", "road", "car"),
    label_ids={17: 0, 49: 1, 33: 2, 161: 2},
    ignore_ids={0: "others", 255: "void"},
    depth_per_metre=200.0,
)
SIZE = (8, 12)


def sequences(tree: Tree, *, poses: str = "given") -> Iterator[FileSequence]:
    """Sequence `a`: every second frame labelled, the third without depth; `b`: larger, no camera, no pose, no label."""
    names = tree.numbered("a", suffix=".jpg")
    numbers = list(names)
    T = np.stack([pose(n) for n in numbers])
    T[-1] = np.nan
    files = [f"poses/{n}.txt" for n in numbers[:-1]]
    yield FileSequence(
        "a",
        numbers,
        [f"a/{name}" for name in names.values()],
        label=[f"labels/{n}.png" if n % 2 == 0 else None for n in numbers],
        depth=[f"depth/{n}.png" if n != 2 else None for n in numbers],
        camera=Camera.from_parameters(10, 11, 5.5, 3.5, height=8, width=12, dtype=torch.float64),
        pose=T if poses == "given" else [*files, None],
        skipped={"no pose": 2},
    )
    yield FileSequence("b", [0, 1], ["b/0.png", "b/1.png"], skipped={"no pose": 1, "blurred": 4})
    yield FileSequence("c", [], [], skipped={"blurred": 3})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "labels", "depth", "poses"):
        (tmp_path / name).mkdir()
    label = np.full(SIZE, 49, np.uint8)
    label[0], label[1], label[2] = 17, 161, 0
    for n in range(5):
        Image.fromarray(np.full((*SIZE, 3), 40 * n, np.uint8)).save(tmp_path / "a" / f"{n}.jpg")
        Image.fromarray(label).save(tmp_path / "labels" / f"{n}.png")
        Image.fromarray(np.full(SIZE, 400 + n, np.uint16)).save(tmp_path / "depth" / f"{n}.png")
        np.savetxt(tmp_path / "poses" / f"{n}.txt", pose(n))
    for n in range(2):
        Image.fromarray(np.full((6, 6, 3), 100 + n, np.uint8)).save(tmp_path / "b" / f"{n}.png")
    return tmp_path


def test_what_some_frames_lack(root: Path) -> None:
    videos = file_videos(INFO, root, sequences)
    assert (videos.names, videos.has) == (("a", "b"), INFO.has)
    assert videos.skipped == {"no pose": 3, "blurred": 7}
    assert videos.rows_with("label").tolist() == [0, 2, 4]
    assert videos.rows_with("label", "depth").tolist() == [0, 4]
    assert videos.rows_with("pose").tolist() == [0, 1, 2, 3]
    assert videos.rows_with("intrinsics").tolist() == [0, 1, 2, 3, 4]
    assert videos.rows_with().tolist() == list(range(7))
    clip = videos.clip("a")
    assert clip.label is not None and clip.depth is not None
    assert clip.label[:, :4, 0].tolist() == [[0, 2, 255, 1], [255] * 4] * 2 + [[0, 2, 255, 1]]
    torch.testing.assert_close(clip.depth.amax((1, 2, 3)), torch.tensor([400, 401, 0, 403, 404]) / 200)
    assert clip.T_world_camera is None  # the last frame has no pose
    assert clip.camera is not None
    posed = videos.clip("a", stop=4).T_world_camera
    assert posed is not None and np.allclose(posed[3], pose(3))
    bare = videos.clip("b")
    assert bare.label is not None and (bare.label == 255).all()  # the data set has labels, these frames have none
    assert bare.depth is not None and (bare.depth == 0).all()
    assert bare.camera is None and bare.T_world_camera is None
    with pytest.raises(InputError, match=r"has no T_world_camera.*rows_with"):
        clip.require("T_world_camera")


def test_what_no_frame_knows_is_none(root: Path) -> None:
    videos = file_videos(INFO, root, only_b)
    assert videos.has == frozenset()
    clip = videos.clip("b")
    assert (clip.label, clip.depth, clip.camera, clip.T_world_camera) == (None, None, None, None)
    assert len(videos.rows_with("depth")) == 0
    assert "images only" in repr(videos)


def only_b(tree: Tree) -> Iterator[FileSequence]:
    yield FileSequence("b", [0, 1], ["b/0.png", "b/1.png"])


def test_videos_of_several_sizes(root: Path) -> None:
    videos = file_videos(INFO, root, sequences)
    assert (videos.size_of("a"), videos.size_of("b")) == (SIZE, (6, 6))
    with pytest.raises(InputError, match=r"have no one size: 6 x 6, 8 x 12.*resized"):
        assert videos.size
    with pytest.raises(InputError, match=r"several sizes: 6 x 6, 8 x 12 px.*resized"):
        videos.frames([4, 5])
    small = videos.resized((4, 6))
    clip = small.frames([6, 1, 5, 0])
    assert clip.video == ("b", "a", "b", "a")
    assert clip.image.shape == (4, 3, 4, 6)
    torch.testing.assert_close(clip.image[:, 0, 2, 2], torch.tensor([101, 40, 100, 0]) / 255, atol=0.01, rtol=0)
    assert clip.camera is None and clip.T_world_camera is None  # b's frames have none
    assert small.size == (4, 6) and small.stored_size_of("b") == (6, 6)
    assert small.frames([0]).camera is not None
    kept = small.in_memory()
    assert torch.equal(kept.frames([6, 1]).image, small.frames([6, 1]).image)
    assert kept.frames([0, 1]).camera is not None  # in memory, a clip knows what it knew before
    assert kept.frames([0, 6]).camera is None


def halved(size: tuple[int, int]) -> Framing:
    """Rows 2 to 6, at half size."""
    return Framing(crop=(2, 0, 4, size[1]), size=(2, size[1] // 2))


def test_framing_moves_image_labels_depth_and_camera_alike(root: Path) -> None:
    ramp = np.tile(np.arange(8, dtype=np.uint8)[:, None, None] * 20, (1, 12, 3))
    Image.fromarray(ramp).save(root / "a" / "0.jpg", quality=100)
    whole = file_videos(INFO, root, sequences).frames([0])
    framed = file_videos(INFO, root, sequences, FileFormat(framing=halved))
    assert (framed.size_of("a"), framed.size_of("b")) == ((2, 6), (2, 3))
    clip = framed.frames([0])
    assert clip.image.shape == (1, 3, 2, 6)
    assert whole.camera is not None and clip.camera is not None and clip.label is not None
    assert torch.equal(clip.camera.K, whole.camera.cropped(2, 0, 4, 12).resized(2, 6).K)
    assert clip.label[0, :, 0].tolist() == [1, 1]  # of rows 3 and 5
    point = torch.tensor([0.3, -0.1, 2.0, 1.0])
    before, after = (camera.K[0] @ point[:3] / point[2] for camera in (whole.camera, clip.camera))
    assert after[0] == pytest.approx((float(before[0]) + 0.5) / 2 - 0.5)
    assert after[1] == pytest.approx((float(before[1]) - 2 + 0.5) / 2 - 0.5)
    assert framed.resized((4, 12)).frames([0]).camera.size == (4, 12)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"crop \(6, 0, 4, 12\).*leaves the 8 x 12 image"):
        file_videos(INFO, root, sequences, FileFormat(framing=outside))


def outside(size: tuple[int, int]) -> Framing:
    return Framing(crop=(6, 0, 4, 12))


def to_depth(size: tuple[int, int]) -> Framing:
    return Framing(size=(4, 6))


def test_colour_is_brought_to_the_size_of_depth(root: Path) -> None:
    values = np.arange(24, dtype=np.uint16).reshape(4, 6) + 200
    for n in range(5):
        Image.fromarray(values).save(root / "depth" / f"{n}.png")
    with pytest.raises(InputError, match=r"depth map .*0\.png is 4 x 6 px, but its image .*0\.jpg is 8 x 12 px"):
        file_videos(INFO, root, sequences).frames([0])
    clip = file_videos(INFO, root, sequences, FileFormat(framing=to_depth, same_view=True)).frames([0, 2])
    assert clip.depth is not None and clip.camera is not None and clip.label is not None
    assert torch.equal(clip.depth[0, 0], torch.from_numpy(values.astype(np.float32)) / 200)  # not resampled at all
    assert (clip.depth[1] == 0).all()
    assert clip.image.shape[-2:] == clip.label.shape[-2:] == clip.camera.size == (4, 6)
    assert float(clip.camera.K[0, 0, 0]) == 5.0


def test_poses_in_files_of_their_own(root: Path) -> None:
    form = FileFormat(read_pose=read_pose)
    videos = file_videos(INFO, root, partial(sequences, poses="files"), form)
    assert videos.rows_with("pose").tolist() == [0, 1, 2, 3]
    assert videos.clip("a").T_world_camera is None
    posed = videos.clip("a", stop=2).T_world_camera
    assert posed is not None and np.allclose(posed[1], pose(1))
    np.savetxt(root / "poses" / "1.txt", np.diag([2, 1, 1, 1.0]))
    with pytest.raises(InputError, match=r"1\.txt.*no rigid motion"):
        videos.clip("a", stop=2)


def test_a_pose_that_is_no_rigid_motion_names_its_frame(root: Path) -> None:
    with pytest.raises(InputError, match=r"pose of image .*a/0\.jpg.*no rigid motion"):
        file_videos(INFO, root, scaled).clip("a", stop=1)


def scaled(tree: Tree) -> Iterator[FileSequence]:
    yield FileSequence("a", [0], ["a/0.jpg"], pose=np.diag([2.0, 2, 2, 1])[None])


def test_sequences_are_cut_at_gaps_and_sorted(root: Path) -> None:
    (root / "a" / "2.jpg").unlink()
    videos = file_videos(INFO, root, sequences)
    assert {name: videos.frame_count(name) for name in videos.names} == {"a-1": 2, "a-2": 2, "b": 2}
    clip = videos.clip("a-2")
    assert clip.time.tolist() == pytest.approx([0, 0.1])
    assert clip.depth is not None and clip.depth.amax((1, 2, 3)).tolist() == pytest.approx([403 / 200, 404 / 200])
    turned = FileSequence("x", [4, 2, 3], ["4", "2", "3"], time=np.array([7.5, 7.0, 7.2]), pose=np.zeros((3, 4, 4)))
    (video,) = turned.videos(10.0)
    assert (list(video.image), np.round(video.time, 9).tolist()) == (["2", "3", "4"], [0, 0.2, 0.5])


def test_columns_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="has 2 images, but 1 values of number"):
        FileSequence("x", [0], ["a", "b"])
    with pytest.raises(InputError, match="one camera, or one for each of its 3 images, got 2"):
        FileSequence("x", [0, 1, 2], ["a", "b", "c"], camera=Camera(torch.eye(3).repeat(2, 1, 1), 4, 4))


def test_what_the_info_does_not_name_is_refused(root: Path) -> None:
    bare = replace(INFO, has=frozenset({"label"}), depth_per_metre=None)
    with pytest.raises(InputError, match="sequence 'a' has depth, which the info of 'drawn' does not name"):
        file_videos(bare, root, sequences)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    ids = np.array([[0, 3], [4000, 300]], np.uint16)
    Image.fromarray(ids).save(tmp_path / "wide.png")
    lookup = id_lookup({0: 0, 3: 1, 300: 7, 4000: 2})
    assert read_labels(tmp_path / "wide.png", lookup).tolist() == [[0, 1], [2, 7]]
    with pytest.raises(InputError, match=r"wide\.png holds id 300, 4000 at 2 pixels, legal are 0, 3"):
        read_labels(tmp_path / "wide.png", id_lookup({0: 0, 3: 1}))
    instances = np.array([[1001, 1002], [2001, 0]], np.uint16)
    Image.fromarray(instances).save(tmp_path / "instances.png")
    lookup = id_lookup({1: 0, 2: 1}, ignore=(0,))
    assert read_labels(tmp_path / "instances.png", lookup, divisor=1000).tolist() == [[0, 0], [1, 255]]
    palette = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8))
    palette.putpalette([v for i in range(256) for v in (255 - i, 7, i)])  # colours that are not the ids
    palette.save(tmp_path / "palette.png")
    assert read_labels(tmp_path / "palette.png", id_lookup({0: 0, 1: 1, 2: 2}, ignore=(255,))).tolist() == [
        [0, 1],
        [2, 255],
    ]


def test_videos_of_files_travel_to_other_processes(root: Path) -> None:
    videos = file_videos(INFO, root, sequences)
    sent = bytes(ForkingPickler.dumps(videos))
    again = ForkingPickler.loads(sent)
    assert torch.equal(again.frames([0, 3]).image, videos.frames([0, 3]).image)
    assert len(sent) < 100_000
