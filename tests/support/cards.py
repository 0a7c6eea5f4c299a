"""Data cards, and a miniature copy of each data set that comes in files, to hold its card against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from mini_apolloscape import write_apolloscape
from mini_davis import write_davis
from mini_film import write_film
from mini_folder import write_images
from mini_kitti import write_kitti
from mini_scannet import write_scannet
from mini_sintel import write_sintel
from mini_tum import write_tum
from mini_vspw import write_vspw
from mini_youtubevos import write_youtubevos
from miniatures import write_camvid, write_icl, write_sevenscenes

CARDS = Path(__file__).parents[2] / "data_cards"

# One line for each adapter: writes a copy of its first split into an empty folder and returns what is its root.
MINIATURES: dict[str, Callable[[Path], Path]] = {
    "apolloscape": write_apolloscape,
    "camvid": lambda root: write_camvid(root, {"0001TP": [1, 2]}),
    "davis": write_davis,
    "folder": write_images,
    "icl": lambda root: write_icl(root, 1),
    "kitti": write_kitti,
    "scannet": write_scannet,
    "sevenscenes": lambda root: write_sevenscenes(root, 1),
    "sintel": write_sintel,
    "tum": lambda root: write_tum(root / "rgbd_dataset_freiburg1_desk"),
    "video": lambda root: write_film(root / "walk.mp4"),
    "vspw": write_vspw,
    "youtubevos": write_youtubevos,
}


def front_matter(name: str) -> dict[str, Any]:
    """The YAML between the first two lines of dashes of a card."""
    fields: dict[str, Any] = yaml.safe_load((CARDS / f"{name}.md").read_text(encoding="utf-8").split("---\n")[1])
    return fields


def card(name: str) -> dict[str, Any]:
    """What a card says in our own fields."""
    own: dict[str, Any] = front_matter(name)["stc_lab"]
    return own
