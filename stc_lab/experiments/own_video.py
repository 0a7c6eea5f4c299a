"""A video of one's own and a model for it: a film or a folder in, and how steady the model is on it over time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from stc_lab.data.load import load
from stc_lab.data.rooms import CLASS_NAMES
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.explored_frames import ExploredFrames, Model
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.experiments.pair_places import Geometry
from stc_lab.experiments.pair_ranking import rank_pairs
from stc_lab.models import SHIPPED, FPNSegmenter, HubSegmenter, load_model, load_shipped

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
FILMS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".ogv")
_MULTIPLE = 2  # px


def open_frames(path: Path | str, *, short_side: int | None = None, frame_rate: float = 30.0, **options: Any) -> Videos:
    """The frames of a film file, or of a folder of pictures (or of one folder of them for each video).

    `short_side` (px) makes them smaller and keeps their aspect. `frame_rate` (Hz) is that of pictures; a film knows its
    own. Further options are those of `load("video")` or `load("folder")`, such as `step=2` or `max_frames=500`.
    Frames are decoded when they are asked for. InputError says what cannot be read, and why.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"there is no file or folder {path}", hint="a typing error, or a path relative to elsewhere")
    if path.is_file():
        if path.suffix.lower() in PICTURES:
            raise InputError(f"{path} is one picture, but consistency needs a film or a folder of frames")
        videos = load("video", root=path, **options)
    else:
        videos = load(
            "folder", root=path, images=_pattern(path), frame_rate=frame_rate, **{"numbering": "order", **options}
        )
    if max(videos.frame_count(name) for name in videos.names) < 2:
        raise InputError(f"{path} has one frame, but consistency needs two")
    return videos if short_side is None else _smaller(videos, short_side)


def _pattern(folder: Path) -> str:
    """Where the pictures of a folder lie: in it, or one level down."""
    for level in ("", "{video}/"):
        found = list(folder.glob(level.replace("{video}", "*") + "*"))
        by_kind = {path.suffix for path in found if path.suffix.lower() in PICTURES}
        counts = {kind: sum(path.suffix == kind for path in found) for kind in by_kind}
        if len(counts) > 1:
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
            raise InputError(
                f"{folder} has pictures of several kinds: {kinds}",
                hint="label maps among the frames? put them into a folder of their own",
            )
        if counts:
            return f"{level}{{frame}}{next(iter(counts))}"
        films = sorted(path.name for path in found if path.suffix.lower() in FILMS)
        if films:
            raise InputError(f"{folder} holds films, not frames: {', '.join(films[:3])}", hint="give one of the films")
    raise InputError(f"{folder} has no pictures, nor has a folder in it ({', '.join(PICTURES)})")


def _smaller(videos: Videos, short_side: int) -> Videos:
    if short_side < 16:
        raise InputError(f"short_side must be at least 16 px, got {short_side}")
    height, width = videos.size
    scale = short_side / min(height, width)
    if scale >= 1:
        return videos
    rows, columns = (max(1, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in (height, width))
    return videos.resized((rows, columns))


@dataclass(frozen=True)
class NamedModel:
    """A model, the names of its classes, and what to call it."""

    model: Model
    classes: tuple[str, ...]
    name: str


def open_model(source: str | Path, videos: Videos, *, classes: Sequence[str] | None = None) -> NamedModel:
    """A model for the videos by what `source` names.

    `rooms_fpn`, the shipped net; a `.safetensors` file of the kit; a folder that `transformers` saved a segmentation
    net into; or a folder of label maps that were computed already, one for each frame. `classes` name the classes
    where the source does not.
    """
    if source == "rooms_fpn":
        return NamedModel(load_shipped("rooms_fpn").model, _names(classes, CLASS_NAMES), "rooms_fpn")
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix != ".safetensors":
            raise InputError(f"{path} is no .safetensors file", hint="weights as a pickle are not read")
        model = load_model(path, FPNSegmenter).model
        return NamedModel(model, _names(classes, _numbers(model.num_classes)), path.stem)
    if not path.is_dir():
        raise InputError(
            f"no model {str(source)!r}: expected rooms_fpn, a .safetensors file, a folder of transformers, or a folder "
            "of label maps",
            hint=f"the shipped nets are {', '.join(SHIPPED)}, of which the first is a segmenter",
        )
    if (path / "config.json").is_file():
        net = HubSegmenter.from_folder(path)
        return NamedModel(net, _names(classes, net.classes), path.name)
    maps = LabelMaps.of_folder(path, videos, num_classes=None if classes is None else len(classes))
    return NamedModel(maps, _names(classes, _numbers(maps.num_classes)), path.name)


def _names(given: Sequence[str] | None, own: Sequence[str]) -> tuple[str, ...]:
    if given is not None and len(given) != len(own):
        raise InputError(f"classes must name the model's {len(own)} classes, got {len(given)}")
    return tuple(own if given is None else given)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))


@dataclass(frozen=True)
class Course:
    """How measures go over time: a value for each pair of frames `gap` apart, in order."""

    video: str
    gap: int  # frames
    time: Float64[Tensor, " p"]  # s of the earlier frame
    values: Mapping[str, Float64[Tensor, " p"]]  # by measure; NaN where a pair has nothing to compare
    visible: Float64[Tensor, " p"]  # share of the pixels that were compared

    def mean(self, measure: str) -> float:
        """Over the pairs that have a value."""
        return float(self.values[measure].nanmean())


def stability_over_time(
    videos: Videos,
    model: Model,
    *,
    measures: Sequence[str] = ("disagreement", "E_pair", "1 - TC"),
    gap: int = 1,
    geometry: Geometry = "estimated",
    memory: ExploredFrames | None = None,
    cache: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Course]:
    """The measures of `rank_pairs` along each video; frames are read once, and only some are held."""
    frames = ExploredFrames(videos, model) if memory is None else memory
    scores = {
        name: rank_pairs(
            videos,
            model,
            measure=name,
            gap=gap,
            geometry=geometry,
            least_visible=0.0,
            memory=frames,
            cache=cache,
            progress=progress,
        )
        for name in measures
    }
    courses = []
    for video in videos.names:
        count = videos.frame_count(video) - gap
        if count < 1:
            continue
        first = videos.row(video, 0)
        values = {name: torch.full((count,), torch.nan, dtype=torch.float64) for name in measures}
        visible = torch.zeros(count, dtype=torch.float64)
        for name, found in scores.items():
            for score in found:
                if score.video == video:
                    values[name][score.earlier - first] = score.value
                    visible[score.earlier - first] = score.visible
        time = torch.from_numpy(videos.times(video)[:count].copy())
        courses.append(Course(video, gap, time, values, visible))
    return courses
