"""The prediction explorer: step through a clip and see where several predictions differ from the truth."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.metrics import ConfusionMatrix
from stc_lab.plots.palette import Palette, class_palette
from stc_lab.plots.panels import Panel, image_panel, label_panel, mask_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

Shown = Literal["labels", "mistakes"]


def prediction_picture(
    clip: Clip, predictions: Mapping[str, Int64[Tensor, "t h w"]], palette: Palette, frame: int, show: Shown = "labels"
) -> Picture:
    """Image and truth of one frame, below them the predictions, with the mIoU of the frame and of the whole clip."""
    label = _checked(clip, predictions)
    if not 0 <= frame < len(clip):
        raise InputError(f"frame must lie in 0..{len(clip) - 1}, got {frame}")
    image = image_panel(clip.image[frame], f"image: frame {frame}")
    panels: list[Panel | None] = [image, label_panel(label[frame], palette, "truth")]
    panels += [None] * max(0, len(predictions) - len(panels))  # the predictions get a row of their own
    rows = {}
    for name, prediction in predictions.items():
        here = _miou(prediction[frame : frame + 1], label[frame : frame + 1], palette)
        rows[name] = (here, _miou(prediction, label, palette))
        if show == "mistakes":
            wrong = (prediction[frame] != label[frame]) & (label[frame] != palette.ignore_index)
            share = f"wrong at {100 * float(wrong.float().mean()):.1f} % of the pixels"
            panels.append(mask_panel(wrong, name, share, over=image))
        else:
            panels.append(label_panel(prediction[frame], palette, name, f"mIoU {here}"))
    return Picture(tuple(panels), Table(("mIoU, this frame", "mIoU, whole clip"), rows))


def prediction_explorer(
    clip: Clip,
    predictions: Mapping[str, Int64[Tensor, "t h w"]],
    classes: Sequence[str] | Palette,
    *,
    frame: int = 0,
) -> Explorer:
    """A slider over the frames of `clip`; `predictions` are label maps made beforehand, so that it answers at once."""
    palette = classes if isinstance(classes, Palette) else class_palette(classes)
    _checked(clip, predictions)

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, IntSlider

        return {
            "frame": IntSlider(frame, 0, len(clip) - 1, description="frame"),
            "show": Dropdown(options=["labels", "mistakes"], value="labels", description="show"),
        }

    columns = max(2, len(predictions))

    def picture(frame: int, show: Shown) -> Picture:
        return prediction_picture(clip, predictions, palette, frame, show)

    return Explorer("Prediction explorer", controls, picture, {"frame": frame, "show": "labels"}, columns=columns)


def _checked(clip: Clip, predictions: Mapping[str, Int64[Tensor, "t h w"]]) -> Int64[Tensor, "t h w"]:
    clip.require("label")
    assert clip.label is not None
    if not predictions:
        raise InputError("the prediction explorer needs at least one prediction, got none")
    for name, prediction in predictions.items():
        if prediction.shape != clip.label.shape or prediction.dtype != torch.int64:
            raise InputError(
                f"prediction {name!r} must be int64 {list(clip.label.shape)}, "
                f"got {prediction.dtype} {list(prediction.shape)}",
                hint="class ids, not logits: logits.argmax(dim=1)",
            )
    return clip.label


def _miou(prediction: Int64[Tensor, "t h w"], truth: Int64[Tensor, "t h w"], palette: Palette) -> str:
    if bool((truth == palette.ignore_index).all()):
        return "no truth"
    matrix = ConfusionMatrix(len(palette), palette.ignore_index)
    matrix.update(prediction, truth)
    return f"{100 * matrix.results().miou:.1f} %"
