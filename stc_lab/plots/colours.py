"""How colours look: CIE Lab, and what a dichromat sees; the class palettes are chosen and tested with these."""

from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

Vision = Literal["normal", "protanopia", "deuteranopia"]

# Machado, Oliveira and Fernandes 2009, severity 1.0; they act on linear RGB.
_DICHROMACY = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
_XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)  # sRGB primaries, D65


def rgb_of_hex(colours: tuple[str, ...]) -> UInt8[np.ndarray, "k 3"]:
    """Rows (r, g, b) of colours written `#rrggbb`."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype=np.uint8).reshape(-1, 3)


def seen_linear(rgb: UInt8[np.ndarray, "*any 3"], vision: Vision = "normal") -> Float[np.ndarray, "*any 3"]:
    """Linear RGB in [0, 1] as an eye with `vision` sees it."""
    value = rgb / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ _DICHROMACY[vision].T, 0.0, 1.0)


def lab(rgb: UInt8[np.ndarray, "*any 3"], vision: Vision = "normal") -> Float[np.ndarray, "*any 3"]:
    """CIE L*a*b* (D65), in which equal distances look about equally different."""
    xyz = (seen_linear(rgb, vision) @ _XYZ_OF_RGB.T) / _XYZ_OF_RGB.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
