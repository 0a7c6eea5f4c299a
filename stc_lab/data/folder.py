"""Anybody's own frames: images, and what goes with them, found by patterns of file names (data_cards/folder.md)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.data.file_patterns import FRAME, Fields, FilePattern, image_pattern, natural, partner_pattern
from stc_lab.data.folder_files import Frame, Partners, expect_matches, note_mismatch, numbered, partners_beside
from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.image_files import read_size
from stc_lab.data.pose_files import read_pose
from stc_lab.data.schema import POSES, SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.trajectory_files import content_lines, read_row_poses
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import invert_pose

INFO = SourceInfo(
    name="folder",
    frame_rate=30.0,
    has=frozenset(),
    licence="that of the files",
    reference="none: files of your own",
    splits=("train", "val", "test"),
)
_COLUMNS = {"labels": "label", "depth": "depth", "poses": "pose", "intrinsics": "intrinsics"}
_SHARED = ("poses", "intrinsics")  # of which one file may serve many frames
_OF_4 = (0, 4, 2, 5)  # places of fx, fy, cx, cy in K


def folder_videos(
    root: Path,
    split: str,
    *,
    images: str = "*.jpg",
    labels: str | None = None,
    depth: str | None = None,
    poses: str | None = None,
    intrinsics: str | None = None,
    classes: Sequence[str] | Mapping[Any, str] | None = None,
    ignore: Sequence[int] | Mapping[Any, str] = (255,),
    depth_per_metre: float | None = None,
    depth_unknown: Sequence[int] = (0,),
    stored_poses: str = "camera-to-world",
    frame_rate: float = 30.0,
    numbering: str = "names",
    missing: str = "error",
) -> Videos:
    """Videos of the images that match a pattern, with the files that match the others (file_patterns.py).

    The field `frame` tells the frames of a video apart, the other fields name the video. What belongs to an image is
    the file with the same fields; a frame's digits may be padded with zeros or not. `{split}` stands for the split.

    `labels` and `depth` have a file for each frame. `poses` have one of 4 x 4 numbers for each frame, or one for each
    video with a line of 12 or 16 numbers for each image, in order. `intrinsics` (fx fy cx cy, or 3 x 3, or 4 x 4, for
    the images as they are stored) may be of a frame, a video, or all.

    `classes` are names of the ids 0, 1, ..., or {id: name}; `ignore` are ids without a class. `depth_per_metre` are the
    units of the 16-bit depth. `numbering` is "names": the last number in a frame's name counts frames, and a gap cuts
    the video; or "order": frames follow each other as sorted. `missing` is "error", or "allow": frames may lack labels,
    depth or poses, and files may lack images.
    """
    for name, value, legal in (("numbering", numbering, ("names", "order")), ("missing", missing, ("error", "allow"))):
        if value not in legal:
            raise InputError(f"{name} of 'folder' must be one of {', '.join(legal)}, got {value!r}")
    given = {"labels": labels, "depth": depth, "poses": poses, "intrinsics": intrinsics}
    partners = {kind: _of_split(text, kind, split) for kind, text in given.items() if text is not None}
    if "{split}" not in str(images) and split != "train":
        raise InputError(
            f"images={images!r} has no {{split}}, so its frames are the split 'train', got {split!r}",
            hint="images='{split}/{video}/{frame}.jpg'",
        )
    info = _info(partners, classes, ignore, depth_per_metre, depth_unknown, stored_poses, frame_rate)
    images = _of_split(images, "images", split)
    found = _patterns(images, partners)
    invert = stored_poses == POSES[1]
    of_frames = "poses" in found and found["poses"].of_frames
    form = FileFormat(read_pose=(_read_inverse if invert else read_pose) if of_frames else None)
    sequences = partial(
        _sequences, images=images, partners=partners, numbering=numbering, missing=missing, invert=invert
    )
    return file_videos(info, root, sequences, form)


def read_intrinsics(path: Path, *, height: int, width: int) -> Camera:
    """Camera of a text file with fx fy cx cy, K as 3 x 3, or a 4 x 4 matrix that begins with K; float64."""
    try:
        values = [float(word) for _, line in content_lines(path) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"intrinsics {path} must be numbers: {error}") from error
    if len(values) not in (4, 9, 16):
        raise InputError(
            f"intrinsics {path} must be fx fy cx cy, or 3 x 3, or 4 x 4 numbers, got {len(values)} numbers",
            hint="a file that was cut short, or one that has the images' size or a distortion too",
        )
    K = np.eye(3)
    if len(values) == 4:
        K.reshape(-1)[list(_OF_4)] = values
    else:
        side = 3 if len(values) == 9 else 4
        K = np.array(values).reshape(side, side)[:3, :3]
    try:
        return Camera.from_matrix(K, height=height, width=width, dtype=torch.float64)
    except InputError as error:
        raise InputError(f"intrinsics {path}: {error}") from error


def _info(
    partners: Mapping[str, str],
    classes: Sequence[str] | Mapping[Any, str] | None,
    ignore: Sequence[int] | Mapping[Any, str],
    depth_per_metre: float | None,
    depth_unknown: Sequence[int],
    stored_poses: str,
    frame_rate: float,
) -> SourceInfo:
    if ("labels" in partners) != bool(classes):
        raise InputError(
            "labels= and classes= go together: " + ("name the classes" if not classes else "there are no label maps"),
            hint="classes=['wall', 'floor'] for the ids 0 and 1, or {1: 'wall', 2: 'floor'}",
        )
    if ("depth" in partners) != (depth_per_metre is not None):
        raise InputError(
            "depth= and depth_per_metre= go together",
            hint="units of the 16-bit values in a metre: 1000 for millimetres, 5000 for TUM RGB-D, 256 for KITTI",
        )
    if isinstance(frame_rate, bool) or not isinstance(frame_rate, int | float):
        raise InputError(f"frame_rate must be a number of Hz, got {frame_rate!r}")
    names, label_ids = _classes(classes)
    unclassed = ignore if isinstance(ignore, Mapping) else dict.fromkeys(ignore, "ignored")
    return replace(
        INFO,
        has=frozenset(_COLUMNS[kind] for kind in partners),
        classes=names,
        label_ids=label_ids,
        ignore_ids={_id(stored): str(word) for stored, word in unclassed.items()} if names else {},
        depth_per_metre=depth_per_metre,
        depth_unknown=tuple(depth_unknown),
        stored_poses=stored_poses,
        frame_rate=float(frame_rate),
    )


def _classes(classes: Sequence[str] | Mapping[Any, str] | None) -> tuple[tuple[str, ...], dict[int, int] | None]:
    """Names of the classes, and the class of each stored id if ids and classes differ."""
    if not classes:
        return (), None
    if isinstance(classes, str):
        raise InputError(f"classes must be a list of names or {{id: name}}, got the text {classes!r}")
    if not isinstance(classes, Mapping):
        return tuple(map(str, classes)), None
    by_id = {_id(stored): str(name) for stored, name in classes.items()}
    return tuple(by_id[stored] for stored in sorted(by_id)), {stored: i for i, stored in enumerate(sorted(by_id))}


def _id(stored: Any) -> int:
    try:
        return int(stored)  # JSON, as the command line has it, knows keys of text alone
    except (TypeError, ValueError) as error:
        raise InputError(f"an id of a class must be a whole number, got {stored!r}") from error


def _of_split(text: str, what: str, split: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"{what} must be a pattern of file names, like {{video}}/{{frame}}.png, got {text!r}")
    return text.replace("{split}", split)


def _patterns(images: str, partners: Mapping[str, str]) -> dict[str, FilePattern]:
    of_images = image_pattern(images)
    return {"images": of_images} | {
        kind: partner_pattern(text, kind, of_images, shared=kind in _SHARED) for kind, text in partners.items()
    }


def _sequences(
    tree: Tree, *, images: str, partners: Mapping[str, str], numbering: str, missing: str, invert: bool
) -> Iterator[FileSequence]:
    patterns = _patterns(images, partners)
    pattern = patterns.pop("images")
    places: dict[str, str] = {}
    matched = dict.fromkeys(patterns, 0)
    for folder, known in pattern.folders(tree, {}):
        videos: dict[tuple[str, ...], list[tuple[str, Fields]]] = {}
        for path, fields in pattern.files_in(tree, folder, known):
            videos.setdefault(tuple(fields[name] for name in pattern.fields if name != FRAME), []).append(
                (path, fields)
            )
        beside = [partners_beside(tree, kind, other, known) for kind, other in patterns.items()] if videos else []
        for key in sorted(videos, key=lambda key: [natural(word) for word in key]):
            name = "/".join(key) or tree.root.resolve().name
            if name in places:
                raise InputError(
                    f"images of video {name!r} lie in two folders, {places[name]!r} and {folder!r}",
                    hint="a * in the pattern where a field should name the video: {video}/{part}/{frame}.jpg",
                )
            places[name] = folder
            frames = numbered(videos[key], numbering, name)
            for of_kind in beside:
                paths = of_kind.of([fields for _, _, fields in frames])
                matched[of_kind.kind] += sum(path is not None for path in paths)
                if missing == "error":
                    note_mismatch(tree, of_kind, name, frames, paths)
            yield _sequence(tree, name, frames, {of_kind.kind: of_kind for of_kind in beside}, invert)
    expect_matches(tree, pattern, patterns, len(places), matched)


def _sequence(
    tree: Tree, name: str, frames: list[Frame], partners: Mapping[str, Partners], invert: bool
) -> FileSequence:
    numbers, images, fields = (list(column) for column in zip(*frames, strict=True))
    found = {kind: of_kind.of(fields) for kind, of_kind in partners.items()}
    camera, size = None, None
    if "intrinsics" in found:
        size = tree.attempt(read_size, tree.file(images[0]))
        camera = None if size is None else _cameras(tree, found["intrinsics"], size)
    pose: Any = found.get("poses")
    if pose is not None and not partners["poses"].pattern.of_frames:
        pose = None if pose[0] is None else tree.attempt(_row_poses, tree.file(pose[0]), len(images), invert)
    return FileSequence(
        name,
        numbers,
        images,
        label=found.get("labels"),
        depth=found.get("depth"),
        camera=camera,
        pose=pose,
        size=size,
    )


def _cameras(tree: Tree, paths: Sequence[str | None], size: tuple[int, int]) -> Camera | None:
    """One camera, or one for each frame; None unless all of them are there."""
    height, width = size
    cameras = {}
    for path in dict.fromkeys(paths):
        cameras[path] = (
            None if path is None else tree.attempt(read_intrinsics, tree.file(path), height=height, width=width)
        )
    if any(camera is None for camera in cameras.values()):
        return None
    K = [camera.K for path in paths if (camera := cameras[path]) is not None]
    return Camera(K[0] if len(cameras) == 1 else torch.cat(K), height, width)


def _row_poses(path: Path, count: int, invert: bool) -> Float64[np.ndarray, "n 4 4"]:
    poses = read_row_poses(path)
    if len(poses) != count:
        raise InputError(
            f"{path} must have a pose for each of the {count} images, got {len(poses)}",
            hint="poses of the whole video beside a part of its images, or of another video",
        )
    return invert_pose(torch.from_numpy(poses)).numpy() if invert else poses


def _read_inverse(path: Path) -> Float64[np.ndarray, "4 4"]:
    """Pose of a file that has the motion from the world to the camera."""
    return invert_pose(torch.from_numpy(read_pose(path))[None])[0].numpy()
