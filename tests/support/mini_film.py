"""Films of a few frames, written with PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SIZE = (48, 64)


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A dark picture with its number in red and a bright corner at the top left."""
    values = np.full((*size, 3), (4 * number % 200, 40, 90), np.uint8)
    values[: size[0] // 3, : size[1] // 3] = (20, 220, 30)
    return values


def write_film(
    path: Path,
    frames: int | Sequence[int] = 3,
    *,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int | None = None,
    matrix: Sequence[int] | None = None,
    pixels: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    sound: bool = False,
) -> Path:
    """A film of `picture(i)`; `frames` are a number, or their times in ms; without losses that could be seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = None if isinstance(frames, int) else frames
    count = frames if isinstance(frames, int) else len(frames)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.options = {"crf": "4"} if options is None else options
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        if sound:
            tone: Any = container.add_stream("aac" if path.suffix == ".mp4" else "libopus", rate=48000)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i, size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound:
            _silence(container, tone, count / 25)
    return path


def write_sound(path: Path, seconds: float = 0.2) -> Path:
    with av.open(str(path), "w") as container:
        _silence(container, container.add_stream("aac", rate=48000), seconds)
    return path


def _silence(container: Any, stream: Any, seconds: float) -> None:
    for i in range(max(1, int(seconds * 48000 / 960))):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 960 * i
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
