"""Open notebooks in a real JupyterLab, run all cells, and look.

    python -m tests.browser.lab notebooks/00*.ipynb --out DIR

The server listens on this machine only, works on copies of the notebooks, and touches no settings of the user.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stc_lab.experiments.explorer_server import VOILA_OPTIONS

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VIEWPORT = (1440, 900)
LARGEST = 12_000  # px: taller pages are cut into several pictures
STDERR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
ERRORS = f"{STDERR}:has-text('{'-' * 60}')"  # a traceback begins with a rule
DONE = """() => {
    const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')];
    const prompts = cells.map(p => p.innerText);
    return prompts.length > 0 && !prompts.some(p => p.includes('*')) && /\\d/.test(prompts[prompts.length - 1]);
}"""
WAITING = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(p => p.innerText.includes('*'))"
HEIGHT = """() => {
    const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')];
    for (let e = cells[0]; e; e = e.parentElement) e.scrollTop = 0;
    return cells[cells.length - 1].getBoundingClientRect().bottom;
}"""
STATUS = ".jp-StatusBar-TextItem"
ASKS_BACK = ".jp-Dialog .jp-mod-accept"
CELLS = ".jp-Notebook .jp-CodeCell"


@dataclass
class Opened:
    """What the browser saw."""

    notebook: str
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)  # error outputs of cells
    warnings: list[str] = field(default_factory=list)  # what else cells wrote to standard error
    console: list[str] = field(default_factory=list)  # errors in the browser's console
    hosts: set[str] = field(default_factory=set)  # hosts other than the lab that were asked for
    screenshots: list[Path] = field(default_factory=list)


def find_chromium() -> str | None:
    """A Chromium that is installed here; playwright's own download is not needed."""
    wanted = [
        os.environ.get("BROWSER_PATH"),
        *(shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")),
    ]
    return next((path for path in wanted if path and Path(path).exists()), None)


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """JupyterLab on `folder`, with settings of its own: no news pop-up, and every cell in the page."""
    with tempfile.TemporaryDirectory(prefix="stc_lab_browser_") as temporary:
        config, settings = Path(temporary) / "config", Path(temporary) / "settings"
        page = config / "labconfig" / "page_config.json"
        page.parent.mkdir(parents=True)
        page.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
        tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
        tracker.parent.mkdir(parents=True)
        tracker.write_text(json.dumps({"windowingMode": "none", "showEditorForReadOnlyMarkdown": False}))
        port = _free_port()
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(temporary) / "workspaces"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
        ]
        command += [
            "--IdentityProvider.token=",
            "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={folder}",
        ]
        with _serving(command, environment, port, "/api/status", Path(temporary)) as address:
            yield address


@contextmanager
def voila_server(notebook: Path) -> Iterator[str]:
    """Voila with the page of one notebook, that is run anew for each reader."""
    with tempfile.TemporaryDirectory(prefix="stc_lab_voila_") as temporary:
        port = _free_port()
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(Path(temporary) / "config"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}", *VOILA_OPTIONS]
        with _serving(command, environment, port, "/voila/static/", Path(temporary)) as address:
            yield address


@contextmanager
def _serving(command: list[str], environment: dict[str, str], port: int, path: str, folder: Path) -> Iterator[str]:
    """A server of this machine only; it answers at `path` when it is up, and its log lies in `folder`."""
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(
        command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=os.name == "posix"
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}{path}", server)
        yield address
    finally:
        if server.poll() is None:
            (os.killpg if os.name == "posix" else os.kill)(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


@contextmanager
def browser_page(seen: Opened, viewport: tuple[int, int] = VIEWPORT) -> Iterator[Any]:
    """An empty page of a headless Chromium; `seen` learns what goes wrong in it, and who else is asked."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": viewport[0], "height": viewport[1]})
        page.on("console", lambda m: seen.console.append(m.text) if m.type == "error" else None)
        page.on("request", lambda r: seen.hosts.add(_host(r.url)) if _host(r.url) not in ("", "127.0.0.1") else None)
        # Not asked after all: the page's own policy forbids it.
        page.on("requestfailed", lambda r: seen.hosts.discard(_host(r.url)) if r.failure == "csp" else None)
        yield page
        browser.close()


def open_and_run(
    notebook: Path | str,
    screenshot_path: Path | str,
    viewport: tuple[int, int] = VIEWPORT,
    *,
    timeout: float = 300.0,
    act: Callable[[Any], None] | None = None,
) -> Opened:
    """Run all cells of a copy of `notebook`, wait until they are done, and picture the whole page.

    `act(page)` may then move a slider; a second picture, `*-after.png`, is taken after it.
    """
    notebook, screenshot_path = Path(notebook).resolve(), Path(screenshot_path)
    screenshot_path.parent.mkdir(parents=True, exist_ok=True)
    seen = Opened(notebook.name)
    with tempfile.TemporaryDirectory(prefix="stc_lab_notebook_") as folder:
        shutil.copy(notebook, folder)
        with lab_server(Path(folder)) as address, browser_page(seen, viewport) as page:
            channels: list[str] = []
            page.on("websocket", lambda socket: channels.append(socket.url))
            page.goto(f"{address}/doc/tree/{notebook.name}?reset", timeout=60_000)
            page.wait_for_selector(CELLS, timeout=60_000)
            _until(page, lambda: any("/channels" in url for url in channels), "a connection to the kernel", 90.0)
            began = time.monotonic()
            try:
                _run_all(page, timeout)
            except Exception:
                page.screenshot(path=str(screenshot_path))  # what it looked like when it was given up
                raise
            seen.seconds = time.monotonic() - began
            page.wait_for_timeout(2500)  # views of widgets and figures are drawn after the last cell has ended
            seen.errors = page.locator(ERRORS).all_inner_texts()
            seen.warnings = [text for text in page.locator(STDERR).all_inner_texts() if text not in seen.errors]
            seen.screenshots = _picture(page, screenshot_path, viewport)
            if act is not None:
                act(page)
                page.wait_for_timeout(1500)
                after = screenshot_path.with_name(f"{screenshot_path.stem}-after{screenshot_path.suffix}")
                seen.screenshots += _picture(page, after, viewport)
    return seen


def _run_all(page: Any, timeout: float) -> None:
    # While its kernel is still being connected, the lab asks back which one to use, or runs the first cell only.
    page.wait_for_selector(f"{STATUS}:has-text('Idle')", timeout=90_000)
    page.wait_for_timeout(2000)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator("li[data-command='runmenu:run-all']").first.click()

    def done() -> bool:
        if page.locator(ASKS_BACK).count():
            page.locator(ASKS_BACK).first.click()
        return bool(page.evaluate(DONE)) or _stopped(page)

    _until(page, done, "the end of all cells", timeout)


def _until(page: Any, condition: Callable[[], bool], what: str, limit: float) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if condition():
            return
        page.wait_for_timeout(300)
    raise TimeoutError(f"waited {limit:.0f} s in vain for {what}")


def _stopped(page: Any) -> bool:
    """A cell failed, so that the cells after it will not run."""
    return not page.evaluate(WAITING) and page.locator(ERRORS).count() > 0


def _picture(page: Any, path: Path, viewport: tuple[int, int]) -> list[Path]:
    """The whole notebook: the window grows until nothing scrolls; very tall ones are cut."""
    height = page.evaluate(HEIGHT)
    page.set_viewport_size({"width": viewport[0], "height": max(viewport[1], min(int(height) + 60, 32_000))})
    page.wait_for_timeout(1500)
    page.evaluate(HEIGHT)  # to the top again
    page.wait_for_timeout(500)
    full = page.viewport_size["height"]
    if full <= LARGEST:
        page.screenshot(path=str(path))
        paths = [path]
    else:
        paths = []
        for number, top in enumerate(range(0, full, LARGEST), start=1):
            part = path.with_name(f"{path.stem}-{number}{path.suffix}")
            clip = {"x": 0, "y": top, "width": viewport[0], "height": min(LARGEST, full - top)}
            page.screenshot(path=str(part), clip=clip)
            paths.append(part)
    page.set_viewport_size({"width": viewport[0], "height": viewport[1]})
    return paths


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(address: str, server: "subprocess.Popen[bytes]", limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with code {server.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it is up, and says that there is nothing
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"the server did not answer within {limit:.0f} s")


def _host(url: str) -> str:
    from urllib.parse import urlparse

    return urlparse(url).hostname or ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run notebooks in JupyterLab and picture them.")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the screenshots")
    parser.add_argument("--width", type=int, default=VIEWPORT[0])
    parser.add_argument("--height", type=int, default=VIEWPORT[1])
    parser.add_argument("--timeout", type=float, default=300.0, help="s for all cells of one notebook")
    options = parser.parse_args()
    failed = False
    for notebook in options.notebooks:
        target = options.out / f"{notebook.stem}.png"
        seen = open_and_run(notebook, target, (options.width, options.height), timeout=options.timeout)
        pictures = ", ".join(str(path) for path in seen.screenshots)
        print(f"{notebook.name}: {seen.seconds:.0f} s, {len(seen.errors)} errors -> {pictures}")
        for text in seen.errors:
            print(f"  cell: {text.strip().splitlines()[-1] if text.strip() else 'empty'}")
        for text in seen.warnings:
            print(f"  standard error: {text.strip()[:200]}")
        for text in seen.console:
            print(f"  console: {text[:200]}")
        if seen.hosts:
            print(f"  asked for {', '.join(sorted(seen.hosts))}")
        failed = failed or bool(seen.errors)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
