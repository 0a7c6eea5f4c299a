"""Segmentation nets off the shelf: tiny random ones, saved to a folder and read back as a user's would be."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stc_lab.errors import InputError
from stc_lab.models import HubSegmenter, Segmenter

transformers: Any = pytest.importorskip("transformers")


def saved(folder: Path, **stored: object) -> Any:
    """A SegFormer with random weights and five named classes."""
    torch.manual_seed(0)  # transformers draws from torch's global generator
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        num_labels=5,
        id2label={i: f"thing {i}" for i in range(5)},
    )
    net = transformers.SegformerForSemanticSegmentation(config).eval()
    net.save_pretrained(folder)
    if stored:
        (folder / "preprocessor_config.json").write_text(json.dumps(stored))
    return net


def images(height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_it_is_a_segmenter_that_says_what_transformers_says(tmp_path: Path) -> None:
    net = saved(tmp_path)
    model = HubSegmenter.from_folder(tmp_path)
    assert isinstance(model, Segmenter) and not model.training
    assert model.num_classes == 5 and model.classes == tuple(f"thing {i}" for i in range(5))
    x = images()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        coarse = net(pixel_values=(x - mean) / std).logits
        expected = F.interpolate(coarse, size=(64, 96), mode="bilinear", align_corners=False)
        found = model(x)
    assert torch.allclose(found, expected, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(model.coarse(x), found[..., ::4, ::4])


def test_the_files_say_how_images_are_prepared(tmp_path: Path) -> None:
    saved(tmp_path, size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    model = HubSegmenter.from_folder(tmp_path)
    prepared = model.prepare(images(50, 70))
    assert prepared.shape[-2:] == (64, 64) and float(prepared.max()) > 1.8
    assert HubSegmenter.from_folder(tmp_path, short_side=32).prepare(images(64, 96)).shape[-2:] == (32, 64)
    with torch.no_grad():
        assert model(images(50, 70)).shape == (2, 5, 50, 70)
    assert json.dumps(model.architecture)


@pytest.mark.bad_input
def test_folders_that_hold_no_such_net(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        HubSegmenter.from_folder(tmp_path)
    saved(tmp_path)
    with pytest.raises(InputError, match="short_side"):
        HubSegmenter.from_folder(tmp_path, short_side=8)
    config = json.loads((tmp_path / "config.json").read_text())
    seven = {"id2label": dict.fromkeys(range(7), "x")}
    (tmp_path / "config.json").write_text(json.dumps(config | seven))
    with pytest.raises(InputError, match="cannot be loaded"):
        HubSegmenter.from_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(InputError, match="is a vit"):
        HubSegmenter.from_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"\.safetensors"):
        HubSegmenter.from_folder(tmp_path)
