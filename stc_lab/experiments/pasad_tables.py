"""Tables 1 and 2 of Pasad et al. from the results of a study, with the published values beside."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    ABLATION_ROWS,
    BEST_IDENTITY,
    CONTROLS,
    EQUAL,
    EQUALISED,
    IDENTITY,
    TABLE_1_ROWS,
    Result,
    ablation_count,
    counts_of,
    identity_of,
    paired,
    seeds_of,
    values_of,
)
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD, SHARES, TABLE_1, TABLE_2
from stc_lab.experiments.statistics import holm, mean_of, paired_gain

if TYPE_CHECKING:
    import pandas as pd

_MEASURES = {"accuracy": "accuracy", "temporal agreement": "temporal_agreement", "VC8": "vc8"}
_NUMBERS = ("gain", "gain spread", "gain low", "gain high", "p")
_OVER = ("over identity", "over identity low", "over identity high")


def table_1(results: Sequence[Result], *, measure: str = "miou") -> "pd.DataFrame":
    """Mean IoU over label counts, a line for each count and row that has a result; all numbers in per cent.

    `gain` is the mean paired difference, seed by seed, to "baseline continued" (the same extra steps without a loss),
    with Student's 95 % interval; `p` is its two-sided p-value, `p, Holm` corrected over the counts of a row.
    `over identity` is the same against the row's own identity warp: what is geometry, and not smoothing. `published`
    is the paper's value at the share of labels in the same place of the list, which had no continued baseline.
    """
    import pandas as pd

    counts = counts_of(results)
    shares = dict(zip(counts, SHARES, strict=True)) if len(counts) == len(SHARES) else {}
    lines = []
    for count in counts:
        for row in TABLE_1_ROWS:
            line = _line(results, row, count, EQUAL, measure)
            if line:
                known = TABLE_1.get(row) if shares else None
                place = counts.index(count)
                published: dict[str, float] = {"published labels": shares.get(count, math.nan)}
                published["published"] = known[place] if known else math.nan
                base = TABLE_1[BASELINE][place] if shares else math.nan
                published["published gain"] = published["published"] - base if row != BASELINE else math.nan
                lines.append({"labels": count, "row": row, **line, **published})
    frame = pd.DataFrame(
        lines, columns=["labels", "row", *_columns(), "published labels", "published", "published gain"]
    )
    frame["p, Holm"] = math.nan
    for row in frame["row"].unique():
        own = frame["row"] == row
        frame.loc[own, "p, Holm"] = holm(frame.loc[own, "p"].tolist())
    return frame


def table_2(results: Sequence[Result], *, measure: str = "miou") -> "pd.DataFrame":
    """The parts of the loss at one low label count, at each strength that has results; columns as in `table_1`.

    `p, Holm` is corrected over the rows of a strength, without the controls. These stand below, at the strength that
    they were run at; `over identity` compares with the identity warp at that strength, or else at equal weight.
    """
    import pandas as pd

    lines = []
    if results:
        count = ablation_count(results)
        for strength in (EQUAL, EQUALISED):
            # At a strength of which nothing was run the base alone would make a table of one line.
            names = [
                row for row in ABLATION_ROWS if row != CONTINUED and seeds_of(results, row, count, strength=strength)
            ]
            controls = [row for row in CONTROLS if seeds_of(results, row, count, strength=strength)]
            for row in [CONTINUED, *names, *controls] if names else []:
                line = _line(results, row, count, strength, measure)
                if line:
                    published = TABLE_2.get(row, math.nan)
                    gain = published - TABLE_2[CONTINUED] if row != CONTINUED else math.nan
                    beside = {"published": published, "published gain": gain}
                    lines.append({"strength": strength, "labels": count, "row": row, **line, **beside})
    columns = ["strength", "labels", "row", *_columns(), "published", "published gain"]
    frame = pd.DataFrame(lines, columns=columns)
    frame["p, Holm"] = math.nan
    for strength in frame["strength"].unique():
        own = (frame["strength"] == strength) & ~frame["row"].isin(CONTROLS)
        frame.loc[own, "p, Holm"] = holm(frame.loc[own, "p"].tolist())
    return frame


def _columns() -> list[str]:
    return ["n", "mIoU", "spread", *_NUMBERS, *_OVER, *_MEASURES, "tried"]


def _line(results: Sequence[Result], row: str, count: int, strength: str, measure: str) -> dict[str, Any]:
    """One line of a table, without what the paper says; {} where there is no result."""
    controls = (IDENTITY, BEST_IDENTITY)

    def of(name: str, what: str) -> dict[int, float]:
        at = EQUAL if name in controls and not seeds_of(results, name, count, strength=strength) else strength
        return {seed: 100 * v for seed, v in values_of(results, name, count, what, strength=at).items()}

    own = of(row, measure)
    if not own:
        return {}
    mean = mean_of(own.values())
    line: dict[str, Any] = {"n": mean.n, "mIoU": mean.value, "spread": mean.spread}
    line |= dict.fromkeys([*_NUMBERS, *_OVER], math.nan)
    if row not in (BASELINE, CONTINUED):
        base, other = paired(of(CONTINUED, measure), own)
        if base:
            gain = paired_gain(base, other)
            line |= dict(zip(_NUMBERS, (gain.mean, gain.spread, gain.low, gain.high, gain.p_value), strict=True))
        base, other = paired(of(identity_of(row), measure), own) if row not in controls else ([], [])
        if base:
            gain = paired_gain(base, other)
            line |= dict(zip(_OVER, (gain.mean, gain.low, gain.high), strict=True))
    line |= {title: mean_of(of(row, key).values()).value for title, key in _MEASURES.items()}
    tried = [r.get("tried") for r in seeds_of(results, row, count, strength=strength).values()]
    return line | {"tried": max((t for t in tried if t is not None), default=0)}


def readable(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Table 1 or 2 to read: means with their spread, gains with their interval, in per cent, as text."""
    import pandas as pd

    keys = [name for name in ("strength", "labels", "row") if name in frame]
    lines = []
    for line in frame.to_dict("records"):
        lines.append(
            {name: line[name] for name in keys}
            | {
                "seeds": line["n"],
                "mIoU": plus_minus(line["mIoU"], line["spread"]),
                "gain": with_interval(line["gain"], line["gain low"], line["gain high"]),
                "over identity": with_interval(*(line[name] for name in _OVER)),
                "accuracy": f"{line['accuracy']:.1f}",
                "agreement": f"{line['temporal agreement']:.1f}",
                "VC8": f"{line['VC8']:.1f}",
                "p, Holm": "-" if math.isnan(line["p, Holm"]) else f"{line['p, Holm']:.3f}",
                "tried": line["tried"],
                "published": _published(line),
            }
        )
    numbers = [
        "seeds",
        "mIoU",
        "gain",
        "over identity",
        "accuracy",
        "agreement",
        "VC8",
        "p, Holm",
        "tried",
        "published",
    ]
    return pd.DataFrame(lines, columns=[*keys, *numbers])


def plus_minus(value: float, spread: float) -> str:
    """A mean and its spread, one digit each; no spread where one seed has none."""
    return f"{value:.1f}" + ("" if math.isnan(spread) else f" ± {spread:.1f}")


def with_interval(value: float, low: float, high: float) -> str:
    """A gain with its sign and its interval; "-" where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:+.1f}" + ("" if math.isnan(low) else f" [{low:+.1f}, {high:+.1f}]")


def _published(line: Mapping[str, Any]) -> str:
    if math.isnan(line["published"]):
        return "-"
    gain = line["published gain"]
    return f"{line['published']:.1f}" + ("" if math.isnan(gain) or gain == 0 else f" ({gain:+.1f})")


def readme_table(results: Sequence[Result]) -> str:
    """Table 1 for the README, in Markdown: a line for each row, a column for each label count, in per cent mIoU."""
    frame = table_1(results)
    cells = {(line["row"], line["labels"]): line for line in frame.to_dict("records")}
    counts = sorted({count for _, count in cells})
    lines = [
        "| mIoU (%), labelled frames | " + " | ".join(map(str, counts)) + " |",
        "|---|" + "---:|" * len(counts),
    ]
    for row in TABLE_1_ROWS:
        own = [cells.get((row, count)) for count in counts]
        if not any(own):
            continue
        texts = ["-" if line is None else plus_minus(line["mIoU"], line["spread"]) for line in own]
        lines.append(f"| {row} | " + " | ".join(texts) + " |")
    for row in (METHOD, BEST):
        gains = [cells.get((row, count)) for count in counts]
        if not any(gains):
            continue
        texts = ["-" if g is None else with_interval(g["gain"], g["gain low"], g["gain high"]) for g in gains]
        lines.append(f"| **gain of {row}** over the continued baseline, 95 % interval | " + " | ".join(texts) + " |")
        texts = ["-" if g is None else with_interval(*(g[name] for name in _OVER)) for g in gains]
        lines.append("| the same over its own identity warp | " + " | ".join(texts) + " |")
    gains = [cells.get((METHOD, count)) for count in counts]
    if any(g is not None and not math.isnan(g["published gain"]) for g in gains):
        texts = ["-" if g is None else f"{g['published gain']:+.1f}" for g in gains]
        lines.append("| published gain (ScanNet; 0.1, 0.2, 0.5, 1, 2, 4 % labels) | " + " | ".join(texts) + " |")
    return "\n".join(lines)
