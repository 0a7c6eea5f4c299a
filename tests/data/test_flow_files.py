"""Flow files against OpenCV's reader and writer and bytes packed by hand; damaged ones are refused by name."""

import math
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from stc_lab.data.flow_files import FlowFile, read_flo, read_kitti_flow, read_sintel_mask, write_flo
from stc_lab.data.sintel import read_sintel_pair
from stc_lab.errors import InputError
from stc_lab.geometry import warp_by_flow


def some_flow(height: int = 5, width: int = 7) -> torch.Tensor:
    return 30 * torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(0))


def by_opencv(flow: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(flow[0].permute(1, 2, 0).numpy())


def test_what_is_written_is_read_again_bit_by_bit(tmp_path: Path) -> None:
    flow = some_flow()
    found = read_flo(write_flo(tmp_path / "a.flo", flow))
    assert torch.equal(found.flow, flow)
    assert found.known.all() and found.known.shape == (1, 5, 7)


def test_opencv_reads_what_we_write_and_we_read_what_opencv_writes(tmp_path: Path) -> None:
    flow = some_flow()
    ours, theirs = tmp_path / "ours.flo", tmp_path / "theirs.flo"
    write_flo(str(ours), flow)
    assert np.array_equal(cv2.readOpticalFlow(str(ours)), by_opencv(flow))
    assert cv2.writeOpticalFlow(str(theirs), by_opencv(flow))
    assert torch.equal(read_flo(str(theirs)).flow, flow)
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    flow = torch.tensor([[[[1.0, 2.0]], [[-3.0, 0.5]]]])
    path = write_flo(tmp_path / "a.flo", flow)
    assert path.read_bytes() == b"PIEH" + struct.pack("<2i4f", 2, 1, 1.0, -3.0, 2.0, 0.5)


@pytest.mark.parametrize("unknown", [1e10, -1.6666666e9, math.nan, math.inf])
def test_unknown_flow_stays_unknown(tmp_path: Path, unknown: float) -> None:
    flow = some_flow()
    flow[0, 1, 2, 3] = unknown
    found = read_flo(write_flo(tmp_path / "a.flo", flow))
    cv2.writeOpticalFlow(str(tmp_path / "raw.flo"), by_opencv(flow))
    for one in (found, read_flo(tmp_path / "raw.flo")):
        assert (~one.known).nonzero().tolist() == [[0, 2, 3]]
        assert one.flow.isfinite().all() and (one.flow[0, :, 2, 3] == 1e10).all()
        assert torch.equal(one.flow[:, :, 0], flow[:, :, 0])
    assert not warp_by_flow(torch.rand(1, 3, 5, 7), found.flow).visible[0, 2, 3]


def test_a_mask_marks_what_is_unknown(tmp_path: Path) -> None:
    known = torch.ones(1, 5, 7, dtype=torch.bool)
    known[0, 4] = False
    found = read_flo(write_flo(tmp_path / "a.flo", some_flow().double(), known))
    assert torch.equal(found.known, known)
    assert torch.equal(found.flow[:, :, :4], some_flow()[:, :, :4])


def write_kitti(path: Path, flow: np.ndarray, valid: np.ndarray) -> Path:
    """As the development kit does: R = u, G = v, B = valid; OpenCV takes B, G, R."""
    values = (flow * 64 + 32768).round().astype(np.uint16) * valid.astype(np.uint16)
    assert cv2.imwrite(str(path), np.stack([valid.astype(np.uint16), values[1], values[0]], axis=-1))
    return path


def test_kitti_flow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flow, valid = rng.integers(-32768, 32768, (2, 6, 9)) / 64, rng.random((6, 9)) < 0.7
    flow[:, 0, 0], valid[0, 0] = (-512.0, 511.984375), True  # the ends of the scale
    found = read_kitti_flow(write_kitti(tmp_path / "a.png", flow, valid))
    assert np.array_equal(found.known[0].numpy(), valid)
    assert np.array_equal(found.flow[0].numpy()[:, valid], flow[:, valid].astype(np.float32))
    assert (found.flow[0].numpy()[:, ~valid] == 1e10).all()


def test_sintels_masks(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((6, 9)) < 0.5
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "a.png")
    assert np.array_equal(read_sintel_mask(tmp_path / "a.png")[0].numpy(), mask)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], FlowFile]:
    def read(path: Path) -> FlowFile:
        write_flo(path, some_flow())
        path.write_bytes(change(path.read_bytes()))
        return read_flo(path)

    return read


def picture(read: Callable[[Path], object], values: np.ndarray, *, bytes_kept: int | None = None) -> object:
    def refused(path: Path) -> object:
        data = cv2.imencode(".png", values)[1].tobytes()
        path.write_bytes(data[:bytes_kept])
        return read(path)

    return refused


DAMAGED = {
    "cut short": (changed(lambda data: data[:-4]), r"no whole \.flo file: 7 x 5 px take 280 bytes.*it has 276.*copy"),
    "too long": (changed(lambda data: data + b"\0"), r"take 280 bytes after the header, it has more"),
    "header alone cut": (changed(lambda data: data[:7]), r"its header has 7 of 12 bytes"),
    "empty": (changed(lambda data: b""), r"its header has 0 of 12 bytes"),
    "another magic": (changed(lambda data: b"\x89PNG" + data[4:]), r"must begin with the number 202021\.25"),
    "big-endian": (changed(lambda data: data[3::-1] + data[4:]), r"must begin with.*big-endian"),
    "absurd size": (
        changed(lambda data: data[:4] + struct.pack("<2i", 2**31 - 1, 2**31 - 1)),
        r"must have 1 to 50000000 pixels, its header says 2147483647 x 2147483647",
    ),
    "negative size": (changed(lambda data: data[:4] + struct.pack("<2i", -7, -5) + data[12:]), r"says -7 x -5"),
    "no width": (changed(lambda data: data[:4] + struct.pack("<2i", 0, 5) + data[12:]), r"says 0 x 5"),
    "no file": (read_flo, r"there is no flow file"),
    "8-bit kitti": (
        picture(read_kitti_flow, np.zeros((4, 6, 3), np.uint8)),
        r"three 16-bit channels, got uint8 \[4, 6, 3\].*colours",
    ),
    "grey kitti": (picture(read_kitti_flow, np.zeros((4, 6), np.uint8)), r"three 16-bit channels, got uint8 \[4, 6\]"),
    "damaged kitti": (
        picture(
            read_kitti_flow, np.random.default_rng(0).integers(0, 65536, (40, 60, 3)).astype(np.uint16), bytes_kept=9000
        ),
        r"cannot be decoded as a picture",
    ),
    "no kitti": (read_kitti_flow, r"is missing"),
    "grey mask": (
        picture(read_sintel_mask, np.full((4, 6), 128, np.uint8)),
        r"must be black and white, got other values at 24 pixels",
    ),
    "coloured mask": (
        picture(read_sintel_mask, np.tile(np.array([0, 0, 255], np.uint8), (4, 6, 1))),
        r"must be black and white",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_refused_by_name(case: str, tmp_path: Path) -> None:
    read, message = DAMAGED[case]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "this-one.bin")  # type: ignore[operator]
    assert "this-one.bin" in str(caught.value)


@pytest.mark.bad_input
def test_what_is_no_single_flow_is_not_written(tmp_path: Path) -> None:
    for flow in (torch.zeros(2, 2, 4, 5), torch.zeros(1, 3, 4, 5), torch.zeros(2, 4, 5), torch.zeros(1, 2, 4, 5).int()):
        with pytest.raises(InputError, match=r"floating point \[1, 2, h, w\]"):
            write_flo(tmp_path / "a.flo", flow)
    with pytest.raises(InputError, match=r"known must be bool \[1, 4, 5\], got torch\.bool \[1, 4, 4\]"):
        write_flo(tmp_path / "a.flo", torch.zeros(1, 2, 4, 5), torch.ones(1, 4, 4, dtype=torch.bool))
    assert not list(tmp_path.iterdir())


@pytest.mark.real_data
def test_the_slices_are_read_as_opencv_reads_them(real_data: Path) -> None:
    for path in [*(real_data / "sintel").rglob("*.flo"), *(real_data / "middlebury_rubberwhale").rglob("*.flo")]:
        found, expected = read_flo(path), cv2.readOpticalFlow(str(path))
        known = (np.abs(expected) < 1e9).all(axis=2)
        assert np.array_equal(found.known[0].numpy(), known)
        assert np.array_equal(found.flow[0].permute(1, 2, 0).numpy()[known], expected[known])
        assert (~known).mean() == 0 if "sintel" in str(path) else 0.005 < (~known).mean() < 0.05


@pytest.mark.real_data
def test_a_pair_of_sintel(real_data: Path) -> None:
    pair = read_sintel_pair(real_data / "sintel" / "training", "clean", "alley_1", 2)
    assert pair.a.image.shape == pair.b.image.shape == (1, 3, 436, 1024)
    assert pair.truth.visible.shape == pair.counted.shape == (1, 436, 1024)
    assert pair.a.video == ("clean/alley_1",) and pair.a.index.tolist() == [2] and pair.b.index.tolist() == [3]
    assert 0.99 < pair.counted.float().mean() < 1
    assert 0.96 < pair.truth.visible.float().mean() < 0.98  # 2.2 % hidden and 0.8 % gone
