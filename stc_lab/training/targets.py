"""Soft targets for frames without labels: what a net says as it starts, alone or fused with a scene's other views."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Clip
from stc_lab.filters import fuse_views
from stc_lab.geometry import DepthTolerance, correspond, sample_labels
from stc_lab.models import Segmenter
from stc_lab.training.augment import augment
from stc_lab.training.memory import FrameMemory
from stc_lab.training.objective_recipe import ObjectiveRecipe
from stc_lab.training.supervised import IGNORE


class TargetMemory:
    """Class probabilities on the net's coarse grid, for each frame of a video once the first of them is asked for.

    The teacher is the net as it comes in, and stays so until `renew`. With `targets="fused"` each frame's probabilities
    are the mean over the views `recipe.views` frames before and after it that see the pixel's surface
    (`filters.fuse_views`). Fused or not, every labelled frame of the video that sees the surface adds `label_votes`
    votes for its true label. With `warp="identity"` views and votes are those of the same pixels.
    """

    def __init__(
        self,
        model: Segmenter,
        memory: FrameMemory,
        recipe: ObjectiveRecipe,
        labelled: Sequence[int],
        class_weights: Float[Tensor, " k"] | None,
    ) -> None:
        self.memory, self.recipe, self.labelled = memory, recipe, frozenset(labelled)
        self.class_weights = class_weights if recipe.balanced else None
        self.teacher = copy.deepcopy(model).eval()
        self._known: dict[int, Tensor] = {}  # in half precision: 65 KB a frame of 64 x 96 px and 21 classes

    def probabilities(self, rows: Sequence[int]) -> Float[Tensor, "b k hs ws"]:
        """Of any rows, sharpened."""
        for video in dict.fromkeys(self.memory.videos.videos_of([row for row in rows if row not in self._known])):
            first, count = self.memory.videos.row(video, 0), self.memory.videos.frame_count(video)
            of_video = range(first, first + count)
            self._known |= dict(zip(of_video, self._of_video(of_video).half().cpu(), strict=True))
        told = torch.stack([self._known[row] for row in rows]).float() ** self.recipe.sharpness
        return told / told.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def renew(self, model: Segmenter) -> None:
        """Let the teacher's weights follow those of `model`: all the way, but for the recipe's momentum."""
        learned = model.state_dict()
        for name, own in self.teacher.state_dict().items():
            mean = own.lerp(learned[name], 1 - self.recipe.momentum) if own.is_floating_point() else learned[name]
            own.copy_(mean)
        self._known.clear()

    def weight(self, targets: Float[Tensor, "b k h w"]) -> Float[Tensor, "b h w"]:
        """How much each pixel counts."""
        weight = targets.amax(dim=1) ** self.recipe.confidence
        if self.class_weights is not None:
            weight = weight * (targets * self.class_weights.to(targets)[:, None, None]).sum(dim=1)
        return weight

    @torch.no_grad()
    def _of_video(self, rows: range) -> Float[Tensor, "t k hs ws"]:
        clip = self.memory.frames(rows).to(next(self.teacher.parameters()).device)
        said = torch.cat([self.teacher.coarse(part).softmax(dim=1) for part in clip.image.split(8)])
        if self.recipe.targets == "probabilities" and self.recipe.label_votes == 0:
            return said
        coarse = clip.strided(self.teacher.coarse_stride)
        coarse.require("depth", "camera", "T_world_camera")
        fused = said if self.recipe.targets == "probabilities" else self._fused(said, coarse)
        votes = torch.ones_like(fused[:, :1])
        if self.recipe.label_votes > 0:
            for frame in (i for i, row in enumerate(rows) if row in self.labelled):
                told = self._told(coarse, frame, said.shape[1])
                fused, votes = (
                    fused + self.recipe.label_votes * told,
                    votes + self.recipe.label_votes * told.sum(1, True),
                )
        return fused / votes

    def _fused(self, said: Float[Tensor, "t k hs ws"], coarse: Clip) -> Float[Tensor, "t k hs ws"]:
        assert coarse.depth is not None and coarse.camera is not None and coarse.T_world_camera is not None
        return fuse_views(
            said,
            coarse.depth,
            coarse.camera,
            coarse.T_world_camera,
            offsets=[sign * gap for gap in self.recipe.views for sign in (-1, 1)],
            tolerance=DepthTolerance(self.recipe.tolerance),
            warp=self.recipe.warp,  # type: ignore[arg-type]  # a plain string that the recipe has checked
        )

    def _told(self, coarse: Clip, frame: int, classes: int) -> Float[Tensor, "t k hs ws"]:
        """One frame's labels in all frames of its video: one-hot where they see what it sees, else 0."""
        count = len(coarse)
        source = coarse[[frame] * count]
        source.require("label")
        assert coarse.depth is not None and coarse.camera is not None and source.label is not None
        where = correspond(
            coarse.depth,
            coarse.camera,
            coarse.motion_to(source),
            camera_source=source.camera,
            depth_source=source.depth,
            tolerance=DepthTolerance(self.recipe.tolerance),
        )
        labels = source.label if self.recipe.warp == "identity" else sample_labels(source.label, where)
        own = (torch.arange(count, device=labels.device) == frame)[:, None, None]
        labels = torch.where(own, source.label, labels)
        known = (where.visible | own) & (labels != IGNORE)
        one_hot = F.one_hot(torch.where(known, labels, 0), classes).permute(0, 3, 1, 2)
        return one_hot.to(coarse.depth.dtype) * known[:, None]


def augmented(
    images: Float[Tensor, "b 3 h w"],
    targets: Float[Tensor, "b k hs ws"],
    recipe: ObjectiveRecipe,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b k hs ws"]]:
    """Frames changed as labelled ones are, and their targets moved with them, each pixel taking its nearest."""
    b, _, height, width = images.shape
    stride = height // targets.shape[2]
    place = torch.arange(height * width, device=images.device).reshape(1, height, width).expand(b, height, width)
    shown, origin = augment(images, place, generator, flip=recipe.flip, zoom=recipe.zoom, jitter=recipe.jitter)
    origin = origin[:, ::stride, ::stride]
    y, x = origin // width // stride, origin % width // stride
    frame = torch.arange(b, device=images.device)[:, None, None]
    return shown, targets[frame, :, y, x].permute(0, 3, 1, 2).contiguous()
