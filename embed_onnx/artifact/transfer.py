"""Artifacts that travel: from a repository on a hub, a folder or the address of a tar, and to them.

A manifest says which files an artifact has and the sha256 of each. Nothing else is copied, nothing is
executed, and what was copied takes its place when all of it is there and is what the manifest says.
"""

import contextlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from embed_onnx import files
from embed_onnx.artifact import download, manifest, place
from embed_onnx.artifact.manifest import MANIFEST, Manifest, is_name
from embed_onnx.errors import ArtifactError, SetupError

MANIFEST_BYTES = 16_777_216
"""More than any manifest has."""
TAR = ".tar"


def pull(source: str, artifacts: Path, name: str | None = None) -> Path:
    """Copy an artifact into the folder of artifacts, under its own name or another; says where.

    Pulls, and exports to the same place, take turns; one that is killed leaves nothing that is served.

    Raises:
        ArtifactError: The source has no artifact, or not a whole one of a format that this version reads.
        SetupError: The source cannot be reached, or something else is in the artifact's place.
    """
    with _opened(source, artifacts) as folder:
        described = manifest.read(folder)
        target = artifacts / (name or described.name)
        _check_target(target)
        with files.replacing_folder(target, place.workspace(target)) as new:
            _copy(described, folder, new)
    return target


def push(name: str, destination: str, artifacts: Path) -> str:
    """Copy an artifact to a new tar, a folder or a repository; says how to pull it from there.

    Raises:
        ArtifactError: The artifact is absent or damaged.
        SetupError: The destination is taken, or cannot be reached.
    """
    folder = artifacts / name
    described = manifest.read(folder)
    manifest.verify(described, folder)
    if not _is_path(destination):
        from embed_onnx.artifact import hub  # noqa: PLC0415 - it needs the hub's client

        repo, revision = _repository(destination)
        hub.upload(folder, repo, revision, names=_names(described))
        return destination
    target = Path(destination).expanduser()
    if target.suffix == TAR:
        _write_tar(described, folder, target)
        return f"https://HOST/{target.name}{download.DIGEST}{manifest.sha256(target)}"
    _check_target(target)
    with files.replacing_folder(target, place.workspace(target)) as new:
        _copy(described, folder, new)
    return str(target)


@contextlib.contextmanager
def _opened(source: str, artifacts: Path) -> Iterator[Path]:
    """A folder that holds what the source has, of the files that its manifest names."""
    if download.is_address(source):
        with download.fetched(source, artifacts) as tar:
            folder = tar.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)  # a pull that was killed may have left it
            folder.mkdir()
            try:
                _unpack(tar, folder, source)
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    elif _is_path(source):
        yield Path(source).expanduser()
    else:
        from embed_onnx.artifact import hub  # noqa: PLC0415 - it needs the hub's client

        repo, revision = _repository(source)
        folder = hub.download(repo, revision, patterns=[MANIFEST])
        yield hub.download(repo, folder.name, patterns=_names(manifest.read(folder)))


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~"))


def _repository(text: str) -> tuple[str, str | None]:
    repo, at, revision = text.partition("@")
    if not is_name(repo) or repo.count("/") != 1 or (at and not revision):
        raise SetupError(
            f"{text!r} is none of OWNER/NAME, OWNER/NAME@REVISION, ./FOLDER, ./FILE.tar and "
            f"https://HOST/FILE.tar{download.DIGEST}HEX"
        )
    return repo, revision or None


def _check_target(target: Path) -> None:
    """Make sure that what is replaced is an artifact."""
    if fault := place.fault(target):
        raise SetupError(f"{fault}; move it away, or choose another name")


def _names(described: Manifest) -> list[str]:
    """The files of an artifact."""
    return sorted({*described.sha256, MANIFEST})


def _copy(described: Manifest, folder: Path, new: Path) -> None:
    for name in _names(described):
        try:
            shutil.copyfile(folder / name, new / name)
        except FileNotFoundError:
            raise ArtifactError(f"{folder} lacks {name}, which its manifest names; get it again") from None
    manifest.verify(manifest.read(new), new)


def _unpack(tar: Path, folder: Path, source: str) -> None:
    """Write the files of an artifact that a tar holds: plain files without folders, each once.

    Raises:
        ArtifactError: It holds anything else, or no manifest.
    """
    try:
        with tarfile.open(tar, "r:") as archive:
            members = _members(archive, source)
            _extract(archive, members, MANIFEST, folder, source)
            for name in _names(manifest.read(folder)):
                if name != MANIFEST:
                    _extract(archive, members, name, folder, source)
    except tarfile.TarError as err:
        raise ArtifactError(f"{source} is not a tar without compression: {err}; pack it with push") from None


def _members(archive: tarfile.TarFile, source: str) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        name = member.name.removeprefix("./")
        if member.isdir() and name in {"", "."}:
            continue
        if not member.isreg() or member.issparse() or "/" in name or name.startswith("."):
            raise ArtifactError(
                f"{source} holds {member.name!r}, which is not a plain file beside the manifest; pack it "
                "with push"
            )
        if name in members:
            raise ArtifactError(f"{source} holds {name!r} twice; pack it with push")
        members[name] = member
    return members


def _extract(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str, folder: Path, source: str
) -> None:
    member = members.get(name)
    content = archive.extractfile(member) if member is not None else None
    if member is None or content is None:
        raise ArtifactError(f"{source} lacks {name}, so it is not a whole artifact; pack it with push")
    if name == MANIFEST and member.size > MANIFEST_BYTES:
        raise ArtifactError(f"{source} has a {MANIFEST} of {member.size} bytes, which is too large for one")
    with content, (folder / name).open("wb") as file:
        shutil.copyfileobj(content, file)


def _write_tar(described: Manifest, folder: Path, target: Path) -> None:
    """Write a tar that is the same for the same artifact, in one step."""
    if target.exists():
        raise SetupError(f"{target} exists; choose another file, or remove it first")
    unfinished = target.with_name(f".{target.name}-unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in _names(described):
            member = tarfile.TarInfo(name)
            member.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as content:
                archive.addfile(member, content)
    unfinished.replace(target)
