"""Check a student's function: not attempted yet, the first case that fails, or correct."""

import base64
import copy
import html
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.labs.exercise import Case, Exercise
from stc_lab.labs.exercises import EXERCISES
from stc_lab.plots.digest import describe
from stc_lab.plots.panels import mask_panel
from stc_lab.plots.sheet import contact_sheet
from stc_lab.plots.template import FONT_FAMILY

Status = Literal["not attempted", "wrong", "correct"]
_COLOURS = {"not attempted": "#4a5565", "wrong": "#b00020", "correct": "#00684a"}
_MARKS = {"not attempted": "○", "wrong": "✗", "correct": "✓"}
_TRUE = "#0072b2"
_SHORT = 24  # numbers of a tensor that are still written out


@dataclass(frozen=True)
class CheckResult:
    """What the check found, for reading: shown as a box in the notebook, as text elsewhere."""

    exercise: str
    status: Status
    lines: tuple[str, ...]  # what to know, in plain words
    picture: bytes | None = None  # PNG: expected, got and where they differ

    def __str__(self) -> str:
        return "\n".join((f"{_MARKS[self.status]} {self.exercise}: {self.status}", *self.lines))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = _COLOURS[self.status]
        box = f"border-left:5px solid {colour}; padding:6px 14px; font:15px {FONT_FAMILY}; white-space:pre-wrap"
        head = f"<b style='color:{colour}'>{_MARKS[self.status]} {self.exercise}: {self.status}</b>"
        body = "".join(f"\n{html.escape(line)}" for line in self.lines)
        image = ""
        if self.picture is not None:
            source = base64.b64encode(self.picture).decode("ascii")
            image = f"\n<img src='data:image/png;base64,{source}' alt='masks: expected, got, and where they differ'>"
        return f"<div style='{box}'>{head}{body}{image}</div>"


def check(student: Callable[..., Any], exercise: str | None = None, *, seed: int = 0) -> CheckResult:
    """Compare `student` with the package on random inputs drawn from `seed`.

    `exercise` is by default the name of the function.
    """
    name = exercise if exercise is not None else getattr(student, "__name__", "")
    if name not in EXERCISES:
        raise InputError(
            f"there is no exercise {name!r}, but {', '.join(EXERCISES)}", hint="give its name: check(f, '...')"
        )
    found = EXERCISES[name]
    passed = 0
    for case in found.cases(torch.Generator().manual_seed(seed)):
        result = _try(student, found, case)
        if result is not None:
            return result
        passed += 1
    return CheckResult(name, "correct", (f"all {passed} cases agree with the package",))


def _try(student: Callable[..., Any], exercise: Exercise, case: Case) -> CheckResult | None:
    """The result that ends the check, or None if the case passed."""
    try:
        answer = student(**copy.deepcopy(dict(case.inputs)))
    except NotImplementedError:
        return _not_attempted(exercise)
    except Exception as error:
        return _wrong(exercise, case, _where(error), case.hint)
    if answer is None or answer is Ellipsis:
        return _not_attempted(exercise)
    got, problem = _as_expected(answer, case.expected)
    if problem is not None:
        return _wrong(exercise, case, f"got: {problem}", case.hint)
    if isinstance(case.expected, Tensor) and case.expected.dtype == torch.bool:
        if bool((got == case.expected).all()):
            return None
        wrong = got != case.expected
        text = f"got: {_shown(got)}: {int(wrong.sum())} of {wrong.numel()} pixels differ"
        panels = [
            mask_panel(case.expected, "expected", colour=_TRUE),
            mask_panel(got, "got", colour=_TRUE),
            mask_panel(wrong, "where they differ"),
        ]
        return _wrong(exercise, case, text, case.hint, contact_sheet(panels, panel_width=240))
    expected = torch.as_tensor(case.expected, dtype=torch.float64)
    if torch.allclose(got.double(), expected, rtol=1e-4, atol=1e-6):
        return None
    return _wrong(exercise, case, f"got: {_shown(got)}", case.hint)


def _as_expected(answer: Any, expected: Any) -> tuple[Tensor, str | None]:
    """The answer as a tensor of the expected kind, or what is wrong with its kind."""
    want = torch.as_tensor(expected)
    kind = (
        "a number"
        if want.ndim == 0
        else f"a {'bool' if want.dtype == torch.bool else 'float'} tensor {list(want.shape)}"
    )
    try:
        if isinstance(answer, tuple | list):
            answer = torch.stack([torch.as_tensor(value) for value in answer])
        got = torch.as_tensor(np.asarray(answer) if not isinstance(answer, Tensor) else answer).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        return want, f"{type(answer).__name__}, where {kind} was expected"
    if got.shape != want.shape or (got.dtype == torch.bool) != (want.dtype == torch.bool):
        return want, f"{str(got.dtype).removeprefix('torch.')} {list(got.shape)}, where {kind} was expected"
    return got, None


def _not_attempted(exercise: Exercise) -> CheckResult:
    return CheckResult(exercise.name, "not attempted", (exercise.task, "The function returned nothing yet."))


def _wrong(exercise: Exercise, case: Case, got: str, hint: str, picture: bytes | None = None) -> CheckResult:
    inputs = [f"  {name} = {_shown(value)}" for name, value in case.inputs.items()]
    lines = (
        f"The first case that fails: {case.title}",
        *inputs,
        f"expected: {_shown(case.expected)}",
        got,
        f"Hint: {hint}.",
    )
    return CheckResult(exercise.name, "wrong", lines, picture)


def _where(error: Exception) -> str:
    """The error and the student's line that it came from."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    mine = [frame for frame in frames if "stc_lab" not in frame.filename and "site-packages" not in frame.filename]
    place = f" in line {mine[-1].lineno}: {mine[-1].line}" if mine and mine[-1].line else ""
    return f"got: {type(error).__name__}: {error}{place}"


def _shown(value: Any) -> str:
    """Small inputs in full, large ones as a digest."""
    if not isinstance(value, Tensor):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if value.ndim == 0:
        return f"{float(value):.6g}"
    if value.numel() > _SHORT:
        return describe(it=value).removeprefix("it: ")
    rounded = value if not value.is_floating_point() else (value.double() * 1e4).round() / 1e4
    return str(rounded.tolist())
