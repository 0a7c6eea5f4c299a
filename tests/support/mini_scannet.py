"""Miniature scans of ScanNet in the layouts of its exports; `scale` divides the true sizes of their pictures."""

import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

COLOR, DEPTH = (968, 1296), (480, 640)  # (height, width)
# Scene scene0000_00 has something like these; fx, fy, cx, cy in px.
COLOR_K = (1170.187988, 1170.187988, 647.75, 483.75)
DEPTH_K = (571.623718, 571.623718, 319.5, 239.5)
OWN_IDS = {1: 1, 2: 5, 3: 2, 1163: 39, 40: 20, 1357: 0, 21: None}  # ScanNet's id -> NYU40 id, as in the .tsv
LOST = np.full((4, 4), -np.inf)


def intrinsics(K: Sequence[float]) -> np.ndarray:
    fx, fy, cx, cy = K
    return np.array([[fx, 0, cx, 0], [0, fy, cy, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def write_label_map(path: Path, ids: Mapping[int, int | None] = OWN_IDS) -> None:
    rows = [f'{own}\t"raw, {own}"\tcategory\t7\t{"" if nyu is None else nyu}\t1' for own, nyu in ids.items()]
    path.write_text("\n".join(["id\traw_category\tcategory\tcount\tnyu40id\teigen13id", *rows]) + "\n")


def sizes(scale: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of colour images and label maps, and of depth maps."""
    return (COLOR[0] // scale, COLOR[1] // scale), (DEPTH[0] // scale, DEPTH[1] // scale)


def label(ids: Sequence[int], size: tuple[int, int], *, bits: int) -> np.ndarray:
    """A map whose columns, from left to right, hold these ids in equal shares."""
    columns = np.repeat(np.array(ids), -(-size[1] // len(ids)))[: size[1]]
    return np.tile(columns, (size[0], 1)).astype(np.uint16 if bits == 16 else np.uint8)


def depth(n: int, size: tuple[int, int]) -> np.ndarray:
    """Of 1 m and n mm, but unknown in the first column."""
    values = np.full(size, 1000 + n, np.uint16)
    values[:, 0] = 0
    return values


def write_scan(
    folder: Path,
    numbers: Sequence[int],
    *,
    lost: Collection[int] = (),
    labels: str | None = None,
    ids: Sequence[int] = (0, 1, 2, 3),
    bits: int = 16,
    scale: int = 16,
    stem: str = "{}",
    camera: str = "intrinsic/intrinsic_{}.txt",
) -> Path:
    """A scan as SensReader's Python reader exports it; `labels` is the folder of its label maps."""
    color_size, depth_size = sizes(scale)
    for kind in ("color", "depth", "pose", *([labels] if labels else [])):
        (folder / kind).mkdir(parents=True)
    for n in numbers:
        name = stem.format(n)
        Image.fromarray(colour(n, color_size)).save(folder / "color" / f"{name}.jpg")
        Image.fromarray(depth(n, depth_size)).save(folder / "depth" / f"{name}.png", compress_level=1)
        np.savetxt(folder / "pose" / f"{name}.txt", LOST if n in lost else pose(n), fmt="%f")
        if labels:
            Image.fromarray(label(ids, color_size, bits=bits)).save(folder / labels / f"{name}.png", compress_level=1)
    for sensor, K in {"color": COLOR_K, "depth": DEPTH_K}.items():
        path = folder / camera.format(sensor)
        path.parent.mkdir(exist_ok=True)
        np.savetxt(path, intrinsics(K), fmt="%f")
    return folder


def write_scan_of_cpp_reader(
    folder: Path, numbers: Sequence[int], *, lost: Collection[int] = (), scale: int = 16
) -> Path:
    """A scan as SensReader's C++ reader exports it: depth as PGM, and one file of facts."""
    folder.mkdir(parents=True)
    color_size, depth_size = sizes(scale)
    lines = [f"m_{sensor}{side} = {n}" for sensor, size in (("color", COLOR), ("depth", DEPTH))
             for side, n in zip(("Height", "Width"), size, strict=True)]  # fmt: skip
    for sensor, K in {"Color": COLOR_K, "Depth": DEPTH_K}.items():
        lines.append(f"m_calibration{sensor}Intrinsic = " + " ".join(f"{v:g}" for v in intrinsics(K).ravel()) + " ")
    (folder / "_info.txt").write_text("m_versionNumber = 4\n" + "\n".join(lines) + "\nm_depthShift = 1000\n")
    for n in numbers:
        stem = folder / f"frame-{n:06d}"
        Image.fromarray(colour(n, color_size)).save(f"{stem}.color.jpg")
        head = (
            f"P5\n# data values are 16-bit each; depth shift is 1000\n{depth_size[1]} {depth_size[0]}\n65535\n".encode()
        )
        Path(f"{stem}.depth.pgm").write_bytes(head + depth(n, depth_size).astype(">u2").tobytes())
        np.savetxt(f"{stem}.pose.txt", LOST if n in lost else pose(n), fmt="%g")
    return folder


def pack_labels(scan: Path, kind: str = "label-filt") -> Path:
    """Put the label maps of a scan into the archive they are published in."""
    archive = scan / f"{scan.name}_2d-{kind}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((scan / kind).iterdir()):
            packed.write(path, f"{kind}/{path.name}")
            path.unlink()
    (scan / kind).rmdir()
    return archive


def write_scannet(root: Path) -> Path:
    """Two listed scans of two frames each, with ScanNet's own ids, and one of the validation split."""
    for scene in ("scene0000_00", "scene0000_01", "scene0011_00"):
        write_scan(root / "scans" / scene, [0, 1], labels="label-filt")
    (root / "scannetv2_train.txt").write_text("scene0000_00\nscene0000_01\n")
    (root / "scannetv2_val.txt").write_text("scene0011_00\n")
    write_label_map(root / "scannetv2-labels.combined.tsv")
    return root
