"""The shell of every explorer: controls on top, pictures below, numbers under them, and what went wrong in red.

What is shown is decided by a pure function of the controls' values, which needs no browser and no kernel.
"""

import base64
import html
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from stc_lab.plots.grid import image_grid
from stc_lab.plots.marks import Kind
from stc_lab.plots.panels import Panel
from stc_lab.plots.sheet import contact_sheet
from stc_lab.plots.template import FONT_FAMILY, INK, QUIET_INK
from stc_lab.widgets.live import live_lab

PANEL_WIDTH = 300  # px on screen: three fit into a cell
FAST = 0.15  # s: a picture that takes longer waits until the slider is let go


@dataclass(frozen=True)
class Table:
    """Numbers beside a picture: a row per method, a column per measure, already written out."""

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    def text(self) -> str:
        return "\n".join(
            f"{name}: " + ", ".join(f"{column} {cell}" for column, cell in zip(self.columns, cells, strict=True))
            for name, cells in self.rows.items()
        )

    def html(self) -> str:
        head = "".join(f"<th style='{_CELL}; color:{QUIET_INK}'>{html.escape(c)}</th>" for c in ("", *self.columns))
        body = "".join(
            f"<tr><td style='{_CELL}; text-align:left'>{html.escape(name)}</td>"
            + "".join(f"<td style='{_CELL}; font-weight:600'>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in self.rows.items()
        )
        style = f"border-collapse:collapse; font:15px {FONT_FAMILY}; color:{INK}"
        return f"<table style='{style}'><tr>{head}</tr>{body}</table>"


_CELL = "padding:3px 18px 3px 0; text-align:right; border-bottom:1px solid #e6e9ee"


@dataclass(frozen=True)
class Picture:
    """What an explorer shows in one state."""

    panels: tuple[Panel | None, ...]  # None: an empty place
    table: Table
    note: str = ""  # one line under the numbers
    chart: go.Figure | None = None  # curves under the note; those of one explorer have the same traces


class Explorer:
    """Sliders and pictures in the lab; the picture of the default state everywhere else.

    `controls` are ipywidgets by the names of the arguments of `picture`, each with a `description`.
    """

    def __init__(
        self,
        title: str,
        controls: Callable[[], Mapping[str, Any]],
        picture: Callable[..., Picture],
        default: Mapping[str, Any],
        *,
        columns: int = 3,
        click: tuple[str, str] | None = None,
    ) -> None:
        """`click` names the controls of x and y that a click on the first picture sets, in pixels of the data."""
        self.title = title
        self._controls = controls
        self._picture = picture
        self._default = dict(default)
        self._columns = columns
        self._click = click
        self._widget: Any = None

    def picture(self, **state: Any) -> Picture:
        """What is shown in the default state, or in one that differs from it by `state`."""
        return self._picture(**{**self._default, **state})

    def figure(self, **state: Any) -> go.Figure:
        """The same as a static figure."""
        return image_grid(self.picture(**state).panels, columns=self._columns)

    @property
    def widget(self) -> Any:
        """The ipywidgets box; made when first asked for."""
        if self._widget is None:
            self._widget = _build(self.title, self._controls(), self._picture, self._columns, self._click)
        return self._widget

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widget in the lab, with a picture for readers without a kernel; in batch the static figure."""
        shown = self.picture()
        bundle: dict[str, Any] = {
            "text/plain": f"{self.title}\n{shown.table.text()}",
            "image/png": base64.b64encode(contact_sheet(shown.panels, columns=self._columns)).decode("ascii"),
        }
        if live_lab():
            return {**self.widget._repr_mimebundle_(), **bundle}
        return {"application/vnd.plotly.v1+json": json.loads(self.figure().to_json()), **bundle}


def legend_html(panels: Sequence[Panel | None]) -> str:
    """Colour and name of each class and mark that occurs in the panels."""
    shown = [p for p in panels if p]
    entries = {(i, p.palette.names[i]): p.palette.colours[i] for p in shown if p.palette for i in p.classes}
    box = "display:inline-block; width:13px; height:13px; border:1px solid #6b7684; margin-right:6px"
    items = [(f"<span style='{box}; background:{entries[key]}'></span>", key[1]) for key in sorted(entries)]
    marks = {mark.name: mark for p in shown for mark in p.marks if mark.name}
    items += [
        (f"<span style='color:{mark.colour}; font-weight:700; margin-right:6px'>{_SIGNS[mark.kind]}</span>", name)
        for name, mark in marks.items()
    ]
    listed = "".join(
        f"<span style='margin-right:16px; white-space:nowrap'>{sign}{html.escape(name)}</span> " for sign, name in items
    )
    return f"<div style='font:13px {FONT_FAMILY}; color:{INK}; line-height:1.7; max-width:960px'>{listed}</div>"


_SIGNS: dict[Kind, str] = {"ring": "◯", "cross": "✕", "dots": "●", "line": "▬"}


def _build(
    title: str,
    controls: Mapping[str, Any],
    picture: Callable[..., Picture],
    columns: int,
    click: tuple[str, str] | None,
) -> Any:
    import ipywidgets

    state = {name: control.value for name, control in controls.items()}
    began = time.perf_counter()
    first = picture(**state)
    fast = time.perf_counter() - began < FAST
    places = [{"layout": {"width": f"{_width(panel)}px", "margin": "0"}} for panel in first.panels]
    images = [
        ipywidgets.Image(**place) if panel else ipywidgets.HTML(**place)
        for panel, place in zip(first.panels, places, strict=True)
    ]
    if click is not None:
        from stc_lab.widgets.click import ClickPicture

        assert first.panels[0] is not None
        images[0] = ClickPicture(width=_width(first.panels[0]))
    captions = [ipywidgets.HTML() for _ in first.panels]
    scales = [ipywidgets.HTML() for _ in first.panels]
    table, legend, note = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
    error = ipywidgets.HTML()
    chart = None if first.chart is None else go.FigureWidget(first.chart)
    waiting = False  # while one act moves several controls

    def show(now: Picture) -> None:
        room = 54 if any(panel.caption for panel in now.panels if panel) else 0
        for panel, image, caption, scale in zip(now.panels, images, captions, scales, strict=True):
            if panel is None:
                continue
            encoded = panel.encoded(_factor(panel))
            image.format = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
            image.value = encoded
            caption.value, scale.value = _caption(panel, room), _scale(panel)
        table.value = now.table.html()
        legend.value = legend_html(now.panels)
        note.value = f"<div style='font:13px {FONT_FAMILY}; color:{QUIET_INK}'>{html.escape(now.note)}</div>"
        if chart is not None and now.chart is not None:
            redraw(chart, now.chart)

    def update(_: object = None) -> None:
        if waiting:
            return
        # An exception in a callback would vanish into the kernel's log (ipywidgets issue 1971).
        try:
            show(picture(**{name: control.value for name, control in controls.items()}))
            error.value = ""
        except Exception as problem:
            text = html.escape(f"{type(problem).__name__}: {problem}")
            error.value = f"<div role='alert' style='font:14px {FONT_FAMILY}; color:#b00020'>{text}</div>"

    def clicked(change: Mapping[str, Any]) -> None:
        nonlocal waiting
        assert click is not None and first.panels[0] is not None
        height, width = first.panels[0].size
        waiting = True
        for name, share, size in zip(click, change["new"], (width, height), strict=False):
            controls[name].value = min(size - 1, max(0, int(share * size)))
        waiting = False
        update()

    for control in controls.values():
        control.style = {"description_width": "170px"}
        control.layout = {"width": "470px"}
        if hasattr(control, "continuous_update"):
            control.continuous_update = fast
        control.observe(update, names="value")
    if click is not None:
        images[0].observe(clicked, names="clicked")
    update()
    heading = ipywidgets.HTML(f"<div style='font:600 18px {FONT_FAMILY}; color:{INK}'>{html.escape(title)}</div>")
    knobs = ipywidgets.HBox(list(controls.values()), layout={"flex_flow": "row wrap", "max_width": "960px"})
    cells = [ipywidgets.VBox(parts) for parts in zip(captions, images, scales, strict=True)]
    rows = [
        ipywidgets.HBox(cells[i : i + columns], layout={"grid_gap": "12px", "margin": "8px 0 0 0"})
        for i in range(0, len(cells), columns)
    ]
    return ipywidgets.VBox([heading, knobs, *rows, legend, table, note, error, *([] if chart is None else [chart])])


def redraw(live: Any, now: go.Figure) -> None:
    """Give a FigureWidget the points and axis titles of another figure with the same traces."""
    with live.batch_update():
        for old, new in zip(live.data, now.data, strict=True):
            old.x, old.y = new.x, new.y
        for axis in now.layout.to_plotly_json():
            if axis[:5] in ("xaxis", "yaxis"):
                live.layout[axis].title.text = now.layout[axis].title.text


def _factor(panel: Panel) -> int:
    """How often each pixel is repeated, so that the picture is about as wide as a panel."""
    return max(1, round(PANEL_WIDTH / panel.size[1]))


def _width(panel: Panel | None) -> int:
    """Width on screen: a whole number of screen pixels for each pixel, which browsers draw sharp; large ones shrink."""
    width = PANEL_WIDTH if panel is None else _factor(panel) * panel.size[1]
    return width if width < 1.3 * PANEL_WIDTH else PANEL_WIDTH


def _scale(panel: Panel) -> str:
    """The colours of measured values with their range and unit, as a bar."""
    scale = panel.scale
    if scale is None:
        return ""
    bar = f"background:linear-gradient(to right, {', '.join(scale.colours)}); height:9px; width:{_width(panel)}px"
    words = f"{scale.low:.3g} to {scale.high:.3g}: {html.escape(scale.title)}"
    return f"<div style='{bar}'></div><div style='font:13px {FONT_FAMILY}; color:{QUIET_INK}'>{words}</div>"


def _caption(panel: Panel, room: int) -> str:
    """Title and caption, at least `room` px high, so that pictures stand in line whatever stands over them."""
    style = f"font:600 15px {FONT_FAMILY}; color:{INK}; width:{_width(panel)}px; line-height:1.25; min-height:{room}px"
    words = html.escape(panel.title)
    if panel.caption:
        words += f"<br><span style='font:13px {FONT_FAMILY}; color:{QUIET_INK}'>{html.escape(panel.caption)}</span>"
    return f"<div style='{style}'>{words}</div>"
