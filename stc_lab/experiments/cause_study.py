"""How often the explorer names the right cause on rooms; run this module (`python -m`) to keep the table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stc_lab.data.rooms import PRESETS, ExactRoomsFlow, RoomsConfig, rooms_videos, scene_of
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.cause_truth import CauseConfusion, cause_confusion
from stc_lab.experiments.digests import digest_of_model
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.likely_cause import CAUSES
from stc_lab.experiments.pair_places import Geometry
from stc_lab.experiments.pair_view import PairView, pair_view
from stc_lab.models import Segmenter, load_shipped

COMMAND = "python -m stc_lab.experiments.cause_study"
KEPT = "explorer_causes.json"
MOTIONS = ("dolly", "handheld")
GAPS = (1, 4)  # frames
SETTINGS: Mapping[str, tuple[Geometry, Disturbance]] = MappingProxyType(
    {
        "exact": ("exact", Disturbance()),
        "learned": ("learned", Disturbance()),
        "estimated flow": ("estimated", Disturbance()),
        "exact, depth x 1.2": ("exact", Disturbance(depth_scale=1.2)),
        "exact, yaw 3 degrees": ("exact", Disturbance(yaw=3.0)),
        "exact, shift 10 cm": ("exact", Disturbance(shift=0.1)),
        "exact, focal length x 1.1": ("exact", Disturbance(focal_scale=1.1)),
    }
)


@dataclass(frozen=True)
class CauseRow:
    """One geometry on one kind of video, all gaps and pairs pooled."""

    motion: str
    setting: str  # of SETTINGS
    confusion: CauseConfusion

    @property
    def mean_recall(self) -> float | None:
        """Over the causes that occur: what no common cause can lift."""
        known = [share for share in self.confusion.recall.values() if share is not None]
        return sum(known) / len(known) if known else None

    @property
    def base_rate(self) -> float | None:
        """The accuracy of always naming the commonest true cause."""
        pixels = self.confusion.pixels
        return int(self.confusion.counts.sum(dim=1).max()) / pixels if pixels else None

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        found = {
            "pixels": self.confusion.pixels,
            "accuracy": self.confusion.accuracy,
            "base_rate": self.base_rate,
            "mean_recall": self.mean_recall,
        }
        return {
            "motion": self.motion,
            "setting": self.setting,
            **{name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()},
            "counts": self.confusion.counts.tolist(),
        }


def cause_study(
    model: Segmenter,
    *,
    config: RoomsConfig = PRESETS["quick"],
    motions: Sequence[str] = MOTIONS,
    gaps: Sequence[int] = GAPS,
    settings: Mapping[str, tuple[Geometry, Disturbance]] = SETTINGS,
    scenes: int = 5,
    pairs: int = 4,
    split: str = "test",
    log: Callable[[str], None] = lambda _: None,
) -> list[CauseRow]:
    """Computed against true causes, over `pairs` pairs of each gap in each of the first `scenes` rooms of a split.

    The clues were tuned on the split `val`; judge on another.
    """
    if scenes < 1 or pairs < 1 or not gaps or max(gaps) >= config.frames:
        raise InputError(
            f"scenes, pairs and gaps must be at least 1, gaps below {config.frames}, got {scenes}, {pairs}, {gaps}"
        )
    rows = []
    for motion in motions:
        rooms = replace(config, motion=motion)
        videos = rooms_videos(split, rooms)
        frames = ExploredFrames(videos, model)
        names = videos.names[:scenes]
        truths = {name: ExactRoomsFlow(scene_of(name, rooms)) for name in names}
        for setting, (geometry, disturbance) in settings.items():
            total: CauseConfusion | None = None
            for name in names:
                views = _views(videos, frames, name, gaps, pairs, geometry, disturbance)
                found = cause_confusion(views, truths[name])
                total = found if total is None else total + found
            assert total is not None
            rows.append(CauseRow(motion, setting, total))
            log(f"{motion}, {setting}: {total.accuracy or 0:.1%} of {total.pixels} pixels")
    return rows


def _views(
    videos: Videos,
    frames: ExploredFrames,
    name: str,
    gaps: Sequence[int],
    pairs: int,
    geometry: Geometry,
    disturbance: Disturbance,
) -> Iterator[PairView]:
    for gap in gaps:
        last = videos.frame_count(name) - 1 - gap
        for start in sorted({round(i * last / max(1, pairs - 1)) for i in range(pairs)}):
            row = videos.row(name, start)
            yield pair_view(
                videos, frames.model, row, row + gap, geometry=geometry, disturbance=disturbance, memory=frames
            )


def keep_cause_study(out: Path | str | None = None, *, log: Callable[[str], None] = print) -> Path:
    """Run the study on the shipped net and write its table, into the package without `out`."""
    model = load_shipped().model
    rows = cause_study(model, log=log)
    table = {
        "command": COMMAND,
        "split": "test",
        "gaps": list(GAPS),
        "model": digest_of_model(model),
        "rooms": PRESETS["quick"].digest(),
        "causes": list(CAUSES),
        "rows": [row.to_dict() for row in rows],
    }
    path = Path(str(resources.files("stc_lab.experiments") / "results" / KEPT)) if out is None else Path(out) / KEPT
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def kept_cause_study() -> list[CauseRow]:
    """The table that comes with the package."""
    import torch

    path = resources.files("stc_lab.experiments") / "results" / KEPT
    table = json.loads(path.read_text(encoding="utf-8"))
    return [
        CauseRow(row["motion"], row["setting"], CauseConfusion(torch.tensor(row["counts"]))) for row in table["rows"]
    ]


if __name__ == "__main__":
    import torch

    torch.set_flush_denormal(True)
    print(keep_cause_study())
