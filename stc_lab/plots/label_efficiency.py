"""Table 1 of Pasad et al. as curves: the score over the labels, the gain, and the labels that it replaces."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.experiments.label_equivalence import label_equivalence, published_equivalence
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    BEST_IDENTITY,
    EQUAL,
    IDENTITY,
    LEARNED,
    TABLE_1_ROWS,
    Result,
    counts_of,
    values_of,
)
from stc_lab.experiments.pasad_tables import table_1
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD, SHARES, TABLE_1
from stc_lab.experiments.statistics import mean_of
from stc_lab.plots.row_looks import dress, label_axis, line_of, look_of, nothing_yet
from stc_lab.plots.template import QUIET_INK, WIDTH

NO_RESULTS = "no results yet"
_LOG_2 = math.log10(2)
_APART = 1.018  # factor between the x of two rows at one count, so that their error bars stand side by side


def label_efficiency(results: Sequence[Result], *, title: str = "", width: int = WIDTH, height: int = 510) -> go.Figure:
    """Mean IoU over the number of labelled frames, all rows, ± the spread over seeds; beside it Table 1 as printed."""
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.68, 0.32],
        horizontal_spacing=0.09,
        subplot_titles=["here: rooms", "as printed: ScanNet"],
    )
    counts = counts_of(results)
    rows = [row for row in TABLE_1_ROWS if any(values_of(results, row, count) for count in counts)]
    for number, row in enumerate(rows):
        scores = {count: mean_of(values_of(results, row, count).values()) for count in counts}
        known = {count: score for count, score in scores.items() if score.n}
        shift = _APART ** (number - (len(rows) - 1) / 2)
        line = line_of(
            row,
            [count * shift for count in known],
            [100 * score.value for score in known.values()],
            error_y={"array": [_bar(100 * score.spread) for score in known.values()], "thickness": 1.2, "width": 3},
            customdata=[[count, score.n] for count, score in known.items()],
            hovertemplate=f"{row}, %{{customdata[0]}} labels<br>%{{y:.2f}} % (%{{customdata[1]}} seeds)<extra></extra>",
            legendgroup=row,
        )
        figure.add_trace(line, row=1, col=1)
    for row, printed in TABLE_1.items():
        line = line_of(row, list(SHARES), list(printed), legendgroup=row, showlegend=row not in rows)
        figure.add_trace(line, row=1, col=2)
    if not rows:
        nothing_yet(figure, NO_RESULTS)
    label_axis(figure, list(counts), row=1, col=1)
    figure.update_xaxes(
        type="log", tickvals=list(SHARES), ticktext=[f"{s:g}" for s in SHARES], title_text="labels (%)", row=1, col=2
    )
    figure.update_yaxes(title_text="mean IoU (%)", row=1, col=1)
    return dress(figure, title=title, width=width, height=height, lines=3, above=36)


def gain_curves(results: Sequence[Result], *, title: str = "", width: int = WIDTH, height: int = 440) -> go.Figure:
    """Paired gain over the continued baseline by label count, with its 95 % interval; controls in grey."""
    figure = go.Figure()
    frame = table_1(results)
    counts = list(counts_of(results))
    rows = [row for row in TABLE_1_ROWS if row not in (BASELINE, CONTINUED)]
    found = {row: frame[(frame["row"] == row) & frame["gain"].notna()] for row in rows}
    found = {row: own for row, own in found.items() if len(own)}
    for number, (row, own) in enumerate(found.items()):
        shift = _APART ** (number - (len(found) - 1) / 2)
        gains = own["gain"].tolist()
        figure.add_trace(
            line_of(
                row,
                [count * shift for count in own["labels"]],
                gains,
                error_y={
                    "array": [_bar(high - gain) for high, gain in zip(own["gain high"], gains, strict=True)],
                    "thickness": 1.5,
                    "width": 4,
                },
                customdata=own[["labels", "n"]].to_numpy(),
                hovertemplate=f"{row}, %{{customdata[0]}} labels<br>%{{y:+.2f}} points<extra></extra>",
            )
        )
    if found.get(METHOD) is not None and found[METHOD]["published gain"].notna().any():
        own = found[METHOD]
        printed = go.Scatter(
            x=own["labels"],
            y=own["published gain"],
            name="consistency, as printed",
            mode="markers",
            marker={"symbol": "diamond-open", "size": 12, "color": look_of(METHOD).colour, "line": {"width": 2}},
        )
        figure.add_trace(printed)
    if not found:
        nothing_yet(figure, NO_RESULTS)
    figure.add_hline(y=0, line={"color": look_of(CONTINUED).colour, "width": 1.5})
    label_axis(figure, counts)
    figure.update_yaxes(title_text="gain over baseline continued (points of mIoU)")
    return dress(figure, title=title, width=width, height=height, lines=3)


def equivalence_figure(
    results: Sequence[Result],
    *,
    rows: Sequence[str] = (METHOD, LEARNED, BEST, IDENTITY, BEST_IDENTITY),
    title: str = "",
    width: int = WIDTH,
    height: int = 450,
) -> go.Figure:
    """How many times the labels the continued baseline needs for the same score, with Student's interval of its log.

    Open markers are extrapolations: the mean lies beyond the curve, which is extended straight. Beside it the same
    from the printed Table 1, which is not extended. Bars that go on for long are cut off by the axis.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.64, 0.36],
        horizontal_spacing=0.06,
        subplot_titles=["here: rooms", "from the printed scores: ScanNet"],
        shared_yaxes=True,
    )
    reached = [1.0]
    for number, row in enumerate(rows):
        found = label_equivalence(results, row, strength=EQUAL).rows
        if not found:
            continue
        reached += [one.factor for one in found]
        shift = _APART ** (number - (len(rows) - 1) / 2)
        above = [_bar(one.high - one.factor) for one in found]
        below = [_bar(one.factor - one.low) for one in found]
        line = line_of(
            row,
            [one.count * shift for one in found],
            [one.factor for one in found],
            error_y={"array": above, "arrayminus": below, "symmetric": False, "thickness": 1.5, "width": 4},
            customdata=[[one.count, one.labels, " (extrapolated)" if one.side else ""] for one in found],
            hovertemplate=row + ", %{customdata[0]} labels: worth %{customdata[1]:.0f}%{customdata[2]}<extra></extra>",
            legendgroup=row,
        )
        symbol = look_of(row).symbol
        line.marker.symbol = [f"{symbol}-open" if one.side else symbol for one in found]
        figure.add_trace(line, row=1, col=1)
    printed = published_equivalence(TABLE_1, SHARES)
    factors = [one.labels / share for share, one in printed.items()]
    figure.add_trace(line_of(METHOD, list(SHARES), factors, showlegend=False), row=1, col=2)
    reached += factors
    if len(reached) > 1 + len(factors):
        extrapolated = {"symbol": "circle-open", "size": 9, "color": QUIET_INK}
        name = "open: extrapolated, beyond the baseline's curve"
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=extrapolated), row=1, col=1)
    else:
        nothing_yet(figure, NO_RESULTS, shared=True)
    for column in (1, 2):
        figure.add_hline(y=1, line={"color": look_of(CONTINUED).colour, "width": 1.5}, row=1, col=column)
    label_axis(figure, list(counts_of(results)), row=1, col=1)
    figure.update_xaxes(
        type="log", tickvals=list(SHARES), ticktext=[f"{s:g}" for s in SHARES], title_text="labels (%)", row=1, col=2
    )
    low, high = math.log10(min(0.5, *reached) / 1.5), math.log10(max(4.0, *reached) * 1.5)
    powers = range(math.floor(low / _LOG_2), math.ceil(high / _LOG_2) + 1)
    ticks = {"tickvals": [2.0**power for power in powers], "ticktext": [_ratio(power) for power in powers]}
    figure.update_yaxes(type="log", range=[low, high], **ticks)
    figure.update_yaxes(title_text="labels replaced / labels used", row=1, col=1)
    return dress(figure, title=title, width=width, height=height, lines=2, above=36)


def efficiency_words(results: Sequence[Result]) -> str:
    """What the curves show, in words for those who cannot see them."""
    counts = counts_of(results)
    parts = []
    for row in (CONTINUED, METHOD, BEST, IDENTITY):
        ends = [(c, mean_of(values_of(results, row, c).values())) for c in counts]
        known = [(count, mean.value) for count, mean in ends if mean.n]
        if known:
            (first, low), (last, high) = known[0], known[-1]
            parts.append(f"{row} from {100 * low:.1f} % at {first} labels to {100 * high:.1f} % at {last}")
    printed: Mapping[str, Sequence[float]] = TABLE_1
    published = (
        f"As printed: from {printed[BASELINE][0]} and {printed[METHOD][0]} % to {printed[METHOD][-1]} % for both."
    )
    return "Mean IoU over labelled frames: " + ("; ".join(parts) or NO_RESULTS) + f". {published}"


def gain_words(results: Sequence[Result]) -> str:
    """What the curves of gains show, in words."""
    frame = table_1(results)
    parts = []
    for row in (METHOD, IDENTITY, BEST, BEST_IDENTITY):
        own = frame[(frame["row"] == row) & frame["gain"].notna()]
        if len(own):
            listed = ", ".join(
                f"{gain:+.1f} at {count}" for count, gain in zip(own["labels"], own["gain"], strict=True)
            )
            parts.append(f"{row} {listed} labels")
    return f"Gain over the continued baseline in points of mIoU: {'; '.join(parts) or NO_RESULTS}."


def equivalence_words(results: Sequence[Result]) -> str:
    """What the factors show, in words."""
    parts, beyond = [], False
    for row in (METHOD, BEST):
        found = label_equivalence(results, row).rows
        listed = ", ".join(f"{one.factor:.1f}{'*' if one.side else ''} at {one.count}" for one in found)
        beyond = beyond or any(one.side for one in found)
        if found:
            parts.append(f"{row} {listed}")
    words = f"How many times the labels that a row used the continued baseline needs: {'; '.join(parts) or NO_RESULTS}."
    return words + (" With *: extrapolated, beyond the ends of the baseline's curve." if beyond else "")


def _ratio(power: int) -> str:
    return f"{2**power}" if power >= 0 else f"1/{2**-power}"


def _bar(value: float) -> float:
    """Half an error bar; none where one seed has no spread."""
    return 0.0 if math.isnan(value) else max(0.0, value)
