"""The film that chapter 12 ends with: written, read back, and labelled by whatever is named."""

from pathlib import Path

import pytest
import torch

from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.film_study import Film
from stc_lab.experiments.own_film import film_to_explore, write_film
from stc_lab.experiments.own_video import open_frames
from stc_lab.models import load_shipped


@pytest.fixture(scope="module")
def film() -> Film:
    clip = render_video("rooms-test-0000", RoomsConfig(frames=4, height=32, width=48, motion="handheld"))
    model = load_shipped("rooms_fpn").model
    return Film(clip, torch.zeros(4, 32, 48, dtype=torch.int64), ("none",), model, "a test")


def test_a_written_film_reads_back_as_it_was(film: Film, tmp_path: Path) -> None:
    path = write_film(film.clip, tmp_path / "new" / "walk.mp4")
    videos = open_frames(path)
    found = videos.clip(videos.names[0])
    assert len(found) == 4 and list(path.parent.iterdir()) == [path]
    assert float((found.image - film.clip.image).abs().mean()) < 0.02  # noise of the sensor, which the codec smooths
    assert videos.times(videos.names[0]).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_without_a_film_of_ones_own_the_rendered_one_stands_in(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path))
    videos, labeller = film_to_explore("rooms", film)
    assert (len(videos), labeller.name) == (4, "rooms_fpn") and videos.info.name == "video"


def test_ones_own_film_wins_and_is_made_small(film: Film, tmp_path: Path) -> None:
    large = torch.nn.functional.interpolate(film.clip.image, size=(240, 360))
    clip = type(film.clip)(video=film.clip.video, index=film.clip.index, time=film.clip.time, image=large)
    own = write_film(clip, tmp_path / "own.mp4")
    videos, labeller = film_to_explore("camvid", film, own=str(own))
    assert videos.size == (120, 180) and labeller.name == "rooms_fpn"


@pytest.mark.bad_input
def test_what_cannot_be_a_film_is_refused(film: Film, tmp_path: Path) -> None:
    odd = type(film.clip)(
        video=film.clip.video, index=film.clip.index, time=film.clip.time, image=film.clip.image[..., 1:]
    )
    with pytest.raises(InputError, match="even height and width"):
        write_film(odd, tmp_path / "odd.mp4")
    with pytest.raises(InputError, match="no file or folder"):
        film_to_explore("rooms", film, own=str(tmp_path / "missing.mp4"))
