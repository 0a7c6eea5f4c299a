"""Sheets of frames: of a data set with all that is known of them, and of what a model says beside the truth."""

from collections.abc import Sequence

from stc_lab.data import Videos
from stc_lab.data.frames import Clip
from stc_lab.models import Segmenter
from stc_lab.plots.palette import Palette, class_palette
from stc_lab.plots.panels import Panel, depth_panel, image_panel, label_panel
from stc_lab.plots.sheet import contact_sheet
from stc_lab.training.evaluate import predict


def preview_sheet(clips: Sequence[Clip], classes: Sequence[str], *, panel_width: int = 320) -> bytes:
    """PNG with a row for each clip of one frame: image, label map and depth, as far as any of the clips has them."""
    palette = class_palette(classes) if classes else None
    fields = [name for name in ("label", "depth") if any(getattr(clip, name) is not None for clip in clips)]
    panels: list[Panel | None] = []
    for clip in clips:
        panels.append(image_panel(clip.image[0], f"{clip.video[0]}, frame {int(clip.index[0])}"))
        panels += [_panel(clip, name, palette) for name in fields]
    return contact_sheet(panels, columns=1 + len(fields), panel_width=panel_width)


def _panel(clip: Clip, name: str, palette: Palette | None) -> Panel | None:
    """A picture of one field, or none where nothing is known of this frame."""
    if name == "label" and clip.label is not None and palette is not None and bool((clip.label != 255).any()):
        return label_panel(clip.label[0], palette, "labels")
    if name == "depth" and clip.depth is not None and bool((clip.depth > 0).any()):
        return depth_panel(clip.depth[0, 0], "depth")
    return None


def prediction_sheet(model: Segmenter, videos: Videos, *, frames: int = 2, panel_width: int = 240) -> bytes:
    """PNG with a row for each of some frames spread over the videos: image, truth and what the model says."""
    palette = class_palette(videos.info.classes)
    panels: list[Panel | None] = []
    for row in sorted({round((i + 0.5) * len(videos) / frames - 0.5) for i in range(frames)}):
        clip = videos.frames([row])
        panels.append(image_panel(clip.image[0], f"{clip.video[0]}, frame {int(clip.index[0])}"))
        panels.append(_panel(clip, "label", palette))
        panels.append(label_panel(predict(model, clip.image)[0], palette, "predicted"))
    return contact_sheet(panels, panel_width=panel_width)
