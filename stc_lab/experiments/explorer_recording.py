"""A video with what a model says of it, as a recording for the viewer Rerun; its library is asked for only here."""

import importlib
from pathlib import Path
from typing import Any

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState

NEEDED = "rerun-sdk"


def record_video(material: ExplorerMaterial, state: ExplorerState, path: Path | str) -> Path:
    """Write the state's video as `path` (.rrd): images, labels, depth and the camera's way, frame by frame.

    InputError where the library `rerun-sdk` is not installed.
    """
    rerun = _library()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recording = rerun.RecordingStream("stc_lab")
    recording.save(str(path))
    names = [rerun.AnnotationInfo(id=i, label=name) for i, name in enumerate(material.classes)]
    recording.log("world/camera", rerun.AnnotationContext(names), static=True)
    frames = material.frames[material.model_of(state)]
    first = material.videos.row(state.video, 0)
    for row in range(first, first + material.videos.frame_count(state.video)):
        clip = frames.clip([row])
        recording.set_time("frame", sequence=int(clip.index[0]))
        labels = frames.logits([row]).argmax(dim=1)[0]
        picture = (clip.image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        recording.log("world/camera/image", rerun.Image(picture))
        recording.log("world/camera/labels", rerun.SegmentationImage(labels.byte().numpy()))
        if clip.label is not None:
            recording.log("world/camera/truth", rerun.SegmentationImage(clip.label[0].byte().numpy()))
        _geometry(rerun, recording, clip)
    recording.flush()
    return path


def _geometry(rerun: Any, recording: Any, clip: Clip) -> None:
    if clip.depth is not None:
        recording.log("world/camera/depth", rerun.DepthImage(clip.depth[0, 0].numpy(), meter=1.0))
    if clip.camera is not None:
        height, width = clip.image.shape[-2:]
        K = clip.camera.K[0].numpy()
        recording.log("world/camera", rerun.Pinhole(image_from_camera=K, width=width, height=height))
    if clip.T_world_camera is not None:
        T = clip.T_world_camera[0].numpy()
        recording.log("world/camera", rerun.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))


def _library() -> Any:
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise InputError(
            f"a recording needs the library {NEEDED}, which is not installed", hint=f"pip install {NEEDED}"
        ) from error
