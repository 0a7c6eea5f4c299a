"""Films: every frame at random as in sequence, rates, rotations, damage, and an index that is never stale."""

import os
import pickle  # noqa: TID251  only of our own objects, as worker processes do
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from mini_film import SIZE, picture, write_film, write_sound
from torch.utils.data import DataLoader, Dataset

from stc_lab.data import Videos, load
from stc_lab.data import film as film_module
from stc_lab.data.film import Film, index_film
from stc_lab.errors import InputError

TOLERANCE = 8  # of 255: what the codecs lose of flat colours


def settle(path: Path) -> Path:
    """Make a file look as if nobody had touched it for a while: an index of a file just written is not kept."""
    os.utime(path, ns=(path.stat().st_mtime_ns - 10**10,) * 2)
    return path


def frames_in_sequence(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def write_noise(path: Path, count: int, codec: str, options: dict[str, str]) -> Path:
    """A film in which nothing stays and everything is predicted, so that a wrong reference shows."""
    rng = np.random.default_rng(1)
    blobs = cv2.resize(rng.integers(0, 256, (12, 40, 3), dtype=np.uint8), (160, 48))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = 48, 64, "yuv420p", options  # type: ignore
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(blobs, 3 * i, axis=1)[:, :64].copy(), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_film(tmp_path: Path) -> None:
    videos = load("video", root=write_film(tmp_path / "walk.mp4", 12))
    assert (videos.names, len(videos), videos.size, videos.has) == (("walk",), 12, SIZE, frozenset())
    assert videos.info.frame_rate == pytest.approx(25)
    clip = videos.clip("walk")
    torch.testing.assert_close(clip.time, torch.arange(12) / 25)
    expected = np.stack([picture(i) for i in range(12)])[:, 2::20, 2::20]  # away from the edge that codecs blur
    found = (clip.image * 255).permute(0, 2, 3, 1).numpy()[:, 2::20, 2::20]
    assert np.abs(found - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("one_key.mp4", "libx264", {}),
        ("closed.mp4", "libx264", {"g": "8", "bf": "3"}),
        ("open.mp4", "libx264", {"x264-params": "keyint=8:open-gop=1:bframes=3"}),
        ("refresh.mp4", "libx264", {"x264-params": "keyint=8:intra-refresh=1"}),
        ("matroska.mkv", "libx264", {"g": "8", "bf": "2"}),
        ("transport.ts", "libx264", {"g": "8", "bf": "2"}),
        ("bare.h264", "libx264", {"g": "8", "bf": "2"}),
        ("old.avi", "mpeg4", {"g": "8", "bf": "2"}),
        ("disc.mpg", "mpeg2video", {"g": "8", "bf": "2"}),
        ("web.webm", "libvpx-vp9", {"g": "8", "b": "0", "crf": "20"}),
    ],
)
def test_any_frame_is_the_frame_in_sequence(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = write_noise(tmp_path / name, 40, codec, options)
    expected = frames_in_sequence(path)
    film = Film(path, index_film(path))
    assert len(film.index.time) == len(expected) == 40
    order = [*np.random.default_rng(0).permutation(40), 39, 0, 39, 7, 8, 9, 8, 24, 23]
    for number in map(int, order):
        assert np.array_equal(film.frame(number), expected[number]), number


@pytest.mark.parametrize(
    "matrix",
    [(a, b, 0, c, d, 0, 0, 0, 1 << 30) for s in (65536, -65536) for t in (65536, -65536) for a, b, c, d in
     ((s, 0, 0, t), (0, s, t, 0))],
)  # fmt: skip
def test_upright(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    """A pixel (x, y) of the file is shown at (a x + c y, b x + d y): all eight turns and mirrors."""
    path = write_film(tmp_path / "phone.mp4", 2, matrix=matrix)
    videos = load("video", root=path)
    a, b, c, d = (round(matrix[i] / 65536) for i in (0, 1, 3, 4))
    h, w = SIZE
    assert videos.size == (SIZE if a else (w, h))
    x, y = np.array([[a, c], [b, d]]) @ [4, 4]  # the bright corner
    height, width = videos.size
    image = videos.frames([1]).image[0]
    bright = image[1, y if y > 0 else height - 1 + y, x if x > 0 else width - 1 + x]
    assert float(bright) > 0.8
    assert int((image[1] > 0.5).sum()) == pytest.approx(h // 3 * (w // 3), rel=0.1)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_as_opencv_has_it(tmp_path: Path, rotation: int) -> None:
    path = write_film(tmp_path / "phone.mp4", 3, rotation=rotation)
    image = load("video", root=path).frames([2]).image[0].permute(1, 2, 0).numpy() * 255
    capture = cv2.VideoCapture(str(path))
    expected = [capture.read()[1][..., ::-1] for _ in range(3)][2]
    assert image.shape == expected.shape
    assert np.abs(image - expected.astype(float)).max() <= TOLERANCE


def test_frame_rate_of_a_third(tmp_path: Path) -> None:
    videos = load("video", root=write_film(tmp_path / "ntsc.mp4", 10, rate=Fraction(30000, 1001)))
    assert videos.info.frame_rate == pytest.approx(30000 / 1001, rel=1e-4)


def test_variable_frame_rate_keeps_true_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 280, 300, 500]
    videos = load("video", root=write_film(tmp_path / "phone.mkv", times))
    torch.testing.assert_close(videos.clip("phone").time * 1000, torch.tensor(times).float(), atol=1.01, rtol=0)
    assert videos.info.frame_rate == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, list(range(20))),
        ({"start": 15}, [15, 16, 17, 18, 19]),
        ({"start": 3, "stop": 12, "step": 4}, [3, 7, 11]),
        ({"stop": 99, "step": 9}, [0, 9, 18]),
        ({"max_frames": 3}, [0, 1, 2]),
        ({"start": 2, "step": 5, "max_frames": 2}, [2, 7]),
        ({"start": 2, "stop": 4, "max_frames": 9}, [2, 3]),
    ],
)
def test_parts(tmp_path: Path, options: dict[str, int], expected: list[int]) -> None:
    path = write_film(tmp_path / "walk.mp4", 20)
    videos = load("video", root=path, size=(24, 32), **options)
    clip = videos.clip("walk")
    torch.testing.assert_close(clip.time, torch.tensor([(n - expected[0]) / 25 for n in expected]))
    red = clip.image[:, 0, 20, 20] * 255
    torch.testing.assert_close(red, torch.tensor([4.0 * n for n in expected]), atol=TOLERANCE, rtol=0)
    assert videos.info.frame_rate == pytest.approx(25)


def test_only_what_is_asked_for_is_decoded(tmp_path: Path) -> None:
    """Damage behind it does not matter, nor does the length of the film."""
    path = write_film(tmp_path / "walk.mkv", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError):
        load("video", root=path)
    assert len(load("video", root=path, stop=10)) == 10


def test_sound_beside_the_pictures(tmp_path: Path) -> None:
    for name in ("walk.mp4", "walk.mkv"):
        assert len(load("video", root=write_film(tmp_path / name, 25, sound=True))) == 25


def test_rows_in_any_order(tmp_path: Path) -> None:
    videos = load("video", root=write_film(tmp_path / "walk.mp4", 20, options={"g": "6", "crf": "4"}))
    rows = [17, 3, 3, 12]
    clip = videos.frames(rows)
    assert clip.index.tolist() == rows
    assert all(torch.equal(clip.image[i], videos.frames([row]).image[0]) for i, row in enumerate(rows))


class _Rows(Dataset):
    def __init__(self, videos: Videos) -> None:
        self.videos = videos

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.videos.frames([row]).image[0]


def test_workers_and_copies(tmp_path: Path) -> None:
    """A decoder that is open already, as here, is not shared with the processes that are forked."""
    videos = load("video", root=write_film(tmp_path / "walk.mp4", 12, options={"g": "5", "crf": "4"}))
    expected = videos.clip("walk").image
    loader = DataLoader(_Rows(videos), batch_size=3, num_workers=2, timeout=60)
    assert torch.equal(torch.cat(list(loader)), expected)
    copied = pickle.loads(pickle.dumps(videos.read))
    assert torch.equal(copied([5]).image, expected[5:6])
    assert torch.equal(videos.frames([11, 0]).image, expected[[11, 0]])


class TestCache:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def test_decoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = settle(write_film(tmp_path / "walk.mp4", 5))
        first = load("video", root=path)
        monkeypatch.setattr(film_module, "_frames", None)  # nothing can be decoded from here on
        second = load("video", root=path)
        assert (second.names, len(second), second.info) == (first.names, len(first), first.info)

    @pytest.mark.parametrize("settled", [True, False])
    def test_never_stale(self, tmp_path: Path, settled: bool) -> None:
        """Also a film that is overwritten within a tick of the clock, by one of the same length in bytes."""
        path = write_film(tmp_path / "walk.mp4", 5)
        if settled:
            settle(path)
        old = load("video", root=path)
        assert len(old) == 5
        stamp = path.stat().st_mtime_ns
        write_film(path, 7)
        if not settled:
            os.utime(path, ns=(stamp, stamp))
        assert len(load("video", root=path)) == 7
        if settled:
            with pytest.raises(InputError, match="is gone, or is another than the one that was opened"):
                old.frames([0])

    def test_one_folder_of_each_index(self, tmp_path: Path, cache: Path) -> None:
        path = settle(write_film(tmp_path / "walk.mp4", 5))
        for options in ({}, {}, {"start": 2}, {"step": 2}, {"stop": 3}, {"max_frames": 3}):
            load("video", root=path, **options)
        kept = [folder for folder in (cache / "films").iterdir() if not folder.name.startswith(".")]
        assert len(kept) == 2  # of the whole film and of its first three frames


@pytest.mark.bad_input
class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"start": -1}, "start of 'video' counts frames, it must be a whole number from 0, got -1"),
            ({"start": 0.5}, "start of 'video' counts frames"),
            ({"stop": 0}, "stop of 'video' counts frames, it must be a whole number from 1, got 0"),
            ({"step": 0}, "step of 'video' counts frames"),
            ({"step": None}, "step of 'video' counts frames"),
            ({"max_frames": 0}, "max_frames of 'video' counts frames"),
            ({"start": 3, "stop": 3}, "stop must be more than start, got start 3 and stop 3"),
            ({"start": 5}, "has 5 frames, got start 5"),
            ({"split": "test"}, "legal: train"),
            ({"fps": 3}, "unknown option of 'video': 'fps'; legal: start, stop, step, max_frames"),
        ],
    )
    def test_options(self, tmp_path: Path, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            load("video", root=write_film(tmp_path / "walk.mp4", 5), **options)

    def test_no_film(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"file .*walk\.mp4 of data set 'video' is missing"):
            load("video", root=tmp_path / "walk.mp4")
        with pytest.raises(InputError, match="of data set 'video' is a folder"):
            load("video", root=tmp_path)
        for data in (b"", b"no film at all\n" * 40, bytes(range(256)) * 30):
            (tmp_path / "x.mp4").write_bytes(data)
            with pytest.raises(InputError, match=rf"film .*x\.mp4 \({len(data)} bytes\) cannot be opened.*cut short"):
                load("video", root=tmp_path / "x.mp4")

    def test_sound_alone(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"song\.m4a has no moving pictures, only audio"):
            load("video", root=write_sound(tmp_path / "song.m4a"))

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("walk.mp4", {}, "cannot be opened"),
            ("walk.mkv", {}, r"ends after .* s and \d+ frames, its header promises 4\.00 s"),
            (
                "walk.avi",
                {"codec": "mpeg4", "options": {"g": "10"}},
                r"(ends after .*, its header promises|.*packet is corrupt)",
            ),
        ],
    )
    def test_cut_short(self, tmp_path: Path, name: str, options: dict, message: str) -> None:
        path = write_film(tmp_path / name, 100, **options)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=rf"{name} \(\d+ bytes\) {message}"):
            load("video", root=path)

    def test_damaged_in_the_middle(self, tmp_path: Path) -> None:
        path = write_film(tmp_path / "walk.mp4", 100)
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 300] = bytes(300)
        path.write_bytes(data)
        with pytest.raises(
            InputError, match=r"walk\.mp4 .* cannot be decoded after frame \d+ at .* s: .*stop="
        ) as caught:
            load("video", root=path)
        good = int(str(caught.value).split("after frame ")[1].split(" ")[0])
        assert load("video", root=path, stop=good).clip("walk").image.shape[0] == good

    def test_odd_rotation(self, tmp_path: Path) -> None:
        path = write_film(tmp_path / "walk.mp4", 2, rotation=30)
        with pytest.raises(InputError, match="no quarter turn or mirror"):
            load("video", root=path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"),
            ("list.ffconcat", "ffconcat version 1.0\nfile http://127.0.0.1:9/x.ts\n"),
        ],
    )
    def test_no_network(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="cannot be opened"):
            load("video", root=tmp_path / name)

    def test_too_many_pixels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(film_module, "MAX_PIXELS", 48 * 64 - 1)
        with pytest.raises(InputError, match="must have at most 3071 pixels a frame, got 3072"):
            load("video", root=write_film(tmp_path / "walk.mp4", 2))

    def test_a_film_that_is_gone(self, tmp_path: Path) -> None:
        path = write_film(tmp_path / "walk.mp4", 3)
        videos = load("video", root=path)
        path.unlink()
        with pytest.raises(InputError, match="is gone"):
            videos.frames([0])

    def test_changing_size(self, tmp_path: Path) -> None:
        """Two streams one after the other, as a stream without container may have them."""
        parts = [write_film(tmp_path / f"{i}.h264", 4, size=size) for i, size in enumerate([SIZE, (64, 48)])]
        path = tmp_path / "both.h264"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        with pytest.raises(InputError, match="changes its size from 48 x 64 to 64 x 48 px"):
            load("video", root=path)
