"""The film that chapter 12 ends with: one's own, the real one, or a rendered walk written as a film file."""

import os
from fractions import Fraction
from pathlib import Path

from stc_lab.data.cache import cache_root
from stc_lab.data.frames import Clip
from stc_lab.data.load import load
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.film_study import Film
from stc_lab.experiments.own_video import NamedModel, open_frames, open_model

SHORT_SIDE = 120  # px: of films of one's own
_CAMVID_SIZE = (120, 160)


def film_to_explore(source: str, film: Film, *, own: str = "", model: str = "rooms_fpn") -> tuple[Videos, NamedModel]:
    """Videos and a model for the explorer: the film at the path `own`, if there is one, with `model` (`open_model`).

    Without it CamVid's film with the net that was trained for it, or the rendered walk, as a film file in the cache.
    """
    if own:
        videos = open_frames(own, short_side=SHORT_SIDE)
        return videos, open_model(model, videos)
    if source == "camvid":
        return load("camvid", split="val", size=_CAMVID_SIZE), NamedModel(film.model, film.classes, "camvid net")
    path = write_film(film.clip, cache_root() / "films" / f"{film.clip.video[0]}.mp4")
    videos = open_frames(path)
    return videos, open_model(model, videos)


def write_film(clip: Clip, path: Path | str, *, rate: int = 10) -> Path:
    """Write the images of a clip as a film file (H.264 in MP4, hardly any loss) of `rate` frames a second."""
    import av

    height, width = clip.image.shape[-2:]
    if height % 2 or width % 2:
        raise InputError(f"a film needs an even height and width, got {height} x {width} px")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with av.open(str(partial), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(rate))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
            stream.options = {"crf": "8"}
            for image in clip.image:
                picture = (image.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
