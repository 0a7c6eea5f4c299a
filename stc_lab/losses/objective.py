"""One objective from a list of losses and weights: a total to minimise, and its parts to log.

    objective = Objective([("cross_entropy", 1.0), ("logits_consistency", 0.3, {"gradient": "warped"})])
    value = objective(Step(logits=logits, labels=labels, pairs=(forward, backward)))
    value.total.backward()

The list is made of JSON's types, so that a recipe can hold it. A term is a function of what the step knows; any
function of a `Step` that gives one number can stand in the list beside the names.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.losses.terms import TERMS, Step, Term


@dataclass(frozen=True)
class ObjectiveValue:
    """What an objective gives at one step."""

    total: Float[Tensor, ""]  # weighted sum: what to minimise
    parts: Mapping[str, Float[Tensor, ""]]  # of each term, unweighted and without gradient
    weights: Mapping[str, float]  # by which each entered the total

    def logged(self) -> dict[str, float]:
        """Numbers for a log: `total`, each part under its name, and `name.weighted`, its share of the total."""
        numbers = {"total": float(self.total.detach())}
        for name, part in self.parts.items():
            numbers[name] = float(part)
            numbers[f"{name}.weighted"] = numbers[name] * self.weights[name]
        return numbers


@dataclass(frozen=True)
class _Listed:
    """A term of an objective, as it was listed and as it is called."""

    name: str
    call: Term
    weight: float
    options: Mapping[str, Any] = field(default_factory=dict)
    named: bool = True


class Objective:
    """A weighted sum of terms, each ("name", weight) or ("name", weight, {option: value}), or a function for the name.

    A weight of 0 logs a term without learning from it. Raises InputError for a name that is unknown or comes twice, a
    weight that is negative or not finite, and an option that the term does not have.
    """

    def __init__(self, terms: Sequence[Sequence[Any]]) -> None:
        if isinstance(terms, str) or not terms:
            raise InputError(f"an objective needs at least one (term, weight), got {terms!r}")
        listed = [_listed(entry) for entry in terms]
        names = [term.name for term in listed]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{', '.join(twice)} is listed twice", hint="its weights add up: list it once")
        self._terms = tuple(listed)

    def __call__(self, step: Step, *, strength: Mapping[str, float] = MappingProxyType({})) -> ObjectiveValue:
        """The objective at one step; `strength` multiplies the weights of the named terms, as to warm them up."""
        strangers = sorted(set(strength) - set(self.names))
        if strangers:
            raise InputError(f"strength names {', '.join(strangers)}, but the terms are {', '.join(self.names)}")
        total: Tensor | None = None
        parts, weights = {}, {}
        for term in self._terms:
            weight = weights[term.name] = _checked_weight(term.name, term.weight * strength.get(term.name, 1.0))
            with torch.set_grad_enabled(torch.is_grad_enabled() and weight > 0):
                value = term.call(step, **term.options)
            if not isinstance(value, Tensor) or value.ndim != 0:
                shape = list(value.shape) if isinstance(value, Tensor) else value
                raise InputError(f"the term {term.name} must give one number as a tensor, got {shape}")
            parts[term.name] = value.detach()
            if weight > 0:
                total = weight * value if total is None else total + weight * value
        if total is None:
            total = torch.zeros_like(value)
        return ObjectiveValue(total, parts, weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the terms, as they are logged."""
        return tuple(term.name for term in self._terms)

    def to_json(self) -> list[list[Any]]:
        """The list that makes this objective again; InputError if it holds functions, which JSON cannot."""
        functions = [term.name for term in self._terms if not term.named]
        if functions:
            raise InputError(f"{', '.join(functions)}: functions cannot be written as JSON, only named terms can")
        return [[term.name, term.weight, *([dict(term.options)] if term.options else [])] for term in self._terms]


def _listed(entry: Sequence[Any]) -> _Listed:
    if isinstance(entry, str) or not isinstance(entry, Sequence) or len(entry) not in (2, 3):
        raise InputError(f"a term must be (name, weight) or (name, weight, options), got {entry!r}")
    term, weight, options = entry if len(entry) == 3 else (*entry, {})
    if not isinstance(options, Mapping):
        raise InputError(f"options must be names with values, got {options!r}")
    if callable(term):
        name, call, named = getattr(term, "__name__", type(term).__name__), term, False
    elif isinstance(term, str) and term in TERMS:
        name, call, named = term, TERMS[term], True
    else:
        raise InputError(f"there is no term {term!r}; there are {', '.join(sorted(TERMS))}, or any function of a Step")
    _expect_options(name, call, options)
    return _Listed(name, call, _checked_weight(name, weight), dict(options), named)


def _expect_options(name: str, call: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = list(inspect.signature(call).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    legal = [parameter.name for parameter in parameters]
    unknown = sorted(set(options) - set(legal))
    if unknown:
        raise InputError(f"the term {name} has no option {', '.join(unknown)}; it has {', '.join(legal) or 'none'}")


def _checked_weight(name: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        raise InputError(
            f"the weight of {name} must be a number from 0 up, got {weight!r}",
            hint="a term to be maximised? negate it in a function of your own",
        )
    return float(weight)
