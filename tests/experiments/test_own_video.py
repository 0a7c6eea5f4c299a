"""Films and folders of one's own, models by name, label maps as a model, and stability over time in bounded memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from explored_rooms import net, rooms
from mini_film import write_film, write_sound
from PIL import Image

from stc_lab.data.video import video_videos
from stc_lab.errors import InputError
from stc_lab.experiments import pair_ranking
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.experiments.own_video import open_frames, open_model, stability_over_time
from stc_lab.experiments.pair_ranking import rank_pairs
from stc_lab.experiments.pair_view import pair_view
from stc_lab.geometry import dis_flow, ruder_visible, warp_labels_by_flow
from stc_lab.geometry.warp import masked_labels
from stc_lab.metrics import temporal_agreement
from stc_lab.models import FPNSegmenter, save_model


def write_frames(folder: Path, count: int, size: tuple[int, int] = (32, 48), suffix: str = ".png") -> Path:
    """A few frames of a room."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        values = (rooms().frames([i]).image[0].permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(values).resize(size[::-1]).save(folder / f"frame{i}{suffix}")
    return folder


def write_maps(folder: Path, maps: torch.Tensor) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, labels in enumerate(maps):
        Image.fromarray(labels.numpy().astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def test_a_film_and_its_frames_in_folders_are_opened(tmp_path: Path) -> None:
    film = open_frames(write_film(tmp_path / "walk.mp4", 6), step=2)
    assert film.names == ("walk",) and len(film) == 3 and film.size == (48, 64)
    flat = open_frames(write_frames(tmp_path / "flat", 12), frame_rate=10)
    assert len(flat) == 12 and flat.times(flat.names[0])[1] == pytest.approx(0.1)
    assert torch.allclose(flat.frames([10]).image, rooms().frames([10]).image, atol=1 / 254)  # 10 after 9, not after 1
    for name in ("first", "second"):
        write_frames(tmp_path / "many" / name, 3, suffix=".jpg")
    assert open_frames(tmp_path / "many").names == ("first", "second")


def test_videos_of_several_sizes_are_ranked_together(tmp_path: Path) -> None:
    for name, size in (("a", (32, 48)), ("b", (24, 32)), ("c", (32, 48))):
        write_frames(tmp_path / "many" / name, 4, size)
    videos = open_frames(tmp_path / "many")
    together = rank_pairs(videos, net(), geometry="estimated", keep=False, least_visible=0)
    assert {(score.earlier, score.later) for score in together} == set(videos.pairs(1))
    for score in together:
        view = pair_view(videos, net(), score.earlier, score.later, geometry="estimated")
        assert score.value == pytest.approx(view.numbers()["disagreement"])


def test_small_frames_keep_their_shape(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "wide", 3, size=(90, 160))
    assert open_frames(folder, short_side=45).size == (44, 80)
    assert open_frames(folder, short_side=200).size == (90, 160)


def test_models_are_opened_by_what_they_are(tmp_path: Path) -> None:
    videos = open_frames(write_frames(tmp_path / "frames", 3))
    shipped = open_model("rooms_fpn", videos)
    assert shipped.model.num_classes == 21 and shipped.classes[1] == rooms().info.classes[1]
    save_model(tmp_path / "mine.safetensors", FPNSegmenter(3, generator=torch.Generator().manual_seed(0)))
    mine = open_model(tmp_path / "mine.safetensors", videos, classes=["a", "b", "c"])
    assert mine.classes == ("a", "b", "c") and mine.name == "mine"
    maps = open_model(write_maps(tmp_path / "maps", torch.randint(0, 4, (3, 32, 48))), videos)
    assert isinstance(maps.model, LabelMaps) and maps.classes == tuple(f"class {i}" for i in range(4))


def test_label_maps_are_a_model_like_any_other(tmp_path: Path) -> None:
    videos = open_frames(write_frames(tmp_path / "frames", 5))
    labels = torch.randint(0, 4, (5, 32, 48), generator=torch.Generator().manual_seed(2))
    labels[:, :4] = 255
    maps = LabelMaps.of_folder(write_maps(tmp_path / "maps", labels), videos)
    assert maps.num_classes == 4 and torch.equal(maps.labels([3, 1]), labels[[3, 1]])
    view = pair_view(videos, maps, 1, 2, geometry="estimated")
    known = labels[1] != 255
    assert torch.equal(view.labels_target[0][known], labels[1][known])
    assert float(view.confidence[0][known].min()) > 0.999
    a, b = videos.frames([1]).image, videos.frames([2]).image
    there, back = dis_flow(a, b), dis_flow(b, a)
    along = warp_labels_by_flow(maps.logits([2]).argmax(dim=1), there)
    seen = along.visible & ruder_visible(there, back, motion_boundaries=False)
    agreement = temporal_agreement(maps.logits([1]).argmax(dim=1), masked_labels(along.label, seen))
    assert view.numbers()["disagreement"] == pytest.approx(1 - agreement.value)
    half = LabelMaps.of_folder(tmp_path / "maps", videos.resized((16, 24)))
    assert half.labels([0]).shape == (1, 16, 24)


def test_other_maps_are_another_model(tmp_path: Path) -> None:
    videos = open_frames(write_frames(tmp_path / "frames", 3))
    labels = torch.zeros(3, 32, 48, dtype=torch.int64)
    first = LabelMaps.of_folder(write_maps(tmp_path / "maps", labels), videos, num_classes=3)
    kept = tmp_path / "cache"
    calm = rank_pairs(videos, first, geometry="estimated", cache=kept)
    assert all(score.value == 0 for score in calm)
    labels[1] = 2
    second = LabelMaps.of_folder(write_maps(tmp_path / "maps", labels), videos, num_classes=3)
    assert first.digest != second.digest
    assert all(score.value == 1 for score in rank_pairs(videos, second, geometry="estimated", cache=kept))


def test_a_long_film_streams_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(tmp_path / "long.mp4", 90, options={"crf": "20"})
    videos = open_frames(path, short_side=32)
    read: list[int] = []
    inner = videos.read
    monkeypatch.setattr(videos, "read", lambda rows: read.extend(rows) or inner(rows))
    monkeypatch.setattr(pair_ranking, "_VALUES_AT_ONCE", 8 * 32 * 42 * 21)
    frames = ExploredFrames(videos, net(), limit=4)  # MB: a twentieth of what all frames and logits take
    most = [0]
    progress: list[int] = []

    def note(done: int, _: int) -> None:
        progress.append(done)
        most[0] = max(most[0], frames._bytes)

    found = rank_pairs(videos, net(), geometry="estimated", gap=2, keep=False, memory=frames, progress=note)
    assert read == sorted(read) and sorted(set(read)) == list(range(90))
    assert len(read) < 120  # the two frames before each piece, again at worst
    assert most[0] <= 4 * 10**6 and len(progress) > 8 and progress[-1] == 88
    whole = rank_pairs(video_videos(path).resized(videos.size), net(), geometry="estimated", gap=2, keep=False)
    assert found == whole


def test_stability_over_time_is_the_ranking_in_order(tmp_path: Path) -> None:
    videos = open_frames(write_frames(tmp_path / "frames", 6), frame_rate=5)
    (course,) = stability_over_time(videos, net(), gap=2, cache=tmp_path / "cache")
    assert course.time.tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
    for measure, values in course.values.items():
        scores = rank_pairs(videos, net(), measure=measure, gap=2, geometry="estimated", least_visible=0, keep=False)
        assert {s.earlier: s.value for s in scores} == {
            row: value for row, value in enumerate(values.tolist()) if value == value
        }
        assert course.mean(measure) == pytest.approx(sum(s.value for s in scores) / len(scores))


@pytest.mark.bad_input
def test_what_is_no_video_gets_a_clear_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        open_frames(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("this is no film")
    with pytest.raises(InputError, match=r"text\.mp4.*cannot be opened"):
        open_frames(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="no moving pictures"):
        open_frames(write_sound(tmp_path / "song.mp4"))
    whole = write_film(tmp_path / "whole.mp4", 40).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.mp4"):
        open_frames(tmp_path / "cut.mp4")
    folder = write_frames(tmp_path / "frames", 3)
    with pytest.raises(InputError, match="one picture"):
        open_frames(folder / "frame0.png")
    with pytest.raises(InputError, match=r"films, not frames: .*\.mp4"):
        open_frames(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        open_frames(tmp_path / "empty")
    with pytest.raises(InputError, match="one frame"):
        open_frames(write_frames(tmp_path / "single", 1))
    with pytest.raises(InputError, match="short_side"):
        open_frames(folder, short_side=4)
    Image.new("RGB", (48, 32)).save(folder / "extra.jpg")
    with pytest.raises(InputError, match="several kinds"):
        open_frames(folder)


@pytest.mark.bad_input
def test_what_is_no_model_gets_a_clear_message(tmp_path: Path) -> None:
    videos = open_frames(write_frames(tmp_path / "frames", 3))
    with pytest.raises(InputError, match="no model 'guess'"):
        open_model("guess", videos)
    (tmp_path / "net.pth").write_bytes(b"0")
    with pytest.raises(InputError, match="pickle"):
        open_model(tmp_path / "net.pth", videos)
    with pytest.raises(InputError, match="21 classes"):
        open_model("rooms_fpn", videos, classes=["one"])
    maps = write_maps(tmp_path / "maps", torch.zeros(2, 32, 48))
    with pytest.raises(InputError, match="each of the 3 frames"):
        open_model(maps, videos)
    write_maps(tmp_path / "maps", torch.full((3, 32, 48), 9))
    model = open_model(maps, videos, classes=["a", "b"]).model
    with pytest.raises(InputError, match="classes 0 to 1, or 255, got 9"):
        rank_pairs(videos, model, geometry="estimated", keep=False)
    with pytest.raises(InputError, match="exposure"):
        ExploredFrames(videos, model).logits([0], exposure=1.0)
    with pytest.raises(InputError, match="at least 2"):
        LabelMaps(lambda rows: torch.zeros(len(rows), 4, 4, dtype=torch.int64), 1, "one")
    with pytest.raises(InputError, match="no labels"):
        LabelMaps.of_videos(videos, "none")
