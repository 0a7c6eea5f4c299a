"""Labels that were computed elsewhere, in the place of a net: one map for each frame of some videos."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.file_patterns import natural
from stc_lab.data.image_files import read_ids
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

IGNORE = 255
SUFFIXES = frozenset({".png", ".bmp", ".tif", ".tiff"})
SURE = 12.0  # logit of the class that is named, over 0 of the others: probability 0.9999 among 21


class LabelMaps:
    """Label maps of the rows of a data set, read when asked for; a pixel of label 255 has no class."""

    def __init__(self, read: Callable[[Sequence[int]], Int64[Tensor, "b h w"]], num_classes: int, digest: str) -> None:
        """`read` gives the maps of rows, at the frames' size; `digest` names their content."""
        if num_classes < 2:
            raise InputError(f"label maps need at least 2 classes, got {num_classes}")
        self._read, self.num_classes, self.digest = read, num_classes, digest

    @classmethod
    def of_videos(cls, videos: Videos, digest: str) -> "LabelMaps":
        """The labels of videos that were loaded with them, as `load("folder", labels=...)` does, as a model's."""
        if "label" not in videos.has or len(videos.info.classes) < 2:
            raise InputError(f"{videos.info.name!r} has no labels of named classes", hint="load('folder', labels=...)")

        def read(rows: Sequence[int]) -> Tensor:
            label = videos.frames(rows).label
            assert label is not None
            return label

        return cls(read, len(videos.info.classes), digest)

    @classmethod
    def of_folder(cls, folder: Path | str, videos: Videos, *, num_classes: int | None = None) -> "LabelMaps":
        """Pictures of class ids in a folder and its subfolders: as many as the videos have frames, in the same order.

        Names are sorted with digits as numbers. A map of another size than the frame is read at the nearest pixels.
        Without `num_classes` the maps are looked through once for the largest id; 255 is no class.
        """
        folder = Path(folder)
        files = sorted(
            (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES),
            key=lambda path: natural(path.relative_to(folder).as_posix()),
        )
        if len(files) != len(videos):
            raise InputError(
                f"{folder} must hold a label map for each of the {len(videos)} frames of {videos.info.name!r}, "
                f"got {len(files)} pictures ({', '.join(sorted(SUFFIXES))})",
                hint="maps of another video, or of every n-th frame; JPEG cannot hold class ids",
            )
        if num_classes is None:
            known = [ids[ids != IGNORE] for ids in map(read_ids, files)]
            num_classes = max(2, 1 + max((int(ids.max()) for ids in known if ids.size), default=0))
        found = hashlib.sha256(str(num_classes).encode())
        for path in files:
            status = path.stat()
            found.update(f"{path} {status.st_size} {status.st_mtime_ns}".encode())

        def read(rows: Sequence[int]) -> Tensor:
            maps = []
            for row in rows:
                ids = torch.from_numpy(read_ids(files[row]).astype("int64"))
                size = videos.size_of(videos.videos_of([row])[0])
                maps.append(ids if tuple(ids.shape) == size else _nearest(ids, *size))
            return torch.stack(maps)

        return cls(read, num_classes, found.hexdigest()[:20])

    def labels(self, rows: Sequence[int]) -> Int64[Tensor, "b h w"]:
        """The maps of these rows; InputError for an id that is no class."""
        found = self._read(rows)
        wrong = found[(found != IGNORE) & ((found < 0) | (found >= self.num_classes))]
        if len(wrong):
            raise InputError(
                f"label maps must hold classes 0 to {self.num_classes - 1}, or 255, got {int(wrong[0])}",
                hint="colours instead of class ids, or more classes than were named",
            )
        return found

    def logits(self, rows: Sequence[int]) -> Float[Tensor, "b k h w"]:
        """Logits of a net that is sure of them: 12 for the class, 0 for the others; all 0 where there is none."""
        labels = self.labels(rows)
        known = labels != IGNORE
        chosen = torch.nn.functional.one_hot(labels.masked_fill(~known, 0), self.num_classes).permute(0, 3, 1, 2)
        return (chosen * known[:, None]).float() * SURE


def _nearest(ids: Int64[Tensor, "hs ws"], height: int, width: int) -> Int64[Tensor, "height width"]:
    """Another size of a map, read at the pixels nearest to the new centres (`align_corners=False`)."""
    y, x = (
        ((torch.arange(n) + 0.5) * side / n - 0.5).round().clamp(0, side - 1).long()
        for n, side in ((height, ids.shape[0]), (width, ids.shape[1]))
    )
    return ids[y[:, None], x]
