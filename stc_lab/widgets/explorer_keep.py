"""What one takes away from the explorer: its state, a page, a picture, a report of the worst pairs, a recording."""

import base64
import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.experiments.places import figures_folder
from stc_lab.plots.explorer_report import save_scene, worst_pairs_report
from stc_lab.plots.template import FONT_FAMILY, INK

if TYPE_CHECKING:
    from stc_lab.widgets.explorer_desk import Desk

_LARGEST_LINK = 8_000_000  # bytes of a file that is offered for download inside the page
_KINDS = {".html": "text/html", ".png": "image/png", ".json": "application/json"}


class Keeper:
    """Buttons, the state as text, and where things were written."""

    def __init__(self, desk: "Desk", folder: Path | None = None) -> None:
        import ipywidgets

        self.desk = desk
        self.folder = figures_folder("11_consistency_explorer") if folder is None else folder
        self.text = ipywidgets.Textarea(
            description="state", rows=4, layout={"width": "auto"}, style={"description_width": "44px"}
        )
        self.said = ipywidgets.HTML()

        def button(words: str, tip: str, act: Callable[[], None]) -> Any:
            made = ipywidgets.Button(description=words, tooltip=tip, layout={"width": "auto"})
            made.on_click(lambda _: desk.attempt(act))
            return made

        self.parts = [
            button("save picture, page and state", "writes a PNG, an HTML page and a JSON file", self.save),
            button("report of the ten worst pairs", "writes one HTML page that needs nothing else", self.report),
            button("recording for Rerun", "needs the library rerun-sdk", self.record),
            self.text,
            button("go to this state", "what stands in the field above, also of another day", self.restore),
            self.said,
        ]

    def follow(self, state: ExplorerState) -> None:
        self.text.value = state.to_json()

    def restore(self) -> None:
        state = ExplorerState.from_json(self.text.value)
        self.desk.material.row(state)  # raises if the video or the frame is not here
        self.desk.go(state)

    def save(self) -> None:
        explorer = self.desk.explorer
        self._say(save_scene(explorer.material, explorer.state, self.folder))

    def report(self) -> None:
        explorer, path = self.desk.explorer, self.folder / "worst_pairs.html"
        self._say([worst_pairs_report(explorer.material, explorer.state, path)])

    def record(self) -> None:
        from stc_lab.experiments.explorer_recording import record_video

        explorer, path = self.desk.explorer, self.folder / f"{self.desk.state.video}.rrd"
        self._say([record_video(explorer.material, explorer.state, path)])

    def _say(self, paths: list[Path]) -> None:
        lines = "".join(f"<div>{_link(path)}</div>" for path in paths)
        folder = html.escape(str(paths[0].parent))
        style = f"font:12px/1.5 {FONT_FAMILY}; color:{INK}; overflow-wrap:anywhere"
        self.said.value = f"<div role='status' style='{style}'>Written:{lines}<div>in {folder}</div></div>"


def _link(path: Path) -> str:
    """A file that those who sit elsewhere can download from the page itself, if it is not too large for a page."""
    words = html.escape(path.name)
    if path.stat().st_size > _LARGEST_LINK:
        return words
    kind = _KINDS.get(path.suffix, "application/octet-stream")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    look = "color:#0072b2; text-decoration:underline"
    return f"<a download='{words}' href='data:{kind};base64,{data}' style='{look}'>{words}</a>"
