"""The 21 classes of the rooms, and the finish that tells their surfaces apart from near by."""

from dataclasses import dataclass
from enum import IntEnum


class Label(IntEnum):
    """Class ids; BACKGROUND is the class of small things without a name of their own (bins, vases, radiators)."""

    BACKGROUND = 0
    WALL = 1
    FLOOR = 2
    CEILING = 3
    BED = 4
    SOFA = 5
    CHAIR = 6
    TABLE = 7
    DESK = 8
    CABINET = 9
    BOOKSHELF = 10
    DOOR = 11
    WINDOW = 12
    CURTAIN = 13
    PICTURE = 14
    LAMP = 15
    TV = 16
    FRIDGE = 17
    RUG = 18
    PLANT = 19
    PILLOW = 20


CLASS_NAMES: tuple[str, ...] = tuple(label.name.lower() for label in Label)
NUM_CLASSES = len(CLASS_NAMES)


class Pattern(IntEnum):
    """Shape of a micro texture in the surface's own coordinates (u along, v up)."""

    NONE = 0
    ROWS = 1
    COLUMNS = 2
    CHECKS = 3
    DOTS = 4
    DIAGONALS = 5
    GRID = 6
    SPECKLE = 7
    WAVES = 8


@dataclass(frozen=True)
class Finish:
    """What all surfaces of one class have in common."""

    pattern: Pattern  # micro texture: readable near by, gone when a pixel is wider than half a period
    period: float  # m
    gloss: float  # strength of the highlight, 0 to 1


FINISH: dict[Label, Finish] = {
    Label.BACKGROUND: Finish(Pattern.NONE, 0.05, 0.2),
    Label.WALL: Finish(Pattern.SPECKLE, 0.05, 0.1),
    Label.FLOOR: Finish(Pattern.NONE, 0.05, 0.35),
    Label.CEILING: Finish(Pattern.DOTS, 0.08, 0.35),
    Label.BED: Finish(Pattern.GRID, 0.08, 0.1),
    Label.SOFA: Finish(Pattern.DIAGONALS, 0.045, 0.1),
    Label.CHAIR: Finish(Pattern.CHECKS, 0.045, 0.2),
    Label.TABLE: Finish(Pattern.WAVES, 0.045, 0.5),
    Label.DESK: Finish(Pattern.SPECKLE, 0.04, 0.4),
    Label.CABINET: Finish(Pattern.COLUMNS, 0.05, 0.5),
    Label.BOOKSHELF: Finish(Pattern.ROWS, 0.05, 0.3),
    Label.DOOR: Finish(Pattern.WAVES, 0.08, 0.5),
    Label.WINDOW: Finish(Pattern.NONE, 0.05, 0.6),
    Label.CURTAIN: Finish(Pattern.COLUMNS, 0.09, 0.1),
    Label.PICTURE: Finish(Pattern.NONE, 0.05, 0.5),
    Label.LAMP: Finish(Pattern.ROWS, 0.035, 0.3),
    Label.TV: Finish(Pattern.NONE, 0.05, 0.8),
    Label.FRIDGE: Finish(Pattern.GRID, 0.045, 0.9),
    Label.RUG: Finish(Pattern.CHECKS, 0.08, 0.1),
    Label.PLANT: Finish(Pattern.SPECKLE, 0.04, 0.2),
    Label.PILLOW: Finish(Pattern.DOTS, 0.045, 0.1),
}
