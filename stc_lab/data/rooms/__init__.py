"""The embedded data set: procedural indoor RGB-D video with exact labels, depth, poses, flow and visibility."""

from stc_lab.data.rooms.build import build_scene
from stc_lab.data.rooms.classes import CLASS_NAMES, NUM_CLASSES, Label
from stc_lab.data.rooms.clips import mover_masks, object_poses, render_video, rendered, scene_of
from stc_lab.data.rooms.config import PRESETS, RoomsConfig
from stc_lab.data.rooms.paths import dolly_path, handheld_path
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.render import RoomsFrames, render
from stc_lab.data.rooms.sensor import Sensor, develop
from stc_lab.data.rooms.tracking import tracking_path, turns
from stc_lab.data.rooms.truth import ExactRoomsFlow, exact_flow, exact_movers
from stc_lab.data.rooms.videos import rooms_videos

__all__ = [
    "CLASS_NAMES",
    "NUM_CLASSES",
    "PRESETS",
    "ExactRoomsFlow",
    "Label",
    "RoomsConfig",
    "RoomsFrames",
    "Scene",
    "Sensor",
    "build_scene",
    "develop",
    "dolly_path",
    "exact_flow",
    "exact_movers",
    "handheld_path",
    "mover_masks",
    "object_poses",
    "render",
    "render_video",
    "rendered",
    "rooms_videos",
    "scene_of",
    "tracking_path",
    "turns",
]
