"""From material and state to everything that is shown: the one function behind widget, picture, page and report."""

from collections.abc import Sequence
from dataclasses import replace

from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.experiments.likely_cause import likely_cause
from stc_lab.experiments.pair_view import PairView
from stc_lab.experiments.pixel_story import pixel_story
from stc_lab.plots.explorer import explorer_panels, loss_panel, marked, number_html, pixel_of, ranking_bars
from stc_lab.plots.explorer_charts import Bar, class_legend, timeline
from stc_lab.plots.explorer_page import Scene, line_below
from stc_lab.plots.explorer_why import cause_legend, cause_panel, story_html
from stc_lab.plots.palette import Palette, class_palette
from stc_lab.plots.panels import Panel

_AFTER = 7  # panels of the drawn scene, up to that of disagreement
LATE = slice(_AFTER, _AFTER)
NO_PIXEL = "Click a pixel in any picture to see where it goes, and why it is called differently there."


def material_palette(material: ExplorerMaterial) -> Palette:
    return class_palette(material.classes, ignore_index=material.videos.info.ignore_index)


def explorer_scene(material: ExplorerMaterial, state: ExplorerState, *, palette: Palette | None = None) -> Scene:
    """The state with its pictures, numbers, time line and what is known of its pixel."""
    palette = material_palette(material) if palette is None else palette
    scene = explained(drawn(material, state, palette), material, state, palette)
    if not state.disturbance.changed:  # under a slider the row must not come and go; here it would say nothing
        second = material.view(state, state.second) if state.second else None
        scene = replace(scene, numbers=number_html(material.view(state), state, None, second))
    return replace(scene, timeline=video_timeline(material, state, ranking_bars(material, state)))


def drawn(material: ExplorerMaterial, state: ExplorerState, palette: Palette) -> Scene:
    """What can follow a slider: pictures and numbers, but no cause, no story and no time line yet."""
    view = material.view(state)
    second = material.view(state, state.second) if state.second else None
    plain = material.view(state.undisturbed())
    panels = explorer_panels(view, state, palette, second=second)
    present = sorted({i for panel in panels for i in panel.classes})
    return Scene(
        heading=scene_heading(material, state, view),
        panels=panels,
        below=tuple(line_below(panel) for panel in panels),
        numbers=number_html(view, state, plain, second),
        legend=class_legend(palette, present, state.hidden),
        note=scene_note(view),
    )


def explained(scene: Scene, material: ExplorerMaterial, state: ExplorerState, palette: Palette) -> Scene:
    """The drawn scene with the maps of causes and of the loss, and the pixel's story."""
    seen = material.seen(state)
    causes, loss = marked([cause_panel(seen.view, seen.causes), loss_panel(seen.view)], seen.view, state)
    pixel = pixel_of(seen.view, state)
    return replace(
        with_late(scene, [(causes, cause_legend(causes)), (loss, line_below(loss))]),
        cause=NO_PIXEL if pixel is None else likely_cause(seen.view, *pixel).sentence,
        why=""
        if pixel is None
        else story_html(seen.view, pixel_story(seen.view, *pixel), material.track(state, seen.view), palette),
    )


def with_late(scene: Scene, late: Sequence[tuple[Panel, str]]) -> Scene:
    """The scene with the panels that take longer, and their lines, in their place among the others."""
    panels, below = list(scene.panels), list(scene.below)
    panels[LATE] = [panel for panel, _ in late]
    below[LATE] = [line for _, line in late]
    return replace(scene, panels=tuple(panels), below=tuple(below))


def scene_heading(material: ExplorerMaterial, state: ExplorerState, view: PairView) -> str:
    """Which pair, which way, by which geometry and model."""
    into = (
        f"{state.later} warped into {state.frame}"
        if state.direction == "backward"
        else (f"{state.frame} warped into {state.later}")
    )
    parts = [f"{state.video}: frame {into}", f"{view.geometry} geometry", f"model {material.model_of(state)}"]
    if state.disturbance.changed:
        parts.append("disturbed: " + ", ".join(name.replace("_", " ") for name in state.disturbance.changed))
    return ", ".join(parts)


def scene_note(view: PairView) -> str:
    motion = view.numbers()["motion"]
    moved = "" if motion != motion else f" The median visible pixel moves by {motion:.1f} px."
    return f"Hatched: not seen by the source by the rule '{view.occlusion}', so not counted.{moved}"


def chosen_key(material: ExplorerMaterial, state: ExplorerState) -> str:
    """The key of the state's pair in the ranking, or one that no pair has."""
    row = material.row(state)
    found = (i for i, score in enumerate(material.ranking(state)) if score.earlier == row)
    return str(next(found, -1))


def video_timeline(material: ExplorerMaterial, state: ExplorerState, bars: list[Bar]) -> str:
    """The pairs of the state's video over its frames."""
    ranking = material.ranking(state)
    own = [bar for bar, score in zip(bars, ranking, strict=True) if score.video == state.video]
    return timeline(own, chosen_key(material, state), state.measure)
