"""Archives of data sets, unpacked into a folder of their own and nowhere else."""

import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from stc_lab.data.cache import atomic_folder, build_once, cache_root
from stc_lab.errors import InputError

MAX_BYTES = 200 * 10**9  # unpacked; the largest archive of a data set that the kit reads has some 100 GB
MAX_FILES = 5_000_000
_PIECE = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> Path:
    """Unpack a zip or tar file into `folder`, which must not exist yet; it comes there whole or not at all.

    Refused are names that lead out of the folder (absolute, with `..`, a drive or a backslash), links, devices,
    encrypted and repeated members, and archives that unpack to more than `max_bytes` or `max_files`: what counts is
    what is written, not what the archive says of itself. Permissions and owners are not taken over.
    """
    if not archive.is_file():
        raise InputError(f"archive {archive} is missing", hint="a typing error, or a download that was moved")
    with atomic_folder(folder) as partial, _readable(archive):
        written = 0
        for files, (name, content) in enumerate(_members(archive), start=1):
            path = partial / _safe(archive, name)
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    while written <= max_bytes and (piece := content.read(_PIECE)):
                        written += target.write(piece)
            if written > max_bytes or files > max_files:
                raise InputError(
                    f"archive {archive} unpacks to more than {max_bytes:,} bytes or {max_files:,} files",
                    hint="an archive made to harm, or not the one of the data set",
                )
    return folder


def unpacked(archive: Path) -> Path:
    """The folder in the cache into which an archive was unpacked; done once, and anew when the archive has changed."""
    try:
        found = archive.stat()
    except OSError as error:
        raise InputError(
            f"archive {archive} is missing", hint="a typing error, or a download that was moved"
        ) from error
    facts = f"{archive.absolute()}\0{found.st_size}\0{found.st_mtime_ns}"
    folder = cache_root() / "archives" / f"{archive.stem}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    return build_once(folder, lambda partial: _into(archive, partial)) / "content"


def _into(archive: Path, partial: Path) -> None:
    unpack(archive, partial / "content")


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each file, None for a folder; anything else is refused."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _refused(archive, entry.filename, "a link or device")
                if entry.flag_bits & 1:
                    raise _refused(archive, entry.filename, "encrypted")
                if not entry.filename or entry.is_dir():
                    yield entry.filename, None
                else:
                    with zipped.open(entry) as unzipped:
                        yield entry.filename, unzipped
        return
    with ExitStack() as stack:
        try:
            packed = stack.enter_context(tarfile.open(archive, "r:*"))
        except tarfile.ReadError as error:
            raise InputError(
                f"{archive} is neither a zip nor a tar archive: {error}", hint="a damaged download"
            ) from error
        for member in packed:
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "a link or device")
            content = packed.extractfile(member)
            yield member.name, None if member.isdir() else content


def _safe(archive: Path, name: str) -> Path:
    """The name as a path that stays where it is put."""
    parts = PurePosixPath(name).parts  # none for "./", the folder itself
    odd = not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name
    if odd or (parts and ":" in parts[0]):
        raise _refused(archive, name, "a path that leads out of the folder")
    return Path(*parts)


def _refused(archive: Path, name: str, what: str) -> InputError:
    return InputError(
        f"archive {archive} has the member {name!r}, {what}", hint="an archive made to harm: do not use it"
    )


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"archive {archive} has a member twice: {error.filename}", hint="a damaged archive") from error
    except (*_DAMAGED, NotImplementedError) as error:
        raise InputError(
            f"archive {archive} ({archive.stat().st_size} bytes) cannot be unpacked: {error}",
            hint="a download that was cut short: fetch it again",
        ) from error
