"""Own frames by file patterns: what belongs together, what may be left out, and every mismatch named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_folder import ALL, PATTERNS, SIZE, write_folder, write_images
from miniatures import colour, pose
from PIL import Image

from stc_lab.data import load
from stc_lab.data.file_patterns import image_pattern
from stc_lab.data.load import open_source
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera


def test_images_alone(tmp_path: Path) -> None:
    videos = load("folder", root=write_images(tmp_path / "walk", 3), frame_rate=25)
    assert (videos.names, len(videos), videos.has, videos.size) == (("walk",), 3, frozenset(), SIZE)
    clip = videos.clip("walk")
    torch.testing.assert_close(clip.time, torch.arange(3) / 25)
    red = clip.image[:, 0].mean(dim=(1, 2)) * 255
    torch.testing.assert_close(red, torch.tensor([0.0, 40, 80]), atol=2, rtol=0)


def test_everything(tmp_path: Path) -> None:
    videos = load("folder", root=write_folder(tmp_path), **ALL)
    assert (videos.names, len(videos)) == (("a", "b"), 6)
    assert videos.has == {"label", "depth", "intrinsics", "pose"}
    assert videos.info.classes == ("wall", "floor", "chair")
    clip = videos.clip("b")
    assert clip.label is not None and clip.depth is not None and clip.T_world_camera is not None
    assert clip.label[:, 0, 0].tolist() == [255] * 3
    assert (clip.label[:, 1:] == 1).all()
    torch.testing.assert_close(clip.depth[:, 0, 3, 3], torch.tensor([1.5, 1.501, 1.502]))
    assert np.allclose(clip.T_world_camera, [pose(n) for n in range(3)])
    assert clip.camera is not None
    torch.testing.assert_close(
        clip.camera.K[0], Camera.from_parameters(20, 21, 5.5, 3.5, height=SIZE[0], width=SIZE[1]).K[0]
    )


def test_fields_say_the_same_as_stars(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    fields = {kind: text.replace("*", "{scene}", 1).replace("*", "{frame}") for kind, text in PATTERNS.items()}
    clips = [load("folder", root=root, **{**ALL, **patterns}).clip("a") for patterns in (PATTERNS, fields)]
    for name in ("image", "label", "depth", "T_world_camera"):
        assert torch.equal(getattr(clips[0], name), getattr(clips[1], name))


@pytest.mark.parametrize(
    ("files", "images", "names"),
    [
        (["x/1.jpg", "x/2.jpg", "y/1.jpg"], "*/*.jpg", {"x": 2, "y": 1}),
        (["x_1.jpg", "x_2.jpg", "y_y_1.jpg"], "*_*.jpg", {"x": 2, "y_y": 1}),
        (["x_1.jpg", "x_2.jpg"], "x_*.jpg", {"root": 2}),
        (["s/x/c0/1.jpg", "s/x/c1/1.jpg"], "{a}/{b}/{camera}/{frame}.jpg", {"s/x/c0": 1, "s/x/c1": 1}),
        (["s/x/1.jpg", "s/x/2.jpg"], "*/{video}/{frame}.jpg", {"x": 2}),
        (["x/x_1.jpg", "x/y_1.jpg"], "{v}/{v}_{frame}.jpg", {"x": 1}),
        (["x/1.jpg", "x/1.png", "x/.1.jpg", "x/deep/1.jpg"], "*/*.jpg", {"x": 1}),
        (["v10/9.jpg", "v2/9.jpg", "v2/10.jpg"], "*/*.jpg", {"v2": 2, "v10": 1}),
        (["x/left_7.jpg", "x/right_8.jpg"], "*/left_*.jpg", {"x": 1}),
        (["train/x/1.jpg", "val/y/1.jpg"], "{split}/*/*.jpg", {"x": 1}),
        (["a+b (1)/1.jpg", "a/1.jpg"], "a+b (1)/*.jpg", {"root": 1}),
    ],
)
def test_pattern_language(tmp_path: Path, files: list[str], images: str, names: dict[str, int]) -> None:
    root = tmp_path / "root"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colour(0, SIZE)).save(root / name)
    videos = load("folder", root=root, images=images)
    assert {name: videos.frame_count(name) for name in videos.names} == names
    assert list(videos.names) == list(names)


def test_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_folder(tmp_path / split, [f"{split}1"])
    patterns = {kind: f"{{split}}/{text}" for kind, text in PATTERNS.items()}
    for split in ("train", "val"):
        assert load("folder", root=tmp_path, split=split, **{**ALL, **patterns}).names == (f"{split}1",)


def test_a_gap_cuts_and_order_does_not(tmp_path: Path) -> None:
    root = write_images(tmp_path / "walk", 6)
    (root / "0003.jpg").unlink()
    assert load("folder", root=root).names == ("walk-1", "walk-2")
    videos = load("folder", root=root, numbering="order")
    assert (videos.names, len(videos)) == (("walk",), 5)


def test_order_sorts_numbers_as_numbers(tmp_path: Path) -> None:
    for i, name in enumerate(("b_2", "b_10", "c")):
        Image.fromarray(colour(40 * i, SIZE)).save(tmp_path / f"{name}.png")
    clip = load("folder", root=tmp_path, images="*.png", numbering="order").frames([0, 1, 2])
    assert (clip.image[:, 0, 0, 0] * 255).tolist() == [0, 40, 80]


def test_sparse_labels(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a"], 4)
    for n in (1, 2):
        (root / "a" / "label" / f"{n}.png").unlink()
    (root / "a" / "pose" / "3.txt").unlink()
    Image.fromarray(np.ones(SIZE, np.uint8)).save(root / "a" / "label" / "9.png")  # of an image that is not there
    videos = load("folder", root=root, missing="allow", **ALL)
    assert videos.rows_with("label").tolist() == [0, 3]
    assert videos.rows_with("pose").tolist() == [0, 1, 2]
    label = videos.clip("a").label
    assert label is not None and (label[1] == 255).all() and (label[3, 1:] == 1).all()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("columns", [12, 16, None])
def test_poses(tmp_path: Path, columns: int | None, inverse: bool) -> None:
    """Of one file a video, or one a frame; camera-to-world or the inverse."""
    root = write_folder(tmp_path)
    files = [np.linalg.inv(pose(n)) if inverse else pose(n) for n in range(3)]
    for video in "ab":
        for n, T in enumerate(files):
            np.savetxt(root / video / "pose" / f"{n}.txt", T)
        rows = [T.ravel()[:columns] for T in files]
        np.savetxt(root / video / "poses.txt", rows)
    patterns = PATTERNS | {"poses": "*/pose/*.txt" if columns is None else "*/poses.txt"}
    stored = "world-to-camera" if inverse else "camera-to-world"
    clip = load("folder", root=root, **{**ALL, **patterns}, stored_poses=stored).clip("b")
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera, [pose(n) for n in range(3)], atol=1e-6)


@pytest.mark.parametrize("text", ["20 21 5.5 3.5", "20, 21, 5.5, 3.5\n", "# K\n20 0 5.5\n0 21 3.5\n0 0 1", None])
def test_intrinsics(tmp_path: Path, text: str | None) -> None:
    """Of all, with four numbers or a matrix of 3 x 3 or 4 x 4."""
    root = write_folder(tmp_path)
    if text is None:
        np.savetxt(root / "K.txt", [[20, 0, 5.5, 0], [0, 21, 3.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    else:
        (root / "K.txt").write_text(text)
    camera = load("folder", root=root, images="*/color/*.jpg", intrinsics="K.txt").frames([0, 5]).camera
    assert camera is not None
    assert camera.K.tolist() == [[[20, 0, 5.5], [0, 21, 3.5], [0, 0, 1]]] * 2


def test_intrinsics_of_each_frame(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a"])
    for n in range(3):
        (root / "a" / "color" / f"K{n}.txt").write_text(f"{20 + n} 21 5.5 3.5")
    camera = load("folder", root=root, images="*/color/*.jpg", intrinsics="*/color/K*.txt").clip("a").camera
    assert camera is not None
    assert camera.K[:, 0, 0].tolist() == [20, 21, 22]


def test_ids_with_classes_and_without(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a"])
    for n in range(3):
        Image.fromarray(np.tile(np.array([0, 3, 7, 9], np.uint8), (8, 3))).save(root / "a" / "label" / f"{n}.png")
    options = {"images": "*/color/*.jpg", "labels": "*/label/*.png"}
    videos = load("folder", root=root, **options, classes={"7": "b", "3": "a"}, ignore={0: "others", "9": "void"})
    label = videos.frames([0]).label
    assert label is not None and label[0, 0, :4].tolist() == [255, 0, 1, 255]
    assert (videos.info.classes, videos.info.ignore_ids) == (("a", "b"), {0: "others", 9: "void"})
    with pytest.raises(InputError, match=r"holds id 9 at 24 pixels, legal are 0, 3, 7"):
        load("folder", root=root, **options, classes={3: "a", 7: "b"}, ignore=[0]).frames([0])


def test_depth_of_another_unit(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a"])
    options = {"images": "*/color/*.jpg", "depth": "*/depth/*.png"}
    depth = load("folder", root=root, **options, depth_per_metre=200, depth_unknown=[0, 1501]).clip("a").depth
    assert depth is not None and depth[:, 0, 0, 0].tolist() == pytest.approx([7.5, 0, 7.51])


@pytest.mark.bad_input
class TestBadInput:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write_folder(tmp_path / "copy")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"images": "*/color/*.png"}, r"no file in .*copy fits images='\*/color/\*\.png'; it holds a/, b/"),
            ({"images": "color/*.jpg"}, "no file in"),
            ({"images": "a/color/000001.jpg"}, r"must have a \* or the field \{frame\}"),
            ({"images": "{video}/color/{number}.jpg"}, r"must have a \* or the field \{frame\}"),
            *(
                ({"images": text}, r"images must be a path within root: levels joined by /")
                for text in ("/a/*.jpg", "../*.jpg", "**/*.jpg", "a//*.jpg", "", "?.jpg", "[ab]/*.jpg", "{a,b}/*.jpg")
            ),
            ({"images": 3}, "images must be a pattern of file names"),
            ({"depth": "*.png", "depth_per_metre": 1}, r"depth='\*\.png' must have 2 times \*"),
            ({"labels": "{v}/{frame}.png", "classes": ["x"]}, r"has fields, but images=.* has none.*\{part1\}/color/"),
            ({"poses": "*/*/*.txt"}, r"poses='\*/\*/\*\.txt' must have 2 times \*"),
            ({"depth": "*/depth/*.png"}, "depth= and depth_per_metre= go together"),
            ({"depth_per_metre": 1000}, "depth= and depth_per_metre= go together"),
            ({"labels": "*/label/*.png"}, "labels= and classes= go together: name the classes"),
            ({"classes": ["x"]}, "labels= and classes= go together: there are no label maps"),
            ({"labels": "*/label/*.png", "classes": "wall"}, "classes must be a list of names"),
            ({"labels": "*/label/*.png", "classes": {"one": "wall"}}, "must be a whole number, got 'one'"),
            ({"labels": "*/label/*.png", "classes": ["a", "b"], "ignore": [1]}, "id 1 has a class and is ignored"),
            ({"labels": "*/label/*.png", "classes": ["a"]}, r"label map .*0\.png holds id 1"),
            ({"depth": "*/depth/*.png", "depth_per_metre": -1}, "depth_per_metre must be positive"),
            ({"frame_rate": 0}, "frame_rate must be positive"),
            ({"frame_rate": "fast"}, "frame_rate must be a number of Hz"),
            ({"numbering": "name"}, "numbering of 'folder' must be one of names, order"),
            ({"missing": "ignore"}, "missing of 'folder' must be one of error, allow"),
            ({"stored_poses": "inverse"}, "stored_poses must be one of camera-to-world, world-to-camera"),
            ({"split": "val"}, r"has no \{split\}, so its frames are the split 'train'"),
            ({"depth": "*/dept/*.png", "depth_per_metre": 1, "missing": "allow"}, "it finds no file at all"),
            ({"poses": "*/pose.txt"}, "fits no image .* it finds no file at all"),
            ({"images": "{v}/color/{frame}.jpg", "poses": "{w}/pose/{frame}.txt"}, r"the field \{w\} is not in that"),
            (
                {"images": "{v}/color/{frame}.jpg", "depth": "{v}/depth/0.png", "depth_per_metre": 1},
                r"\{frame\} must be in it",
            ),
            ({"images": "*/color/{frame}.jpg"}, "images of video 'copy' lie in two folders, 'a/color' and 'b/color'"),
        ],
    )
    def test_options(self, root: Path, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            load("folder", root=root, **{"images": "*/color/*.jpg", **options}).frames([0])

    def test_partner_that_is_missing(self, root: Path) -> None:
        (root / "b/label/1.png").unlink()
        with pytest.raises(InputError, match=r"1 of 3 images of video 'b' have no label map: b/color/000001\.jpg"):
            load("folder", root=root, **ALL)
        (root / "a/intrinsics.txt").unlink()
        problems = open_source("folder", root=root, **ALL).problems
        assert [str(problem).split(":")[0] for problem in problems] == [
            "3 of 3 images of video 'a' have no intrinsics file",
            "1 of 3 images of video 'b' have no label map",
        ]

    def test_partner_without_an_image(self, root: Path) -> None:
        shutil.copy(root / "a/depth/001.png", root / "a/depth/017.png")
        with pytest.raises(InputError, match=r"1 depth maps have no image in video 'a': a/depth/017\.png"):
            load("folder", root=root, **ALL)

    def test_names_that_never_fit(self, root: Path) -> None:
        for video in "ab":
            for n in range(3):
                (root / video / "label" / f"{n}.png").rename(root / video / "label" / f"mask_{n}.png")
        with pytest.raises(InputError, match=r"fits no image of images=.*; it finds a/label/mask_0\.png and others"):
            load("folder", root=root, **ALL)
        assert len(load("folder", root=root, **{**ALL, "labels": "*/label/mask_*.png"})) == 6

    def test_one_partner_twice(self, root: Path) -> None:
        shutil.copy(root / "a/label/1.png", root / "a/label/01.png")
        with pytest.raises(InputError, match=r"two label maps fit .*: a/label/01\.png, a/label/1\.png"):
            load("folder", root=root, **ALL)

    def test_one_frame_twice(self, root: Path) -> None:
        shutil.copy(root / "a/color/000001.jpg", root / "a/color/1.jpg")
        with pytest.raises(InputError, match="sequence a has the frame number 1 twice"):
            load("folder", root=root, images="*/color/*.jpg")

    def test_names_without_numbers(self, root: Path) -> None:
        (root / "a/color/000001.jpg").rename(root / "a/color/one.jpg")
        with pytest.raises(InputError, match=r"a/color/one\.jpg, .* must have a number.*numbering='order'"):
            load("folder", root=root, images="*/color/*.jpg")

    def test_poses(self, root: Path) -> None:
        options = {"images": "*/color/*.jpg", "poses": "*/poses.txt"}
        for video in "ab":
            np.savetxt(root / video / "poses.txt", [pose(n).ravel() for n in range(2)])
        with pytest.raises(InputError, match=r"a/poses\.txt must have a pose for each of the 3 images, got 2"):
            load("folder", root=root, **options)
        (root / "a/pose/1.txt").write_text("1 2 3")
        with pytest.raises(InputError, match=r"a/pose/1\.txt must hold 4 rows of 4 numbers"):
            load("folder", root=root, images="*/color/*.jpg", poses="*/pose/*.txt").clip("a")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("20 21 5.5", "must be fx fy cx cy, or 3 x 3, or 4 x 4 numbers, got 3"),
            ("20 21 5.5 half", "must be numbers"),
            ("", "has no lines"),
            ("-20 21 5.5 3.5", "focal lengths must be positive"),
            ("0.05 0.05 0.5 0.5", "K must be in pixels"),
        ],
    )
    def test_intrinsics(self, root: Path, text: str, message: str) -> None:
        (root / "a/intrinsics.txt").write_text(text)
        with pytest.raises(InputError, match=rf"a/intrinsics\.txt.*{message}"):
            load("folder", root=root, images="*/color/*.jpg", intrinsics="*/intrinsics.txt")

    def test_odd_sizes(self, root: Path) -> None:
        Image.fromarray(np.ones((4, 6), np.uint8)).save(root / "a/label/1.png")
        with pytest.raises(InputError, match=r"1\.png is 4 x 6 px, but its image .*000001\.jpg is 8 x 12 px"):
            load("folder", root=root, **ALL).clip("a")

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"fits images='\*\.jpg'; it holds nothing"):
            load("folder", root=tmp_path)


def test_pattern_as_it_is_said_in_messages() -> None:
    pattern = image_pattern("*/color/*_rgb.jpg")
    assert (pattern.path, pattern.fields) == ("{part1}/color/{frame}_rgb.jpg", ("part1", "frame"))
    assert pattern.example({"part1": "a", "frame": "7"}) == "a/color/7_rgb.jpg"
