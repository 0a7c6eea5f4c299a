"""What notebooks need around the argument: a set-up line, exercises and their checks."""

from stc_lab.labs.checks import CheckResult, check
from stc_lab.labs.exercise import Exercise
from stc_lab.labs.exercises import EXERCISES
from stc_lab.labs.lesson import Lesson, open_lesson

__all__ = ["EXERCISES", "CheckResult", "Exercise", "Lesson", "check", "open_lesson"]
