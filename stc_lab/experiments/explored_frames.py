"""The frames an explorer walks through: each read, labelled and searched once, and kept while there is room."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_lesson import MOTION_TRUST, camera_of_ratio, grid_flows, grid_sight
from stc_lab.experiments.digests import digest_of_model
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.geometry import Camera, dis_flow, invert_pose
from stc_lab.geometry.egomotion import fit_motion
from stc_lab.losses import image_edges
from stc_lab.models import DepthNet, Segmenter, load_shipped
from stc_lab.training.depth import predict_depth
from stc_lab.training.evaluate import evaluating

Model = Segmenter | LabelMaps


class ExploredFrames:
    """Frames of `videos` with what `model` says of them. Two models of the same videos have one of these each.

    Every net sees one frame at a time, so that what it says of a frame hangs on no other. When `limit` is reached, what
    was not asked for longest goes first; it is computed again when it is asked for.
    """

    def __init__(
        self,
        videos: Videos,
        model: Model,
        *,
        classes: Sequence[str] | None = None,
        depth_net: DepthNet | None = None,
        focal_ratio: float | None = None,
        limit: int = 600,
    ) -> None:
        """`limit` in MB. `depth_net` and `focal_ratio` (over the frame's width) are those of learned geometry.

        Without them they are the shipped net's. `classes` name those of the model, by default as the videos do, where
        there are as many.
        """
        if limit < 1:
            raise InputError(f"limit must be at least 1 MB, got {limit}")
        if (depth_net is None) != (focal_ratio is None):
            raise InputError(
                "depth_net and focal_ratio go together", hint="a depth net was trained beside a focal length"
            )
        self.videos, self.model = videos, model
        self.classes = _class_names(videos, model.num_classes, classes)
        self.limit = limit * 10**6
        self._depth_net, self._focal_ratio = depth_net, focal_ratio
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._bytes = 0

    def clip(self, rows: Sequence[int]) -> Clip:
        """The frames of these rows."""
        found = self._each("clip", rows, self._read)
        return found[0] if len(found) == 1 else _joined(found)

    def logits(self, rows: Sequence[int], *, exposure: float = 0.0) -> Float[Tensor, "b k h w"]:
        """Logits of every pixel, of frames that are brighter by `exposure` stops (`Disturbance.of_image`)."""
        maps = self.model
        if isinstance(maps, LabelMaps):
            if exposure != 0:
                raise InputError(
                    "label maps were computed from the frames as they are: another exposure needs the net",
                    hint="exposure=0, or a model that can be run",
                )
            return torch.cat(self._each("logits", rows, lambda new: list(maps.logits(new).split(1))))
        return torch.cat(self._each(("logits", exposure), rows, lambda new: self._predicted(new, exposure)))

    def labels(self, rows: Sequence[int], *, exposure: float = 0.0) -> Int64[Tensor, "b h w"]:
        """The likeliest class of every pixel."""

        def found(new: Sequence[int]) -> list[Tensor]:
            return [one.argmax(dim=1) for one in self.logits(new, exposure=exposure).split(1)]

        return torch.cat(self._each(("labels", exposure), rows, found))

    def edges(self, rows: Sequence[int], *, exposure: float = 0.0) -> Bool[Tensor, "b h w"]:
        """Canny edges of the images."""

        def found(new: Sequence[int]) -> list[Tensor]:
            image = Disturbance(exposure=exposure).of_image(self.clip(new).image)
            return [image_edges(one) for one in image.split(1)]

        return torch.cat(self._each(("edges", exposure), rows, found))

    def learned_depth(self, rows: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """What the depth net says of each frame, in its own unit."""
        net, _ = self._learned()
        return torch.cat(
            self._each("depth", rows, lambda new: [predict_depth(net, one) for one in self.clip(new).image.split(1)])
        )

    def learned_camera(self, rows: Sequence[int]) -> Camera:
        """Square pixels, the learned focal length, and the principal point in the middle."""
        image = self.clip(rows[:1]).image
        return camera_of_ratio(self._learned()[1], *image.shape[-2:]).to(image.device)

    def learned_motion(self, rows: Sequence[int], others: Sequence[int]) -> Float[Tensor, "b 4 4"]:
        """T_other_frame of each pair, fitted to the flow between them from the learned depth of both."""

        def found(new: Sequence[tuple[int, int]]) -> list[Tensor]:
            camera, motions = self.learned_camera([new[0][0]]), []
            for a, b in new:
                flows = grid_flows(self.clip([a]), self.clip([b]))
                sight = grid_sight(flows, self.learned_depth([a]), self.learned_depth([b]), camera)
                motions.append(fit_motion(sight, trust=MOTION_TRUST))
            return motions

        # Flow both ways enters a fit, so that one serves both directions.
        pairs = [(min(pair), max(pair)) for pair in zip(rows, others, strict=True)]
        fitted = torch.cat(self._each("motion", pairs, found))
        turned = torch.tensor([a > b for a, b in zip(rows, others, strict=True)], device=fitted.device)
        return torch.where(turned[:, None, None], invert_pose(fitted), fitted)

    def learned_digest(self) -> str:
        """Of the depth net and its focal length."""
        net, ratio = self._learned()
        return f"{digest_of_model(net)} {ratio!r}"

    def flow(
        self,
        rows: Sequence[int],
        others: Sequence[int],
        *,
        aligned: bool = False,
        exposure: tuple[float, float] = (0, 0),
    ) -> Float[Tensor, "b 2 h w"]:
        """DIS flow from each frame to the other of its pair, at the `exposure` (stops) of each.

        `aligned` gives the other the brightness and contrast of the frame first: exposure is not motion.
        """
        pairs = list(zip(rows, others, strict=True))

        def found(new: Sequence[tuple[int, int]]) -> list[Tensor]:
            flows = []
            for pair in new:
                here, there = (
                    Disturbance(exposure=stops).of_image(self.clip([row]).image)
                    for row, stops in zip(pair, exposure, strict=True)
                )
                flows.append(dis_flow(here, aligned_image(there, here) if aligned else there))
            return flows

        return torch.cat(self._each(("flow", aligned, exposure), pairs, found))

    def _predicted(self, rows: Sequence[int], exposure: float) -> list[Tensor]:
        assert not isinstance(self.model, LabelMaps)
        device = next(self.model.parameters()).device
        image = Disturbance(exposure=exposure).of_image(self.clip(rows).image)
        with evaluating(self.model):
            found = [self.model(one.to(device)).to(image.device) for one in image.split(1)]
        if found[0].shape[-2:] != image.shape[-2:]:
            raise InputError(
                f"the model must give logits of every pixel, {list(image.shape[-2:])}, got {list(found[0].shape[-2:])}",
                hint="a net that answers on a coarser grid: upsample_strided, as models.Segmenter asks",
            )
        return found

    def _read(self, rows: Sequence[int]) -> list[Clip]:
        clip = self.videos.frames(rows)
        found = [clip[i] for i in range(len(rows))]
        hidden = ("intrinsics" in self.videos.has and clip.camera is None) or (
            "pose" in self.videos.has and clip.T_world_camera is None
        )
        if hidden and len(rows) > 1:  # one frame without a pose hides those of its company
            found = [self.videos.frames([row]) for row in rows]
        return found

    def _learned(self) -> tuple[DepthNet, float]:
        if self._depth_net is None or self._focal_ratio is None:
            stored = load_shipped("rooms_depth")
            self._depth_net, self._focal_ratio = stored.model, float(stored.metadata["focal_ratio"])
        return self._depth_net, self._focal_ratio

    def _each(self, kind: Any, keys: Sequence[Any], compute: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
        """What is kept of this kind for each key; the missing are computed together."""
        new = sorted({key for key in keys if (kind, key) not in self._kept})
        found = dict(zip(new, compute(new), strict=True)) if new else {}
        asked = []
        for key in keys:
            if key in found:
                asked.append(found[key])
                continue
            self._kept.move_to_end((kind, key))
            asked.append(self._kept[kind, key])
        for key, value in found.items():
            self._kept[kind, key] = value
            self._bytes += _bytes(value)
        while self._bytes > self.limit and self._kept:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= _bytes(gone)
        return asked


def explored(videos: Videos, model: Model, memory: ExploredFrames | None) -> ExploredFrames:
    """The given memory, or a new one; InputError if it is of other videos or of another model."""
    if memory is None:
        return ExploredFrames(videos, model)
    if memory.videos is not videos or memory.model is not model:
        raise InputError(
            "memory holds frames of other videos or of another model", hint="ExploredFrames(videos, model)"
        )
    return memory


def aligned_image(image: Float[Tensor, "b 3 h w"], like: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The image with the other's mean and contrast."""
    gain = like.std() / image.std().clamp(min=1e-3)
    return ((image - image.mean()) * gain + like.mean()).clamp(0, 1)


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    parts = (value.image, value.label, value.depth, value.T_world_camera)
    return sum(_bytes(part) for part in parts if part is not None)


def _joined(clips: Sequence[Clip]) -> Clip:
    def together(name: str) -> Any:
        values = [getattr(clip, name) for clip in clips]
        return None if any(value is None for value in values) else torch.cat(values)

    cameras = [clip.camera for clip in clips if clip.camera is not None]
    tensors = {name: together(name) for name in ("index", "time", "image", "label", "depth", "T_world_camera")}
    return Clip(
        video=tuple(clip.video[0] for clip in clips),
        camera=Camera(torch.cat([c.K for c in cameras]), *cameras[0].size) if len(cameras) == len(clips) else None,
        **tensors,
    )


def _class_names(videos: Videos, count: int, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None and len(classes) != count:
        raise InputError(f"classes must name the model's {count} classes, got {len(classes)}")
    known = tuple(videos.info.classes if classes is None else classes)
    return known if len(known) == count else tuple(f"class {i}" for i in range(count))
