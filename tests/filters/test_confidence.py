import pytest
import torch

from stc_lab.filters import confidence_weights


def by_the_letter(p: float) -> float:
    """Liba et al.'s confidence of one probability, step by step."""

    def bias(x: float) -> float:
        return x / ((1 / 0.8 - 2) * (1 - x) + 1)

    confidence = bias((0.3 - p) / 0.3) if p < 0.3 else bias((p - 0.5) / 0.5) if p > 0.5 else 0.0
    return max(0.01, confidence)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_published_steps(dtype):
    p = torch.linspace(0, 1, 1001, dtype=dtype).reshape(1, 1, 7, 143)
    expected = torch.tensor([by_the_letter(float(value)) for value in p.flatten()], dtype=dtype).view_as(p)
    torch.testing.assert_close(confidence_weights(p), expected)


def test_certain_is_one_uncertain_is_little():
    p = torch.tensor([0.0, 0.15, 0.3, 0.4, 0.5, 0.75, 1.0], dtype=torch.float64).reshape(1, 7, 1, 1)
    expected = torch.tensor([1.0, 0.8, 0.01, 0.01, 0.01, 0.8, 1.0], dtype=torch.float64).view_as(p)
    torch.testing.assert_close(confidence_weights(p), expected)  # half way to certainty: the bias, 0.8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype):
    p = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert confidence_weights(p).dtype == dtype
    torch.testing.assert_close(confidence_weights(p), confidence_weights(p.float()).to(dtype))


def test_gradients_flow_where_the_confidence_moves():
    p = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64).reshape(1, 3, 1, 1).requires_grad_()
    assert torch.autograd.gradcheck(confidence_weights, (p,))
    confidence_weights(p).sum().backward()
    down, flat, up = p.grad.flatten().tolist()
    assert down < 0 == flat < up
