"""Marks lie where the data says, on every enlargement; legends name them once."""

import numpy as np
import pytest
import torch

from stc_lab.plots import Mark, image_grid, image_panel
from stc_lab.plots.marks import draw_marks
from stc_lab.plots.panels import Panel
from stc_lab.plots.verdicts import LANDING_PALETTE, MASK_PALETTE, REASON_PALETTE

INK = "#0000c8"


def drawn(mark: Mark, factor: int, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Where a mark leaves its own colour on grey, rows and columns of the enlarged picture."""
    grey = np.full((size[0] * factor, size[1] * factor, 3), 120, dtype=np.uint8)
    picture = draw_marks(grey, [mark], factor)
    assert (grey == 120).all()  # the ground is not written into
    return np.argwhere((picture[..., 2] > 180) & (picture[..., 0] < 60))


@pytest.mark.parametrize("factor", [3, 4, 8])
@pytest.mark.parametrize("kind", ["ring", "cross", "dots"])
def test_marks_are_centred_on_their_pixel(kind: str, factor: int) -> None:
    ink = drawn(Mark(kind, ((8.0, 5.5),), INK), factor)  # type: ignore[arg-type]
    assert len(ink) > 4
    middle = (ink.min(axis=0) + ink.max(axis=0)) / 2
    assert middle == pytest.approx([(5.5 + 0.5) * factor - 0.5, (8 + 0.5) * factor - 0.5], abs=1.0)


def test_a_ring_leaves_its_pixel_free() -> None:
    ink = drawn(Mark("ring", ((8.0, 6.0),), INK), 4)
    assert [6 * 4 + 2, 8 * 4 + 2] not in ink.tolist()


def test_dots_shrink_from_near_to_far() -> None:
    first, last = (
        len(drawn(Mark("dots", places, INK), 4)) for places in (((2.0, 6.0), (99.0, 99.0)), ((99.0, 99.0), (2.0, 6.0)))
    )
    assert first > 2 * last > 0


def test_a_line_joins_its_places_and_may_leave_the_picture() -> None:
    ink = drawn(Mark("line", ((2.0, 6.0), (1e12, 6.0)), INK), 4)
    assert ink[:, 1].max() == 16 * 4 - 1 and set(ink[:, 0].tolist()) <= set(range(23, 29))


def test_no_mark_no_change() -> None:
    grey = np.full((4, 4, 3), 9, dtype=np.uint8)
    assert draw_marks(grey, [], 1) is grey
    assert (draw_marks(grey, [Mark("line", (), INK)], 1) == 9).all()


def test_a_marked_photograph_is_enlarged_and_named_in_the_legend() -> None:
    plain = image_panel(torch.rand(3, 12, 16), "image")
    marks = (Mark("ring", ((3.0, 3.0),), INK, "here"), Mark("ring", ((9.0, 9.0),), INK, "here"), Mark("dots", (), INK))
    marked = Panel(plain.rgb, "marked", marks=marks, photo=True)
    figure = image_grid([plain, marked])
    assert [trace.dx for trace in figure.data if trace.type == "image"] == [1.0, 1 / marked.enlargement(460)]
    assert [trace.name for trace in figure.data if trace.type == "scatter"] == ["here"]


@pytest.mark.parametrize("palette", [REASON_PALETTE, LANDING_PALETTE, MASK_PALETTE], ids=["reason", "landing", "mask"])
def test_verdicts_can_be_told_apart(palette) -> None:
    """By every eye; two verdicts that never occur in one picture may share a colour."""
    from stc_lab.plots.colours import lab, rgb_of_hex

    colours = sorted(set(palette.colours[1:]))
    for vision in ("normal", "protanopia", "deuteranopia"):
        seen = lab(rgb_of_hex(tuple(colours)), vision)  # type: ignore[arg-type]
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1e3 * np.eye(len(colours))
        assert apart.min() > 15, (vision, colours)
