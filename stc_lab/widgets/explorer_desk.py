"""The consistency explorer: find the failure, click it, see why."""

import asyncio
import base64
import html
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from stc_lab.data.videos import Videos
from stc_lab.experiments.explored_frames import Model
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.plots.explorer import CELLS, ranking_bars
from stc_lab.plots.explorer_charts import histogram, ranked_list
from stc_lab.plots.explorer_page import Scene
from stc_lab.plots.explorer_scene import (
    LATE,
    chosen_key,
    drawn,
    explained,
    explorer_scene,
    material_palette,
    video_timeline,
    with_late,
)
from stc_lab.plots.grid import image_grid
from stc_lab.plots.panels import Panel
from stc_lab.plots.template import FONT_FAMILY, INK, QUIET_INK
from stc_lab.widgets.explorer_knobs import changes_of, fit_knobs, make_knobs
from stc_lab.widgets.explorer_layout import TITLE, laid_out
from stc_lab.widgets.live import live_lab

REST = 0.06  # s without a move after which causes, story and charts follow


class ConsistencyExplorer:
    """Ranked pairs, linked pictures, a pixel's story and sliders that disturb; elsewhere the picture of its state.

    A thin shell: `state` is all it knows, `explorer_scene` says what is shown.
    """

    def __init__(self, material: ExplorerMaterial, state: ExplorerState | None = None) -> None:
        """Opens at `state`, by default at the worst pair of all."""
        self.material = material
        self.palette = material_palette(material)
        self.state = material.worst() if state is None else state
        self._desk: Desk | None = None

    def scene(self, **changes: Any) -> Scene:
        """What is shown now, or in a state that differs from it by `changes`."""
        return explorer_scene(self.material, replace(self.state, **changes), palette=self.palette)

    def figure(self, **changes: Any) -> go.Figure:
        """The pictures of the same as a static figure."""
        scene = self.scene(**changes)
        return image_grid(scene.panels, columns=4, title=scene.heading)

    def go(self, state: ExplorerState) -> None:
        """Show this state."""
        if self._desk is None:
            self.state = state
        else:
            self._desk.go(state)

    @property
    def widget(self) -> Any:
        """The ipywidgets box; made when first asked for."""
        if self._desk is None:
            self._desk = Desk(self)
        return self._desk.box

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widget in the lab, with a picture for readers without a kernel; in batch the static figure."""
        shown = self.scene()
        bundle: dict[str, Any] = {
            "text/plain": f"{TITLE}\n{shown.words()}",
            "image/png": base64.b64encode(shown.picture()).decode("ascii"),
        }
        if live_lab():
            return {**self.widget._repr_mimebundle_(), **bundle}
        figure = image_grid(shown.panels, columns=4, title=shown.heading)
        return {"application/vnd.plotly.v1+json": json.loads(figure.to_json()), **bundle}


class Desk:
    """The widgets of one explorer, and what a hand does to them."""

    def __init__(self, explorer: ConsistencyExplorer) -> None:
        import ipywidgets

        from stc_lab.widgets.explorer_board import Choices, PanelBoard
        from stc_lab.widgets.explorer_keep import Keeper

        self.explorer, self.material = explorer, explorer.material
        self.board = PanelBoard()
        self.timeline, self.histogram, self.ranked, self.legend = Choices(), Choices(), Choices(), Choices()
        self.heading, self.numbers, self.cause, self.why, self.error = (ipywidgets.HTML() for _ in range(5))
        self.knobs = make_knobs(self.material, explorer.state)
        self.play = ipywidgets.Play(interval=500, description="play")
        self.keeper = Keeper(self)
        self._busy = 0
        self._still = False  # while the knobs follow the state
        self._charted: object = None
        self._late: list[tuple[Panel, str]] = []  # panels of the last state that was explained
        self._waiting: asyncio.TimerHandle | None = None
        for name, knob in self.knobs.items():
            knob.observe(lambda change, name=name: self._moved(name, change["new"]), names="value")
        self.play.observe(lambda change: self._moved("frame", change["new"]), names="value")
        for chart in (self.timeline, self.histogram, self.ranked):
            chart.observe(lambda change: self._choose(int(change["new"][0])), names="chosen")
        self.legend.observe(lambda change: self.go(self.state.toggled(int(change["new"][0]))), names="chosen")
        self.board.observe(lambda change: self._click(*change["new"][:2]), names="clicked")
        self.board.observe(lambda change: self._press(change["new"][0]), names="pressed")
        self.box = laid_out(self)
        self.go(explorer.state)

    @property
    def state(self) -> ExplorerState:
        return self.explorer.state

    def go(self, state: ExplorerState) -> None:
        """Show a state; what goes wrong is said below, and the knobs stay alive."""
        self.explorer.state = state
        self.attempt(self._show)

    def attempt(self, act: Callable[[], None]) -> None:
        """Do it behind the sign for busy; an exception in a callback would vanish into the kernel's log."""
        self._busy += 1
        self.board.busy = True
        try:
            act()
            self.error.value = ""
        except Exception as problem:
            text = html.escape(f"{type(problem).__name__}: {problem}")
            self.error.value = f"<div role='alert' style='font:14px {FONT_FAMILY}; color:#b00020'>{text}</div>"
            self.board.status = "see the message under the explorer"
        finally:
            self._busy -= 1
            self.board.busy = self._busy > 0

    def _show(self) -> None:
        began = time.perf_counter()
        state = self.state
        self._still = True
        try:
            fit_knobs(self.knobs, self.material, state)
            self.play.max, self.play.value = self.knobs["frame"].max, state.frame
        finally:
            self._still = False
        scene = drawn(self.material, state, self.explorer.palette)
        spent = 1e3 * (time.perf_counter() - began)
        shown = with_late(scene, self._late)
        self.board.show(
            shown.panels,
            shown.below,
            f"computed in {spent:.0f} ms",
            stale=range(LATE.start, LATE.start + len(self._late)),
        )
        self.heading.value = f"<div style='font:600 15px {FONT_FAMILY}; color:{INK}'>{html.escape(scene.heading)}</div>"
        self.legend.value = scene.legend
        self.numbers.value = scene.numbers
        self._later(lambda: self._explain(scene))

    def _later(self, act: Callable[[], None]) -> None:
        """Once the hand rests: what takes longer than a picture must not hold up the next move of a slider."""
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel runs us, so that nothing else can come
            act()
        else:
            self._waiting = loop.call_later(REST, lambda: self.attempt(act))

    def _explain(self, scene: Scene) -> None:
        """Causes, the pixel's story, the charts and the text of the state that is shown."""
        self.keeper.follow(self.state)
        full = explained(scene, self.material, self.state, self.explorer.palette)
        late = slice(LATE.start, LATE.start + len(full.panels) - len(scene.panels))
        self._late = list(zip(full.panels[late], full.below[late], strict=True))
        self.board.show(full.panels, full.below, self.board.status)
        style = f"font:600 15px/1.4 {FONT_FAMILY}; color:{INK}"
        self.cause.value = f"<div class='stc-cause' style='{style}'>{html.escape(full.cause)}</div>"
        self.why.value = full.why + _quiet(full.note)
        self._charts()

    def _charts(self) -> None:
        """Time line, histogram and list, when they have changed; a new ranking takes longer than a picture."""
        state, ranking = self.state, self.material.ranking(self.state)
        key = chosen_key(self.material, state)
        shown = (id(ranking), key, state.video, state.least_visible, state.least_motion, state.most_motion)
        if shown == self._charted:
            return
        bars = ranking_bars(self.material, state)
        self.timeline.value = video_timeline(self.material, state, bars)
        self.histogram.value = histogram(bars, key, state.measure)
        self.ranked.value = ranked_list(bars, key, CELLS)
        self._charted = shown

    def _moved(self, name: str, value: Any) -> None:
        if self._still:
            return
        changes = changes_of(name, value)
        if name == "geometry":
            changes["occlusion"] = ""
        if name in ("video", "gap"):
            changes["frame"] = self._fitting(**changes)
        self.go(replace(self.state, **changes))

    def _fitting(self, *, video: str | None = None, gap: int | None = None) -> int:
        """The frame, or the last one that still has a partner."""
        frames = self.material.videos.frame_count(self.state.video if video is None else video)
        return max(0, min(self.state.frame, frames - 1 - (self.state.gap if gap is None else gap)))

    def _choose(self, place: int) -> None:
        self.attempt(lambda: self.go(self.material.at_pair(self.state, self.material.ranking(self.state)[place])))

    def _click(self, x: int, y: int) -> None:
        self.go(replace(self.state, x=int(x), y=int(y)))

    def step(self, by: int) -> None:
        """The frame `by` further, the ends being where it stops."""
        frame = max(0, min(self.knobs["frame"].max, self.state.frame + by))
        self.go(replace(self.state, frame=frame))

    def worse(self, by: int) -> None:
        """The next (by > 0) or previous worst pair."""
        self.attempt(lambda: self.go(self.material.beside(self.state, by)))

    def _press(self, key: str) -> None:
        if key == " ":
            self.play.playing = not self.play.playing
        elif key == "d":
            other = "forward" if self.state.direction == "backward" else "backward"
            self._moved("direction", other)
        elif key in ("n", "p"):
            self.worse(1 if key == "n" else -1)
        elif key in ("[", "]"):
            gap = max(1, min(self.material.gaps(self.state.video), self.state.gap + (1 if key == "]" else -1)))
            self.go(replace(self.state, gap=gap, frame=self._fitting(gap=gap)))
        else:
            self.step(1 if key == "ArrowRight" else -1)


def consistency_explorer(
    videos: Videos,
    models: Mapping[str, Model],
    *,
    classes: Sequence[str] | None = None,
    cache: Path | str | None = None,
    **opening: Any,
) -> ConsistencyExplorer:
    """The explorer of `videos` and models by name, at the worst pair of an opening state with these fields changed."""
    material = ExplorerMaterial(videos, models, classes=classes, cache=cache)
    return ConsistencyExplorer(material, material.worst(**opening))


def _quiet(words: str) -> str:
    return f"<div style='font:13px {FONT_FAMILY}; color:{QUIET_INK}; line-height:1.5'>{html.escape(words)}</div>"
