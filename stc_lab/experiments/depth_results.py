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
    turned = judged["turning"][CLIP]["2"]
    rotation = turned["rotation"]["mean"] / turned["turn"]["mean"]
    agreement = {row: judged["pairs"][row]["2"]["agreement"]["mean"] for row in (CLIP, NET, CONSTANT, TRUE_DEPTH)}
    best = max(agreement[CLIP], agreement[NET])
    closed = (best - agreement[CONSTANT]) / (agreement[TRUE_DEPTH] - agreement[CONSTANT])
    return [
        Hope("abs_rel of the net over that of the best constant", "at most 0.70", f"{share:.2f}", share <= 0.70),
        Hope("focal length off by", "at most 5 %", f"{100 * focal:+.1f} %", abs(focal) <= 0.05),
        Hope("rotation error over the turn, turning clips, gap 2", "at most 0.35", f"{rotation:.2f}", rotation <= 0.35),
        Hope("labels agree under the learned warp, gap 2", "at least 97.5 %", f"{100 * best:.1f} %", best >= 0.975),
        Hope(
            "of the gap from constant to true depth (both: fitted motion), closed",
            "at least half",
            f"{100 * closed:.0f} %",
            closed >= 0.5,
        ),
    ]


def hopes_table(study: Study) -> str:
    """The hopes as Markdown."""
    lines = ["| test rooms | hoped for | came | |", "|---|---|---|---|"]
    lines += [
        f"| {h.measure} | {h.wanted} | {h.came} | {'reached' if h.reached else 'not reached'} |" for h in hopes(study)
    ]
    return "\n".join(lines)


def closing_table(study: Study) -> str:
    """The chapter's effect here beside the published one, as Markdown: mean and sample deviation over the seeds."""
    judged, seeds = study["test"], len(study["seeds"])
    net, constant = (judged["depth"][row]["abs_rel"] for row in (NET, BEST_CONSTANT))
    agreement = {row: judged["pairs"][row]["2"]["agreement"] for row in (IDENTITY, CONSTANT, NET, CLIP, TRUE_DEPTH)}
    rows = {
        "depth, abs_rel after median scaling": (f"{_spread(net)} (best constant {constant['mean']:.3f})", "no number"),
        "focal length, error": (_spread(judged["focal_error"], percent=True), "no number"),
        "labels that agree along the warp, gap 2": (
            f"{_spread(agreement[CLIP], percent=True)} (no warp {_percent(agreement[IDENTITY])}, "
            f"constant depth {_percent(agreement[CONSTANT])}, true depth {_percent(agreement[TRUE_DEPTH])})",
            "no number",
        ),
        "mIoU with consistency along learned geometry": (
            "chapters 04 and 07",
            "39.8 → 43.3 % at 0.1 % labels, ScanNet (Pasad et al., Table 1)",
        ),
        "mIoU with edges of learned depth": ("chapter 08", "39.557 → 40.597 %, Apolloscape (Papadopoulos et al.)"),
    }
    head = [f"| | here, {seeds} seeds, rooms never seen | published |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {name} | {here} | {there} |" for name, (here, there) in rows.items())])


def _spread(leaf: Mapping[str, Any], *, percent: bool = False) -> str:
    mean, spread = leaf["mean"], leaf["spread"]
    if percent:
        return f"{100 * mean:.1f} %" if spread is None else f"{100 * mean:.1f} ± {100 * spread:.1f} %"
    return f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def _percent(leaf: Mapping[str, Any]) -> str:
    return f"{100 * leaf['mean']:.1f} %"
