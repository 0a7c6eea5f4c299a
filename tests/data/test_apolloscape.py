"""ApolloScape in its true layouts: ids, depth, poses and cameras of both forms, and what the adapter refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cards import card
from mini_apolloscape import ORIGIN, SIZE, map_pose, stem, write_apolloscape, write_lists, write_record
from PIL import Image
from scipy.spatial.transform import Rotation

from stc_lab.data import load
from stc_lab.data.apolloscape import INFO, LANE_INFO, papadopoulos_framing
from stc_lab.data.apolloscape_files import read_poses, time_of
from stc_lab.data.load import open_source
from stc_lab.errors import InputError

FIVE, SIX = "road02_ins_Record001_Camera_5", "road02_ins_Record001_Camera_6"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_apolloscape(tmp_path / "apolloscape")


def camera_folder(root: Path, kind: str = "ColorImage", camera: int = 5) -> Path:
    return root / "road02_ins" / kind / "Record001" / f"Camera {camera}"


@pytest.mark.parametrize("form", ["archives", "types first", "road"])
def test_the_layouts_hold_the_same(tmp_path: Path, form: str) -> None:
    videos = load("apolloscape", root=write_apolloscape(tmp_path / "road02_ins", form=form))
    assert {name: videos.frame_count(name) for name in videos.names} == {FIVE: 3, SIX: 3}
    assert videos.size == SIZE
    assert len(videos.rows_with("label", "depth", "intrinsics", "pose")) == 6
    clip = videos.clip(FIVE)
    assert (clip.image[:, 0, 100, 100] * 25.5).tolist() == pytest.approx([0, 1, 2], abs=0.3)
    assert clip.time.tolist() == pytest.approx([0, 0.25, 0.5])  # of the names, not of a frame rate


def test_ids_become_classes(root: Path) -> None:
    label = load("apolloscape", root=root).clip(FIVE).label
    assert label is not None
    assert [INFO.classes[i] for i in label[0, ::55, 0].tolist() if i != 255] == ["sky", "car", "road"]
    assert label[0, ::55, 0].tolist() == [0, 1, 9, 255, 255]  # rover and unlabeled
    assert len(INFO.classes) == 22
    ids = INFO.stored_ids()
    assert [ids[single] == ids[single + 128] for single in range(33, 41)] == [True] * 8  # a thing and its group


def test_depth_is_in_two_hundredths_of_a_metre(root: Path) -> None:
    depth = load("apolloscape", root=root).clip(FIVE).depth
    assert depth is not None
    assert depth[0, 0, 0, :3].tolist() == [0, 0, 10]


def test_depth_may_be_left_out_and_may_lack_frames(root: Path) -> None:
    (root / "road02_ins_depth/Depth/Record001/Camera 5" / f"{stem(1)}.png").unlink()
    assert load("apolloscape", root=root).rows_with("depth").tolist() == [0, 2, 3, 4, 5]
    shutil.rmtree(root / "road02_ins_depth")
    videos = load("apolloscape", root=root)
    assert videos.clip(FIVE).depth is None
    assert "depth" not in videos.has


def test_poses_are_those_of_the_map_from_a_near_origin(root: Path) -> None:
    videos = load("apolloscape", root=root)
    five, six = videos.clip(FIVE), videos.clip(SIX)
    assert five.T_world_camera is not None and six.T_world_camera is not None
    origin = map_pose(0)[:3, 3]
    for clip, camera in ((five, 5), (six, 6)):
        expected = np.stack([map_pose(i, camera) for i in range(3)])
        expected[:, :3, 3] -= origin
        assert np.allclose(clip.T_world_camera, expected, atol=1e-6)  # float32 at 12 km would be off by 1 mm
    assert float(five.T_world_camera[0, :3, 3].abs().max()) == 0
    baseline = torch.linalg.inv(five.T_world_camera) @ six.T_world_camera
    assert torch.allclose(baseline[:, :3, 3], torch.tensor([0.6, 0, 0]), atol=1e-5)


def test_frames_without_a_pose(root: Path) -> None:
    path = camera_folder(root, "Pose") / "pose.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))  # the last frame's comes first
    videos = load("apolloscape", root=root)
    assert videos.rows_with("pose").tolist() == [0, 1, 3, 4, 5]
    assert videos.clip(FIVE).T_world_camera is None
    shutil.rmtree(root / "road02_ins" / "Pose")
    assert "pose" not in load("apolloscape", root=root).has


def test_a_frame_that_is_left_out_cuts_the_video(tmp_path: Path) -> None:
    root = write_apolloscape(tmp_path, range(6), cameras=[5])
    name = stem(2)
    (camera_folder(root) / f"{name}.jpg").unlink()  # its pose tells that it was there
    videos = load("apolloscape", root=root)
    assert {video: videos.frame_count(video) for video in videos.names} == {f"{FIVE}-1": 2, f"{FIVE}-2": 3}
    assert videos.clip(f"{FIVE}-2").time.tolist() == pytest.approx([0, 0.25, 0.5])


def test_one_camera(root: Path) -> None:
    assert load("apolloscape", root=root, camera=6).names == (SIX,)
    camera_folder(root, camera=6).rename(camera_folder(root).parent / "Camera 1")  # the files' names count
    shutil.rmtree(root / "road02_ins/Label")
    shutil.rmtree(root / "road02_ins/Pose")
    videos = load("apolloscape", root=root, camera=6)
    assert videos.names == (SIX,)
    assert videos.has == {"intrinsics"}  # depth of "Camera 1" does not lie there


def test_cameras_of_the_card_and_of_small_copies(tmp_path: Path) -> None:
    places = {"ColorImage": tmp_path / "road02_ins" / "ColorImage"}
    write_record(places, [0], size=(2710, 3384))
    write_record(places, [0], camera=6)
    videos = load("apolloscape", root=tmp_path)
    own = card("apolloscape")["camera"]
    assert videos.stored_size_of(FIVE) == (own["height"], own["width"])
    for name, given, size in ((FIVE, own, (2710, 3384)), (SIX, own["camera_6"], SIZE)):
        camera = videos.clip(name).camera
        assert camera is not None and camera.size == size
        sy, sx = size[0] / 2710, size[1] / 3384
        c = (given["cx"] + 0.5) * sx - 0.5, (given["cy"] + 0.5) * sy - 0.5
        expected = [[given["fx"] * sx, 0, c[0]], [0, given["fy"] * sy, c[1]], [0, 0, 1]]
        assert torch.allclose(camera.K[0], torch.tensor(expected), rtol=1e-6)
    framed = load("apolloscape", root=tmp_path, framing="papadopoulos")
    assert framed.size == (256, 832)
    ours = framed.clip(FIVE).camera
    assert ours is not None
    assert (ours.K[0, 0, 0] / ours.K[0, 1, 1]).item() == pytest.approx(own["fx"] / own["fy"], abs=3e-4)  # square pixels
    assert (ours.K[0, 1, 2] + 0.5).item() == pytest.approx((own["cy"] + 0.5 - 1346) * 256 / 1041, abs=1e-3)
    assert (ours.K[0, 0, 2] + 0.5).item() == pytest.approx((own["cx"] + 0.5) * 832 / 3384, abs=1e-3)


def test_the_crop_takes_the_same_rows_of_images_labels_and_depth(root: Path) -> None:
    rows = np.broadcast_to(np.arange(SIZE[0], dtype=np.uint16)[:, None], SIZE)
    Image.fromarray(np.ascontiguousarray(rows * 20)).save(
        root / "road02_ins_depth/Depth/Record001/Camera 5" / f"{stem(0)}.png"
    )
    picture = np.ascontiguousarray(np.broadcast_to((rows % 256).astype(np.uint8)[..., None], (*SIZE, 3)))
    Image.fromarray(picture).save(camera_folder(root) / f"{stem(0)}.jpg", quality=100)
    clip = load("apolloscape", root=root, framing="papadopoulos").clip(FIVE, stop=1)
    assert clip.image.shape == (1, 3, 256, 832)
    assert clip.depth is not None and clip.label is not None
    top, height = 135, 104
    expected = top + (torch.arange(256) + 0.5) * height / 256 - 0.5
    assert (clip.depth[0, 0, :, 400] * 10 - expected).abs().max() <= 0.5 + 1e-4  # rows count in tenths of a metre
    assert ((clip.image[0, 0, 2:-2, 400] * 255) - expected[2:-2]).abs().max() < 2
    assert clip.label[0].unique().tolist() == [9, 255]  # of the sky and the cars above nothing is left
    assert papadopoulos_framing((2710, 3384)).crop == (1346, 0, 1041, 3384)


def test_image_lists_make_splits(tmp_path: Path) -> None:
    root = write_apolloscape(tmp_path, range(4))
    write_record({"ColorImage": root / "road03_seg/ColorImage"}, [0, 1])
    train = [f"Record001/{stem(i, camera)}" for i in range(3) for camera in (5, 6)]
    write_lists(root, train=train, val=[f"Record001/{stem(3, 6)}"])
    videos = load("apolloscape", root=root)
    assert {name: videos.frame_count(name) for name in videos.names} == {FIVE: 3, SIX: 3}
    assert videos.skipped == {"road without an image list": 2}
    val = load("apolloscape", root=root, split="val")
    assert {name: val.frame_count(name) for name in val.names} == {SIX: 1}
    clip = val.clip(SIX)
    assert clip.T_world_camera is not None  # from the same origin as in the other splits
    expected = map_pose(3, 6)[:3, 3] - map_pose(0, 6)[:3, 3]
    assert np.allclose(clip.T_world_camera[0, :3, 3], expected, atol=1e-5)
    (root / "image_lists").mkdir()
    for lists in root.glob("*.lst"):
        lists.rename(root / "image_lists" / lists.name)
    assert len(load("apolloscape", root=root, camera=5)) == 3
    with pytest.raises(InputError, match="image lists, but none of the split 'test'"):
        load("apolloscape", root=root, split="test")


@pytest.mark.bad_input
def test_what_lists_name_must_be_there(root: Path) -> None:
    write_lists(root, train=[f"Record001/{stem(7)}", f"Record009/{stem(0)}"], val=[f"Record001/{stem(0)}"])
    problems = [str(problem) for problem in open_source("apolloscape", root=root).problems]
    assert len(problems) == 1 and "names 1 frames of records that are not in" in problems[0]
    with pytest.raises(InputError, match=rf"Record009/{stem(0)}.*And 2 other problems"):
        load("apolloscape", root=root)
    (root / "road02_ins_val.lst").write_text("ColorImage/x.jpg\n")
    with pytest.raises(InputError, match=r"val\.lst, line 1 must begin with <record>/<camera>/"):
        load("apolloscape", root=root, split="val")
    (root / "road02_ins_val.lst").write_text("\n")
    with pytest.raises(InputError, match=r"val\.lst names no frames"):
        load("apolloscape", root=root, split="val")


def write_lane(root: Path, *, labels: str = "Label") -> Path:
    for road, kinds in (("road02", ("ColorImage", "Label")), ("road05", ("ColorImage",))):
        folders = {kind: root / f"{'Labels' if kind == 'Label' else kind}_{road}" / kind for kind in kinds}
        if "Label" in folders:
            folders["Label"] = root / f"Labels_{road}" / labels
        write_record(folders, [0, 1], ids=[0, 200, 214, 249, 255])
    for path in root.glob("Labels_*/**/*.png"):
        with Image.open(path) as picture:
            picture.putpalette([v for i in range(256) for v in (255 - i, i, 9)])
            picture.save(path)
    return root


@pytest.mark.parametrize("labels", ["Label", "Labels"])
def test_lane_marks(tmp_path: Path, labels: str) -> None:
    root = write_lane(tmp_path, labels=labels)
    videos = load("apolloscape", root=root, task="lane")
    assert videos.names == ("road02_Record001_Camera_5",)
    clip = videos.clip(videos.names[0])
    assert clip.label is not None
    assert clip.label[0, ::55, 0].tolist() == [0, 1, 18, 255, 255]
    assert (clip.depth, clip.T_world_camera) == (None, None)
    assert clip.camera is not None
    assert len(videos.info.classes) == 36
    test = load("apolloscape", root=root, task="lane", split="test")
    assert test.names == ("road05_Record001_Camera_5",)
    assert test.clip(test.names[0]).label is None
    with pytest.raises(InputError, match="no frames of the split 'val'"):
        load("apolloscape", root=root, task="lane", split="val")


@pytest.mark.bad_input
def test_options_and_roots_that_do_not_fit(root: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"task": "stereo"}, "task of ApolloScape must be one of scene, lane, got 'stereo'"),
        ({"framing": "half"}, "framing of ApolloScape must be one of whole, papadopoulos, got 'half'"),
        ({"camera": 1}, "camera of ApolloScape must be 5, 6 or None.*not published"),
        ({"split": "val"}, "no frames of the split 'val'.*image lists"),
        ({"split": "test"}, "no frames of the split 'test'"),
        ({"task": "lane"}, "no folders ColorImage_<road>/ColorImage.*leave out task='lane'"),
    ):
        with pytest.raises(InputError, match=message):
            load("apolloscape", root=root, **options)
    with pytest.raises(InputError, match=r"has no roads with a folder ColorImage.*root must hold road01_ins"):
        load("apolloscape", root=root / "road02_ins_depth")
    with pytest.raises(InputError, match=r"has no roads.*task='lane'"):
        load("apolloscape", root=write_lane(tmp_path / "lane"))


@pytest.mark.bad_input
def test_missing_and_damaged_files_are_named(root: Path) -> None:
    label = camera_folder(root, "Label") / f"{stem(1)}_bin.png"
    whole = label.read_bytes()
    label.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"_bin\.png .*cannot be decoded"):
        load("apolloscape", root=root).clip(FIVE)
    label.unlink()
    with pytest.raises(InputError, match=rf"label map .*{stem(1)}_bin\.png of image .* is missing"):
        load("apolloscape", root=root)
    Image.fromarray(np.full(SIZE, 97, np.uint8) + np.eye(*SIZE, dtype=np.uint8) * 4).save(label)
    with pytest.raises(InputError, match="holds id 101 at 271 pixels, legal are 0 to 1, 17, 33 to 40"):
        load("apolloscape", root=root).clip(FIVE)
    (camera_folder(root, "Pose") / "pose.txt").unlink()
    with pytest.raises(InputError, match=r"pose file .*pose\.txt is missing"):
        load("apolloscape", root=root)


@pytest.mark.bad_input
def test_odd_files_are_named(root: Path) -> None:
    (camera_folder(root) / "preview.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="the name 'preview' must be like 170927_063811892_Camera_5"):
        load("apolloscape", root=root)
    (camera_folder(root) / "preview.jpg").unlink()
    (camera_folder(root) / "171327_063811892_Camera_5.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="holds no time of day"):
        load("apolloscape", root=root)
    (camera_folder(root) / "171327_063811892_Camera_5.jpg").unlink()
    other = camera_folder(root, camera=6) / f"{stem(0, 6)}.jpg"
    shutil.copy(other, camera_folder(root))
    with pytest.raises(InputError, match=r"holds images of cameras 5, 6.*copied into one"):
        load("apolloscape", root=root)


@pytest.mark.bad_input
def test_cropped_images_are_refused(tmp_path: Path) -> None:
    write_record({"ColorImage": tmp_path / "road02_ins/ColorImage"}, [0], size=(171, 338))
    with pytest.raises(InputError, match=r"is 171 x 338 px, ApolloScape's are 2710 x 3384.*cropped"):
        load("apolloscape", root=tmp_path)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is empty"),
        (f"1 0 0 {stem(0)}.jpg", "line 1 must be 16 numbers and an image name, or .*got 4 words"),
        (f"{stem(0)}.jpg 1,2,3,4,5", "line 1 must hold 6 numbers, got 5"),
        (f"{stem(0)}.jpg 1,2,x,4,5,6", "line 1 must hold 6 numbers: could not convert"),
        ("x.jpg 1,2,3,4,5,6", "line 1: the name 'x' must be like"),
        (f"{stem(0)}.jpg 0,0,0,1,2,3\n" * 2, "line 2 gives a second pose of"),
        (f"2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1 {stem(0)}.jpg", f"pose of {stem(0)} in .*no rigid motion"),
        (f"{stem(0)}.jpg nan,0,0,1,2,3", "line 1 holds NaN"),
    ],
)
def test_pose_files_that_cannot_be_read(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pose.txt"
    path.write_text(line)
    with pytest.raises(InputError, match=message):
        read_poses(path)


def test_both_forms_of_poses_are_one(root: Path) -> None:
    """The form of self-localisation, written by SciPy, gives the poses of the other."""
    folder = camera_folder(root, "Pose")
    before = load("apolloscape", root=root).clip(FIVE).T_world_camera
    lines = []
    for name, T in read_poses(folder / "pose.txt").items():
        angles = Rotation.from_matrix(T[:3, :3]).as_euler("xyz")
        lines.append(f"{name}.jpg " + ",".join(f"{v:.9f}" for v in (*angles, *T[:3, 3])))
    shutil.rmtree(folder)
    folder.with_name("Camera 5.txt").write_text("\n".join(lines))
    after = load("apolloscape", root=root).clip(FIVE).T_world_camera
    assert before is not None and after is not None
    assert torch.allclose(before, after, atol=1e-6)
    assert ORIGIN[0] == pytest.approx(read_poses(folder.with_name("Camera 5.txt"))[stem(0)][0, 3], abs=1)


@pytest.mark.real_data
def test_true_poses_tell_their_direction(real_data: Path) -> None:
    """Two cameras on one car: only camera-to-world keeps one of them in its place in the other's frame."""
    folder = real_data / "apolloscape_layout/self_localization/Test_gt/Road01/pose/BJ20170901A/Record014"
    poses = [read_poses(folder / f"Camera {n}.txt") for n in (5, 6)]
    assert [len(each) for each in poses] == [326, 326]
    five, six = (np.stack([each[name] for name in sorted(each)]) for each in poses)
    shift = (five - six)[:, :3, 3]
    spread = {
        "camera-to-world": np.ptp(np.einsum("nji,nj->ni", six[:, :3, :3], shift), axis=0).max(),
        "world-to-camera": np.ptp(np.einsum("nij,nj->ni", six[:, :3, :3], shift), axis=0).max(),
    }
    assert spread["camera-to-world"] < 0.004
    assert spread["world-to-camera"] > 10 * spread["camera-to-world"]
    turn = Rotation.from_matrix(six[:, :3, :3].transpose(0, 2, 1) @ five[:, :3, :3]).magnitude()
    assert np.degrees(np.median(turn)) == pytest.approx(48, abs=0.5)
    down = five[:, 2, 1]
    assert np.median(down) < -0.98  # the y axis of the image points down
    for pose, side in ((five, 1), (six, -1)):
        step = np.diff(pose[:, :3, 3], axis=0)
        ahead = np.einsum("nji,nj->ni", pose[:-1, :3, :3], step / np.linalg.norm(step, axis=1)[:, None])
        x, _, z = np.median(ahead, axis=0)
        assert z > 0.9
        assert np.degrees(np.arctan2(side * x, z)) == pytest.approx(24, abs=1)
        assert np.degrees(np.arcsin(np.median(pose[:, 2, 2]))) == pytest.approx(9.2, abs=1.2)  # looking up
    length = np.linalg.norm(np.diff(five[:, :3, 3], axis=0), axis=1)
    seconds = np.diff([time_of(name, "") for name in sorted(poses[0])])
    assert np.percentile(length, [5, 95]) == pytest.approx([0.87, 1.14], abs=0.005)
    assert [seconds.min(), np.median(seconds), seconds.max()] == pytest.approx([0.13, 0.15, 1.52], abs=0.005)
    assert 1 / np.median(seconds) == pytest.approx(INFO.frame_rate, abs=0.05)


@pytest.mark.real_data
def test_true_pose_lines(real_data: Path) -> None:
    path = real_data / "apolloscape_layout/pose_scene_parsing/pose.txt"
    poses = read_poses(path)
    assert len(poses) == 40
    words = path.read_text().splitlines()[3].split()
    assert np.array_equal(poses[Path(words[16]).stem].ravel(), np.array(words[:16], float))
    heights = np.array([T[2, 3] for T in poses.values()])
    assert heights.min() > 30 and heights.max() < 45
    assert max(abs(T[0, 3]) for T in poses.values()) > 12_000


@pytest.mark.real_data
def test_true_lane_labels(real_data: Path, tmp_path: Path) -> None:
    """Photos are drawn, the label maps are true: palette pictures whose index is the id."""
    source = real_data / "apolloscape_layout/lane_segmentation/labels/Record 01/Camera 1"
    images, labels = (
        tmp_path / kind / "Record 01" / "Camera 1" for kind in ("ColorImage_road01/ColorImage", "Labels_road01/Label")
    )
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for path in sorted(source.iterdir())[:2]:
        shutil.copy(path, labels)
        Image.new("RGB", (3384, 2710), (90, 90, 90)).save(images / path.name.replace("_bin.png", ".jpg"))
    videos = load("apolloscape", root=tmp_path, task="lane")
    assert videos.names == ("road01_Record01_Camera_5",)
    clip = videos.clip(videos.names[0], stop=1)
    with Image.open(labels / "171206_025742296_Camera_5_bin.png") as picture:
        assert picture.mode == "P"
        ids = np.array(picture)
    assert clip.label is not None
    found = clip.label[0].numpy()
    classes = LANE_INFO.stored_ids()
    assert set(np.unique(ids)) - {249, 255} <= classes.keys()
    for i in np.unique(ids):
        assert (found[ids == i] == classes.get(int(i), 255)).all()
    times = [time_of(path.name.removesuffix("_bin.png"), "") for path in sorted(source.iterdir())]
    assert np.allclose(np.diff(times), 0.221, atol=0.001)
