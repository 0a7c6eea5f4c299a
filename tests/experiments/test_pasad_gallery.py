"""The gallery's rule, and a gallery that is kept and read back."""

from pathlib import Path

import pytest
import torch
from small_rooms import small_rooms
from torch import Tensor, nn

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.pasad_gallery import COVERED, keep_gallery, kept_gallery, pick_frames, store_gallery


class Says(nn.Module):
    """A net that says one class everywhere."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.num_classes, self.coarse_stride, self.k = 21, 1, k
        self.weight = nn.Parameter(torch.zeros(()))

    @property
    def architecture(self) -> dict[str, object]:
        return {"class": self.k}

    def forward(self, image: Tensor) -> Tensor:
        logits = image.new_zeros(len(image), self.num_classes, *image.shape[-2:])
        logits[:, self.k] = 1 + self.weight
        return logits

    def coarse(self, image: Tensor) -> Tensor:
        return self(image)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return small_rooms(tmp_path_factory.mktemp("rooms"))


def test_the_rule(videos: Videos) -> None:
    names = videos.info.classes
    wall, floor = names.index("wall"), names.index("floor")
    frames = pick_frames(Says(floor), Says(wall), videos, ["wall"])
    assert 1 <= len(frames) <= 2 and len({frame.video for frame in frames}) == len(frames)
    for frame in frames:
        assert (frame.few_recall, frame.many_recall, frame.gain) == (1, 0, 1) and frame.rare == ("wall",)
        labels = videos.clip(frame.video).label
        assert labels is not None and torch.equal(labels[frame.index], frame.truth)
        shares = (labels == wall).flatten(1).double().mean(dim=1)
        assert abs(float(shares[frame.index]) - COVERED) == float((shares - COVERED).abs().min())
        assert frame.pixels == int((frame.truth == wall).sum())


def test_frames_come_in_the_order_of_the_gain(videos: Videos) -> None:
    names = videos.info.classes
    frames = pick_frames(Says(names.index("wall")), Says(names.index("floor")), videos, ["wall", "floor"])
    assert [frame.gain for frame in frames] == sorted((frame.gain for frame in frames), reverse=True)
    assert [frame.place for frame in frames] == [f"number {i + 1} of {len(frames)}" for i in range(len(frames))]


def test_no_frame_shows_it(videos: Videos) -> None:
    present = set(torch.cat([videos.clip(name).label.flatten() for name in videos.names]).tolist())  # type: ignore[union-attr]  # rooms have labels
    absent = [name for i, name in enumerate(videos.info.classes) if i not in present]
    assert pick_frames(Says(0), Says(1), videos, absent[:1]) == []


def test_a_gallery_is_kept(videos: Videos, tmp_path: Path) -> None:
    frames = pick_frames(Says(1), Says(2), videos, ["wall", "floor"])
    back = kept_gallery(keep_gallery(frames, tmp_path / "gallery.npz"))
    assert len(back) == len(frames)
    for one, kept in zip(frames, back, strict=True):
        for name in ("video", "index", "place", "rare", "pixels", "many_recall", "few_recall"):
            assert getattr(kept, name) == getattr(one, name)
        for name in ("truth", "many", "few"):
            assert torch.equal(getattr(kept, name), getattr(one, name))
        assert (kept.image - one.image).abs().max() < 0.6 / 255
    assert kept_gallery(tmp_path / "none.npz") == []


def test_a_store_without_nets_has_no_gallery(tmp_path: Path) -> None:
    assert store_gallery("tiny", root=tmp_path) == []


@pytest.mark.bad_input
def test_bad_input(tmp_path: Path) -> None:
    videos = small_rooms(tmp_path)
    for rare in ([], ["dragon"]):
        with pytest.raises(InputError, match="rare classes"):
            pick_frames(Says(0), Says(1), videos, rare)
    with pytest.raises(InputError, match="no frames to keep"):
        keep_gallery([], tmp_path / "gallery.npz")
