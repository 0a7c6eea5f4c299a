"""Which rooms, seen how: all that determines the frames, as plain scalars with presets."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from stc_lab.data.rooms import tracking
from stc_lab.data.rooms.build import EXCEPTIONS, GLOSS, MICRO_CONTRAST
from stc_lab.data.rooms.paths import PATHS
from stc_lab.data.rooms.sensor import AUTO_EXPOSURE, Sensor
from stc_lab.data.rooms.staging import MOST_MOVERS
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

# Seed of the first room of each split; no room is in two splits. The first rooms of `val` and `test` are where they are
# because all classes show in the few rooms of `quick` from there on, which is a choice by labels and by no result.
FIRST_SEED = {"train": 0, "val": 1_000_059, "test": 2_000_127}
SPLITS = tuple(FIRST_SEED)
MOST_SCENES = 900_000
FRAME_RATE = 10.0  # Hz
_FIELD_OF_VIEW = {"dolly": 50.0, "handheld": 72.0, "tracking": tracking.FIELD_OF_VIEW}  # degrees
_MEMORY = {"dolly": 0.0, "handheld": 0.9, "tracking": 0.9}  # a dolly's exposure jumps, a walker's drifts
_CLUTTER = {"dolly": 0, "handheld": 0, "tracking": 5}
_SOURCES = ("data/rooms", "geometry/camera.py", "geometry/pose.py", "geometry/path.py")  # what determines the frames


@dataclass(frozen=True)
class RoomsConfig:
    """A set of rooms videos; the defaults are the world of the studies, with `quick`'s number of scenes."""

    train_scenes: int = 32
    val_scenes: int = 8
    test_scenes: int = 12
    frames: int = 24  # of each scene, at 10 Hz
    height: int = 64
    width: int = 96
    motion: str = "dolly"  # dolly swings between near and far; handheld walks and looks around; tracking passes by
    speed: float = 1.0  # of the camera along its path, from the first pose on; 0: it stands still there
    fov: float | None = None  # degrees, horizontal; None: 50 for dolly, 72 for handheld and tracking
    clutter: int | None = None  # pieces in the middle of the room, where there is space; None: 0, for tracking 5
    moving_objects: int = 0  # things that move by themselves, in view where they can be
    exceptions: float = EXCEPTIONS  # share of furniture in a colour that is not typical of its class
    texture: float = 1.0  # contrast of all that is drawn on surfaces; 0: plain colours, as from far away
    micro_contrast: float = MICRO_CONTRAST  # of the texture that tells classes apart near by
    gloss: float = GLOSS  # strength of highlights, which move with the camera
    shadows: bool = True
    supersample: int = 1  # rays per pixel and axis, for the colour
    auto_exposure: float = AUTO_EXPOSURE  # share of a frame's lack or excess of light that the camera makes up for
    dial: float = 0.3  # strength of all sensor faults: 0 clean, 1 strongest
    noise: float | None = None  # each fault alone, see Sensor; None: as the dial says
    exposure: float | None = None
    white_balance: float | None = None
    contrast: float | None = None
    shading: float | None = None
    blur: float | None = None
    memory: float | None = None  # None: 0 for dolly, 0.9 for handheld and tracking
    motion_blur: float = 0.0  # share of the frame interval that the shutter is open for, about the frame's own time
    motion_blur_samples: int = 7  # odd: moments that the exposure is the mean of; each costs a rendering

    def __post_init__(self) -> None:
        if self.motion not in PATHS:
            raise InputError(f"motion must be one of {', '.join(PATHS)}, got {self.motion!r}")
        for name, low, high in (
            *((f"{split}_scenes", 1, MOST_SCENES) for split in SPLITS),
            ("frames", 1, 100_000),
            ("height", 8, 4096),
            ("width", 8, 4096),
            ("exceptions", 0, 1),
            ("speed", 0, 1),
            ("texture", 0, 1),
            ("micro_contrast", 0, 1),
            ("gloss", 0, 10),
            ("supersample", 1, 8),
            ("auto_exposure", 0, 1),
            ("dial", 0, 10),
            ("clutter", 0, 20),
            ("moving_objects", 0, MOST_MOVERS),
            ("motion_blur", 0, 1),
            ("motion_blur_samples", 3, 63),
        ):
            value = getattr(self, name)
            if value is None and name == "clutter":
                continue
            whole = {field.name: field.type for field in fields(self)}[name] in (int, int | None)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise InputError(f"{name} must be {'a whole number' if whole else 'a number'}, got {value!r}")
            if not low <= value <= high:
                raise InputError(f"{name} must be between {low} and {high}, got {value}")
        if self.motion_blur_samples % 2 == 0:
            raise InputError(
                f"motion_blur_samples must be odd, got {self.motion_blur_samples}",
                hint="one of them is the frame's own time, with as many before as after it",
            )
        self.camera()
        self.sensor()

    def scenes(self, split: str) -> int:
        """Number of scenes of a split."""
        if split not in SPLITS:
            raise InputError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        return int(getattr(self, f"{split}_scenes"))

    def camera(self) -> Camera:
        fov = _FIELD_OF_VIEW[self.motion] if self.fov is None else self.fov
        return Camera.from_fov(self.height, self.width, fov)

    def pieces(self) -> int:
        """How many pieces to stand in the middle of the room."""
        return _CLUTTER[self.motion] if self.clutter is None else self.clutter

    def sensor(self) -> Sensor:
        """The sensor at `dial`, with the knobs that are set in their own right."""
        knobs = {field.name: getattr(self, field.name) for field in fields(Sensor)}
        sensor = replace(Sensor(), memory=_MEMORY[self.motion]).scaled(self.dial)
        return replace(sensor, **{name: value for name, value in knobs.items() if value is not None})

    def digest(self) -> str:
        """Name of the frames: changes with the configuration and the rendering code, not with the number of scenes."""
        settings = {k: v for k, v in asdict(self).items() if not k.endswith("_scenes")}
        text = json.dumps(settings, sort_keys=True)
        package = Path(__file__).parents[2]
        for source in _SOURCES:
            files = sorted((package / source).glob("*.py")) if (package / source).is_dir() else [package / source]
            text += "".join(f"\n{file.name}\n{file.read_text(encoding='utf-8')}" for file in files)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


PRESETS: dict[str, RoomsConfig] = {
    "tiny": RoomsConfig(train_scenes=3, val_scenes=2, test_scenes=2, frames=10, height=32, width=48),
    "quick": RoomsConfig(),
    "full": RoomsConfig(train_scenes=200, val_scenes=24, test_scenes=30),
    "hd": RoomsConfig(height=240, width=320),
}
