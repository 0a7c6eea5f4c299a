"""Films through PyAV: which frames there are, found by decoding once, and each of them again by its time."""

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from stc_lab.data.image_files import MAX_PIXELS
from stc_lab.errors import InputError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

Turn = tuple[int, int, int, int]  # x' = a x + c y, y' = b x + d y of the film's display matrix, as (a, b, c, d)
_UPRIGHT: Turn = (1, 0, 0, 1)
_WITH_LENGTH = ("mp4", "matroska", "avi")  # formats whose header says how long they are; others are guessed
_SHORT = 0.5  # s by which the last packet may come before the header's end
_NEAR = 8  # frames that are decoded and thrown away rather than looked for


@dataclass(frozen=True)
class FilmIndex:
    """The frames of a film in the order they are shown."""

    height: int  # px, as it is shown
    width: int
    turn: Turn
    pts: Int64[np.ndarray, " n"] | None  # rising; None: the film has no usable time stamps and is read from its start
    time: Float64[np.ndarray, " n"]  # s
    key: Bool[np.ndarray, " n"]  # where decoding can begin

    @property
    def frame_rate(self) -> float:
        """Average, Hz."""
        return (len(self.time) - 1) / float(self.time[-1] - self.time[0])


def index_film(path: Path, count: int | None = None) -> FilmIndex:
    """Decode a film once, one frame at a time; with `count` no further than its first frames.

    What the header says of length and rate is not trusted: some have neither, some lie. A frame that cannot be decoded
    and a film that ends before its header says are errors.
    """
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        pts: list[int | None] = []
        key: list[bool] = []
        size, turn, end = (0, 0), _UPRIGHT, [0.0]
        rate = stream.average_rate or stream.guessed_rate
        for frame in _frames(container, stream, path, end):
            if not pts:
                turn, size = _turn(frame, path), (frame.height, frame.width)
            _expect_size(frame, size, path)
            pts.append(frame.pts)
            key.append(bool(frame.key_frame))
            if len(pts) == count:
                break
        else:
            _expect_whole(container, path, len(pts), end[0])
        if not pts:
            raise InputError(f"film {path} has no frames", hint="a download or copy that was cut short")
        assert stream.time_base is not None
        known = np.array([-1 if p is None else p for p in pts], dtype=np.int64)
        timed = None not in pts and bool((np.diff(known) > 0).all())
        if not timed and not rate:
            raise InputError(f"film {path} has neither time stamps nor a frame rate", hint="a stream without container")
        seconds = known * float(stream.time_base) if timed else np.arange(len(pts)) / float(rate or 1)
    height, width = size if turn[0] else size[::-1]
    return FilmIndex(height, width, turn, known if timed else None, seconds, np.array(key))


class Film:
    """Random access to the frames of a film: goes to the nearest key frame before one and decodes from there.

    Each thread of each process has its own decoder. A copy in another process opens the file anew.
    """

    def __init__(self, path: Path, index: FilmIndex) -> None:
        self.path = path
        self.index = index
        self._local = threading.local()

    def __reduce__(self) -> Any:
        return Film, (self.path, self.index)

    def frame(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """RGB picture of a frame, upright."""
        decoder = getattr(self._local, "decoder", None)
        if decoder is None or decoder.process != os.getpid():  # after a fork, two processes would move one file
            self._local.of_parent = decoder  # and to free it here would wait for threads that only the parent has
            decoder = self._local.decoder = _Decoder(self.path, self.index)
        try:
            picture: UInt8[np.ndarray, "h w 3"] = decoder.frame(number)
        except BaseException:
            self._local.decoder = None  # it may have stopped anywhere
            raise
        return picture


class _Decoder:
    """A film that is open, and how far it is decoded."""

    def __init__(self, path: Path, index: FilmIndex) -> None:
        self.path, self.index, self.process = path, index, os.getpid()
        self._keys = np.flatnonzero(index.key)
        self._open = ExitStack()
        self._restart()

    def frame(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        keys = self._keys[self._keys <= number][::-1]
        forward = number - self._next
        if forward < 0 or (len(keys) and forward > number - keys[0] + _NEAR):
            for key in keys[:2].tolist() if self.index.pts is not None else ():
                found = self._sought(key, number)
                if found is not None:
                    return found
            self._restart()
        found = self._decoded_until(number)
        if found is None:
            raise InputError(
                f"frame {number} of film {self.path} is not found again", hint="the film changed after it was opened"
            )
        return found

    def _restart(self) -> None:
        self._open.close()
        self._container, self._stream = self._open.enter_context(_opened(self.path))
        self._stream.thread_type = "NONE"  # threads do not survive a fork, and a few frames need none
        self._decoded = _frames(self._container, self._stream, self.path, [0.0])
        self._next, self._sure = 0, True

    def _sought(self, key: int, number: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """The frame, decoded from a key frame before it; None if that fails, as with some formats it does."""
        import av

        assert self.index.pts is not None
        try:
            self._container.seek(int(self.index.pts[key]), stream=self._stream, backward=True)
            self._decoded = _frames(self._container, self._stream, self.path, [0.0])
            self._sure = False  # what comes before a key frame may lack what it was made from
            return self._decoded_until(number)
        except (av.FFmpegError, InputError):
            return None

    def _decoded_until(self, number: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """The frame, or None if decoding has gone past it or reaches the end."""
        for frame in self._decoded:
            place = self._next
            if self.index.pts is not None:
                place = int(np.searchsorted(self.index.pts, -1 if frame.pts is None else frame.pts))
                if place == len(self.index.pts) or self.index.pts[place] != frame.pts:
                    continue
            self._next = place + 1
            self._sure = self._sure or bool(self.index.key[place])
            if place > number:
                return None
            if place == number:
                return self._upright(frame) if self._sure else None
        self._next = len(self.index.time)
        return None

    def _upright(self, frame: "av.VideoFrame") -> UInt8[np.ndarray, "h w 3"]:
        a, b, c, d = self.index.turn
        picture = frame.to_ndarray(format="rgb24")
        picture = picture if a else picture.transpose(1, 0, 2)
        picture = picture[:: b + d, :: a + c]  # +1 or -1
        return np.ascontiguousarray(picture)


@contextmanager
def _opened(path: Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """A film and its stream of pictures; nothing but local files is opened, whatever a play list in it may name."""
    import av

    try:
        container = av.open(str(path.absolute()), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _damaged(path, f"cannot be opened: {error}") from error
    with container:
        covers = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not streams:
            kinds = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
            raise InputError(
                f"film {path} has no moving pictures, only {kinds}",
                hint="a sound file, maybe with the picture of its cover",
            )
        stream = streams[0]
        size = stream.codec_context.height * stream.codec_context.width
        if size > MAX_PIXELS:
            raise InputError(f"film {path} must have at most {MAX_PIXELS} pixels a frame, got {size}")
        yield container, stream


def _frames(
    container: "InputContainer", stream: "VideoStream", path: Path, end: list[float]
) -> Iterator["av.VideoFrame"]:
    """Frames as they are shown; `end[0]` becomes the time where the last packet of any stream ends, s."""
    import av

    errors = (av.FFmpegError, OSError, ValueError)  # looked up now: at the end of the process the module may be gone
    count, last = 0, None
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end[0] = max(end[0], float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index != stream.index:
                continue
            if packet.is_corrupt and count:  # a recording may well begin in the middle of something
                raise _damaged(path, _broken(count, last, "a packet is corrupt"))
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    raise _damaged(path, _broken(count, last, "it is corrupt"))
                count, last = count + 1, frame.time
                yield frame
    except errors as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path, _broken(count, last, str(error))) from error


def _broken(count: int, last: float | None, why: str) -> str:
    return f"cannot be decoded after frame {count - 1}{'' if last is None else f' at {last:.2f} s'}: {why}"


def _damaged(path: Path, what: str) -> InputError:
    size = path.stat().st_size if path.is_file() else 0
    return InputError(
        f"film {path} ({size} bytes) {what}",
        hint="no film, or a download or copy that was cut short; stop=... takes what comes before the damage",
    )


def _expect_whole(container: "InputContainer", path: Path, count: int, end: float) -> None:
    if container.duration is None or not any(name in container.format.name for name in _WITH_LENGTH):
        return
    promised = (container.duration + max(0, container.start_time or 0)) / 1e6
    if count and end < promised - _SHORT:
        raise _damaged(path, f"ends after {end:.2f} s and {count} frames, its header promises {promised:.2f} s")


def _expect_size(frame: "av.VideoFrame", size: tuple[int, int], path: Path) -> None:
    if (frame.height, frame.width) != size:
        raise InputError(
            f"film {path} changes its size from {size[0]} x {size[1]} to {frame.height} x {frame.width} px "
            f"{'' if frame.time is None else f'at {frame.time:.2f} s'}",
            hint="two films joined: cut them apart, or take the first with stop=...",
        )


def _turn(frame: "av.VideoFrame", path: Path) -> Turn:
    """How a frame is to be turned and mirrored, from the display matrix, 3 x 3 numbers of which 4 count here."""
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return _UPRIGHT
    values = struct.unpack("<9i", bytes(found))
    a, b, c, d = (value / 65536 for value in (values[0], values[1], values[3], values[4]))
    turn = round(a), round(b), round(c), round(d)
    off = max(abs(x - y) for x, y in zip((a, b, c, d), turn, strict=True))
    if off > 0.01 or sorted(map(abs, turn)) != [0, 0, 1, 1] or bool(turn[0]) != bool(turn[3]):
        raise InputError(
            f"film {path} is to be shown by the matrix ({a:g} {b:g}; {c:g} {d:g}), which is no quarter turn or mirror",
            hint="a rotation by some other angle, or a scale: convert the film first",
        )
    return turn
