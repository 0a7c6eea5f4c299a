"""The registry of data sets in files: to add one, write `stc_lab/data/<name>.py` and add its name here.

The module has `INFO` (SourceInfo) and `<name>_videos(root, split, *, ...) -> Videos`; its keyword-only parameters are
the options of `load`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos

ADAPTERS = (
    "apolloscape",
    "camvid",
    "davis",
    "folder",
    "icl",
    "kitti",
    "scannet",
    "sevenscenes",
    "sintel",
    "tum",
    "video",
    "vspw",
    "youtubevos",
)
FILMS = ("video",)  # of these, the root is a file


@dataclass(frozen=True)
class Source:
    """A data set in files: what is true of it, and what opens it."""

    info: SourceInfo
    videos: Callable[..., Videos]


def source(name: str) -> Source:
    """The data set of a name in `ADAPTERS`."""
    module: Any = importlib.import_module(f"stc_lab.data.{name}")
    return Source(module.INFO, getattr(module, f"{name}_videos"))
