"""How far to trust a probability: the weights of a weighted guided filter."""

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_map
from stc_lab.geometry.precision import working_dtype

_LOW, _HIGH = 0.3, 0.5  # below the one a class is taken as absent, above the other as present
_BIAS = 0.8  # half way between a threshold and certainty the confidence is 0.8
_FLOOR = 0.01


def confidence_weights(probabilities: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
    """Confidence 0.01..1 of each class at each pixel: 1 where p is 0 or 1, 0.01 where it lies between 0.3 and 0.5.

    Liba et al. 2020 (Sky optimization), as the guided filter of Azulay et al. 2021 has it: with
    bias(x) = x / ((1 / 0.8 - 2) (1 - x) + 1), it is bias((0.3 - p) / 0.3) below 0.3, bias((p - 0.5) / 0.5) above 0.5,
    and never less than 0.01. Each class has its own weights, as if it were the only one. Half precision is computed in
    float32. Raises InputError for what is no probability.
    """
    expect_map("probabilities", probabilities)
    low, high = (float(value) for value in torch.aminmax(probabilities.detach()))
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise InputError(
            f"probabilities must lie in [0, 1], got values from {low:.3g} to {high:.3g}",
            hint="logits: softmax(dim=1) first; the output of a guided filter may leave [0, 1]: clamp it",
        )
    p = probabilities.to(working_dtype(probabilities)).clamp(0, 1)
    certainty = torch.where(p < _LOW, (_LOW - p) / _LOW, ((p - _HIGH) / (1 - _HIGH)).clamp_min(0))
    confidence = certainty / ((1 / _BIAS - 2) * (1 - certainty) + 1)
    return confidence.clamp_min(_FLOOR).to(probabilities.dtype)
