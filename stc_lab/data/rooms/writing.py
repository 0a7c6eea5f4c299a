"""Render a split into one Arrow table, scene by scene; several processes may share the scenes."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms.clips import rendered, video_name
from stc_lab.data.rooms.config import FRAME_RATE, RoomsConfig
from stc_lab.data.schema import frame_features
from stc_lab.errors import InputError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from datasets.arrow_writer import ArrowWriter

TABLE = "frames.arrow"
_AHEAD = 2  # scenes per worker that may wait to be joined, so that they take little disk
Progress = Callable[[int, int], None]


def write_split(
    folder: Path,
    split: str,
    config: RoomsConfig,
    has: frozenset[str],
    *,
    device: str,
    workers: int,
    progress: Progress | None,
) -> None:
    """Render a split into a table in `folder`, which is on the disk when this returns."""
    count = config.scenes(split)
    (folder / "config.json").write_text(json.dumps({"split": split, **asdict(config)}, indent=2), encoding="utf-8")
    path = folder / TABLE
    names = [video_name(split, scene) for scene in range(count)]
    with one_thread(), _writer(path, config, has) as writer:
        if workers == 1:
            for done, name in enumerate(names, start=1):
                _write_video(writer, name, config, device)
                _report(progress, done, count)
        else:
            with closing(_rendered_by_workers(folder, names, config, has, device, workers)) as parts:
                for done, part in enumerate(parts, start=1):
                    _append(writer, part)
                    part.unlink()
                    _report(progress, done, count)
        writer.finalize()
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _report(progress: Progress | None, done: int, count: int) -> None:
    if progress is not None:
        progress(done, count)


def _writer(path: Path, config: RoomsConfig, has: frozenset[str]) -> "ArrowWriter":
    from datasets.arrow_writer import ArrowWriter

    features = frame_features(has, (config.height, config.width))
    return ArrowWriter(path=str(path), features=features, writer_batch_size=config.frames)


def _write_video(writer: "ArrowWriter", video: str, config: RoomsConfig, device: str) -> None:
    for clip in rendered(video, config, device=device):
        writer.write_batch(_rows(clip), writer_batch_size=len(clip))


def _append(writer: "ArrowWriter", part: Path) -> None:
    """Copy a table batch by batch, as its pieces were written."""
    import pyarrow as pa

    with pa.memory_map(str(part)) as source:
        for batch in pa.ipc.open_stream(source):
            writer.write_table(pa.Table.from_batches([batch]), writer_batch_size=len(batch))


def _rendered_by_workers(
    folder: Path, names: list[str], config: RoomsConfig, has: frozenset[str], device: str, workers: int
) -> Generator[Path, None, None]:
    """The tables of single videos, in the order of `names`, each rendered by one of several processes."""
    context = multiprocessing.get_context("spawn")  # a fork would copy this process's threads' locks
    stop = context.Event()
    left = iter(names)
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop,)) as pool:

        def ask(count: int) -> list[Future[Path]]:
            return [pool.submit(_render_part, folder, name, config, has, device) for name in islice(left, count)]

        try:
            waiting = ask(_AHEAD * workers)
            while waiting:
                path = waiting.pop(0).result()
                waiting += ask(1)
                yield path
        except BrokenProcessPool as error:
            raise InputError(
                "a process that rendered rooms ended unexpectedly",
                hint="a script that asks for workers needs `if __name__ == '__main__':` around its calls; "
                "or the memory did not suffice: fewer workers",
            ) from error
        finally:
            stop.set()


def _begin(stop: "Event") -> None:
    """Prepare a worker: one thread, and an end as soon as the process that asked ends or wants no more."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        while parent.is_alive() and not stop.wait(0.3):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _render_part(folder: Path, video: str, config: RoomsConfig, has: frozenset[str], device: str) -> Path:
    path = folder / f"{video}.arrow"
    with _writer(path, config, has) as writer:
        _write_video(writer, video, config, device)
        writer.finalize()
    return path


def _rows(clip: Clip) -> dict[str, Any]:
    """A clip as columns of the table."""
    assert clip.label is not None and clip.depth is not None
    assert clip.camera is not None and clip.T_world_camera is not None
    return {
        "video": list(clip.video),
        "index": clip.index.numpy(),
        "time": clip.index.double().numpy() / FRAME_RATE,
        "image": (clip.image * 255).round().to(torch.uint8).numpy(),
        "label": clip.label.to(torch.uint8).numpy(),
        "depth": clip.depth[:, 0].numpy(),
        "intrinsics": clip.camera.K.double().numpy(),
        "pose": clip.T_world_camera.double().numpy(),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: on a busy machine, threads that wait for each other cost 100-fold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
