"""A checkpoint's folder as links in another folder, so that some of its files can be others."""

import shutil
from pathlib import Path


def link_files(folder: Path, mirror: Path) -> None:
    """Make a new folder, in which every file of ``folder`` is a link to that file."""
    shutil.copytree(folder, mirror, copy_function=_link)


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).resolve())
