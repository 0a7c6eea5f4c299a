"""Points and lines over a picture, in pixels of its data; each stands on a light rim, so that any ground will do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from stc_lab.plots.colours import rgb_of_hex

Kind = Literal["ring", "cross", "dots", "line"]
_RIM = (255, 255, 255)
_SHIFT = 4  # positions are given to OpenCV in sixteenths of a pixel


@dataclass(frozen=True)
class Mark:
    """Places (x, y) of a picture, in pixels of its data: the first pixel's centre is (0, 0)."""

    kind: Kind
    places: tuple[tuple[float, float], ...]
    colour: str  # '#rrggbb'
    name: str = ""  # for the legend; marks of one name are listed once


def draw_marks(rgb: UInt8[np.ndarray, "H W 3"], marks: Sequence[Mark], factor: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, enlarged by `factor` before, with the marks on it; the dots of one mark shrink along its places."""
    if not marks:
        return rgb
    import cv2

    drawn = np.ascontiguousarray(rgb).copy()
    largest = 4 * max(rgb.shape)  # farther out nothing is seen, and integers end somewhere
    for mark in marks:
        colour = tuple(int(v) for v in rgb_of_hex((mark.colour,))[0])
        centres = [((x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5) for x, y in mark.places]
        places = [tuple(round(max(-largest, min(largest, v)) * 2**_SHIFT) for v in centre) for centre in centres]
        fine = {"lineType": cv2.LINE_AA, "shift": _SHIFT}
        if mark.kind == "line":
            points = [np.array(places, dtype=np.int32).reshape(-1, 1, 2)]
            for ink, width in ((_RIM, 4), (colour, 2)):
                cv2.polylines(drawn, points, False, ink, width, **fine)
        for number, place in enumerate(places):
            if mark.kind == "ring":
                for ink, width in ((_RIM, 5), (colour, 2)):
                    cv2.circle(drawn, place, 7 * 2**_SHIFT, ink, width, **fine)
            elif mark.kind == "dots":
                radius = 4.5 - 2.5 * number / max(1, len(places) - 1)
                for ink, grown in ((_RIM, 1.0), (colour, 0.0)):
                    cv2.circle(drawn, place, round((radius + grown) * 2**_SHIFT), ink, -1, **fine)
            elif mark.kind == "cross":
                arm = 6 * 2**_SHIFT
                for ink, width in ((_RIM, 5), (colour, 2)):
                    for slope in (1, -1):
                        ends = [(place[0] - arm * s, place[1] - arm * s * slope) for s in (1, -1)]
                        cv2.line(drawn, ends[0], ends[1], ink, width, **fine)
    return drawn


SYMBOLS: dict[Kind, str] = {"ring": "circle-open", "cross": "x-thin", "dots": "circle", "line": "line-ew"}
