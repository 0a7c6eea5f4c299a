"""What an exercise is: a function to write, and the cases that it is tried on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

IGNORE = 255


@dataclass(frozen=True)
class Case:
    """One input with its right answer, and what to think of when the answer differs."""

    title: str
    inputs: Mapping[str, Any]  # keyword arguments of the student's function
    expected: Any  # a number, a pair of numbers, or a tensor
    hint: str


@dataclass(frozen=True)
class Exercise:
    """A function to write; its cases go from the plain one to the tricky ones."""

    name: str
    notebook: str
    task: str
    cases: Callable[[torch.Generator], Iterator[Case]]
