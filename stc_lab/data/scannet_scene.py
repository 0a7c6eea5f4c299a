"""One scan of ScanNet as it lies on disk: the frames of its exports, its lost poses, its camera and its label maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stc_lab.data.archives import unpacked
from stc_lab.data.camera_files import scannet_camera, scannet_scene_camera
from stc_lab.data.image_files import read_size
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

LABEL_FOLDERS = ("label-filt", "label")  # the cleaned projections first
LOST = "pose of -inf (tracking was lost)"
COLOR_SIZE, DEPTH_SIZE = (968, 1296), (480, 640)  # (height, width) as recorded
_OFF_CENTRE = 0.1  # of the image's size: how far a principal point may lie from the middle; ScanNet's stay within 0.01


@dataclass(frozen=True)
class Frames:
    """Paths of a scan's frames from the data set's root, by number; depth and poses may not have been exported."""

    color: dict[int, str]
    depth: dict[int, str] | None
    pose: dict[int, str] | None
    info: str | None = None  # the C++ reader's _info.txt


def scene_sequence(
    tree: Tree, folder: str, scene: str, *, labels: str | None, bits: int | None, camera: str, unpack: bool
) -> FileSequence:
    """The frames of a scan whose pose is known, or which have no pose files at all.

    `labels` names the folder of label maps (None: the first there is, "none": without), `bits` how many of them a label
    map must have, `camera` whose intrinsics are the image's.
    """
    frames = scene_frames(tree, folder, scene)
    lost = set() if frames.pose is None else {n for n, path in frames.pose.items() if _lost(tree.root / path)}
    numbers = [n for n in frames.color if n not in lost]
    images = [frames.color[n] for n in numbers]
    size = _stored_size(tree.root, images)
    place = tree.attempt(label_folder, tree, folder, scene, labels=labels, unpack=unpack)
    maps = None
    if place is not None:
        names = tree.numbered(place, suffix=".png")
        maps = [f"{place}/{names.get(n, f'{n}.png')}" for n in numbers]
        if bits is not None:
            tree.attempt(_expect_bits, tree.root, maps, bits)
    return FileSequence(
        scene,
        numbers,
        images,
        label=maps,
        depth=None if frames.depth is None else [frames.depth[n] for n in numbers],
        camera=None if size is None else tree.attempt(_camera, tree, folder, scene, frames.info, camera, size),
        pose=None if frames.pose is None else [frames.pose[n] for n in numbers],
        skipped={LOST: len(lost)} if lost else {},
        size=size,
    )


def scene_frames(tree: Tree, folder: str, scene: str) -> Frames:
    """Files of the frames of a scan, named after those of its colour images, whether they are there or not.

    Known are the exports of ScanNet's two readers of .sens files: the Python reader's folders color/, depth/, pose/
    (so also scannet_frames_25k), and the C++ reader's frame-000000.color.jpg and so on, in the scan's folder or frames/
    in it.
    """
    if tree.has_folder(f"{folder}/color"):
        color = tree.numbered(f"{folder}/color", suffix=(".jpg", ".png"))
        stems = {n: name.rpartition(".")[0] for n, name in color.items()}
        has = {kind: tree.has_folder(f"{folder}/{kind}") for kind in ("depth", "pose")}
        frames = Frames(
            {n: f"{folder}/color/{name}" for n, name in color.items()},
            {n: f"{folder}/depth/{stem}.png" for n, stem in stems.items()} if has["depth"] else None,
            {n: f"{folder}/pose/{stem}.txt" for n, stem in stems.items()} if has["pose"] else None,
        )
    else:
        place = next((p for p in (folder, f"{folder}/frames") if tree.file(f"{p}/_info.txt").is_file()), None)
        if place is None:
            raise InputError(
                f"scan {tree.root / folder} has no frames: neither color/ nor _info.txt",
                hint=f"export {scene}.sens with ScanNet's SensReader: reader.py --export_color_images "
                "--export_depth_images --export_poses --export_intrinsics",
            )
        color = tree.numbered(place, prefix="frame-", suffix=(".color.jpg", ".color.png"))
        stems = {n: f"{place}/{name.split('.')[0]}" for n, name in color.items()}
        frames = Frames(
            {n: f"{place}/{name}" for n, name in color.items()},
            {n: f"{stem}.depth.pgm" for n, stem in stems.items()},
            {n: f"{stem}.pose.txt" for n, stem in stems.items()},
            f"{place}/_info.txt",
        )
    if not frames.color:
        raise InputError(f"scan {tree.root / folder} has no colour images", hint="an export that was interrupted")
    return frames


def label_folder(tree: Tree, folder: str, scene: str, *, labels: str | None, unpack: bool) -> str | None:
    """Where the label maps of a scan lie, from the data set's root; None: it has none."""
    if labels == "none":
        return None
    wanted = LABEL_FOLDERS if labels is None else (labels,)
    for kind in wanted:
        if tree.has_folder(f"{folder}/{kind}"):
            return f"{folder}/{kind}"
    for kind in wanted:
        archive = tree.file(f"{folder}/{scene}_2d-{kind}.zip")
        if not archive.is_file():
            continue
        if not unpack:
            raise InputError(
                f"the label maps of {scene} are still packed: {archive}",
                hint='unpack it where it lies, or load("scannet", unpack=True) to have all unpacked into the cache, '
                'or labels="none"',
            )
        place = unpacked(archive) / kind
        if not tree.has_folder(str(place)):
            raise InputError(f"archive {archive} has no folder {kind}/", hint="an archive of something else")
        return place.as_posix()
    return None


def label_bits(path: Path) -> int | None:
    """Bits of a PNG's channels, from its header; None: no such file, or no PNG."""
    try:
        with path.open("rb") as file:
            head = file.read(25)
    except OSError:
        return None
    return head[24] if len(head) == 25 and head.startswith(b"\x89PNG") else None


def _expect_bits(root: Path, maps: Sequence[str], bits: int) -> None:
    """Raise if the first label map that can be read has other bits: ids of another kind would be taken for these."""
    for path in maps:
        found = label_bits(root / path)
        if found is not None:
            if found != bits:
                raise InputError(
                    f"label map {root / path} has {found} bits, those of other scans have {bits}",
                    hint="ScanNet's own ids (16 bits) and ids of NYU40 (8 bits) in one copy: open their scans apart",
                )
            return


def _lost(path: Path) -> bool:
    """Whether a pose file holds -inf, in whatever spelling; only this is asked of it before its frame is read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return b"inf" in file.read(1024).lower()
    except OSError:
        return False  # found when the frame's files are looked for


def _stored_size(root: Path, images: Sequence[str]) -> tuple[int, int] | None:
    """(height, width) of the first image that can be read."""
    for path in images:
        try:
            return read_size(root / path)
        except InputError:
            continue  # named when its frame is read, or the copy is checked
    return None


def _camera(tree: Tree, folder: str, scene: str, info: str | None, sensor: str, size: tuple[int, int]) -> Camera | None:
    """Camera of images of this size; None: the export has no intrinsics."""
    if info is not None:
        return _info_camera(tree.file(info), sensor).resized(*size)
    for name in (f"intrinsic/intrinsic_{sensor}.txt", f"intrinsics_{sensor}.txt"):
        path = tree.file(f"{folder}/{name}")
        if path.is_file():
            return _sized(path, sensor, size).resized(*size)
    path = tree.file(f"{folder}/{scene}.txt")
    if not path.is_file():
        return None
    found = scannet_scene_camera(path, "color" if sensor == "color" else "depth", dtype=torch.float64)
    return found.resized(*size)


def _sized(path: Path, sensor: str, size: tuple[int, int]) -> Camera:
    """Camera of an intrinsics file, which does not say for which size: that in whose middle the principal point lies.

    So colour images that were exported smaller are understood, beside the intrinsics of the recorded ones.
    """
    sizes = list(dict.fromkeys((size, COLOR_SIZE, DEPTH_SIZE) if sensor == "color" else (DEPTH_SIZE, COLOR_SIZE)))
    for height, width in sizes:
        camera = scannet_camera(path, height=height, width=width, dtype=torch.float64)
        x, y = camera.K[0, :2, 2].tolist()
        if abs(x - (width - 1) / 2) < _OFF_CENTRE * width and abs(y - (height - 1) / 2) < _OFF_CENTRE * height:
            return camera
    raise InputError(
        f"intrinsics {path} have the principal point ({x:g}, {y:g}), which is not near the middle of an image of "
        + " or ".join(f"{w} x {h}" for h, w in sizes)
        + " px",
        hint="intrinsics of another data set, or of images that were cropped",
    )


def _info_camera(path: Path, sensor: str) -> Camera:
    """Camera of the C++ reader's `_info.txt`, lines like `m_colorWidth = 1296`, at the recorded size."""
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    fields = {name.strip(): value.split() for name, _, value in pairs}
    names = [f"m_{sensor}Height", f"m_{sensor}Width", f"m_calibration{sensor.capitalize()}Intrinsic"]
    try:
        height, width = (int(fields[name][0]) for name in names[:2])
        K = torch.tensor([float(value) for value in fields[names[2]]], dtype=torch.float64).reshape(4, 4)[:3, :3]
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} must give {', '.join(names)} (16 numbers): {error!r}", hint="a file that was cut short"
        ) from error
    return Camera.from_matrix(K, height=height, width=width, dtype=torch.float64)
