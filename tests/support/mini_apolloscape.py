"""A miniature of ApolloScape in its true layout: pictures a tenth of their size, poses of true lines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

SIZE = (271, 338)  # a tenth of 2710 x 3384
ORIGIN = (-12481.8954, 5082.5337, 37.2132)  # m, of a true pose file
BANDS = (17, 161, 49, 1, 255)  # stored ids of the label maps, from top to bottom


def stem(frame: int, camera: int = 5) -> str:
    """Name of a frame: the second is exposed 0.25 s after the first, and so on."""
    ms = 811_892 + 250 * frame
    return f"170927_0638{ms // 1000 % 60:02d}{ms % 1000:03d}_Camera_{camera}"


def map_pose(frame: int, camera: int = 5) -> np.ndarray:
    """Camera-to-world in map coordinates; camera 6 is 0.6 m to the right."""
    T = pose(frame)
    T[:3, 3] += ORIGIN
    T[:3, 3] += T[:3, 0] * 0.6 * (camera == 6)
    return T


def write_record(
    folders: dict[str, Path],
    frames: Sequence[int],
    *,
    record: str = "Record001",
    camera: int = 5,
    size: tuple[int, int] = SIZE,
    ids: Sequence[int] = BANDS,
) -> None:
    """One record and camera; `folders` are those of ColorImage, Label, Pose and Depth, as far as they are wanted."""
    places = {kind: folder / record / f"Camera {camera}" for kind, folder in folders.items()}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    label = np.repeat(np.array(ids, np.uint8), -(-size[0] // len(ids)))[: size[0], None]
    label = np.ascontiguousarray(np.broadcast_to(label, size))
    depth = np.full(size, 2000, np.uint16)  # 10 m
    depth[:, 0], depth[:, 1] = 0, 65535
    lines = []
    for frame in frames:
        name = stem(frame, camera)
        Image.fromarray(colour(10 * frame, size)).save(places["ColorImage"] / f"{name}.jpg", quality=95)
        if "Label" in places:
            Image.fromarray(label).save(places["Label"] / f"{name}_bin.png", compress_level=1)
        if "Depth" in places:
            Image.fromarray(depth).save(places["Depth"] / f"{name}.png", compress_level=1)
        values = " ".join(f"{value:.7f}" for value in map_pose(frame, camera).ravel())
        lines.append(f"{values} {name}.jpg")
    if "Pose" in places:
        (places["Pose"] / "pose.txt").write_text("\n".join(reversed(lines)) + "\n")  # true files are not sorted


def write_apolloscape(
    root: Path, frames: Sequence[int] = (0, 1, 2), *, cameras: Sequence[int] = (5, 6), form: str = "archives"
) -> Path:
    """Road road02_ins in the form of its archives, of the description ("types first"), or a road alone ("road")."""
    kinds = ("ColorImage", "Label", "Pose", "Depth")
    places = {
        "archives": {kind: root / "road02_ins" / kind for kind in kinds[:3]}
        | {"Depth": root / "road02_ins_depth" / "Depth"},
        "types first": {kind: root / kind / "road02_ins" for kind in kinds},
        "road": {kind: root / kind for kind in kinds},
    }[form]
    for camera in cameras:
        write_record(places, frames, camera=camera)
    return root


def write_lists(root: Path, *, train: Sequence[str], val: Sequence[str], road: str = "road02_ins") -> None:
    """Image lists as they are published; frames are `<record>/<stem>`."""
    for split, listed in (("train", train), ("val", val)):
        lines = []
        for frame in listed:
            record, name = frame.split("/")
            place = f"{record}/Camera {name[-1]}"
            lines.append(f"{road}/ColorImage/{place}/{name}.jpg\t{road}/Label/{place}/{name}_bin.png")
        (root / f"{road}_{split}.lst").write_text("\n".join(lines) + "\n")
