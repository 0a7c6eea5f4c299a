"""Flow as benchmarks store it: Middlebury's and Sintel's .flo, KITTI's 16-bit pictures, Sintel's masks.

Maps come with a batch of one, as the geometry takes them. A damaged file is refused by name.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data.image_files import MAX_PIXELS, read_image
from stc_lab.errors import InputError
from stc_lab.geometry.flow import known_flow, lifted

UNKNOWN = 1e10  # px: what the formats' own programs write; the readers call anything beyond 1e9 unknown
_MAGIC = 202021.25  # first number of a .flo file; as bytes it reads PIEH
_HEADER = struct.Struct("<fii")  # magic, width, height


@dataclass(frozen=True)
class FlowFile:
    """The flow of a file, and where the file knows it."""

    flow: Float[Tensor, "1 2 h w"]  # px, (x right, y down); 1e10 where unknown
    known: Bool[Tensor, "1 h w"]


def read_flo(path: Path | str) -> FlowFile:
    """Read a Middlebury .flo file (Baker et al. 2007; Sintel's too): float32 (u, v) row by row, unknown beyond 1e9."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no flow file {path}")
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise _cut_short(path, f"its header has {len(head)} of {_HEADER.size} bytes")
        magic, width, height = _HEADER.unpack(head)
        if magic != _MAGIC:
            raise InputError(
                f"{path} must begin with the number {_MAGIC} of a .flo file, got {magic:g}",
                hint="another format under this name, a text file, or bytes in big-endian order",
            )
        if not (width >= 1 and height >= 1 and width * height <= MAX_PIXELS):
            raise InputError(
                f"{path} must have 1 to {MAX_PIXELS} pixels, its header says {width} x {height}",
                hint="a damaged header, or a file made to harm",
            )
        expected = 8 * width * height
        data = file.read(expected + 1)
    if len(data) != expected:
        got = f"{len(data)}" if len(data) < expected else "more"
        raise _cut_short(path, f"{width} x {height} px take {expected} bytes after the header, it has {got}")
    values = np.frombuffer(data, "<f4").reshape(height, width, 2).transpose(2, 0, 1)
    return _marked(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None])


def write_flo(path: Path | str, flow: Float[Tensor, "1 2 h w"], known: Bool[Tensor, "1 h w"] | None = None) -> Path:
    """Write a flow as a Middlebury .flo file, in float32; 1e10 where it is not `known`, is NaN or beyond 1e9."""
    if flow.ndim != 4 or flow.shape[:2] != (1, 2) or not flow.is_floating_point():
        raise InputError(
            f"flow must be floating point [1, 2, h, w], got {flow.dtype} {list(flow.shape)}",
            hint="one file holds one flow: flow[i : i + 1]",
        )
    usable = known_flow(lifted(flow.detach()))
    if known is not None:
        if known.dtype != torch.bool or known.shape != usable.shape:
            raise InputError(f"known must be bool {list(usable.shape)}, got {known.dtype} {list(known.shape)}")
        usable = usable & known
    height, width = flow.shape[-2:]
    values = flow.detach().to(torch.float32).masked_fill(~usable[:, None], UNKNOWN)[0].permute(1, 2, 0)
    path = Path(path)
    path.write_bytes(_HEADER.pack(_MAGIC, width, height) + values.cpu().contiguous().numpy().astype("<f4").tobytes())
    return path


def read_kitti_flow(path: Path | str) -> FlowFile:
    """Read a KITTI flow picture (Menze and Geiger 2015): 16-bit RGB, u and v as 64 px + 32768, then known or not."""
    path = Path(path)
    read_image(path)  # refuses by name what is missing, cut short or of an absurd size; it would give 8 bits only
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[2] != 3:
        got = "nothing" if values is None else f"{values.dtype} {list(values.shape)}"
        raise InputError(
            f"KITTI flow {path} must be a picture of three 16-bit channels, got {got}",
            hint="a picture of the flow in colours, a disparity map, or a file saved again with 8 bits",
        )
    known, v, u = (torch.from_numpy(np.ascontiguousarray(values[..., i]).astype(np.float32)) for i in range(3))  # BGR
    return _marked(((torch.stack([u, v]) - 32768) / 64).masked_fill(known == 0, UNKNOWN)[None])


def read_sintel_mask(path: Path | str) -> Bool[Tensor, "1 h w"]:
    """Read a mask of Sintel's folders `occlusions` or `invalid` (Butler et al. 2012): True where it is white.

    `occlusions` marks what something hides in the next frame, but not what leaves the frame; `invalid` marks pixels
    whose flow is not to be judged.
    """
    path = Path(path)
    values = read_image(path)
    wrong = (values != values[..., :1]).any(axis=2) | ~np.isin(values[..., 0], (0, 255))
    if wrong.any():
        raise InputError(
            f"mask {path} must be black and white, got other values at {int(wrong.sum())} pixels",
            hint="a frame in the place of a mask, or a mask that was resized or saved with losses",
        )
    return torch.from_numpy(values[..., 0] == 255)[None]


def _marked(flow: Float[Tensor, "1 2 h w"]) -> FlowFile:
    known = known_flow(flow)
    return FlowFile(flow.masked_fill(~known[:, None], UNKNOWN), known)


def _cut_short(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is no whole .flo file: {what}", hint="a download or copy that was cut short: fetch the file again"
    )
