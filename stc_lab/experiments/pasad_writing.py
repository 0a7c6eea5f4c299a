"""Tables and report of a Pasad study as files, from whatever results there are."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stc_lab.experiments.claims import Verdict
from stc_lab.experiments.class_gains import class_gains
from stc_lab.experiments.label_equivalence import label_equivalence, published_equivalence
from stc_lab.experiments.pasad_claims import verdicts
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    BEST_IDENTITY,
    IDENTITY,
    LEARNED,
    Result,
    counts_of,
    progress_of,
    seeds_of,
)
from stc_lab.experiments.pasad_tables import readable, table_1, table_2
from stc_lab.experiments.published import METHOD, PAPER, SHARES, TABLE_1
from stc_lab.experiments.summary import figures_of
from stc_lab.experiments.table_files import STYLE, SavedTable, save_table, to_html

if TYPE_CHECKING:
    import pandas as pd

_READ = (
    "Mean over seeds ± standard deviation; gains over the baseline that was trained on for the same steps, paired by "
)
_READ += "seed, with Student's 95 % interval. Everything in per cent. Intervals are over seeds on the same training "
_READ += "rooms and the same test rooms; verdicts are not corrected for the number of claims."
_CAPTIONS = {
    "table_1": f"Mean IoU over labelled frames, and as printed in Table 1 (ScanNet). {_READ}",
    "table_2": f"The parts of the loss at one label count, and as printed in Table 2 (ScanNet). {_READ}",
    "label_equivalence": "How many labels of the continued baseline a row is worth. Each seed is looked up on its own "
    "curve. Factor: labels / labels used, 2 to the mean number of doublings, with 2 to its Student's 95 % interval. "
    "Bound: the mean lies beyond the highest or lowest count; the curve is extended straight, and the number is an "
    "extrapolation. Printed: the look-up on Table 1, not extended.",
    "class_gains": "Gain of the IoU of each class by consistency at the lowest label count, in points and relative to "
    "the continued baseline, beside the control; everything in per cent.",
    "claims": "The paper's sentences, and what these results say to them by the rule of stc_lab.experiments.claims.",
}


def equivalence_table(results: Sequence[Result]) -> "pd.DataFrame":
    """What the method and its control are worth in labels, a line for each count, beside the published factor."""
    import pandas as pd

    counts = counts_of(results)
    printed = published_equivalence(TABLE_1, SHARES)
    factors = [found.labels / share for share, found in printed.items()] if len(counts) == len(SHARES) else []
    lines = []
    for row in (METHOD, LEARNED, BEST, IDENTITY, BEST_IDENTITY):
        for one in label_equivalence(results, row).rows:
            known = factors[counts.index(one.count)] if factors and row == METHOD else float("nan")
            lines.append(
                {
                    "row": row,
                    "labels": one.count,
                    "seeds": one.seeds,
                    "mIoU": 100 * one.score,
                    "worth": one.labels,
                    "bound": one.side,
                    "factor": one.factor,
                    "factor low": one.low,
                    "factor high": one.high,
                    "published factor": known,
                }
            )
    columns = ["row", "labels", "seeds", "mIoU", "worth", "bound", "factor", "factor low", "factor high"]
    return pd.DataFrame(lines, columns=[*columns, "published factor"])


def gains_table(results: Sequence[Result], count: int | None = None) -> "pd.DataFrame":
    """Gains by class of the method and of the identity warp, the most frequent class first; per cent."""
    import pandas as pd

    columns = ["class", "labelled pixels", "base IoU", "gain", "gain low", "gain high", "relative gain", "error"]
    count = (counts_of(results) or (0,))[0] if count is None else count
    if not seeds_of(results, METHOD, count):
        return pd.DataFrame([], columns=[*columns, "gain, identity warp"])
    control = {}
    if seeds_of(results, IDENTITY, count):
        control = {one.name: 100 * one.gain.mean for one in class_gains(results, count, row=IDENTITY).classes}
    lines = []
    for one in class_gains(results, count).classes:
        gain = one.gain
        numbers = (one.frequency, one.base, gain.mean, gain.low, gain.high, one.relative, one.error)
        line = dict(zip(columns, (one.name, *(100 * number for number in numbers)), strict=True))
        lines.append(line | {"gain, identity warp": control.get(one.name, float("nan"))})
    return pd.DataFrame(lines, columns=[*columns, "gain, identity warp"])


def claims_table(found: Sequence[Verdict]) -> "pd.DataFrame":
    """A line for each claim: what the paper says, what it printed, and the verdict with its numbers."""
    import pandas as pd

    lines = [
        {
            "claim": one.claim.name,
            "the paper": one.claim.sentence,
            "place": one.claim.place,
            "printed": ", ".join(f"{name}: {value:+.1f}" for name, value in one.claim.published.items())
            or ("see there" if one.claim.paper == PAPER else "-"),
            "here": one.word,
            "seeds": one.seeds,
            "numbers": one.text.split(": ", 1)[1],
        }
        for one in found
    ]
    return pd.DataFrame(lines)


def write_tables(results: Sequence[Result], folder: Path | str) -> dict[str, SavedTable]:
    """Every table of the study as CSV, Markdown and HTML under `folder`; tables without results have no lines."""
    results = _tested(results)
    one, two = table_1(results), table_2(results)
    frames = {
        "table_1": (one, readable(one)),
        "table_2": (two, readable(two)),
        "label_equivalence": (equivalence_table(results), None),
        "class_gains": (gains_table(results), None),
        "claims": (claims_table(verdicts(results)), None),
    }
    return {
        name: save_table(frame, name, folder, caption=_CAPTIONS[name], shown=shown)
        for name, (frame, shown) in frames.items()
    }


def write_report(results: Sequence[Result], folder: Path | str, *, figures: Path | None = None) -> Path:
    """`folder/report.html`: verdicts, tables, and the figures that lie in `figures`, by default `folder/figures`."""
    results, folder = _tested(results), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = verdicts(results)
    profile = str(results[0]["profile"]) if results else "full"
    tables = "".join(
        f"<section><h2>{title}</h2>{to_html(frame, _CAPTIONS[name])}</section>"
        for name, title, frame in (
            ("claims", "What the paper says, and what these runs say", claims_table(found)),
            ("table_1", "Table 1: how many labels?", readable(table_1(results))),
            ("table_2", "Table 2: which part of the loss?", readable(table_2(results))),
            ("label_equivalence", "How many labels does consistency replace?", equivalence_table(results)),
            ("class_gains", "Figure 2: which classes?", gains_table(results)),
        )
    )
    pictures = "".join(
        _figure(figure.html, figure.png, figure.alt, folder)
        for figure in figures_of(folder / "figures" if figures is None else figures)
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Label efficiency</title>'
        f"<style>{STYLE}td.word{{white-space:normal}}figure{{margin:24px 0}}img{{max-width:100%}}</style></head><body>"
        f"<h1>Label efficiency, ablation and rare classes</h1><p>Profile {html.escape(profile)}: "
        f"{html.escape(str(progress_of(results, profile)).replace('`', ''))}</p>{tables}{pictures}</body></html>\n"
    )
    path = folder / "report.html"
    partial = folder / ".report.html.partial"
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


def _figure(page: Path, picture: Path | None, alt: str, base: Path) -> str:
    def link(target: Path) -> str:
        return html.escape(Path(os.path.relpath(target, base)).as_posix())

    words = html.escape(alt)
    shown = f'<img src="{link(picture)}" alt="{words}">' if picture is not None else ""
    return f'<figure>{shown}<figcaption>{words} <a href="{link(page)}">Interactive figure</a></figcaption></figure>'


def _tested(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result["split"] == "test"]
