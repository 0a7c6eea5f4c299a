"""What chapter 01 looks at: all videos of a source, one clip of it, and in words what its frames know."""

from dataclasses import dataclass
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]  # its types are another package

from stc_lab.data.frames import Clip
from stc_lab.data.load import available, load, load_info
from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.places import project_root
from stc_lab.experiments.scenes import open_video

_OWN_FRAMES = ("folder", "video")
_WIDEST = 320  # px, of real frames
_MOST_FRAMES = 60  # of a real clip


def open_videos(source: str, *, preset: str = "quick") -> Videos:
    """All training videos of the rooms, or those of a real data set in STC_LAB_DATA, at most 320 px wide."""
    if source == "rooms":
        return load("rooms", split="train", preset=preset)
    videos = load(source, split=split_of(source))
    height, width = videos.size
    scale = min(1.0, _WIDEST / width)
    return videos if scale == 1 else videos.resized((round(height * scale), round(width * scale)))


def open_clip(source: str, videos: Videos, *, preset: str = "quick", seed: int = 0) -> Clip:
    """One clip to look at closely: a hand-held walk through test room `seed`, or the beginning of a real video."""
    if source == "rooms":
        return open_video("rooms", preset=preset, seed=seed)
    name = videos.names[seed % len(videos.names)]
    return videos.clip(name, stop=min(_MOST_FRAMES, videos.frame_count(name)))


def split_of(source: str) -> str:
    """The split that a chapter takes: the first that has a folder in STC_LAB_DATA."""
    info = load_info(source)
    return next((split for split in info.splits if split in info.folders), info.splits[0])


def knowledge() -> dict[str, frozenset[str]]:
    """For each data set that the package can read, which fields come with it; images and times always do.

    Not in it are the adapters for frames of one's own: those know what they are given.
    """
    return {name: load_info(name).has for name in available() if name not in _OWN_FRAMES}


def has_world(clip: Clip) -> bool:
    """Whether the pixels of a clip can be placed in the world: depth, camera and pose are known."""
    return clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None


def frame_facts(frame: Clip, info: SourceInfo) -> dict[str, str]:
    """What is known of one frame, field by field in words; None where the data set does not know it."""
    if len(frame) != 1:
        raise InputError(f"frame_facts describes one frame, got a clip of {len(frame)}")
    height, width = frame.image.shape[-2:]
    facts = dict.fromkeys(("image", "label", "depth", "camera", "pose", "time"), f"None: {info.name} does not know it")
    facts["image"] = f"{width} x {height} px, RGB in [0, 1]"
    place = f"frame {int(frame.index[0])} of {frame.video[0]}"
    facts["time"] = f"{float(frame.time[0]):.2f} s, {place}, filmed at {info.frame_rate:g} Hz"
    if frame.label is not None:
        labelled = frame.label != info.ignore_index
        present = len(frame.label[labelled].unique())
        facts["label"] = f"{present} of {len(info.classes)} classes, {_percent(labelled)} of the pixels labelled"
    if frame.depth is not None:
        known = torch.isfinite(frame.depth) & (frame.depth > 0)
        depth = frame.depth[known]
        span = f"{float(depth.min()):.2f} to {float(depth.max()):.2f} m, " if len(depth) else ""
        facts["depth"] = f"{span}{_percent(known)} of the pixels known"
    if frame.camera is not None:
        K = frame.camera.K[0]
        words = ", ".join(f"{name} {float(K[i, j]):.1f}" for name, i, j in _INTRINSICS)
        wide = 2 * torch.rad2deg(torch.atan(width / (2 * K[0, 0])))
        facts["camera"] = f"{words} px: {float(wide):.0f} degrees wide"
    if frame.T_world_camera is not None:
        T = frame.T_world_camera[0]
        facts["pose"] = f"stands at {_point(T[:3, 3])} m, looks along {_point(T[:3, 2])}"
    return facts


_INTRINSICS = (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2))


@dataclass(frozen=True)
class DataCard:
    """The data card of a source: its fields, and the bold paragraphs of its text."""

    name: str
    fields: dict[str, Any]
    paragraphs: dict[str, str]

    def essentials(self) -> dict[str, str]:
        """What to know before using the data, each in a line of plain text."""
        own = self.fields["stc_lab"]
        chosen = {key: str(own[key]) for key in ("licence", "consent", "access", "reference")}
        return {**chosen, "splits": ", ".join(own["splits"]), "annotations": ", ".join(self._annotators())}

    def _annotators(self) -> list[str]:
        return [str(who) for who in self.fields.get("annotations_creators", [])] or ["none"]


def read_card(name: str) -> DataCard:
    """The card data_cards/<name>.md: YAML between two lines of dashes, then Markdown."""
    path = project_root() / "data_cards" / f"{name}.md"
    if not path.is_file():
        raise InputError(f"no data card {path.name}", hint=f"the data sets are {', '.join(available())}")
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    paragraphs = {}
    for part in body.split("\n\n"):
        if part.startswith("**") and ".**" in part:
            head, text = part[2:].split(".**", 1)
            paragraphs[head] = text.strip()
    return DataCard(name, yaml.safe_load(front), paragraphs)


def _percent(mask: torch.Tensor) -> str:
    return f"{100 * float(mask.double().mean()):.0f} %"


def _point(values: torch.Tensor) -> str:
    return "(" + ", ".join(f"{v:.2f}" for v in values.tolist()) + ")"
