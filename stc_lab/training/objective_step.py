"""One step of an objective: frames are drawn as its terms need them, and the net runs once on all."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data import Clip
from stc_lab.errors import InputError
from stc_lab.geometry import DepthTolerance
from stc_lab.losses import Direction, PairFlows, Step, join_flows, pseudo_labels
from stc_lab.models import FeatureSegmenter, ProjectionHead, Segmenter, upsample_strided
from stc_lab.training.clips import ClipSampler, FlowMemory, LabelledPairSampler
from stc_lab.training.devices import Alone, Devices
from stc_lab.training.memory import FrameMemory
from stc_lab.training.objective_recipe import ObjectiveRecipe
from stc_lab.training.pairs import PairSampler, pair_directions
from stc_lab.training.schedule import stream
from stc_lab.training.supervised import IGNORE, class_weights, draw_labelled
from stc_lab.training.targets import TargetMemory, augmented

STREAMS = ("labelled", "pairs", "clips", "frames", "terms", "partners", "views")


@dataclass(frozen=True)
class _Rows:
    """Rows of the frames without labels of a step, in the order in which the net sees them."""

    earlier: tuple[int, ...] = ()  # of the pairs
    later: tuple[int, ...] = ()
    partners: tuple[int, ...] = ()  # whose images stand in the place of the later frames': their own, but in a control
    clips: tuple[tuple[int, ...], ...] = ()
    single: tuple[int, ...] = ()

    @property
    def all(self) -> list[int]:
        return [*self.earlier, *self.partners, *(row for clip in self.clips for row in clip), *self.single]


@dataclass(frozen=True)
class Made:
    """What a step knows, and what it rests on."""

    step: Step
    notes: dict[str, float]  # visible: share of the pairs' pixels; skipped: directions of a pair without any


class PseudoLabelMemory:
    """Labels of a net as it was, on its coarse grid, where it was sure; each frame is labelled once."""

    def __init__(self, model: Segmenter, threshold: float) -> None:
        self.threshold = threshold
        self._model = copy.deepcopy(model).eval()
        self._known: dict[int, Tensor] = {}

    @torch.no_grad()
    def labels(self, rows: Sequence[int], images: Float[Tensor, "b 3 h w"]) -> Int64[Tensor, "b hs ws"]:
        """Of the images, which are those of the rows."""
        new = {row: i for i, row in enumerate(rows) if row not in self._known}
        if new:
            sure = pseudo_labels(self._model.coarse(images[list(new.values())]), self.threshold, ignore_index=IGNORE)
            self._known |= dict(zip(new, sure.label.to(torch.uint8).cpu(), strict=True))
        return torch.stack([self._known[row] for row in rows]).long().to(images.device)


class StepMaker:
    """Draws the frames of each step, runs the net and the projection head, and says what the step knows."""

    def __init__(
        self,
        model: Segmenter,
        head: ProjectionHead | None,
        memory: FrameMemory,
        recipe: ObjectiveRecipe,
        labelled: Sequence[int],
        shared: Alone | Devices | None = None,
    ) -> None:
        needs, videos = recipe.needs, memory.videos
        self.model, self.head, self.memory, self.recipe, self.labelled = model, head, memory, recipe, list(labelled)
        self.shared = shared or Alone()
        if isinstance(shared, Devices) and (head is not None or "images" in needs):
            raise InputError(
                "contrastive terms and those that ask the net for other images cannot be shared by devices",
                hint="leave these terms out, or train on one device",
            )
        self.device, self.stride = next(model.parameters()).device, model.coarse_stride
        # A stream for each kind, so that all rows of a study see the same labelled batches, whatever else they draw.
        self.generators = {name: stream(recipe.seed, name) for name in STREAMS}
        self.weights = (
            class_weights(memory, self.labelled, model.num_classes, power=recipe.class_balance).to(self.device)
            if "labelled" in needs
            else None
        )
        self.pairs: PairSampler | LabelledPairSampler | None = None
        if "pairs" in needs:
            self.pairs = (
                LabelledPairSampler(videos, self.labelled)
                if recipe.pairs_of == "labelled"
                else PairSampler(videos, self.labelled, gaps=recipe.gaps, anchored=recipe.anchored)
            )
        self.clips = ClipSampler(videos, recipe.clip_length) if "clips" in needs else None
        self.flows = FlowMemory(flow=recipe.flow, stride=self.stride, warp=recipe.warp)
        of_labels = "features" in needs or recipe.targets == "labels"
        self.teacher = PseudoLabelMemory(model, recipe.threshold) if "teacher" in needs and of_labels else None
        self.targets = (
            TargetMemory(model, memory, recipe, self.labelled, self.weights)
            if "teacher" in recipe.names and recipe.targets != "labels"
            else None
        )

    def make(self) -> Made:
        """Draw the frames of a step and run the net on them."""
        needs, recipe = self.recipe.needs, self.recipe
        images, labels = [], None
        if "labelled" in needs:
            drawn, labels = draw_labelled(self.memory, self.labelled, recipe, self.generators["labelled"], self.device)
            images, labels = [drawn], labels[:, :: self.stride, :: self.stride]
        rows = self._draw()
        frames = self.memory.frames(rows.all).to(self.device) if rows.all else None
        if frames is not None and self.targets is not None:
            targets = self.targets.probabilities(rows.all).to(self.device)
            if recipe.augmented:
                shown, targets = augmented(frames.image, targets, recipe, self.generators["views"])
                frames = replace(frames, image=shown)
        if frames is not None:
            images.append(frames.image)
        logits, features = self._run(torch.cat(images))
        first = len(logits) - len(rows.all)  # of the frames without labels
        knows: dict[str, Any] = {"logits": logits, "generator": self.generators["terms"]}
        if labels is not None:
            knows |= {"labels": _below(labels, len(rows.all), IGNORE), "class_weights": self.weights}
        if frames is None:
            return Made(Step(**knows), {})
        notes: dict[str, float] = {}
        if "depth" in needs:
            frames.require("depth")
            assert frames.depth is not None
            knows["depth"] = _above(frames.depth[..., :: self.stride, :: self.stride], first, 0)
        taught = None if self.teacher is None else self.teacher.labels(rows.all, frames.image)
        if self.targets is not None:
            knows["teacher"] = torch.cat([logits[:first].detach().softmax(dim=1), targets])
            knows["teacher_weight"] = _above(self.targets.weight(targets), first, 0)
        elif taught is not None and "teacher" in recipe.names:
            knows["teacher"] = _above(taught, first, IGNORE)
        if "warp" in needs:
            knows["pairs"] = self._directions(rows, frames, logits[first:])
            notes = _visible(knows["pairs"])
        if features is not None:
            count = len(rows.earlier)
            knows["features"] = features[:count], features[count:]
            known = self._feature_labels(rows, frames, taught)
            knows["feature_labels"] = known[:count], known[count:]
        if "flow" in needs:
            knows["flows"] = self._flows(rows, frames, first)
        if "images" in needs:
            knows |= {"images": frames.image, "model": self._remembering(frames.image, logits[first:])}
        return Made(Step(**knows), notes)

    def _draw(self) -> _Rows:
        recipe, rows = self.recipe, _Rows()
        if self.pairs is not None:
            earlier, later = self.pairs.draw(recipe.pairs, self.generators["pairs"])
            partners = later if recipe.partner == "own" else self._strangers(later)
            rows = replace(rows, earlier=tuple(earlier), later=tuple(later), partners=tuple(partners))
        if self.clips is not None:
            drawn = self.clips.draw(recipe.clips, self.generators["clips"])
            rows = replace(rows, clips=tuple(map(tuple, drawn)))
        if not rows.all and "frames" in recipe.needs:
            count = len(self.memory.videos)
            single = torch.randint(count, (recipe.frames,), generator=self.generators["frames"])
            rows = replace(rows, single=tuple(single.tolist()))
        return rows

    def _strangers(self, rows: Sequence[int]) -> list[int]:
        """For each row one of any other video, all of them equally likely."""
        videos, found = self.memory.videos, []
        if len(videos.names) < 2:
            raise InputError("partner='another' takes frames of other videos, but there is only one video")
        for name in videos.videos_of(rows):
            first, count = videos.row(name, 0), videos.frame_count(name)
            drawn = int(torch.randint(len(videos) - count, (), generator=self.generators["partners"]))
            found.append(drawn if drawn < first else drawn + count)
        return found

    def _run(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Coarse logits of all frames, and projected features of the pairs' frames, earlier and later."""
        if self.head is None:
            return self.shared.coarse(self.model, images), None
        assert isinstance(self.model, FeatureSegmenter)
        features = self.model.features(images)
        first = self.recipe.batch if "labelled" in self.recipe.needs else 0
        of_pairs = features[first : first + 2 * self.recipe.pairs]
        return self.model.classify(features), self.head(of_pairs)

    def _directions(self, rows: _Rows, frames: Clip, logits: Tensor) -> tuple[Direction, ...]:
        """Both directions of the pairs, warped."""
        count = len(rows.earlier)
        both = slice(0, count), slice(count, 2 * count)
        edges = None
        if "edges" in self.recipe.needs:
            own = (rows.earlier, rows.partners)
            found = [
                self.memory.edges(of, frames.image[part], stride=self.stride)
                for of, part in zip(own, both, strict=True)
            ]
            edges = found[0], found[1]
        # Where a stranger stands in, the warp is still that of the pair.
        later = frames[both[1]] if rows.partners == rows.later else self.memory.frames(rows.later).to(self.device)
        coarse = frames[both[0]].strided(self.stride), later.strided(self.stride)
        tolerance = DepthTolerance(self.recipe.tolerance)
        said = logits[both[0]], logits[both[1]]
        ways = pair_directions(said, coarse, edges, warp=self.recipe.warp, tolerance=tolerance)
        if "weight" in self.recipe.needs:
            return tuple(replace(way, weight=way.logits_target.detach().softmax(dim=1)) for way in ways)
        return ways

    def _feature_labels(self, rows: _Rows, frames: Clip, taught: Tensor | None) -> Int64[Tensor, "b hs ws"]:
        """Of the pairs' frames: true ones where the frame is labelled, else those of the teacher, else none."""
        of_pairs = [*rows.earlier, *rows.later]
        own = frozenset(self.labelled)
        known = torch.tensor([row in own for row in of_pairs], device=self.device)
        height, width = frames.image[..., :: self.stride, :: self.stride].shape[-2:]
        labels = (
            torch.full((len(of_pairs), height, width), IGNORE, device=self.device)
            if taught is None or not self.recipe.pseudo_labels
            else taught[: len(of_pairs)]
        )
        if not bool(known.any()):
            return labels
        frames.require("label")
        assert frames.label is not None
        true = frames.label[: len(of_pairs), :: self.stride, :: self.stride]
        return torch.where(known[:, None, None], true, labels)

    def _flows(self, rows: _Rows, frames: Clip, first: int) -> PairFlows:
        """Of all clips, by the numbers of their frames among those of the logits."""
        start = len(rows.earlier) + len(rows.later)
        tables = []
        for clip in rows.clips:
            tables.append(self.flows.flows(clip, frames[start : start + len(clip)]))
            start += len(clip)
        joined = join_flows(tables, [len(clip) for clip in rows.clips])
        offset = first + len(rows.earlier) + len(rows.later)
        return replace(joined, pairs=tuple((p + offset, q + offset) for p, q in joined.pairs))

    def _remembering(self, images: Tensor, logits: Tensor) -> Any:
        """The net on images of any kind; what it said of the step's own is not computed again."""

        def said(asked: Tensor) -> Tensor:
            if asked is images:
                return upsample_strided(logits, *images.shape[-2:], stride=self.stride)
            return self.model(asked)

        return said


def projection_for(model: Segmenter, recipe: ObjectiveRecipe) -> ProjectionHead:
    """A new head for the net's features, with first weights by the recipe's seed."""
    if not isinstance(model, FeatureSegmenter):
        raise InputError(
            f"a contrast needs a net with features and classify, {model.architecture.get('name')} has none",
            hint="FPNSegmenter has them; another net: give it the two methods of models.FeatureSegmenter",
        )
    head = ProjectionHead(model.channels, recipe.projection, generator=stream(recipe.seed, "head"))
    return head.to(next(model.parameters()).device)


def _above(values: Tensor, count: int, fill: int) -> Tensor:
    """With `count` items of `fill` before: the labelled frames of a batch."""
    return torch.cat([values.new_full((count, *values.shape[1:]), fill), values])


def _below(values: Tensor, count: int, fill: int) -> Tensor:
    """With `count` items of `fill` after: the frames without labels."""
    return torch.cat([values, values.new_full((count, *values.shape[1:]), fill)])


def _visible(ways: Sequence[Direction]) -> dict[str, float]:
    seen = torch.stack([way.warped.visible.flatten(1) for way in ways])
    return {"visible": float(seen.float().mean()), "skipped": int((~seen.any(dim=2)).sum())}
