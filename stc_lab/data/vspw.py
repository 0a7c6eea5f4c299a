"""VSPW: videos in the wild at 15 Hz, every frame labelled with 124 classes (data_cards/vspw.md)."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.framing import Framing
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

# In the order and spelling of the data set's own label_num_dic_final.json, which counts from 1.
_NAMES = """
    wall ceiling door stair ladder escalator Playground_slide handrail_or_fence window rail goal pillar pole floor
    ground grass sand athletic_field road path crosswalk building house bridge tower windmill well_or_well_lid
    other_construction sky mountain stone wood ice snowfield grandstand sea river lake waterfall water
    billboard_or_Bulletin_Board sculpture pipeline flag parasol_or_umbrella cushion_or_carpet tent roadblock car bus
    truck bicycle motorcycle wheeled_machine ship_or_boat raft airplane tyre traffic_light lamp person cat dog horse
    cattle other_animal tree flower other_plant toy ball_net backboard skateboard bat ball
    cupboard_or_showcase_or_storage_rack box traveling_case_or_trolley_case basket bag_or_package trash_can cage plate
    tub_or_bowl_or_pot bottle_or_cup barrel fishbowl bed pillow table_or_desk chair_or_seat bench sofa shelf bathtub gun
    commode roaster other_machine refrigerator washing_machine Microwave_oven fan curtain textiles clothes
    painting_or_poster mirror flower_pot_or_vase clock book tool blackboard tissue screen_or_television computer printer
    Mobile_phone keyboard other_electronic_product fruit food instrument train
"""
CLASSES = tuple(_NAMES.split())
INFO = SourceInfo(
    name="vspw",
    frame_rate=15.0,
    has=frozenset({"label"}),
    licence="not stated with the data; given for non-commercial research",
    reference="Miao et al.: VSPW: A large-scale dataset for video scene parsing in the wild, CVPR 2021",
    classes=CLASSES,
    splits=("train", "val", "test"),
    folders={"train": "vspw_frames"},
    label_ids={stored: stored - 1 for stored in range(1, len(CLASSES) + 1)},
    ignore_ids={0: "others", 255: "void"},
)
NUMBERS = "label_num_dic_final.json"
HEIGHT = 480  # px, of VSPW_480p


def vspw_videos(
    root: Path, split: str, *, videos: str | Sequence[str] | None = None, resolution: str = "stored"
) -> Videos:
    """Videos that `<split>.txt` in `root` lists, or `videos`: names (or a text with commas), or "all" of `data/`.

    Listed videos of `train` and `val` must have label maps, those of `test` have none as published; videos that are
    named may do without. Ids 0 (others) and 255 (void) both become 255, as in the benchmark's evaluation.

    `resolution="480p"` brings the frames of the original release to the size of VSPW_480p, height 480 and the width
    rounded down, averaging where they shrink; "stored" takes either release as it is.
    """
    if resolution not in ("stored", "480p"):
        raise InputError(f"option resolution of 'vspw' must be 'stored' or '480p', got {resolution!r}")
    names = videos.replace(",", " ").split() if isinstance(videos, str) and videos != "all" else videos
    chosen = names if names is None or isinstance(names, str) else list(names)
    form = FileFormat(framing=_framing_480p if resolution == "480p" else None)
    return file_videos(INFO, root, partial(_sequences, split=split, videos=chosen), form)


def _framing_480p(stored: tuple[int, int]) -> Framing:
    height, width = stored
    return Framing(size=(HEIGHT, HEIGHT * width // height))


def _sequences(tree: Tree, *, split: str, videos: str | Sequence[str] | None) -> Iterator[FileSequence]:
    tree.attempt(_check_numbers, tree.file(NUMBERS))
    labelled = videos is None and split != "test"
    for name in _names(tree, split, videos):
        found = tree.attempt(_sequence, tree, name, labelled)
        if found is not None:
            yield found


def _sequence(tree: Tree, name: str, labelled: bool) -> FileSequence:
    folder = f"data/{name}"
    if Path(name).name != name or not tree.has_folder(folder):
        raise InputError(
            f"video {name!r} is not in {tree.root / 'data'}",
            hint='an incomplete copy: videos=("1001_3iEIq5HBY1s", ...) opens a part of it',
        )
    images = tree.numbered(f"{folder}/origin", suffix=(".jpg", ".png"))
    if not images:
        raise InputError(
            f"{tree.root / folder / 'origin'} has no frames named by numbers, like 00000001.jpg",
            hint="an archive that was not unpacked",
        )
    masks = tree.has_folder(f"{folder}/mask")
    if labelled and not masks:
        raise InputError(
            f"video {name} has no label maps, folder {tree.root / folder / 'mask'}",
            hint="an incomplete copy, or videos of the test split, whose label maps are not published",
        )
    return FileSequence(
        name,
        list(images),
        [f"{folder}/origin/{image}" for image in images.values()],
        label=[f"{folder}/mask/{image.rpartition('.')[0]}.png" for image in images.values()] if masks else None,
    )


def _names(tree: Tree, split: str, videos: str | Sequence[str] | None) -> Sequence[str]:
    if not tree.has_folder("data"):
        raise InputError(
            f"VSPW folder {tree.root} has no folder data/",
            hint="root must be the folder VSPW or VSPW_480p, which holds data/ and train.txt, val.txt, test.txt",
        )
    if isinstance(videos, str):
        return tree.folders("data")
    if videos is not None:
        return videos
    lists = tree.file(f"{split}.txt")
    if not lists.is_file():
        raise InputError(
            f"VSPW folder {tree.root} has no list file {lists.name}",
            hint='a part of the data set? Then name its videos, videos=("1001_3iEIq5HBY1s", ...), or videos="all"',
        )
    names = lists.read_text(encoding="utf-8", errors="replace").split()
    if not names:
        raise InputError(f"list file {lists} names no videos", hint="an empty file: fetch it again")
    return names


def _check_numbers(path: Path) -> None:
    """Raise if the data set's own list of ids is there and numbers the classes otherwise than we do."""
    if not path.is_file():
        return
    try:
        named = {int(number): str(name) for name, number in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path} must be like {{"wall": "1", "ceiling": "2", ...}}: {error}', hint="an incomplete download"
        ) from error
    for stored, i in INFO.stored_ids().items():
        if named.get(stored, "").lower() != CLASSES[i].lower():
            raise InputError(
                f"{path} calls id {stored} {named.get(stored, 'nothing')!r}, expected {CLASSES[i]!r}",
                hint="another version of the data set, whose ids mean something else",
            )
