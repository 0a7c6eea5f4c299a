"""Static export that never hangs: one browser in a process of its own, with a time limit on every step."""

import atexit
import base64
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

START_LIMIT = 40.0  # s until the browser must be up; 2 s on an idle machine
FIGURE_LIMIT = 30.0  # s for one figure; 0.3 s on an idle machine


class ExportError(RuntimeError):
    """No picture was made; the message says why."""


class Exporter:
    """A running export process. Use it through `exporting`."""

    def __init__(self, *, start_limit: float = START_LIMIT, figure_limit: float = FIGURE_LIMIT) -> None:
        self._figure_limit = figure_limit
        command = [sys.executable, "-m", "stc_lab.plots.export_worker", str(start_limit), str(figure_limit)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=os.name == "posix",  # Ctrl-C in the notebook must not reach the browser
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self._next_answer(start_limit + 5, "start")
        except ExportError:
            self.close()
            raise

    def picture(self, figure: go.Figure, file_format: str, *, scale: float = 2.0) -> bytes:
        """The figure as `png` or `svg` bytes."""
        request = {"figure": json.loads(figure.to_json()), "format": file_format, "scale": scale}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ExportError(f"the export process has ended: {error}") from error
        return base64.b64decode(self._next_answer(self._figure_limit + 5, f"draw the {file_format}")["bytes"])

    def close(self) -> None:
        """End the process and its browser, in a few seconds at most."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()
        try:
            self._process.wait(8)
        except subprocess.TimeoutExpired:
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _next_answer(self, limit: float, task: str) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            raise ExportError(f"the browser did not {task} within {limit:.0f} s") from None
        if line is None:
            raise ExportError("the export process ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ExportError(answer["error"])
        return answer


@dataclass
class _Export:
    """What this process knows about static export; a browser is tried once, not once per figure."""

    exporter: Exporter | None = None
    problem: str | None = None
    tried: bool = False
    users: int = 0
    kept: bool = False


_EXPORT = _Export()
_LOCK = threading.RLock()


@contextlib.contextmanager
def exporting() -> Iterator[Exporter | None]:
    """One browser for all figures saved inside; None when static export does not work here. May be nested."""
    with _LOCK:
        if _EXPORT.exporter is None and _EXPORT.problem is None:
            try:
                _EXPORT.exporter = Exporter()
                if not _EXPORT.tried:
                    _EXPORT.exporter.picture(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])), "png", scale=1)
            except (ExportError, OSError) as error:
                give_up(str(error))
            _EXPORT.tried = True
        _EXPORT.users += 1
    try:
        yield _EXPORT.exporter
    finally:
        with _LOCK:
            _EXPORT.users -= 1
            if _EXPORT.users == 0:
                _close()


def keep_browser() -> None:
    """Let all figures of this process share one browser, which starts with the first and ends with the process.

    For notebooks, whose figures are saved by cells that know nothing of each other.
    """
    with _LOCK:
        if not _EXPORT.kept:
            _EXPORT.kept = True
            _EXPORT.users += 1
            atexit.register(_close)


def exporter_works() -> bool:
    """Whether PNG and SVG can be made here: tried once per process, with a time limit."""
    if not _EXPORT.tried:
        with exporting():
            pass
    return _EXPORT.problem is None


def exporter_problem() -> str | None:
    """Why static export does not work here, or None when it does."""
    exporter_works()
    return _EXPORT.problem


def give_up(problem: str) -> None:
    """Make no further attempt in this process: a browser that hung once would cost its time limit at every figure."""
    with _LOCK:
        _EXPORT.problem = problem
        _EXPORT.tried = True
        _close()


def _close() -> None:
    if _EXPORT.exporter is not None:
        _EXPORT.exporter.close()
    _EXPORT.exporter = None
