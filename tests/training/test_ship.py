"""The command that makes the shipped net, in miniature, and the net it made."""

import json
import math

import pytest
import torch

from stc_lab.models import load_model, load_shipped
from stc_lab.training import SegmentationRecipe
from stc_lab.training.ship import NAME, RECIPE, train_shipped


def test_it_writes_weights_and_how_they_were_made(tmp_path):
    from stc_lab.data.rooms import RoomsConfig

    rooms = RoomsConfig(train_scenes=2, val_scenes=1, test_scenes=1, frames=9, height=16, width=24, shadows=False)
    lines: list[str] = []
    recipe = SegmentationRecipe.baseline(labelled=2, batch=2, steps=2)
    out = tmp_path / "new"
    path = train_shipped(out, cache=tmp_path / "cache", log=lines.append, recipe=recipe, rooms=rooms)
    assert path == out / f"{NAME}.safetensors"
    assert sorted(p.name for p in out.iterdir()) == [f"{NAME}.json", f"{NAME}.safetensors"]
    notes = json.loads((out / f"{NAME}.json").read_text())
    assert notes["recipe"] == recipe.to_dict() and notes["data"]["digest"] == rooms.digest()
    assert notes["command"] == "stc-lab train-shipped" and len(notes["labelled"]["rows"]) == 2
    for split in ("val", "test"):
        assert 0 <= notes[split]["fusion"]["fused"]["miou"] <= 1 and notes[split]["frames"] == 9
        assert any(line.startswith(f"mIoU, {split}: single ") for line in lines)
    stored = load_model(path)
    assert stored.metadata["recipe"] == recipe.to_dict() and "val" not in stored.metadata


def test_the_shipped_net_is_the_one_described_beside_it():
    from importlib import resources

    folder = resources.files("stc_lab.models") / "weights"
    notes = json.loads((folder / f"{NAME}.json").read_text())
    assert notes["recipe"] == RECIPE.to_dict()
    assert len((folder / f"{NAME}.safetensors").read_bytes()) <= 800_000
    stored = load_shipped(NAME)
    assert stored.model.architecture == notes["architecture"] and stored.metadata["labelled"] == notes["labelled"]
    fusion = notes["test"]["fusion"]
    assert fusion["fused"]["miou"] > fusion["single"]["miou"] + 0.03 > fusion["identity"]["miou"] + 0.03
    assert not any(math.isnan(value) for value in notes["test"]["frequency"].values())


@pytest.mark.slow
def test_the_shipped_net_fuses_unseen_views_as_described():
    """On the first test rooms, rendered anew: neither weights nor renderer have changed under the numbers."""
    from stc_lab.data.rooms import PRESETS
    from stc_lab.data.rooms.videos import render_video, video_name
    from stc_lab.training import fused_predictions

    model, shares = load_shipped(NAME).model, []
    for i in range(3):
        clip = render_video(video_name("test", i), PRESETS["full"])
        views = fused_predictions(model, clip)
        shares.append(
            torch.stack(
                [(labels == clip.label).float().mean() for labels in (views.single, views.fused, views.identity)]
            )
        )
    single, fused, identity = torch.stack(shares).mean(dim=0).tolist()
    assert 0.4 < single < 0.8 and fused > single + 0.02 and fused > identity + 0.04
