"""The embedded data set: procedural indoor RGB-D video with exact labels, depth, poses, flow and visibility."""

from stc_lab.data.rooms.build import build_scene
from stc_lab.data.rooms.classes import CLASS_NAMES, NUM_CLASSES, Label
from stc_lab.data.rooms.config import PRESETS, RoomsConfig
from stc_lab.data.rooms.paths import dolly_path, handheld_path
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.render import RoomsFrames, render
from stc_lab.data.rooms.sensor import Sensor, develop
from stc_lab.data.rooms.truth import exact_flow
from stc_lab.data.rooms.videos import render_video, rooms_videos, scene_of

__all__ = [
    "CLASS_NAMES",
    "NUM_CLASSES",
    "PRESETS",
    "Label",
    "RoomsConfig",
    "RoomsFrames",
    "Scene",
    "Sensor",
    "build_scene",
    "develop",
    "dolly_path",
    "exact_flow",
    "handheld_path",
    "render",
    "render_video",
    "rooms_videos",
    "scene_of",
]
