"""What surrounds a point in two frames: all of it, and what belongs to the point's own class."""

import torch

from stc_lab.data.frames import Clip
from stc_lab.experiments.surroundings import SurroundingsPair, SwappedSurroundings
from stc_lab.metrics import class_context
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel, image_panel, label_panel

_COLOUR = SERIES_COLOURS[1]


def context_panels(
    pair: SurroundingsPair, point: tuple[int, int], predictions: torch.Tensor, palette: Palette, *, radius: int
) -> list[Panel]:
    """Two rows: the frame with the window around the point; the window, and of it what is of the point's class.

    `predictions` [2, h, w] are the net's labels of frame t and of the later one.
    """
    panels = []
    for frame, place, predicted in zip((pair.target, pair.other), (point, pair.later(point)), predictions, strict=True):
        assert frame.label is not None
        x, y = place
        label, image = frame.label[0], frame.image[0]
        corners = [(x + i * radius, y + j * radius) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
        rows = slice(max(0, y - radius), y + radius + 1)
        columns = slice(max(0, x - radius), x + radius + 1)
        own, window = label[rows, columns] == label[y, x], image[:, rows, columns]
        said = palette.names[int(predicted[y, x])]
        marks = (
            Mark("line", tuple((float(a), float(b)) for a, b in corners), _COLOUR, "window"),
            Mark("cross", ((float(x), float(y)),), _COLOUR, "the point"),
        )
        title = f"frame {int(frame.index[0])}: the net says {said}"
        share = 100 * float(own.float().mean())
        shown = image_panel(image, title, f"in truth {palette.names[int(label[y, x])]}")
        panels += [
            Panel(shown.rgb, shown.title, shown.caption, marks=marks),
            image_panel(window, "class-inclusive context", "all that is in the window"),
            image_panel(window, "class-exclusive context", f"its own class: {share:.0f} % of the window", visible=own),
        ]
    return panels


def context_means(frame: Clip, *, radius: int) -> list[Panel]:
    """A frame, and the mean colour around each pixel: over all pixels of its window, and over those of its class."""
    frame.require("label")
    assert frame.label is not None
    found = class_context(frame.image[:1], frame.label[:1], radius)
    known = frame.label[0] != 255
    return [
        image_panel(frame.image[0], "the frame"),
        image_panel(found.inclusive[0], "mean of the class-inclusive context", visible=known),
        image_panel(found.exclusive[0], "mean of the class-exclusive context", visible=known),
    ]


def swapped_panels(
    swapped: SwappedSurroundings,
    before: torch.Tensor,
    after: torch.Tensor,
    frame: int,
    class_id: int,
    palette: Palette,
) -> list[Panel]:
    """A class in its room and in another, and the net's labels [h, w] of it before and after."""
    assert swapped.frames.label is not None
    own = swapped.frames.label[frame] == class_id
    name = palette.names[class_id]
    stays = 100 * float((before == after)[own].float().mean())
    return [
        image_panel(swapped.frames.image[frame], f"{name} in its room"),
        image_panel(swapped.swapped(frame, class_id), f"{name} in another room"),
        label_panel(before, palette, "the net in its room", visible=own),
        label_panel(
            after, palette, "the net in the other room", f"{stays:.0f} % of the pixels keep their label", visible=own
        ),
    ]
