"""How the parts of the consistency explorer stand beside each other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stc_lab.plots.template import FONT_FAMILY, INK
from stc_lab.widgets.explorer_knobs import DISTURBANCES

if TYPE_CHECKING:
    from stc_lab.widgets.explorer_desk import Desk

TITLE = "Consistency explorer"
_LEFT = "352px"


def laid_out(desk: "Desk") -> Any:
    """Find, see, what if and keep on the left; pictures, numbers and the story beside, or below where it is narrow."""
    import ipywidgets

    def button(words: str, key: str, act: Callable[[], None]) -> Any:
        made = ipywidgets.Button(
            description=words, tooltip=f"{words} (key {key})", layout={"width": "auto", "flex": "1"}
        )
        made.on_click(lambda _: act())
        return made

    def row(*parts: Any) -> Any:
        return ipywidgets.HBox(parts, layout={"width": "auto"})

    def named(*names: str) -> list[Any]:
        return [desk.knobs[name] for name in names]

    undo = ipywidgets.Button(description="undisturbed", tooltip="take every disturbance back", layout={"width": "auto"})
    undo.on_click(lambda _: desk.go(desk.state.undisturbed()))
    left = [
        _section("Find"),
        *named("measure", "of_class", "least_visible", "motion"),
        desk.histogram,
        row(
            button("◀ previous worst", "p", lambda: desk.worse(-1)),
            button("next worst ▶", "n", lambda: desk.worse(1)),
        ),
        desk.ranked,
        _section("See"),
        *named("video", "frame"),
        row(button("◀ step", "←", lambda: desk.step(-1)), button("step ▶", "→", lambda: desk.step(1)), desk.play),
        *named("gap", "direction", "geometry", "occlusion", "opacity", "model", "second"),
        _section("What if"),
        *named(*DISTURBANCES),
        undo,
        _section("Keep"),
        *desk.keeper.parts,
    ]
    right = [desk.heading, desk.timeline, desk.numbers, desk.legend, desk.cause, desk.board, desk.why]
    columns = ipywidgets.HBox(
        [
            ipywidgets.VBox(left, layout={"width": _LEFT, "flex": f"0 0 {_LEFT}", "overflow": "visible"}),
            ipywidgets.VBox(right, layout={"flex": "1 1 480px", "min_width": "0", "margin": "0 0 0 16px"}),
        ],
        layout={"flex_flow": "row wrap", "align_items": "flex-start"},
    )
    title = f"<div style='font:600 18px {FONT_FAMILY}; color:{INK}'>{TITLE}</div>"
    return ipywidgets.VBox([ipywidgets.HTML(title), columns, desk.error])


def _section(words: str) -> Any:
    import ipywidgets

    style = (
        f"font:600 14px {FONT_FAMILY}; color:{INK}; border-bottom:2px solid #dfe3e8; margin-top:6px; line-height:24px"
    )
    return ipywidgets.HTML(f"<div style='{style}'>{words}</div>", layout={"width": "auto"})
