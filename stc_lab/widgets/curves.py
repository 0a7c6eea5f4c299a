"""Training curves that grow while the net learns."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go

from stc_lab.plots.curves import training_curves
from stc_lab.training.progress import print_progress
from stc_lab.widgets.live import live_lab


class LiveCurves:
    """A `log` for the training loop: `train(..., log=curves)`, then `curves.figure()`.

    In the lab a figure appears with the first record and grows, at most `per_second` times a second; in batch each
    quarter of the steps prints one line.
    """

    def __init__(self, *, x: str = "step", title: str = "", per_second: float = 2.0) -> None:
        self.records: list[dict[str, Any]] = []
        self._x = x
        self._title = title
        self._pause = 1 / per_second
        self._drawn = 0.0
        self._view: Any = None
        self._lines: Callable[[dict[str, Any]], None] | None = None

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take one record of the training loop."""
        self.records.append(dict(record))
        if not live_lab():
            self._print(self.records[-1])
            return
        last = "steps" in record and record.get(self._x) == record["steps"]
        if last or time.monotonic() - self._drawn >= self._pause:
            self._draw()
            self._drawn = time.monotonic()

    def _print(self, record: dict[str, Any]) -> None:
        if "steps" in record:  # a record that knows how far it is to go
            if self._lines is None:
                self._lines = print_progress(max(1, record["steps"] // 4), label=self._title)
            self._lines(record)

    def figure(self) -> go.Figure:
        """The curves so far as a static figure, which takes the place of the live one."""
        if self._view is not None:
            self._view.close()
            self._view = None
        return self._static()

    def _static(self) -> go.Figure:
        return training_curves(self.records, x=self._x, title=self._title)

    def _draw(self) -> None:
        figure = self._static()
        # A FigureWidget shows later updates only to views that are open, and only if it was built from a whole figure.
        if self._view is None or len(self._view.data) != len(figure.data):
            from IPython.display import display

            if self._view is not None:
                self._view.close()
            self._view = go.FigureWidget(figure)
            display(self._view)
            return
        with self._view.batch_update():
            for old, new in zip(self._view.data, figure.data, strict=True):
                old.x, old.y, old.mode = new.x, new.y, new.mode
            self._view.layout.yaxis.title.text = figure.layout.yaxis.title.text
