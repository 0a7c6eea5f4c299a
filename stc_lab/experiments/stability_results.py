"""What the long run of chapter 09 came to, kept, beside what Azulay et al. 2021 published."""

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

from stc_lab.experiments.rater_panel import KNOB, PUBLISHED, PUBLISHED_AGREED, Law

COMMAND = "stc-lab run 09 -p preset full"
SPREAD = "spread"  # ends the name of a deviation over the sets of videos
AGREED = "without low agreement"
# What a row is called -> the measure, the same with estimated flow or another form, and what that is called.
_RATED: Mapping[str, tuple[str, str | None, str]] = MappingProxyType(
    {
        "E_cons / boundary": ("E_cons / boundary", "E_cons / boundary, DIS", "DIS"),
        "E_cons, not normalised": ("E_cons", "E_cons, DIS", "DIS"),
        "E_smooth": ("E_smooth", "E_smooth, shares", "shares"),
        "a perfect measure": (KNOB, None, ""),
    }
)
_LAWS: tuple[Law, ...] = ("displacement", "area")
_SIZES = ("E_cons", "E_cons / sqrt(object)", "E_cons / boundary")
_PREFERS = ("E_smooth", "E_smooth, shares", "E_cons")


def kept_run() -> dict[str, Any]:
    """The numbers that the notebook reported in that run, by name, and the command."""
    text = (resources.files("stc_lab.experiments") / "results" / "chapter_09.json").read_text(encoding="utf-8")
    kept: dict[str, Any] = json.loads(text)
    return kept


def paper_table(kept: Mapping[str, Any]) -> str:
    """The paper's effects as Markdown: with simulated panels of two laws, and with people as published."""
    found: Mapping[str, float] = kept["metrics"]
    lines = ["| effect | " + " | ".join(f"here: simulated panel, {law}" for law in _LAWS) + " | published: people |"]
    lines.append("|---" * 4 + "|")
    for name, (measure, other, called) in _RATED.items():
        published = PUBLISHED.get(measure)
        cells = [
            _spread(found, f"{measure}, {law}")
            + ("" if other is None else f" ({called}: {_spread(found, f'{other}, {law}')})")
            for law in _LAWS
        ]
        theirs = "not known" if published is None else f"{published.value}"
        theirs += " (GMA flow)" if measure.startswith("E_cons") else ""
        lines.append(f"| ratings and {name} | {' | '.join(cells)} | {theirs} |")
    for measure, published in PUBLISHED_AGREED.items():
        cells = [_spread(found, f"{measure}, {law}, {AGREED}") for law in _LAWS]
        lines.append(f"| {AGREED}: {measure} | {' | '.join(cells)} | {published.value}, 34 videos |")
    sizes = ", ".join(f"{found[f'{name}, Spearman with size']:+.2f}" for name in _SIZES)
    lines.append(
        f"| size and E_cons: none, root, boundary | {sizes} (no raters; {kept['objects']} objects, one jitter) | "
        "| positive, small negative, suppressed |"
    )
    contrasts = kept["contrasts"]
    shares = ", ".join(f"{name} {found[f'{name} prefers jitter, share'] * contrasts:.0f}" for name in _PREFERS)
    lines.append(
        f"| prefers slow and jittered to fast and true | {shares} of {contrasts} objects (no raters) | "
        "| E_smooth does, E_cons does not (one pair) |"
    )
    return "\n".join(lines)


def about(kept: Mapping[str, Any]) -> str:
    """Which run it is, in Markdown."""
    return (
        f"`{kept['command']}`, seed 0: {kept['objects']} objects of {kept['rooms']} rooms, {kept['frames']} frames "
        f"each; {kept['panels']} sets of 96 corrupted videos, each with a simulated panel, ± the standard deviation "
        "over the sets."
    )


def _spread(found: Mapping[str, float], name: str) -> str:
    return f"{found[name]:.2f} ± {found[f'{name}, {SPREAD}']:.2f}"
