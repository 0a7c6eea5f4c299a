"""What the consistency explorer is made of in the browser: a board of linked pictures, and what can be clicked."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from stc_lab.plots.panels import Panel
from stc_lab.plots.pictures import encode

_HERE = Path(__file__).parent
STYLE = (_HERE / "explorer_board.css").read_text(encoding="utf-8")


class PanelBoard(anywidget.AnyWidget):
    """Panels of one size side by side, that zoom and pan together; the browser decides how many stand in a row.

    `clicked` is (x, y, number of clicks) in pixels of the data, `pressed` (key, number of presses). The sign for
    `busy` shows only when it stays for a quarter of a second.
    """

    _esm = (_HERE / "explorer_board.js").read_text(encoding="utf-8")
    _css = STYLE
    panels: Any = traitlets.List([]).tag(sync=True)
    turn: Any = traitlets.Int(0).tag(sync=True)  # the page says which one it has drawn
    status: Any = traitlets.Unicode("").tag(sync=True)
    busy: Any = traitlets.Bool(False).tag(sync=True)
    clicked: Any = traitlets.List([]).tag(sync=True)
    pressed: Any = traitlets.List([]).tag(sync=True)

    def show(self, panels: Sequence[Panel], below: Sequence[str], status: str, *, stale: Sequence[int] = ()) -> None:
        """Draw `panels` with a line of HTML `below` each, in one message; `stale` ones are pale: they will follow."""
        pictures = [
            {
                "title": p.title,
                "caption": p.caption,
                "below": line,
                "marks": _marks(p),
                "stale": i in stale,
                **_picture(p),
            }
            for i, (p, line) in enumerate(zip(panels, below, strict=True))
        ]
        with self.hold_sync():
            self.turn += 1
            self.status = status
            self.panels = pictures


class Choices(anywidget.AnyWidget):
    """A piece of a page; `chosen` is (what stands in `data-choose` of the element clicked, number of clicks).

    Enter and the space bar choose the element that has the focus.
    """

    _esm = """
    function render({ model, el }) {
      const root = document.createElement("div");
      root.className = "stc-choose";
      el.appendChild(root);
      let clicks = 0;
      const draw = () => {
        const held = document.activeElement?.closest?.("[data-choose]")?.dataset.choose;
        const top = root.querySelector(".stc-scroll")?.scrollTop ?? 0;
        const inside = root.contains(document.activeElement);
        root.innerHTML = model.get("value");
        const list = root.querySelector(".stc-scroll");
        if (list) list.scrollTop = top;
        if (inside && held) root.querySelector(`[data-choose="${held}"]`)?.focus({ preventScroll: true });
      };
      const choose = (event) => {
        const target = event.target.closest("[data-choose]");
        if (!target || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        event.stopPropagation();
        clicks += 1;
        model.set("chosen", [target.dataset.choose, clicks]);
        model.save_changes();
      };
      root.setAttribute("data-lm-suppress-shortcuts", "true");
      root.addEventListener("click", choose);
      root.addEventListener("keydown", choose);
      model.on("change:value", draw);
      draw();
    }
    export default { render };
    """
    _css = STYLE
    value: Any = traitlets.Unicode("").tag(sync=True)
    chosen: Any = traitlets.List([]).tag(sync=True)


def _marks(panel: Panel) -> list[list[Any]]:
    return [[mark.kind, *place, mark.colour] for mark in panel.marks for place in mark.places]


def _picture(panel: Panel) -> dict[str, Any]:
    height, width = panel.size
    name, encoded = _encoded(replace(panel, marks=()))  # the page draws marks, as sharp as its screen
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    return {"picture": encoded, "name": name, "format": kind, "width": width, "height": height}


def _encoded(panel: Panel) -> tuple[str, bytes]:
    """A name of the content, and its bytes; most pictures of a state are those of the state before."""
    drawn = panel.drawn(1)
    key = hashlib.blake2b(drawn.tobytes(), digest_size=16).hexdigest()
    if key not in _kept:
        while len(_kept) >= _KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = encode(drawn, photo=panel.photo or panel.scale is not None, quick=True)
    return key, _kept[key]


_KEPT = 64
_kept: dict[str, bytes] = {}
