"""What the command line says about data sets, line by line."""

import os
from collections.abc import Iterator
from pathlib import Path

from stc_lab.data.check import CheckReport
from stc_lab.data.load import available, load_info
from stc_lab.data.schema import SourceInfo


def first_split(name: str, root: str | None) -> str:
    """The split that is meant when none is named: without a root, the first that has a folder in STC_LAB_DATA."""
    info = load_info(name)
    return next(iter(info.folders), info.splits[0]) if root is None else info.splits[0]


def overview() -> Iterator[str]:
    """A line for each data set."""
    data = os.environ.get("STC_LAB_DATA", "")
    for name in available():
        info = load_info(name)
        known = ", ".join(sorted(info.has)) or "images alone"
        here = [split for split, folder in info.folders.items() if data and (Path(data) / folder).is_dir()]
        place = (
            "rendered here" if name == "rooms" else f"in STC_LAB_DATA: {', '.join(here)}" if here else "needs --root"
        )
        yield f"{name:16} {known:34} {'/'.join(info.splits):18} {place}"


def facts(name: str) -> Iterator[str]:
    """What is true of a data set as a whole."""
    info = load_info(name)
    yield f"{'name':16} {info.name}"
    yield f"{'known':16} {', '.join(sorted(info.has)) or 'images alone'} (single frames may lack some)"
    yield f"{'frame rate':16} {info.frame_rate:g} Hz"
    yield f"{'splits':16} {', '.join(info.splits)}"
    if info.classes:
        yield f"{'classes':16} {len(info.classes)}: {', '.join(info.classes)}"
        ignored = ", ".join(f"{stored} {word}" for stored, word in info.ignore_ids.items()) or "none"
        yield f"{'stored ids':16} {_ids(info)}; ignored: {ignored}; unknown: {info.ignore_index}"
    if "depth" in info.has:
        unknown = ", ".join(map(str, info.depth_unknown))
        yield f"{'depth':16} {info.depth_per_metre or 1:g} units to the metre, unknown: {unknown}"
    if "pose" in info.has:
        yield f"{'poses':16} {info.stored_poses} in the files, camera-to-world in a Clip"
    yield f"{'licence':16} {info.licence}"
    yield f"{'reference':16} {info.reference}"
    folders = ", ".join(f"{folder} ({split})" for split, folder in info.folders.items())
    yield f"{'in STC_LAB_DATA':16} {folders or 'no folder of its own'}"
    yield f"{'card':16} data_cards/{name}.md"


def summary(report: CheckReport) -> Iterator[str]:
    """A check's result, every problem of it included."""
    sizes = ", ".join(f"{h} x {w} ({count} videos)" for (h, w), count in sorted(report.sizes.items())[:8])
    yield f"{'frames':16} {report.frames} in {report.videos} videos, {report.filmed / 60:.1f} minutes"
    yield f"{'sizes, px':16} {sizes}{', ...' if len(report.sizes) > 8 else ''}"
    for name, count in report.known.items():
        yield f"{name:16} of {count} frames"
    for reason, count in report.skipped.items():
        yield f"{'skipped':16} {count} frames: {reason}"
    if report.class_share:
        yield f"{'ignored':16} {report.ignored_share:.2%} of the labelled pixels; of the others:"
        for name, share in report.class_share.items():
            yield f"  {name:30} {share:8.3%}"
    rate = report.frames / report.seconds if report.seconds else 0.0
    yield f"{'on disk':16} {report.disk / 1e6:.1f} MB"
    yield f"{'a full run':16} reads all frames in {report.seconds:.1f} s a pass, {rate:.0f} frames/s, as here"
    yield f"{'':16} and takes {report.memory / 1e6:.1f} MB to hold them all in memory at their size"
    yield f"{'problems':16} {len(report.problems) or 'none'}"
    for problem in report.problems:
        yield f"  {problem}"


def _ids(info: SourceInfo) -> str:
    if info.label_ids is None:
        return f"0 to {len(info.classes) - 1}, the classes in their order"
    return f"{len(info.label_ids)} ids from {min(info.label_ids)} to {max(info.label_ids)}, mapped to the classes"
