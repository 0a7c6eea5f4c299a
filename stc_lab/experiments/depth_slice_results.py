"""What the kept study of clips came to: a trial a column, and what its data set does not know said as such."""

from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, Any]
UNKNOWN = "–"  # what the data set does not know
CLIPS = {
    "icl": "ICL-NUIM, rendered",
    "kitti": "KITTI 06, driving, grey",
    "kitti, flat": "the same, from flat depth",
    "sevenscenes": "7-Scenes, Kinect",
    "camvid": "CamVid, driving",
}


def slices_table(kept: Mapping[str, Any]) -> str:
    """The kept slices as Markdown; only those that are there."""
    rows = {source: kept["rows"][source] for source in CLIPS if source in kept["rows"]}
    lines = ["| | " + " | ".join(CLIPS[source] for source in rows) + " |", "|:---" * (len(rows) + 1) + "|"]
    for title, cell in _MEASURES.items():
        lines.append(f"| {title} | " + " | ".join(cell(row) for row in rows.values()) + " |")
    return "\n".join(lines)


def _abs_rel(name: str) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row["abs_rel"] is None else f"{row['abs_rel'][name]:.3f}"


def _focal(row: Row) -> str:
    if row["focal_error"] is None:
        return f"{UNKNOWN} ({row['focal_ratio']:.2f} of the width)"
    return f"{100 * row['focal_error']:+.0f} %"


def _rotation(row: Row) -> str:
    return UNKNOWN if row["motion"] is None else f"{row['motion']['rotation']:.2f}° of {row['motion']['of']:.2f}°"


def _direction(row: Row) -> str:
    return UNKNOWN if row["motion"] is None else f"{row['motion']['direction']:.0f}°"


def _photometric(name: str) -> Callable[[Row], str]:
    return lambda row: f"{100 * row['photometric'][name]:.2f}" if name in row["photometric"] else UNKNOWN


def _parallax(name: str) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row["parallax"] is None else f"{row['parallax'][name]:.2f} px"


_MEASURES: dict[str, Callable[[Row], str]] = {
    "frames": lambda row: f"{row['frames']} of {row['size'][0]} x {row['size'][1]} px",
    "abs_rel: net, one frame": _abs_rel("learned depth"),
    "abs_rel: whole clip": _abs_rel("whole clip"),
    "abs_rel: best constant": _abs_rel("best constant"),
    "focal length off": _focal,
    "rotation off": _rotation,
    "direction of motion off": _direction,
    "grey levels off (%): no warp": _photometric("identity"),
    "… constant depth, fitted motion": _photometric("constant depth"),
    "… net, fitted motion": _photometric("learned depth"),
    "… whole clip": _photometric("whole clip"),
    "… true geometry": _photometric("true"),
    "what depth adds to the flow": _parallax("by depth"),
    "the flow's own error": _parallax("flow off"),
}
