"""Recipes: what a notebook can be told, one frozen dataclass of plain scalars each.

A recipe maps one to one to the cell tagged `parameters` of its notebook: same names, same defaults (a test holds them
together). To give a notebook a parameter, add a line here and a line there.
"""

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from stc_lab.errors import InputError

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """Legal values of a number, both ends included."""

    low: float
    high: float


Preset = Literal["tiny", "quick", "full"]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Steps = Annotated[int, Range(1, 100_000)]

# The folder under STC_LAB_DATA that each real source needs.
SLICES = {
    "sevenscenes": "sevenscenes_redkitchen",
    "icl": "icl_livingroom1",
    "camvid": "camvid_15hz",
    "kitti": "kitti_odometry_06",
}


@dataclass(frozen=True)
class Recipe:
    """Base of all recipes: checks each value against the type of its field."""

    notebook: ClassVar[str] = ""
    title: ClassVar[str] = ""  # short, for the progress line

    def __post_init__(self) -> None:
        for field in fields(self):
            check_value(type(self), field.name, getattr(self, field.name))

    def slices(self) -> tuple[str, ...]:
        """Folders under STC_LAB_DATA that the run reads."""
        source = getattr(self, "source", None)
        return (SLICES[source],) if source in SLICES else ()

    def changed(self) -> dict[str, Scalar]:
        """The parameters that differ from the notebook's own."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


@dataclass(frozen=True)
class StartHere(Recipe):
    notebook: ClassVar[str] = "00_start_here"
    title: ClassVar[str] = "start here"

    preset: Preset = "quick"
    seed: Seed = 0


@dataclass(frozen=True)
class Data(Recipe):
    notebook: ClassVar[str] = "01_data"
    title: ClassVar[str] = "data"

    source: Literal["rooms", "camvid", "sevenscenes", "icl", "kitti"] = "rooms"
    preset: Preset = "quick"
    seed: Seed = 3  # a room with near and far things, that of the geometry chapter

    def slices(self) -> tuple[str, ...]:
        return ("camvid_1hz",) if self.source == "camvid" else super().slices()


@dataclass(frozen=True)
class GeometryAndWarping(Recipe):
    notebook: ClassVar[str] = "02_geometry_and_warping"
    title: ClassVar[str] = "geometry and warping"

    source: Literal["rooms", "sevenscenes", "icl"] = "rooms"
    preset: Preset = "quick"
    gap: Annotated[int, Range(1, 20)] = 2
    seed: Seed = 3  # a room with near and far things


@dataclass(frozen=True)
class SelfSupervisedDepth(Recipe):
    notebook: ClassVar[str] = "03_self_supervised_depth"
    title: ClassVar[str] = "self-supervised depth"

    source: Literal["rooms", "icl", "sevenscenes"] = "rooms"
    preset: Preset = "quick"
    gap: Annotated[int, Range(1, 3)] = 2
    steps: Annotated[int, Range(2, 100_000)] = 200
    failure: Literal["static camera", "plain surfaces", "moving things", "highlights", "exposure changes"] = (
        "moving things"
    )
    seed: Seed = 0


@dataclass(frozen=True)
class LogitsConsistency(Recipe):
    notebook: ClassVar[str] = "04_logits_consistency"
    title: ClassVar[str] = "logits consistency"

    preset: Preset = "quick"
    steps: Steps = 100
    seed: Seed = 0


@dataclass(frozen=True)
class LabelEfficiency(Recipe):
    notebook: ClassVar[str] = "05_label_efficiency_and_ablation"
    title: ClassVar[str] = "label efficiency"

    live: bool = False  # make the runs of `profile` now and show those; else the full study, as far as it is
    profile: Literal["tiny", "quick"] = "quick"


@dataclass(frozen=True)
class RareClasses(Recipe):
    notebook: ClassVar[str] = "06_rare_classes"
    title: ClassVar[str] = "rare classes"

    live: bool = False
    profile: Literal["tiny", "quick"] = "quick"
    preset: Preset = "quick"  # the rooms in which labels are carried
    labels: Annotated[int, Range(1, 4800)] = 32
    seed: Seed = 0  # of the choice of labelled frames


@dataclass(frozen=True)
class ContrastiveConsistency(Recipe):
    notebook: ClassVar[str] = "07_contrastive_consistency"
    title: ClassVar[str] = "contrastive consistency"

    preset: Preset = "quick"
    steps: Steps = 100
    seeds: Annotated[int, Range(1, 20)] = 1  # how often each row is trained
    temperature: Annotated[float, Range(0.01, 10)] = 0.07  # tau of STCL


@dataclass(frozen=True)
class DepthEdges(Recipe):
    notebook: ClassVar[str] = "08_depth_edges"
    title: ClassVar[str] = "depth edges"

    preset: Preset = "quick"
    steps: Steps = 100
    seeds: Annotated[int, Range(1, 20)] = 1  # how often each row is trained


@dataclass(frozen=True)
class MeasuringStability(Recipe):
    notebook: ClassVar[str] = "09_measuring_stability"
    title: ClassVar[str] = "measuring stability"

    preset: Preset = "quick"
    seed: Seed = 0  # of jumps, erosions and simulated raters


@dataclass(frozen=True)
class Stabilising(Recipe):
    notebook: ClassVar[str] = "10_stabilising"
    title: ClassVar[str] = "stabilising"

    preset: Preset = "quick"
    sigma: Annotated[float, Range(0.5, 10)] = 2.0  # frames
    steps: Steps = 30
    seeds: Annotated[int, Range(1, 20)] = 2  # how often each row is trained
    seed: Seed = 3  # the room that is looked at closely


@dataclass(frozen=True)
class ConsistencyExplorer(Recipe):
    notebook: ClassVar[str] = "11_consistency_explorer"
    title: ClassVar[str] = "consistency explorer"

    source: Literal["rooms", "sevenscenes", "icl"] = "rooms"
    preset: Preset = "quick"
    motion: Literal["handheld", "dolly"] = "handheld"  # of the camera in rooms
    gap: Annotated[int, Range(1, 8)] = 1
    measure: Literal["disagreement", "soft disagreement", "logits L1", "Eq. 1", "E_pair", "1 - TC"] = "disagreement"


@dataclass(frozen=True)
class RealVideo(Recipe):
    notebook: ClassVar[str] = "12_real_video"
    title: ClassVar[str] = "real video"

    source: Literal["rooms", "camvid"] = "rooms"
    steps: Steps = 300
    seed: Seed = 0
    film_path: str = ""  # a film of one's own
    model: str = "rooms_fpn"  # that labels it

    def slices(self) -> tuple[str, ...]:
        return ("camvid_1hz", "camvid_15hz") if self.source == "camvid" else ()


RECIPES: dict[str, type[Recipe]] = {
    recipe.notebook: recipe
    for recipe in (
        StartHere,
        Data,
        GeometryAndWarping,
        SelfSupervisedDepth,
        LogitsConsistency,
        LabelEfficiency,
        RareClasses,
        ContrastiveConsistency,
        DepthEdges,
        MeasuringStability,
        Stabilising,
        ConsistencyExplorer,
        RealVideo,
    )
}


def recipe_of(notebook: str) -> type[Recipe]:
    """The recipe of a notebook, by its name, the beginning of its name (`02`), or its file."""
    wanted = notebook.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".ipynb")
    found = [name for name in RECIPES if wanted and name.startswith(wanted)]
    if len(found) != 1:
        raise InputError(f"no single notebook is called {notebook!r}; there are {', '.join(RECIPES)}")
    return RECIPES[found[0]]


def defaults(recipe: type[Recipe]) -> dict[str, Scalar]:
    without = [f.name for f in fields(recipe) if f.default is MISSING]
    assert not without, f"{recipe.__name__}: every parameter needs a default, {without} have none"
    return {f.name: f.default for f in fields(recipe)}  # type: ignore[misc]  # MISSING was ruled out


def describe(recipe: type[Recipe]) -> dict[str, str]:
    """The legal values of each parameter, in words."""
    return {f.name: f"{_legal(_type(recipe, f))} (default {f.default})" for f in fields(recipe)}


def parse(recipe: type[Recipe], pairs: Sequence[tuple[str, str]]) -> Recipe:
    """The recipe that `-p name value` pairs ask for; a later pair wins over an earlier one of the same name."""
    known = {f.name: f for f in fields(recipe)}
    values: dict[str, Scalar] = {}
    for name, text in pairs:
        if name not in known:
            legal = "".join(f"\n  {key}: {words}" for key, words in describe(recipe).items())
            raise InputError(f"notebook {recipe.notebook} has no parameter {name!r}; it has{legal}")
        values[name] = _read(recipe, name, text)
    return recipe(**values)


def as_json(recipe: Recipe) -> dict[str, Any]:
    return {"notebook": recipe.notebook, "parameters": asdict(recipe)}


def check_value(recipe: type[Recipe], name: str, value: object) -> None:
    """Raise unless `value` has the exact type, and lies among the legal values, of the field `name`."""
    kind = _type(recipe, next(f for f in fields(recipe) if f.name == name))
    if get_origin(kind) is Literal:
        legal = value in get_args(kind)
    else:
        plain, limits = _split(kind)
        # A bool is an int to Python, not to a reader of recipes.
        legal = type(value) is plain or (plain is float and type(value) is int)
        if isinstance(value, int | float):
            legal = legal and math.isfinite(value) and (limits is None or limits.low <= value <= limits.high)
    if not legal:
        raise InputError(f"parameter {name} of notebook {recipe.notebook} must be {_legal(kind)}, got {value!r}")


def _type(recipe: type[Recipe], field: Field[Any]) -> Any:
    return get_type_hints(recipe, include_extras=True)[field.name]


def _split(kind: Any) -> tuple[type, Range | None]:
    if get_origin(kind) is Annotated:
        plain, *notes = get_args(kind)
        return plain, next((note for note in notes if isinstance(note, Range)), None)
    return kind, None


def _legal(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    plain, limits = _split(kind)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[plain]
    return words if limits is None else f"{words} from {limits.low:g} to {limits.high:.10g}"


def _read(recipe: type[Recipe], name: str, text: str) -> Scalar:
    """The text of the command line as a value of the field's type; `check_value` refuses what cannot be read."""
    kind = _type(recipe, next(f for f in fields(recipe) if f.name == name))
    if get_origin(kind) is Literal:
        value: Scalar = next((choice for choice in get_args(kind) if str(choice) == text), text)
    else:
        plain, _ = _split(kind)
        try:
            value = {"true": True, "false": False}.get(text.lower(), text) if plain is bool else plain(text)
        except ValueError:
            value = text
    check_value(recipe, name, value)
    return value
