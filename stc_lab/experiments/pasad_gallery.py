"""Figure 3 of Pasad et al.: few labels with consistency beside many labels without, on frames picked by a rule.

The rule: of each test video the frame of which rare classes cover nearest to a tenth, if any has them on a hundredth.
The videos in order of what the net with consistency and few labels has there, minus the baseline with many: recall over
those pixels. Shown are the first, the middle and the last, so that the best does not stand for all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.experiments.pasad_results import KEPT
from stc_lab.experiments.published import CONTINUED, METHOD, RARE
from stc_lab.experiments.store import store_of
from stc_lab.models import FPNSegmenter, Segmenter, load_model
from stc_lab.training import predict

KEPT_GALLERY = KEPT.with_name("pasad_full_gallery.npz")
COVERED, LEAST = 0.1, 0.01  # of a frame, by rare classes
RULE = (
    "of each test video the frame of which rare classes cover nearest to a tenth; of these frames the first, the "
    "middle and the last in the order of what consistency gains there"
)


@dataclass(frozen=True)
class GalleryFrame:
    """A frame of the gallery, and what both nets have of its rare classes."""

    video: str
    index: int
    place: str  # in the order of the rule
    image: Float[Tensor, "3 h w"]
    truth: Int64[Tensor, "h w"]
    many: Int64[Tensor, "h w"]  # by the baseline with many labels
    few: Int64[Tensor, "h w"]  # by consistency with few
    rare: tuple[str, ...]  # rare classes that the frame shows
    pixels: int  # of them
    many_recall: float  # over these pixels
    few_recall: float

    @property
    def gain(self) -> float:
        return self.few_recall - self.many_recall


def pick_frames(many: Segmenter, few: Segmenter, videos: Videos, rare: Sequence[str]) -> list[GalleryFrame]:
    """The frames of the rule; fewer than three where few videos show a rare class, [] where none does."""
    unknown = sorted(set(rare) - set(videos.info.classes))
    if unknown or not rare:
        raise InputError(f"rare classes of {videos.info.name!r} are expected, got {unknown or 'none'}")
    ids = torch.tensor([videos.info.classes.index(name) for name in rare])
    candidates = []
    for name in videos.names:
        clip = videos.clip(name)
        clip.require("label")
        assert clip.label is not None
        shares = torch.isin(clip.label, ids).flatten(1).double().mean(dim=1)
        best = int((shares - COVERED).abs().argmin())
        if float(shares[best]) >= LEAST:
            candidates.append(_frame(clip[best : best + 1], many, few, ids, videos.info.classes))
    candidates.sort(key=lambda frame: (-frame.gain, frame.video))
    shown = dict.fromkeys((0, len(candidates) // 2, len(candidates) - 1)) if candidates else {}
    return [_placed(candidates[i], i + 1, len(candidates)) for i in shown]


def _frame(clip: Clip, many: Segmenter, few: Segmenter, ids: Tensor, names: Sequence[str]) -> GalleryFrame:
    assert clip.label is not None
    truth = clip.label[0]
    asked = torch.isin(truth, ids)
    said = {key: predict(net, clip.image)[0] for key, net in (("many", many), ("few", few))}
    recall = {key: float((label == truth)[asked].double().mean()) for key, label in said.items()}
    present = tuple(names[i] for i in ids.tolist() if bool((truth == i).any()))
    return GalleryFrame(
        clip.video[0],
        int(clip.index[0]),
        "",
        clip.image[0],
        truth,
        said["many"],
        said["few"],
        present,
        int(asked.sum()),
        recall["many"],
        recall["few"],
    )


def _placed(frame: GalleryFrame, number: int, of: int) -> GalleryFrame:
    return GalleryFrame(**{**vars(frame), "place": f"number {number} of {of}"})


def store_gallery(profile: str, *, root: Path | None = None, seed: int = 0) -> list[GalleryFrame]:
    """The gallery of a study's stored nets, of its lowest and highest label count; [] while one of them is missing."""
    from stc_lab.experiments.pasad_profiles import profile_of
    from stc_lab.experiments.pasad_rows import judging_videos

    plan, store = profile_of(profile), store_of("pasad", profile, root)
    wanted = {"few": (METHOD, plan.counts[0]), "many": (CONTINUED, plan.counts[-1])}
    files = {}
    for key, (row, count) in wanted.items():
        asked = {"row": row, "count": count, "seed": seed, "strength": "equal weight"}
        names = [
            name
            for name, job in store.planned().items()
            if asked.items() <= job["parameters"].items() and store.is_done(name, job["identity"])
        ]
        found = [path for name in names if (path := store.job(name) / "model.safetensors").is_file()]
        if not found:
            return []
        files[key] = found[0]
    few, many = (load_model(files[key], FPNSegmenter) for key in ("few", "many"))
    shares = few.metadata["train_frequency"]
    rare = [name for name, share in shares.items() if (share or 0.0) < RARE]
    return pick_frames(many.model, few.model, judging_videos(plan, "test"), rare)


def keep_gallery(frames: Sequence[GalleryFrame], path: Path = KEPT_GALLERY) -> Path:
    """Write a gallery small, as arrays without any pickle."""
    if not frames:
        raise InputError("there are no frames to keep", hint="run the study first: stc-lab reproduce pasad")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "image": _stack(frame.image.mul(255).round() for frame in frames),
        **{key: _stack(getattr(frame, key) for frame in frames) for key in _MAPS},
        "words": np.array([[frame.video, frame.place, ",".join(frame.rare)] for frame in frames]),
        "counts": np.array([[frame.index, frame.pixels] for frame in frames]),
        "recall": np.array([[frame.many_recall, frame.few_recall] for frame in frames]),
    }
    with path.open("wb") as target:
        np.savez_compressed(target, allow_pickle=False, **arrays)
    return path


def kept_gallery(path: Path = KEPT_GALLERY) -> list[GalleryFrame]:
    """The kept gallery of the full study; [] where there is none."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as kept:
        arrays = dict(kept)
    found = []
    for i, (video, place, rare) in enumerate(arrays["words"].tolist()):
        truth, many, few = (torch.from_numpy(arrays[key][i].astype(np.int64)) for key in _MAPS)
        index, pixels = arrays["counts"][i].tolist()
        image = torch.from_numpy(arrays["image"][i]).float() / 255
        of_many, of_few = arrays["recall"][i].tolist()
        shown = tuple(rare.split(","))
        found.append(GalleryFrame(video, index, place, image, truth, many, few, shown, pixels, of_many, of_few))
    return found


_MAPS = ("truth", "many", "few")


def _stack(maps: Iterable[Tensor]) -> np.ndarray:
    return np.stack([one.to(torch.uint8).cpu().numpy() for one in maps])
