"""Small charts as SVG and HTML text, with `data-choose` on what can be clicked: the same in a widget and on a page."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stc_lab.errors import InputError
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.template import FONT_FAMILY, INK, QUIET_INK

CHOSEN = SERIES_COLOURS[1]  # vermilion: what is shown now
_PLAIN, _LEFT_OUT = SERIES_COLOURS[0], "#c3c8d0"
_RULE = "#98a2b0"
_SWATCH = "display:inline-block; width:12px; height:12px; border:1px solid #6b7684; margin-right:5px"


@dataclass(frozen=True)
class Bar:
    """One pair of frames in a chart or list."""

    key: str  # what a click chooses
    place: int  # frame in its video
    value: float
    words: str  # a line about it
    cells: tuple[str, ...] = ()  # the same as columns of a list
    passing: bool = True  # whether the filters let it through


def timeline(bars: Sequence[Bar], chosen: str, quantity: str, *, width: int = 800, height: int = 104) -> str:
    """A bar for each pair of a video over its frames; those that the filters leave out are grey."""
    if not bars:
        return nothing("no pair of this video")
    left, bottom, top = 56, 24, 18
    high = max((bar.value for bar in bars if math.isfinite(bar.value)), default=0.0) or 1.0
    first, last = min(bar.place for bar in bars), max(bar.place for bar in bars)
    step = (width - left - 8) / (last - first + 1)
    inner = height - top - bottom
    parts = [_axis(left, top, inner, high)]
    for bar in bars:
        x = left + (bar.place - first) * step
        tall = inner * bar.value / high if math.isfinite(bar.value) else 0
        colour = CHOSEN if bar.key == chosen else _PLAIN if bar.passing else _LEFT_OUT
        parts.append(
            f"<g {_choice(bar.key, bar.words)}><title>{html.escape(bar.words)}</title>"
            f"<rect x='{x:.1f}' y='{top}' width='{step:.2f}' height='{inner}' fill='white' fill-opacity='0'/>"
            f"<rect x='{x + step * 0.1:.1f}' y='{top + inner - max(1.5, tall):.1f}' width='{max(0.8, step * 0.8):.2f}' "
            f"height='{max(1.5, tall):.1f}' fill='{colour}'/></g>"
        )
    every = max(1, math.ceil((last - first + 1) / 12))
    parts += [
        _text(left + (place - first + 0.5) * step, height - 7, str(place), "middle")
        for place in range(first, last + 1, every)
    ]
    parts.append(_text(left, 10, f"{quantity} of each pair, by its earlier frame", "start"))
    return _svg(parts, width, height, f"{quantity} of each pair of the video, over its frames", widest=1100)


def histogram(
    bars: Sequence[Bar], chosen: str, quantity: str, *, bins: int = 20, width: int = 330, height: int = 112
) -> str:
    """How many pairs have which value; a click on a bin chooses its worst pair."""
    known = [bar for bar in bars if bar.passing and math.isfinite(bar.value)]
    if not known:
        return nothing("no pair passes the filters")
    left, bottom, top = 34, 38, 8
    low, high = min(bar.value for bar in known), max(bar.value for bar in known)
    span = (high - low) or 1.0
    of_bin: list[list[Bar]] = [[] for _ in range(bins)]
    for bar in known:
        of_bin[min(bins - 1, int((bar.value - low) / span * bins))].append(bar)
    most = max(map(len, of_bin))
    step, inner = (width - left - 8) / bins, height - top - bottom
    parts = [_axis(left, top, inner, float(most))]
    for number, members in enumerate(of_bin):
        if not members:
            continue
        tall = max(2.0, inner * len(members) / most)
        worst = max(members, key=lambda bar: bar.value)
        here = any(bar.key == chosen for bar in members)
        ends = f"{low + span * number / bins:.3g} to {low + span * (number + 1) / bins:.3g}"
        words = f"{len(members)} pairs of {ends}; the worst is {worst.words}"
        parts.append(
            f"<g {_choice(worst.key, words)}><title>{html.escape(words)}</title>"
            f"<rect x='{left + number * step:.1f}' y='{top}' width='{step:.2f}' height='{inner}' fill='white' "
            f"fill-opacity='0'/><rect x='{left + (number + 0.08) * step:.1f}' y='{top + inner - tall:.1f}' "
            f"width='{0.84 * step:.2f}' height='{tall:.1f}' fill='{CHOSEN if here else _PLAIN}'/></g>"
        )
    ends_at = ((left, low, "start"), (width - 8, high, "end"))
    parts += [_text(x, top + inner + 14, f"{value:.3g}", anchor) for x, value, anchor in ends_at]
    parts.append(_text((left + width - 8) / 2, height - 5, quantity, "middle"))
    return _svg(parts, width, height, f"histogram of {quantity} over the pairs that pass the filters")


def ranked_list(bars: Sequence[Bar], chosen: str, columns: Sequence[str], *, most: int = 60, height: int = 196) -> str:
    """The pairs in the order given, the worst first, as a list to scroll, with the cells of each under `columns`."""
    passing = [bar for bar in bars if bar.passing]
    if not passing:
        return nothing("no pair passes the filters")
    grid = f"display:grid; grid-template-columns:26px minmax(0, 1fr) {'62px ' * (len(columns) - 1)}; column-gap:4px"
    rows = []
    for rank, bar in enumerate(passing[:most], start=1):
        now = bar.key == chosen
        look = f"background:{'#fbe3d3' if now else 'white'}; font-weight:{600 if now else 400}"
        cells = _cells((str(rank), *bar.cells))
        rows.append(
            f"<div {_choice(bar.key, bar.words)} style='{grid}; {look}; padding:2px 6px; "
            f"border-bottom:1px solid #e6e9ee'>{cells}</div>"
        )
    if len(passing) > most:
        rows.append(f"<div style='padding:2px 6px; color:{QUIET_INK}'>and {len(passing) - most} more</div>")
    text = f"font:12px {FONT_FAMILY}; color:{INK}; font-variant-numeric:tabular-nums"
    head = f"<div style='{grid}; padding:2px 22px 2px 6px; color:{QUIET_INK}'>{_cells(('', *columns))}</div>"
    box = f"max-height:{height}px; overflow-y:scroll; border:1px solid #c3c8d0"
    return f"<div style='{text}'>{head}<div class='stc-scroll' style='{box}'>{''.join(rows)}</div></div>"


def distribution_bars(
    palette: Palette, shares: Mapping[str, Sequence[float]], *, most: int = 6, width: int = 330
) -> str:
    """What the net believes of one pixel in each frame, for the classes with the largest shares, as pairs of bars."""
    if not shares or any(len(values) != len(palette) for values in shares.values()):
        raise InputError(
            f"shares must hold {len(palette)} numbers for each frame, got {sorted(map(len, shares.values()))}"
        )
    largest = [max(values[i] for values in shares.values()) for i in range(len(palette))]
    shown = sorted(range(len(palette)), key=lambda i: -largest[i])[:most]
    left, line, gap, top = 92, 13, 7, 24
    height = top + len(shown) * (line * len(shares) + gap)
    parts = []
    patterns = [1.0, 0.45, 0.25]
    x = float(left)
    for number, name in enumerate(shares):
        parts.append(f"<rect x='{x:.0f}' y='5' width='11' height='11' fill='{INK}' fill-opacity='{patterns[number]}'/>")
        parts.append(_text(x + 16, 15, name, "start"))
        x += 24 + 7 * len(name)
    for row, i in enumerate(shown):
        y = top + row * (line * len(shares) + gap)
        middle = y + line * len(shares) / 2 + 4
        parts.append(_text(left - 22, middle, palette.names[i], "end"))
        parts.append(
            f"<rect x='{left - 17}' y='{middle - 9:.0f}' width='11' height='11' fill='{palette.colours[i]}' "
            f"stroke='#6b7684'/>"
        )
        for number, values in enumerate(shares.values()):
            long = (width - left - 48) * values[i]
            parts.append(
                f"<rect x='{left}' y='{y + number * line}' width='{max(1.0, long):.1f}' height='{line - 2}' "
                f"fill='{INK}' fill-opacity='{patterns[number]}'/>"
            )
            parts.append(_text(left + max(1.0, long) + 5, y + number * line + 10, f"{100 * values[i]:.0f} %", "start"))
    said = "; ".join(
        f"{name}: " + ", ".join(f"{palette.names[i]} {100 * values[i]:.0f} %" for i in shown)
        for name, values in shares.items()
    )
    return _svg(parts, width, height, f"class distributions. {said}")


def class_ribbon(
    palette: Palette,
    ribbons: Mapping[str, Sequence[int | None]],
    first: int,
    chosen: Sequence[int],
    *,
    width: int = 500,
) -> str:
    """The class of one pixel over the frames from `first` on, a strip for each of `ribbons`; None: not seen there."""
    frames = {len(ribbon) for ribbon in ribbons.values()}
    if len(frames) != 1 or 0 in frames:
        raise InputError(f"ribbons must be at least one, all of one length, got lengths {sorted(frames)}")
    (count,) = frames
    left, line, top = 92, 22, 6
    step = (width - left - 8) / count
    parts = []
    for row, (name, ribbon) in enumerate(ribbons.items()):
        y = top + row * line
        parts.append(_text(left - 6, y + 14, name, "end"))
        for i, label in enumerate(ribbon):
            known = label is not None and 0 <= label < len(palette)
            colour = palette.colours[label] if known and label is not None else "white"
            words = palette.names[label] if known and label is not None else "not seen"
            parts.append(
                f"<rect x='{left + i * step:.2f}' y='{y}' width='{step:.2f}' height='{line - 4}' fill='{colour}' "
                f"stroke='{_RULE}' stroke-width='0.4'><title>frame {first + i}: {html.escape(words)}</title></rect>"
            )
    bottom = top + len(ribbons) * line
    for place in chosen:
        if first <= place < first + count:
            x = left + (place - first) * step
            parts.append(
                f"<rect x='{x:.2f}' y='{top - 3}' width='{step:.2f}' height='{bottom - top + 2}' fill='none' "
                f"stroke='{CHOSEN}' stroke-width='2'/>"
            )
    every = max(1, math.ceil(count / 12))
    parts += [_text(left + (i + 0.5) * step, bottom + 12, str(first + i), "middle") for i in range(0, count, every)]
    return _svg(parts, width, bottom + 18, f"class of the pixel over frames {first} to {first + count - 1}")


def class_legend(palette: Palette, present: Sequence[int], hidden: Sequence[int]) -> str:
    """The classes that occur, each to be clicked off and on."""
    items = []
    for i in sorted(set(present) | set(hidden)):
        off = i in hidden
        fill = "white" if off else palette.colours[i]
        box = f"{_SWATCH}; background:{fill}"
        words = f"{palette.names[i]}: {'hidden, click to show' if off else 'shown, click to hide'}"
        look = f"text-decoration:line-through; color:{QUIET_INK}" if off else f"color:{INK}"
        items.append(
            f"<span {_choice(str(i), words)} aria-pressed='{str(not off).lower()}' style='margin-right:14px; "
            f"white-space:nowrap; {look}'><span style='{box}'></span>{html.escape(palette.names[i])}</span> "
        )
    return f"<div style='font:13px {FONT_FAMILY}; line-height:1.7'>{''.join(items)}</div>"


def nothing(words: str) -> str:
    """What stands in a chart's place when there is nothing to draw."""
    return f"<div style='font:13px {FONT_FAMILY}; color:{QUIET_INK}; padding:8px 0'>{html.escape(words)}</div>"


def _cells(words: Sequence[str]) -> str:
    look = "white-space:nowrap; overflow:hidden; text-overflow:ellipsis"
    sides = ("left", "left", *("right" for _ in words[2:]))
    return "".join(
        f"<span style='{look}; text-align:{side}'>{html.escape(word)}</span>"
        for side, word in zip(sides, words, strict=True)
    )


def _choice(key: str, words: str) -> str:
    key, words = html.escape(key, quote=True), html.escape(words, quote=True)
    return f"data-choose='{key}' tabindex='0' role='button' aria-label='{words}'"


def _axis(left: float, top: float, inner: float, high: float) -> str:
    rule = f"<path d='M{left - 1} {top}V{top + inner}' stroke='{_RULE}' fill='none'/>"
    return rule + _text(left - 5, top + 10, f"{high:.3g}", "end") + _text(left - 5, top + inner, "0", "end")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'"
    return f"<text {place} font-size='12' fill='{QUIET_INK}'>{html.escape(words)}</text>"


def _svg(parts: Sequence[str], width: float, height: float, words: str, *, widest: int | None = None) -> str:
    """As large as drawn and smaller where there is less room; up to `widest` px where there is more."""
    size = f"width:{width:g}px; max-width:100%" if widest is None else f"width:100%; max-width:{widest}px"
    style = f"{size}; height:auto; display:block; font-family:{FONT_FAMILY}"
    return (
        f"<svg viewBox='0 0 {width:g} {height:g}' style='{style}' "
        f"role='group' aria-label='{html.escape(words, quote=True)}'>{''.join(parts)}</svg>"
    )
