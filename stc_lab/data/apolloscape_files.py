"""ApolloScape's folders, image lists, file names and pose files, in the forms in which its archives have them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.data.tree import Tree
from stc_lab.errors import InputError
from stc_lab.geometry.pose import check_pose, so3_exp

_NAME = re.compile(r"(\d{6}_\d{9})_Camera_(\d)")  # 170927_063811892_Camera_5: day, time to the ms, camera
_LIST_FOLDERS = (".", "image_lists", "public_image_lists")


@dataclass(frozen=True)
class Road:
    """Folders of one road, each with folders `<record>/<camera>`; None is what does not lie there."""

    name: str
    image: str
    label: str | None
    depth: str | None = None
    pose: str | None = None


def scene_roads(tree: Tree) -> list[Road]:
    """Roads of scene parsing in `tree`.

    The archives unpack to `<road>_<level>/<type>/` (depth to `<road>_<level>_depth/Depth/`), the description of the
    data set says `<type>/<road>_<level>/`; a root may also be the folder of one road.
    """
    top = tree.folders()
    forms: tuple[str, ...] = ("{road}/{kind}", "{road}_depth/{kind}")
    names = [name for name in top if not name.startswith("ColorImage_") and tree.has_folder(f"{name}/ColorImage")]
    if "ColorImage" in top:
        names = tree.folders("ColorImage")
        forms = ("{kind}/{road}", "{kind}/{road}_depth")
        if any(name.startswith("Record") for name in names):
            names, forms = [tree.root.resolve().name], ("{kind}",)
    roads = []
    for name in names:
        place = partial(_first, tree, [form.replace("{road}", name) for form in forms])
        image = place("ColorImage")
        assert image is not None
        roads.append(Road(name, image, place("Label"), place("Depth"), place("Pose")))
    if not roads:
        hint = "root must hold road01_ins, ... with ColorImage, Label and Pose in each"
        if any(name.startswith("ColorImage_") for name in top):
            hint = "these are the folders of lane segmentation: task='lane'"
        raise InputError(f"ApolloScape folder {tree.root} has no roads with a folder ColorImage", hint=hint)
    return roads


def lane_roads(tree: Tree) -> list[Road]:
    """Roads of lane segmentation: `ColorImage_<road>/ColorImage/` and, unless for testing, `Labels_<road>/Label/`."""
    roads = []
    for name in tree.folders():
        image = f"{name}/ColorImage"
        if name.startswith("ColorImage_") and tree.has_folder(image):
            road = name.removeprefix("ColorImage_")
            forms = [f"{labels}_{road}/{{kind}}" for labels in ("Labels", "Label")]
            roads.append(Road(road, image, _first(tree, forms, "Labels") or _first(tree, forms, "Label")))
    if not roads:
        raise InputError(
            f"ApolloScape folder {tree.root} has no folders ColorImage_<road>/ColorImage",
            hint="root must hold ColorImage_road02, Labels_road02, ...; for scene parsing leave out task='lane'",
        )
    return roads


def _first(tree: Tree, forms: list[str], kind: str) -> str | None:
    """The first of the places of a kind of files that is there."""
    places = [form.replace("{kind}", kind) for form in forms]
    return next((place for place in places if tree.has_folder(place)), None)


def listed_frames(tree: Tree, split: str) -> dict[str, set[str]] | None:
    """Frames `<record>/<stem>` of each road in the image lists `<road>_<split>.lst`; None: there are no lists."""
    found = False
    frames: dict[str, set[str]] = {}
    for folder in _LIST_FOLDERS:
        for name in tree.names(folder, suffix=".lst") if tree.has_folder(folder) else []:
            found = True
            if name.endswith(f"_{split}.lst"):
                lists = tree.file(name if folder == "." else f"{folder}/{name}")
                frames[name.removesuffix(f"_{split}.lst")] = _listed(lists)
    if found and not frames:
        raise InputError(
            f"ApolloScape folder {tree.root} has image lists, but none of the split {split!r}: <road>_{split}.lst",
            hint="an archive that was unpacked in part",
        )
    return frames if found else None


def _listed(lists: Path) -> set[str]:
    frames = set()
    for i, line in enumerate(lists.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            image = PurePosixPath(line.split("\t")[0].strip().replace("\\", "/"))
            if len(image.parts) < 3 or not _NAME.fullmatch(image.stem):
                raise InputError(
                    f"{lists}, line {i} must begin with <record>/<camera>/<time>_Camera_<number>.jpg, "
                    f"got {line.strip()[:80]!r}",
                    hint="a list of another data set",
                )
            frames.add(f"{image.parts[-3]}/{image.stem}")
    if not frames:
        raise InputError(f"image list {lists} names no frames", hint="an empty file: fetch it again")
    return frames


def camera_of(stem: str, where: str) -> int:
    """Number of the camera that a file's name tells; folders are not always named after it."""
    return int(_parsed(stem, where)[2])


def time_of(stem: str, where: str) -> float:
    """Time of exposure that a file's name tells, s."""
    match = _parsed(stem, where)
    try:  # %f takes microseconds
        return datetime.strptime(f"{match[1]}000", "%y%m%d_%H%M%S%f").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InputError(f"{where}: the name {stem!r} holds no time of day: {error}") from error


def _parsed(stem: str, where: str) -> re.Match[str]:
    match = _NAME.fullmatch(stem)
    if match is None:
        raise InputError(
            f"{where}: the name {stem!r} must be like 170927_063811892_Camera_5", hint="a file of another data set"
        )
    return match


def read_poses(path: Path) -> dict[str, Float64[np.ndarray, "4 4"]]:
    """Camera-to-world poses of a pose file by image stem, in map coordinates: kilometres from their origin.

    Scene parsing has lines `r00 r01 r02 t0 r10 ... 0 0 0 1 name`. Self-localisation has `name roll,pitch,yaw,x,y,z`,
    radians and metres, with R = Rz(yaw) Ry(pitch) Rx(roll); dataset-api converts the first form to the second, and
    inverts it to project map points.
    """
    if not path.is_file():
        raise InputError(f"pose file {path} is missing", hint="an incomplete download or copy")
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    poses: dict[str, Float64[np.ndarray, "4 4"]] = {}
    for i, words in enumerate(lines, start=1):
        where = f"{path}, line {i}"
        if not words:
            continue
        if len(words) == 17:
            stem, pose = Path(words[16]).stem, _numbers(words[:16], 16, where).reshape(4, 4)
        elif len(words) == 2:
            stem, pose = Path(words[0]).stem, _from_angles(_numbers(words[1].split(","), 6, where))
        else:
            raise InputError(
                f"{where} must be 16 numbers and an image name, or a name and roll,pitch,yaw,x,y,z; "
                f"got {len(words)} words",
                hint="a file that was cut short",
            )
        _parsed(stem, where)
        if stem in poses:
            raise InputError(f"{where} gives a second pose of {stem}")
        poses[stem] = pose
    if not poses:
        raise InputError(f"pose file {path} is empty", hint="an incomplete download: fetch the file again")
    try:
        check_pose(torch.from_numpy(np.stack(list(poses.values()))), f"poses of {path}")
    except InputError:  # all at once is quick; one by one tells which it is
        for stem, pose in poses.items():
            check_pose(torch.from_numpy(pose)[None], f"pose of {stem} in {path}")
        raise
    return poses


def _numbers(words: list[str], count: int, where: str) -> Float64[np.ndarray, " n"]:
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where} must hold {count} numbers: {error}") from error
    if len(values) != count:
        raise InputError(f"{where} must hold {count} numbers, got {len(values)}", hint="a file that was cut short")
    if not np.isfinite(values).all():
        raise InputError(f"{where} holds NaN or infinite values")
    return values


def _from_angles(values: Float64[np.ndarray, " 6"]) -> Float64[np.ndarray, "4 4"]:
    """Pose of roll, pitch, yaw (rad) and x, y, z (m)."""
    axis_angles = torch.diag(torch.from_numpy(values[:3]))
    R_x, R_y, R_z = so3_exp(axis_angles).numpy()
    pose = np.eye(4)
    pose[:3, :3] = R_z @ R_y @ R_x
    pose[:3, 3] = values[3:]
    return pose
