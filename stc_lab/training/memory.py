"""Frames that a training run has read already, kept in memory up to a limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera
from stc_lab.losses import image_edges


@dataclass(frozen=True)
class _Frame:
    """One frame, compact."""

    video: str
    numbers: tuple[Tensor, Tensor]  # index, time
    image: Tensor  # uint8 [3, h, w]
    others: tuple[Tensor | None, ...]  # label as int16, depth, K, T_world_camera

    @property
    def bytes(self) -> int:
        return sum(value.numel() * value.element_size() for value in (self.image, *self.others) if value is not None)


class FrameMemory:
    """Reads frames of `videos` and keeps them, so that each is decoded and searched for edges only once.

    Images are kept as 8-bit values, which is how they were recorded. When `limit` is reached, further frames are read
    anew each time; nothing is thrown out, for a training run draws its frames at random.
    """

    def __init__(self, videos: Videos, *, limit: int = 500) -> None:
        """`limit` in MB (10^6 bytes); rendered rooms of 64 x 96 px take 56 KB a frame."""
        if limit < 0:
            raise InputError(f"limit must be 0 MB or more, got {limit}")
        self.videos = videos
        self._free = limit * 10**6
        self._frames: dict[int, _Frame] = {}
        self._edges: dict[tuple[int, int], Tensor] = {}

    def frames(self, rows: Sequence[int]) -> Clip:
        """The frames of any rows, in the given order."""
        new = sorted({row for row in rows if row not in self._frames})
        # One by one: whether a clip has poses hangs on all of its frames, and what is kept must not hang on company.
        read = {row: _frame(self.videos.frames([row])) for row in new}
        for row, frame in read.items():
            if frame.bytes <= self._free:
                self._frames[row] = frame
                self._free -= frame.bytes
        return _joined([self._frames[row] if row in self._frames else read[row] for row in rows], self.videos.size)

    def parts(self, rows: Sequence[int], *, size: int = 64) -> Iterator[Clip]:
        """The frames of many rows, `size` at a time."""
        for start in range(0, len(rows), size):
            yield self.frames(rows[start : start + size])

    def edges(self, rows: Sequence[int], images: Tensor, *, stride: int) -> Bool[Tensor, "b hs ws"]:
        """Image edges on the grid of every `stride`-th pixel: True if a pixel from there to the next one is an edge.

        `images` are those of the rows. Canny takes about as long as the net: so each frame's edges are kept.
        """
        new = [i for i, row in enumerate(rows) if (row, stride) not in self._edges]
        found: dict[tuple[int, int], Tensor] = {}
        if new:
            # One by one: in a batch a frame's rounding, and so its edges, might depend on the others.
            full = torch.cat([image_edges(images[i : i + 1]) for i in new]).to(images.dtype)[:, None]
            coarse = F.max_pool2d(full, kernel_size=stride, ceil_mode=True)[:, 0] > 0.5
            found = {(rows[i], stride): edge.cpu() for i, edge in zip(new, coarse, strict=True)}
        for key, edge in found.items():
            if edge.numel() <= self._free and key not in self._edges:
                self._edges[key] = edge
                self._free -= edge.numel()
        kept = [self._edges.get((row, stride), found.get((row, stride))) for row in rows]
        return torch.stack([edge for edge in kept if edge is not None]).to(images.device)

    def know_edges(self, edges: Bool[Tensor, "n hs ws"], *, stride: int) -> None:
        """Take the edges of all frames, in the order of their rows, as `edges` found them in another run."""
        if len(edges) != len(self.videos):
            raise InputError(f"edges must be those of all {len(self.videos)} frames, got {len(edges)}")
        self._edges |= {(row, stride): edge for row, edge in enumerate(edges)}


def memory_of(videos: Videos, memory: FrameMemory | None) -> FrameMemory:
    """The given memory, or a new one; InputError if it holds frames of other videos."""
    if memory is not None and memory.videos is not videos:
        raise InputError("memory holds frames of other videos than those to train on", hint="FrameMemory(videos)")
    return FrameMemory(videos) if memory is None else memory


def _frame(clip: Clip) -> _Frame:
    image = (clip.image[0] * 255).round().to(torch.uint8)
    label = None if clip.label is None else clip.label[0].to(torch.int16)
    K = None if clip.camera is None else clip.camera.K[0]
    depth, pose = (None if value is None else value[0] for value in (clip.depth, clip.T_world_camera))
    return _Frame(clip.video[0], (clip.index[0], clip.time[0]), image, (label, depth, K, pose))


def _joined(frames: list[_Frame], size: tuple[int, int]) -> Clip:
    def together(values: list[Tensor | None]) -> Tensor | None:
        known = [value for value in values if value is not None]
        return torch.stack(known) if len(known) == len(values) else None

    label, depth, K, pose = (together([frame.others[i] for frame in frames]) for i in range(4))
    return Clip(
        video=tuple(frame.video for frame in frames),
        index=torch.stack([frame.numbers[0] for frame in frames]),
        time=torch.stack([frame.numbers[1] for frame in frames]),
        image=torch.stack([frame.image for frame in frames]).float() / 255,
        label=None if label is None else label.long(),
        depth=depth,
        camera=None if K is None else Camera(K, *size),
        T_world_camera=pose,
    )
