"""ApolloScape: streets filmed from a car, every frame labelled, with poses (data_cards/apolloscape.md)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.data.apolloscape_files import (
    Road,
    camera_of,
    lane_roads,
    listed_frames,
    read_poses,
    scene_roads,
    time_of,
)
from stc_lab.data.camera_files import APOLLOSCAPE_INTRINSICS, apolloscape_camera
from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.framing import Framing
from stc_lab.data.image_files import read_size
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

# Stored ids of each class; the second is a group of things that were not told apart.
_SCENE: dict[str, tuple[int, ...]] = {
    "sky": (17,),
    "car": (33, 161),
    "motorbicycle": (34, 162),
    "bicycle": (35, 163),
    "person": (36, 164),
    "rider": (37, 165),
    "truck": (38, 166),
    "bus": (39, 167),
    "tricycle": (40, 168),
    "road": (49,),
    "sidewalk": (50,),
    "traffic_cone": (65,),
    "road_pile": (66,),
    "fence": (67,),
    "traffic_light": (81,),
    "pole": (82,),
    "traffic_sign": (83,),
    "wall": (84,),
    "dustbin": (85,),
    "billboard": (86,),
    "building": (97,),
    "vegetation": (113,),
}
# Names as dataset-api has them: form, colour and use of a mark. Class 0 is all that is no mark.
_LANE = {
    "void": 0,
    "s_w_d": 200,
    "s_y_d": 204,
    "ds_w_dn": 213,
    "ds_y_dn": 209,
    "sb_w_do": 206,
    "sb_y_do": 207,
    "b_w_g": 201,
    "b_y_g": 203,
    "db_w_g": 211,
    "db_y_g": 208,
    "db_w_s": 216,
    "s_w_s": 217,
    "ds_w_s": 215,
    "s_w_c": 218,
    "s_y_c": 219,
    "s_w_p": 210,
    "s_n_p": 232,
    "c_wy_z": 214,
    "a_w_u": 202,
    "a_w_t": 220,
    "a_w_tl": 221,
    "a_w_tr": 222,
    "a_w_tlr": 231,
    "a_w_l": 224,
    "a_w_r": 225,
    "a_w_lr": 226,
    "a_n_lu": 230,
    "a_w_tu": 228,
    "a_w_m": 229,
    "a_y_t": 233,
    "b_n_sr": 205,
    "d_wy_za": 212,
    "r_wy_np": 227,
    "vom_wy_n": 223,
    "om_n_n": 250,
}
INFO = SourceInfo(
    name="apolloscape",
    frame_rate=6.7,  # typical: a frame every metre, whatever the speed; `time` is the true time of exposure
    has=frozenset({"label", "depth", "intrinsics", "pose"}),
    licence="photos for educational purposes only, no commercial use (page of the data set)",
    reference="Huang et al.: The ApolloScape dataset for autonomous driving, CVPR workshops 2018",
    classes=tuple(_SCENE),
    splits=("train", "val", "test"),
    label_ids={i: index for index, ids in enumerate(_SCENE.values()) for i in ids},
    ignore_ids={0: "others", 1: "rover", 98: "bridge", 99: "tunnel", 100: "overpass", 255: "unlabeled"},
    depth_per_metre=200.0,
    depth_unknown=(0, 65535),
)
LANE_INFO = replace(
    INFO,
    has=frozenset({"label", "intrinsics"}),
    classes=tuple(_LANE),
    label_ids={i: index for index, i in enumerate(_LANE.values())},
    ignore_ids={249: "noise", 255: "ignored"},
    depth_per_metre=None,
)
HEIGHT, WIDTH = 2710, 3384
# Papadopoulos et al. cut sky and bonnet off and rescale to 832 x 256; which rows, they leave open. Ours: all columns,
# as many rows as keep pixels square, and these in the middle of rows 1232 to 2500, which dataset-api keeps for stereo.
CROP_TOP, CROP_HEIGHT = 1346, 1041
CROPPED = (256, 832)
FRAMINGS = ("whole", "papadopoulos")
TASKS = ("scene", "lane")


def apolloscape_videos(
    root: Path, split: str, *, task: str = "scene", camera: int | None = None, framing: str = "whole"
) -> Videos:
    """Videos of each record and camera: `<road>_<record>_Camera_<5 or 6>`.

    `task` is "scene" (22 classes, poses, and depth where its archives lie there) or "lane" (lane marks alone). `camera`
    takes one of the two that face forward. `framing="papadopoulos"` crops rows 1346 to 2386 and rescales to 832 x 256,
    as Papadopoulos et al. do. Image lists beside the roads say which frames a split has; without them, all frames are
    of the split train (lane: of test, where a road has no labels).

    `time` is that of the exposure: frames lie about a metre apart, not a fixed time. Poses are relative to the record's
    first known position, the same for both cameras; `read_poses` gives them in map coordinates.
    """
    for name, got, legal in (("task", task, TASKS), ("framing", framing, FRAMINGS)):
        if got not in legal:
            raise InputError(f"{name} of ApolloScape must be one of {', '.join(legal)}, got {got!r}")
    if camera is not None and camera not in APOLLOSCAPE_INTRINSICS:
        raise InputError(
            f"camera of ApolloScape must be 5, 6 or None (both), got {camera!r}",
            hint="the calibration of the other cameras is not published",
        )
    form = FileFormat(framing=papadopoulos_framing if framing == "papadopoulos" else None)
    info = LANE_INFO if task == "lane" else INFO
    return file_videos(info, root, partial(_sequences, split=split, task=task, camera=camera), form)


def papadopoulos_framing(stored: tuple[int, int]) -> Framing:
    """The crop of sky and bonnet and the rescale to 832 x 256, also of copies that were made smaller."""
    height, width = stored
    top, rows = round(CROP_TOP * height / HEIGHT), round(CROP_HEIGHT * height / HEIGHT)
    return Framing(crop=(top, 0, rows, width), size=CROPPED)


def _sequences(tree: Tree, *, split: str, task: str, camera: int | None) -> Iterator[FileSequence]:
    lists: dict[str, set[str]] | None = None
    if task == "lane":
        roads = [road for road in lane_roads(tree) if (road.label is None) == (split == "test")]
        without = split == "val"
    else:
        roads, lists = scene_roads(tree), listed_frames(tree, split)
        without = lists is None and split != "train"
    if without or not roads:
        raise InputError(
            f"ApolloScape folder {tree.root} has no frames of the split {split!r}",
            hint="scene parsing has splits where image lists <road>_<split>.lst lie beside the roads, else all is the "
            "split train; of lane segmentation, roads without labels are the split test",
        )
    for road in roads:
        if lists is None or road.name in lists:
            yield from _road(tree, road, camera, None if lists is None else lists[road.name])
        else:
            places = [f"{road.image}/{record}" for record in tree.folders(road.image)]
            count = sum(len(tree.names(f"{place}/{folder}")) for place in places for folder in tree.folders(place))
            yield FileSequence(road.name, [], [], skipped={"road without an image list": count})


def _road(tree: Tree, road: Road, camera: int | None, listed: set[str] | None) -> Iterator[FileSequence]:
    """A sequence of each record and camera; `listed` are the frames that a split has."""
    left = set(listed or ())
    for record in tree.folders(road.image):
        origin: Float64[np.ndarray, " 3"] | None = None
        for folder in tree.folders(f"{road.image}/{record}"):
            place = f"{record}/{folder}"
            images = _images(tree, f"{road.image}/{place}")
            numbers = {camera_of(stem, place) for stem in images}
            if len(numbers) > 1:
                raise InputError(
                    f"{tree.root / road.image / place} holds images of cameras {', '.join(map(str, sorted(numbers)))}",
                    hint="folders of two cameras copied into one",
                )
            if not numbers:
                continue
            number = numbers.pop()
            if listed is not None:
                own = {frame for frame in left if frame.startswith(f"{record}/") and frame.endswith(f"_{number}")}
                left -= own
                stems = {frame.rpartition("/")[2] for frame in own}
            else:
                stems = set(images)
            if (camera is None or number == camera) and stems:
                poses = _poses(tree, road, place)
                if poses and origin is None:
                    origin = poses[min(poses)][:3, 3]
                yield _sequence(tree, road, place, number, images, sorted(stems), poses, origin)
    missing = sorted(frame for frame in left if camera is None or frame.endswith(f"_{camera}"))
    if missing:
        tree.problems.append(
            InputError(
                f"the image list of {road.name} names {len(missing)} frames of records that are not in "
                f"{tree.root / road.image}: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}",
                hint="an archive that was unpacked in part",
            )
        )


def _images(tree: Tree, folder: str) -> dict[str, str]:
    """Names of the images of a folder by stem; those with another name than ApolloScape's are noted."""
    names = {Path(name).stem: name for name in tree.names(folder, suffix=(".jpg", ".png"))}
    where = str(tree.root / folder)
    return {stem: name for stem, name in names.items() if tree.attempt(time_of, stem, where) is not None}


def _poses(tree: Tree, road: Road, place: str) -> dict[str, Float64[np.ndarray, "4 4"]]:
    """Poses of a record's camera, of its folder's pose.txt or a text file named after the folder; none: empty."""
    if road.pose is None:
        return {}
    short = tree.file(f"{road.pose}/{place}.txt")
    path = short if short.is_file() else tree.file(f"{road.pose}/{place}/pose.txt")
    return tree.attempt(read_poses, path) or {}


def _sequence(
    tree: Tree,
    road: Road,
    place: str,
    number: int,
    images: dict[str, str],
    stems: list[str],
    poses: dict[str, Float64[np.ndarray, "4 4"]],
    origin: Float64[np.ndarray, " 3"] | None,
) -> FileSequence:
    """The frames `stems` of one record and camera, counted among all that its images and poses name."""
    order = {stem: i for i, stem in enumerate(sorted({*images, *poses, *stems}))}
    paths = [f"{road.image}/{place}/{images.get(stem, f'{stem}.jpg')}" for stem in stems]
    size, camera = _camera(tree.root, paths, number)
    T_world_camera = np.full((len(stems), 4, 4), np.nan)
    for i, stem in enumerate(stems):
        if stem in poses and origin is not None:
            T_world_camera[i] = poses[stem]
            T_world_camera[i, :3, 3] -= origin  # in float64: the map's origin is kilometres away
    depths: set[str] = set()
    if road.depth is not None and tree.has_folder(f"{road.depth}/{place}"):
        depths = set(tree.names(f"{road.depth}/{place}", suffix=".png"))
    return FileSequence(
        f"{road.name}_{place.split('/')[0]}_Camera_{number}".replace(" ", ""),
        [order[stem] for stem in stems],
        paths,
        label=None if road.label is None else [f"{road.label}/{place}/{stem}_bin.png" for stem in stems],
        depth=[f"{road.depth}/{place}/{s}.png" if f"{s}.png" in depths else None for s in stems] if depths else None,
        camera=camera,
        pose=T_world_camera if poses else None,
        time=np.array([time_of(stem, place) for stem in stems]),
        size=size,
    )


def _camera(root: Path, paths: list[str], number: int) -> tuple[tuple[int, int] | None, Camera]:
    """Size of the first image that can be read, and the camera at that size: copies may have been made smaller."""
    camera = apolloscape_camera(number, dtype=torch.float64).camera
    for path in paths:
        try:
            height, width = read_size(root / path)
        except InputError:
            continue  # loading or checking the data set names the file
        if abs(width * HEIGHT / (height * WIDTH) - 1) > 0.005:
            raise InputError(
                f"image {root / path} is {height} x {width} px, ApolloScape's are {HEIGHT} x {WIDTH}",
                hint="cropped images have another camera; copies of all of it, made smaller, will do",
            )
        return (height, width), camera.resized(height, width)
    return None, camera
