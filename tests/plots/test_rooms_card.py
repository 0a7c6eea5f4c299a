"""The pictures of the rooms' card: small, in the class colours, and of the numbers they claim."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stc_lab.data import load
from stc_lab.data.rooms import CLASS_NAMES
from stc_lab.experiments.rooms_study import class_shares
from stc_lab.plots import class_palette
from stc_lab.plots.rooms_card import CLASSES, SHEET, class_dots, rooms_sheet

CARD = Path(__file__).parents[2] / "data_cards"


def test_the_sheet_is_small_and_keeps_the_colours_of_its_key() -> None:
    content = rooms_sheet()
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    colours = {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in class_palette(CLASS_NAMES).colours} <= colours
    assert len(content) < 250_000


def test_class_shares_are_those_of_all_pixels_counted_one_by_one() -> None:
    videos = load("rooms", split="val", preset="tiny")
    shares = class_shares(videos)
    labels = torch.cat([videos.clip(name).label for name in videos.names])  # type: ignore[misc]
    assert float(shares.sum()) == pytest.approx(1)
    assert shares.tolist() == pytest.approx([float((labels == k).double().mean()) for k in range(21)])


def test_the_dots_stand_where_the_shares_are() -> None:
    shares = torch.linspace(0, 0.5, 21).double()
    figure = class_dots({"a": shares, "b": shares.flip(0)})
    assert list(figure.data[0].y) == list(CLASS_NAMES) and figure.data[0].x[0] is None
    assert figure.data[1].x[-1] is None and figure.data[1].x[0] == pytest.approx(50)


def test_the_card_shows_both() -> None:
    text = (CARD / "rooms.md").read_text(encoding="utf-8")
    for name in (SHEET, CLASSES):
        assert f"(figures/{name})" in text and (CARD / "figures" / name).is_file()
    assert sum(path.stat().st_size for path in (CARD / "figures").glob("rooms_*")) < 400_000
