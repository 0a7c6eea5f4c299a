"""The pictures of the rooms' data card: a contact sheet of its camera paths, and how often its classes show."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stc_lab.data.rooms import CLASS_NAMES, PRESETS, RoomsConfig, mover_masks, render_video, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments.rooms_study import class_shares
from stc_lab.plots.curves import MARKERS
from stc_lab.plots.export import exporter_problem
from stc_lab.plots.palette import SERIES_COLOURS, class_palette
from stc_lab.plots.pictures import image_rgb
from stc_lab.plots.save import save_figure
from stc_lab.plots.template import INK, QUIET_INK, template

SHEET, CLASSES = "rooms_sheet.png", "rooms_classes.svg"
FAMILIES = ("dolly", "handheld", "tracking")
_ROWS = (  # video, settings, what to see
    ("rooms-test-0006", {"motion": "dolly"}, "dolly: the same surfaces near by and from afar"),
    ("rooms-test-0002", {"motion": "handheld"}, "handheld: someone walks and looks around"),
    ("rooms-test-0001", {"motion": "tracking"}, "tracking: past near and far things"),
    ("rooms-test-0008", {"motion": "handheld", "moving_objects": 3}, "handheld, 3 moving objects: below, which moves"),
)
_COLUMNS, _SCALE, _GAP, _MARGIN, _TITLE, _KEY = 6, 2, 6, 14, 30, 24
_KEY_COLUMNS = 7


def rooms_card_figures(
    folder: Path | str, *, cache: Path | str | None = None, progress: Callable[[str], None] | None = None
) -> list[Path]:
    """Draw the card's contact sheet (PNG) and class frequencies (SVG) into `folder`; return their paths.

    The frequencies are those of the training videos of `quick` along each family of paths: about half a minute if they
    are to be rendered first. Needs a browser for the SVG (`stc-lab doctor`).
    """
    say = progress or (lambda _: None)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    say("drawing the contact sheet")
    paths = [folder / SHEET, folder / CLASSES]
    _replace(paths[0], rooms_sheet())
    shares = {}
    for family in FAMILIES:
        say(f"counting the classes of the {family} videos")
        shares[family] = class_shares(rooms_videos("train", replace(PRESETS["quick"], motion=family), cache))
    with tempfile.TemporaryDirectory() as drawn:
        saved = save_figure(class_dots(shares), "rooms-classes", drawn, alt="Share of the pixels of each class.")
        if saved.svg is None:
            raise InputError(f"the class frequencies cannot be drawn: {exporter_problem()}", hint="make browser")
        _replace(paths[1], saved.svg.read_bytes())
    return paths


def class_dots(shares: Mapping[str, Float[Tensor, " k"]]) -> go.Figure:
    """The share of each class's pixels on a logarithmic axis, a mark for each set of videos; the most frequent on top.

    Marks and not bars: a logarithmic axis has no zero that a bar could start from.
    """
    first = next(iter(shares.values()))
    order = sorted(range(len(CLASS_NAMES)), key=lambda i: float(first[i]))
    figure = go.Figure()
    for number, (name, share) in enumerate(shares.items()):
        style = {"symbol": MARKERS[number], "size": 14 - 3 * number, "color": SERIES_COLOURS[number]}
        figure.add_scatter(
            x=[100 * float(share[i]) or None for i in order],
            y=[CLASS_NAMES[i] for i in order],
            name=name,
            mode="markers",
            marker={**style, "line": {"width": 1, "color": "white"}},
        )
    figure.update_layout(
        template=template(),
        width=760,
        height=130 + 24 * len(order),
        margin={"t": 78},
        title={"text": "How often the classes of rooms show", "y": 0.965, "yref": "container", "yanchor": "middle"},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    )
    figure.update_xaxes(title_text="share of the pixels (%)", type="log", tickvals=[0.001, 0.01, 0.1, 1, 10, 50])
    figure.update_yaxes(ticks="")
    return figure


def rooms_sheet() -> bytes:
    """Frames of one video of each kind with their labels, and the key to the colours, as PNG."""
    palette = class_palette(CLASS_NAMES)
    strips = [_strip(video, RoomsConfig(**settings)) for video, settings, _ in _ROWS]
    height, width = strips[0].shape[:2]
    keys = -(-len(CLASS_NAMES) // _KEY_COLUMNS)
    total = _MARGIN * 2 + len(strips) * (height + _TITLE + _GAP) + keys * _KEY + _GAP
    sheet = Image.new("RGB", (width + 2 * _MARGIN, total), "white")
    draw, top = ImageDraw.Draw(sheet), _MARGIN
    title, small = ImageFont.load_default(size=17), ImageFont.load_default(size=14)
    for strip, (video, _, words) in zip(strips, _ROWS, strict=True):
        draw.text((_MARGIN, top + 4), words, fill=INK, font=title)
        draw.text((_MARGIN + width, top + 7), video, fill=QUIET_INK, font=small, anchor="ra")
        sheet.paste(Image.fromarray(strip), (_MARGIN, top + _TITLE))
        top += height + _TITLE + _GAP
    for i, (name, colour) in enumerate(zip(CLASS_NAMES, palette.colours, strict=True)):
        row, column = divmod(i, _KEY_COLUMNS)
        x, y = _MARGIN + column * (width // _KEY_COLUMNS), top + _GAP + row * _KEY
        draw.rectangle((x, y, x + 15, y + 15), fill=colour, outline=QUIET_INK)
        draw.text((x + 22, y - 1), name, fill=INK, font=small)
    target = io.BytesIO()
    _few_colours(sheet, palette.colours).save(target, "PNG", optimize=True)
    return target.getvalue()


def _strip(video: str, config: RoomsConfig) -> UInt8[np.ndarray, "h w 3"]:
    """Frames spread over the video, their labels below; or, where things move, which one each pixel shows."""
    clip = render_video(video, config)
    assert clip.label is not None
    chosen = np.linspace(0, len(clip) - 1, _COLUMNS).round().astype(int).tolist()
    if config.moving_objects:
        colours = [(238, 238, 238), *(tuple(bytes.fromhex(colour[1:])) for colour in SERIES_COLOURS)]
        below = np.array(colours, dtype=np.uint8)[mover_masks(video, config)[chosen].numpy()]
    else:
        palette = class_palette(CLASS_NAMES)
        below = np.stack([palette.rgb(clip.label[i]) for i in chosen])
    above = np.stack([image_rgb(clip.image[i]) for i in chosen])
    pair = np.concatenate([above, below], axis=1).repeat(_SCALE, axis=1).repeat(_SCALE, axis=2)
    gap = np.full((pair.shape[1], _GAP, 3), 255, dtype=np.uint8)
    parts = [part for picture in pair for part in (gap, picture)][1:]
    strip: np.ndarray = np.concatenate(parts, axis=1)
    return strip


def _few_colours(sheet: Image.Image, exact: tuple[str, ...]) -> Image.Image:
    """The sheet in 256 colours, those of the key exactly: noise in 24 bits would take three times the space."""
    fixed = [tuple(bytes.fromhex(colour[1:])) for colour in (*exact, *SERIES_COLOURS, INK, QUIET_INK)]
    fixed += [(255, 255, 255), (238, 238, 238)]
    of_photos = sheet.quantize(256 - len(fixed), dither=Image.Dither.NONE).getpalette()
    assert of_photos is not None
    colours = Image.new("P", (1, 1))
    colours.putpalette([value for colour in fixed for value in colour] + of_photos[: 3 * (256 - len(fixed))])
    return sheet.quantize(palette=colours, dither=Image.Dither.NONE)


def _replace(path: Path, content: bytes) -> None:
    """Write beside the target and rename, so that no reader ever sees half a file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as target:
        target.write(content)
    os.chmod(target.name, 0o644)
    shutil.move(target.name, path)
