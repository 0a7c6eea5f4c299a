"""The folder of a data set as an adapter sees it: what was looked at is remembered, so that a change is noticed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from stc_lab.errors import InputError

Seen = dict[str, list[int] | None]  # path within root -> [mtime in ns, bytes or -1 of a folder]; None: not there
_SETTLED = 2_000_000_000  # ns: a file system's clock may tick once in 2 s (FAT); a change within a tick leaves no trace

P = ParamSpec("P")
T = TypeVar("T")


class Tree:
    """Lists folders and names files of `root`; paths are relative to it, with `/`.

    An index of the data set is good for as long as nothing that was listed or named here has changed. Files of single
    frames need not be named here: they are looked up in listings and opened when their frame is read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[InputError] = []
        self.seen: Seen = {}
        self._began = time.time_ns()

    @property
    def settled(self) -> bool:
        """Whether all that was seen is older than a tick of the file system's clock, so that changes show."""
        return all(stamp is None or stamp[0] < self._began - _SETTLED for stamp in self.seen.values())

    def file(self, path: str) -> Path:
        """The full path of a file that the adapter is going to read, whether it is there or not."""
        self._note(path)
        return self.root / path

    def has_folder(self, folder: str) -> bool:
        self._note(folder)
        return (self.root / folder).is_dir()

    def names(self, folder: str = "", *, suffix: str | tuple[str, ...] = "") -> list[str]:
        """Sorted names of the files of a folder that end with `suffix`, without hidden ones."""
        return sorted(e.name for e in self._listed(folder) if e.name.endswith(suffix) and not e.is_dir())

    def folders(self, folder: str = "") -> list[str]:
        """Sorted names of the folders in a folder, without hidden ones."""
        return sorted(e.name for e in self._listed(folder) if e.is_dir())

    def numbered(self, folder: str, *, prefix: str = "", suffix: str | tuple[str, ...] = "") -> dict[int, str]:
        """Names `<prefix><digits><suffix>` of the files of a folder, by number, rising; other files are left out."""
        ends = (suffix,) if isinstance(suffix, str) else suffix
        found: dict[int, str] = {}
        for name in self.names(folder, suffix=suffix):
            end = next(end for end in ends if name.endswith(end))
            digits = name[len(prefix) : len(name) - len(end)]
            if name.startswith(prefix) and digits.isascii() and digits.isdigit():
                number = int(digits)
                if number in found:
                    raise InputError(
                        f"{self.root / folder} has number {number} twice: {found[number]}, {name}",
                        hint="one frame in two formats, or with and without leading zeros",
                    )
                found[number] = name
        return dict(sorted(found.items()))

    def attempt(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `read` returns, or None and a note of the problem if it raises InputError.

        `load` refuses a data set with problems and names the first; `stc-lab data check` names them all.
        """
        try:
            return read(*args, **kwargs)
        except InputError as error:
            self.problems.append(error)
            return None

    def _listed(self, folder: str) -> list["os.DirEntry[str]"]:
        self._note(folder)
        try:
            with os.scandir(self.root / folder) as entries:
                return [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError as error:
            raise InputError(
                f"folder {self.root / folder} is missing",
                hint="an archive that was not unpacked, or a root that is not the folder of its data card",
            ) from error
        except NotADirectoryError as error:
            raise InputError(f"{self.root / folder} is a file where a folder is needed") from error

    def _note(self, path: str) -> None:
        if path not in self.seen:  # the first look counts: what comes later may not have been read
            self.seen[path] = _stamp(self.root / path)


def unchanged(root: Path, seen: Seen) -> bool:
    """Whether all that a tree saw is still as it was."""
    return all(_stamp(root / path) == stamp for path, stamp in seen.items())


def _stamp(path: Path) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, -1 if path.is_dir() else found.st_size]
