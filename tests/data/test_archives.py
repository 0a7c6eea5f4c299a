"""Archives never write outside their folder, and unpack whole or not at all."""

import contextlib
import errno
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stc_lab.data.archives import unpack, unpacked
from stc_lab.errors import InputError

FILES = {"a.txt": b"first", "deep/er/b.png": bytes(range(256)) * 9, "deep/empty": b""}


def write_zip(path: Path, files: dict[str, bytes], *, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], **fields: object) -> Path:
    compression = {".gz": "gz", ".xz": "xz", ".bz2": "bz2"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]  # a mode built here
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))
    return path


WRITERS = {"x.zip": write_zip, "x.tar": write_tar, "x.tar.gz": write_tar, "x.tar.xz": write_tar, "x.tar.bz2": write_tar}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_files_come_out_as_they_went_in(tmp_path: Path, name: str) -> None:
    folder = unpack(WRITERS[name](tmp_path / name, FILES), tmp_path / "out")
    assert folder == tmp_path / "out"
    assert everything(folder) == FILES


EVIL = ("../out.txt", "/etc/out.txt", "a/../../out.txt", "..", "", "C:/out.txt", "c:out.txt", "..\\out.txt", "a\\..\\x")


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("name", EVIL)
def test_names_that_lead_out_are_refused(tmp_path: Path, write, name: str) -> None:
    (tmp_path / "inner").mkdir()
    archive = write(tmp_path / "x", {"good.txt": b"1", name: b"2"})
    before = everything(tmp_path)
    with pytest.raises(InputError, match="has the member"):
        unpack(archive, tmp_path / "inner" / "out")
    assert everything(tmp_path) == before
    assert not list((tmp_path / "inner").iterdir())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.sampled_from("./\\:a~\n"), min_size=1, max_size=8), kind=st.sampled_from(["zip", "tar"]))
def test_no_name_at_all_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str, kind: str) -> None:
    place = tmp_path_factory.mktemp("place")
    archive = {"zip": write_zip, "tar": write_tar}[kind](place / "x", {name: b"2"})
    with contextlib.suppress(InputError):
        unpack(archive, place / "inner" / "out")
    outside = {path for path in place.rglob("*") if path.is_file()} - {archive}
    assert all(place / "inner" / "out" in path.parents for path in outside)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, kind: int) -> None:
    archive = write_zip(tmp_path / "x.zip", {"link": b"/etc/passwd"}, mode=kind | 0o777)
    with pytest.raises(InputError, match="'link', a link or device"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = write_tar(tmp_path / "x.tar", {"link": b""}, type=kind, linkname="/etc")
    with pytest.raises(InputError, match="'link', a link or device"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_bombs_are_defused(tmp_path: Path, write) -> None:
    archive = write(tmp_path / "x.gz", {"zeros": bytes(5_000_000)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(InputError, match="more than 1,000,000 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=1_000_000)
    many = write(tmp_path / "many", {str(i): b"1" for i in range(20)})
    with pytest.raises(InputError, match="or 10 files"):
        unpack(many, tmp_path / "out", max_files=10)
    assert not (tmp_path / "out").exists()


def test_the_folder_itself_may_be_a_member(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"1")
    with tarfile.open(archive, "w") as packed:
        packed.add(tmp_path / "in", ".")
    assert everything(unpack(archive, tmp_path / "out")) == {"a": b"1"}


def test_many_empty_files_are_counted_too(tmp_path: Path) -> None:
    many = write_zip(tmp_path / "many", {f"{i}{'/' * (i % 2)}": b"" for i in range(20)})
    with pytest.raises(InputError, match="or 10 files"):
        unpack(many, tmp_path / "out", max_files=10)


def test_sizes_are_not_taken_on_trust(tmp_path: Path) -> None:
    """A zip that says its member has 10 bytes and holds a million."""
    archive = write_zip(tmp_path / "x.zip", {"zeros": bytes(1_000_000)})
    data = archive.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_member_twice_is_refused(tmp_path: Path, write) -> None:
    archive = write(tmp_path / "x", {"a": b"1", "./a": b"2"})
    with pytest.raises(InputError, match="has a member twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.xz"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_damaged_archives_are_named(tmp_path: Path, name: str, share: float) -> None:
    archive = WRITERS[name](tmp_path / name, {"noise": os.urandom(5000)})
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"{name}.*(cannot be unpacked|neither a zip nor a tar)"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as plain:
        plain.writestr("a", b"0123456789" * 100)
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"0123456789", b"0123456_89", 1))
    with pytest.raises(InputError, match="cannot be unpacked: Bad CRC"):
        unpack(archive, tmp_path / "out")


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        unpack(write_zip(tmp_path / "x.zip", FILES), tmp_path / "out")
    with pytest.raises(InputError, match="is missing"):
        unpack(tmp_path / "no.zip", tmp_path / "other")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "x.zip", FILES)
    opened = Path.open

    def full(path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode == "xb" and path.name == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InputError, match="disk or your quota is full; nothing half-written"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_unpacked_once_and_anew_when_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "cache"))
    archive = write_zip(tmp_path / "x.zip", FILES)
    first = unpacked(archive)
    assert everything(first) == FILES
    stamp = (first / "a.txt").stat().st_mtime_ns
    assert unpacked(archive) == first and (first / "a.txt").stat().st_mtime_ns == stamp
    write_zip(archive, {"a.txt": b"another"})
    assert everything(unpacked(archive)) == {"a.txt": b"another"}
    archive.unlink()
    with pytest.raises(InputError, match="is missing"):
        unpacked(archive)
