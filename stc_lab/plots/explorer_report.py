"""Files of the consistency explorer: one state as page, picture and JSON, and the worst pairs as one page."""

import html
import os
import re
from dataclasses import replace
from pathlib import Path

from stc_lab.errors import InputError
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.experiments.pair_view import PairView
from stc_lab.plots.explorer_page import explorer_page, number_table
from stc_lab.plots.explorer_scene import explorer_scene, material_palette


def save_scene(material: ExplorerMaterial, state: ExplorerState, folder: Path | str) -> list[Path]:
    """Write the state as `folder/explorer-VIDEO-FRAME-GAP.html`, `.png` and `.json`; the page needs nothing else."""
    folder = Path(folder)
    scene = explorer_scene(material, state)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"explorer-{state.video}-{state.frame}-{state.gap}")
    page = explorer_page([scene], f"Consistency explorer: {state.video}")
    contents = {".html": page.encode(), ".png": scene.picture(), ".json": state.to_json().encode()}
    return [_written(folder / f"{name}{suffix}", content) for suffix, content in contents.items()]


def worst_pairs_report(material: ExplorerMaterial, state: ExplorerState, path: Path | str, *, count: int = 10) -> Path:
    """Write one page of the worst pairs that pass the state's filters, each at the pixel that tells most.

    The page links to nothing. A disturbance of the state is left aside: the report is about the net.
    """
    if count < 1:
        raise InputError(f"count must be at least 1, got {count}")
    state = state.undisturbed()
    passing = material.passing(state)[:count]
    if not passing:
        raise InputError("no pair passes the filters", hint="less visible, another class, or a wider range of motion")
    palette = material_palette(material)
    scenes = []
    for rank, score in enumerate(passing, start=1):
        pair = replace(material.at_pair(state, score), x=-1, y=-1)
        x, y = telling_pixel(material.view(pair))
        scene = explorer_scene(material, replace(pair, x=x, y=y), palette=palette)
        scenes.append(replace(scene, heading=f"{rank}. {scene.heading}"))
    rows = {
        f"{rank}. {score.video}, frames {at.frame} and {at.later}": (
            f"{score.value:.3f}",
            f"{100 * score.visible:.0f} %",
            f"{score.motion:.1f} px",
        )
        for rank, (score, at) in enumerate(((score, material.at_pair(state, score)) for score in passing), start=1)
    }
    model, source = html.escape(material.model_of(state)), html.escape(material.videos.info.name)
    words = (
        f"{len(passing)} of {len(material.ranking(state))} pairs of {source}, {state.gap} frames apart, worst first by "
        f"{html.escape(state.measure)} ({state.geometry} geometry, model {model}). "
        "The ring marks the pixel that each story is about: where the two class distributions differ most."
    )
    opening = f"<p>{words}</p>{number_table((state.measure, 'visible', 'median motion'), rows)}"
    page = explorer_page(scenes, f"The {len(passing)} worst pairs", opening)
    return _written(Path(path), page.encode())


def telling_pixel(view: PairView) -> tuple[int, int]:
    """The visible pixel (x, y) whose two class distributions lie farthest apart."""
    apart = view.soft_disagreement[0]
    place = int(apart.argmax())
    return place % apart.shape[1], place // apart.shape[1]


def _written(path: Path, content: bytes) -> Path:
    """Beside the target first, and then renamed, so that no reader sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
    return path
