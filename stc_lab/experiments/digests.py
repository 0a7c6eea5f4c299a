"""Short names of what videos, nets and label maps hold, so that what was computed from them can be kept."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stc_lab.data.film import Film
from stc_lab.data.frame_files import FileReader
from stc_lab.data.videos import Videos
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.models.network import Network

_LOOKED_AT = 5  # frames whose pixels are read: they tell other readers and other sizes apart


def digest_of_videos(videos: Videos) -> str:
    """Of the table, of size and date of every file that a frame lies in, and of some frames as they are read.

    Frames in array form lie in the table itself. What a file's size and date do not tell, such as one written within
    the tick of a clock, is not seen.
    """
    found = hashlib.sha256(
        json.dumps([videos.info.name, videos.names, len(videos), list(videos.info.classes)]).encode()
    )
    table = videos.table.data
    for column in table.column_names:
        for chunk in table.column(column).chunks:
            found.update(f"{column} {len(chunk)} {chunk.offset}".encode())
            for buffer in chunk.buffers():
                if buffer is not None:
                    found.update(memoryview(buffer))
    reader: Callable[[list[int]], Any] = videos.read
    if isinstance(reader, FileReader):
        for row in range(len(videos)):
            for path in reader.files(row).values():
                found.update(_of_file(path))
    film = getattr(reader, "film", None)
    if isinstance(film, Film):
        found.update(_of_file(film.path))
    count = len(videos)
    for row in sorted({i * (count - 1) // max(1, _LOOKED_AT - 1) for i in range(_LOOKED_AT)}):
        clip = videos.frames([row])
        for value in (clip.image, clip.depth, clip.T_world_camera, None if clip.camera is None else clip.camera.K):
            found.update(b"none" if value is None else value.contiguous().numpy().tobytes())
    return found.hexdigest()[:20]


def _of_file(path: Path) -> bytes:
    status = path.stat() if path.is_file() else None
    return str((str(path), status and status.st_size, status and status.st_mtime_ns)).encode()


def digest_of_model(model: Network | LabelMaps) -> str:
    """Of architecture and weights, or what label maps call themselves."""
    if isinstance(model, LabelMaps):
        return f"labels-{model.digest}"
    found = hashlib.sha256(json.dumps(model.architecture, sort_keys=True, default=str).encode())
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name} {list(value.shape)} {value.dtype}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:20]
