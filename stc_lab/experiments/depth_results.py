"""What the kept study of learned geometry came to: by row, by gap, and against what was hoped for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stc_lab.errors import InputError
from stc_lab.training.depth_evaluate import CLIP, CONSTANT, EXACT, IDENTITY, NET, TRUE_DEPTH, TRUE_POSE

Study = Mapping[str, Any]
BEST_CONSTANT, ROW_MEAN = "best constant", "row mean"
DEPTH_TITLES = {NET: "net, one frame", CLIP: "whole clip", ROW_MEAN: "row mean", BEST_CONSTANT: "best constant"}
REFERENCES = ("row mean", "best constant")
PAIR_TITLES = {
    EXACT: "exact geometry",
    TRUE_DEPTH: "true depth, fitted motion",
    CLIP: "learned, whole clip",
    NET: "learned, net alone",
    CONSTANT: "constant depth, fitted motion",
    TRUE_POSE: "constant depth, true motion",
    IDENTITY: "no warp (identity)",
}
PAIR_REFERENCES = (PAIR_TITLES[EXACT], PAIR_TITLES[IDENTITY])


@dataclass(frozen=True)
class Hope:
    """What was hoped for before the study, and what came."""

    measure: str
    wanted: str
    came: str
    reached: bool


def depth_seeds(study: Study, split: str = "test") -> dict[str, list[dict[str, float]]]:
    """For each row the measures of its seeds, as `depth_bars` takes them; a row that learns nothing has one."""
    found = {}
    for row, title in DEPTH_TITLES.items():
        if row in study[split]["depth"]:
            measures = study[split]["depth"][row]
            count = 1 if row in (BEST_CONSTANT, ROW_MEAN) else len(study["seeds"])
            found[title] = [{name: leaf["each"][i] for name, leaf in measures.items()} for i in range(count)]
    return found


def by_gap(
    study: Study, measure: str, rows: Sequence[str], *, split: str = "test", turning: bool = False
) -> dict[str, dict[int, list[float]]]:
    """A measure of pairs by row and gap, a value for each seed, as `error_by_gap` takes it.

    `disagreement` is what is missing to full agreement of the labels, in per cent.
    """
    key = "agreement" if measure == "disagreement" else measure
    of_rows = study[split]["turning" if turning else "pairs"]
    if unknown := [row for row in rows if row not in of_rows]:
        raise InputError(f"the study has no rows {unknown}", hint=f"its rows are {list(of_rows)}")
    return {
        PAIR_TITLES[row]: {
            int(gap): [
                100 * (1 - value) if key != measure else value for value in measures[key]["each"] if value is not None
            ]
            for gap, measures in of_rows[row].items()
        }
        for row in rows
    }


def hopes(study: Study, split: str = "test") -> list[Hope]:
    """What learned geometry should be good for, set before the study, beside the mean over its seeds."""
    judged = study[split]
    depth = {row: judged["depth"][row]["abs_rel"]["mean"] for row in (NET, BEST_CONSTANT)}
    share = depth[NET] / depth[BEST_CONSTANT]
    focal = judged["focal_error"]["mean"]
    found = [
        Hope("abs_rel of the net over that of the best constant", "at most 0.70", f"{share:.2f}", share <= 0.70),
        Hope("focal length off by", "at most 5 %", f"{100 * focal:+.1f} %", abs(focal) <= 0.05),
    ]
    for row in (NET, CLIP):
        turned = judged["turning"][row]["2"]
        part = turned["rotation"]["mean"] / turned["turn"]["mean"]
        name = f"rotation error over the turn, turning clips, gap 2: {DEPTH_TITLES[row]}"
        found.append(Hope(name, "at most 0.35", f"{part:.2f}", part <= 0.35))
    for row in (NET, CLIP):
        agreement = judged["pairs"][row]["2"]["agreement"]["mean"]
        name = f"labels agree along the learned warp, gap 2: {DEPTH_TITLES[row]}"
        found.append(Hope(name, "at least 97.5 %", f"{100 * agreement:.1f} %", agreement >= 0.975))
    for row in (NET, CLIP):
        closed = gap_closed(study, row, split)
        name = f"of their gap from constant to true depth (fitted motions), closed: {DEPTH_TITLES[row]}"
        found.append(Hope(name, "at least half", f"{100 * closed:.0f} %", closed >= 0.5))
    return found


def gap_closed(study: Study, row: str, split: str = "test", gap: int = 2) -> float:
    """Share of the labels' gap between constant and true depth, both with fitted motion, that a row closes."""
    low, here, high = (
        study[split]["pairs"][name][str(gap)]["agreement"]["mean"] for name in (CONSTANT, row, TRUE_DEPTH)
    )
    return float((here - low) / (high - low))


def hopes_table(study: Study) -> str:
    """The hopes as Markdown."""
    lines = ["| test rooms | hoped for | came | |", "|:---|:---|:---|:---|"]
    lines += [
        f"| {h.measure} | {h.wanted} | {h.came} | {'reached' if h.reached else 'not reached'} |" for h in hopes(study)
    ]
    return "\n".join(lines)


def findings_table(study: Study) -> str:
    """What each geometry comes to on test rooms, as Markdown: mean and sample deviation over the seeds."""
    judged = study["test"]
    head = [
        "| geometry | depth, abs_rel | rotation off, clips that turn (°) | labels that agree along the warp |",
        "|---|---|---|---|",
    ]
    of_depth = {CLIP: CLIP, NET: NET, CONSTANT: BEST_CONSTANT}
    titles = {CLIP: "learned, whole clip", NET: "learned, one frame at a time", IDENTITY: "no warp (identity)"}
    for row in (EXACT, TRUE_DEPTH, CLIP, NET, CONSTANT, IDENTITY):
        depth = "0" if row in (EXACT, TRUE_DEPTH) else "-"
        if row in of_depth:
            depth = _spread(judged["depth"][of_depth[row]]["abs_rel"])
        turned = judged["turning"][row]["2"]["rotation"]
        rotation = "0" if row == EXACT else _spread(turned, digits=2)
        labels = _spread(judged["pairs"][row]["2"]["agreement"], digits=2, unit="%")
        head.append(f"| {titles.get(row, row)} | {depth} | {rotation} | {labels} |")
    return "\n".join(head)


def verdict(study: Study) -> str:
    """The findings in words: what was hoped for, and what of it one frame and a whole clip reach."""
    agreement = {row: 100 * study["test"]["pairs"][row]["2"]["agreement"]["mean"] for row in (NET, CLIP)}
    closed = {row: 100 * gap_closed(study, row) for row in (NET, CLIP)}
    focal = _spread(study["test"]["focal_error"], digits=1, unit="%")
    return (
        f"Focal length ends {focal} too long. Hoped for were 97.5 % of the labels and half of the gap between constant "
        f"and true depth: a whole clip reaches both ({agreement[CLIP]:.1f} %, {closed[CLIP]:.0f} % of the gap), one "
        f"frame at a time neither ({agreement[NET]:.1f} %, {closed[NET]:.0f} %)."
    )


def closing_table(study: Study) -> str:
    """The chapter's effect here beside the published one, as Markdown: mean and sample deviation over the seeds."""
    judged, seeds = study["test"], len(study["seeds"])
    net, constant = (judged["depth"][row]["abs_rel"] for row in (NET, BEST_CONSTANT))
    agreement = {row: judged["pairs"][row]["2"]["agreement"] for row in (IDENTITY, CONSTANT, NET, CLIP, TRUE_DEPTH)}
    rows = {
        "depth, abs_rel after median scaling": (f"{_spread(net)} (best constant {constant['mean']:.3f})", "no number"),
        "focal length, error": (_spread(judged["focal_error"], digits=1, unit="%"), "no number"),
        "labels that agree along the warp, gap 2": (
            f"whole clip {_spread(agreement[CLIP], digits=2, unit='%')}, one frame "
            f"{_spread(agreement[NET], digits=2, unit='%')} (no warp {_percent(agreement[IDENTITY])}, "
            f"constant depth {_percent(agreement[CONSTANT])}, true depth {_percent(agreement[TRUE_DEPTH])})",
            "no number",
        ),
        "mIoU with consistency along learned geometry": (
            "chapters 04 and 07",
            "39.8 → 43.3 % at 0.1 % labels, ScanNet (Pasad et al., Table 1)",
        ),
        "mIoU with edges of learned depth": ("chapter 08", "39.557 → 40.597 %, Apolloscape (Papadopoulos et al.)"),
    }
    head = [f"| | here, {seeds} seeds, rooms never seen | published |", "|:---|:---|:---|"]
    return "\n".join([*head, *(f"| {name} | {here} | {there} |" for name, (here, there) in rows.items())])


def _spread(leaf: Mapping[str, Any], *, digits: int = 3, unit: str = "") -> str:
    factor = 100 if unit == "%" else 1
    text = f"{factor * leaf['mean']:.{digits}f}"
    if leaf["spread"]:  # None: one seed; 0: a reference, which has none
        text += f" ± {factor * leaf['spread']:.{digits}f}"
    return f"{text} {unit}".strip()


def _percent(leaf: Mapping[str, Any]) -> str:
    return f"{100 * leaf['mean']:.1f} %"
