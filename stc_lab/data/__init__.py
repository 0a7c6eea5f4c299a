"""Frames of video from every source in one schema."""

from stc_lab.data.cache import atomic_folder, build_once, cache_root
from stc_lab.data.convert import converted
from stc_lab.data.frames import Clip
from stc_lab.data.load import available, load
from stc_lab.data.resize import resize_clip, resize_image, resize_nearest
from stc_lab.data.schema import SourceInfo, frame_features
from stc_lab.data.stream import PairStream
from stc_lab.data.supervision import supervised_rows, supervised_share
from stc_lab.data.videos import Videos, array_videos

__all__ = [
    "Clip",
    "PairStream",
    "SourceInfo",
    "Videos",
    "array_videos",
    "atomic_folder",
    "available",
    "build_once",
    "cache_root",
    "converted",
    "frame_features",
    "load",
    "resize_clip",
    "resize_image",
    "resize_nearest",
    "supervised_rows",
    "supervised_share",
]
