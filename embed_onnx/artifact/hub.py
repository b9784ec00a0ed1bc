"""Repositories of a model hub, through the hub's own client; each failure is a sentence with the way out.

The client reads HF_TOKEN, HF_ENDPOINT (a mirror), HF_HOME (its cache), HF_HUB_OFFLINE and HTTPS_PROXY. A
download that breaks off leaves whole files there; the client resumes others at once or by the next run.
"""

import contextlib
import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from embed_onnx.errors import HubError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REASONS: dict[type[Exception], str] = {
    GatedRepoError: "it is gated; accept its terms at {hub}/{repo}, and set HF_TOKEN to a token of "
    "that account",
    RepositoryNotFoundError: "{hub} has no such repository, or it is private; check its name, and set "
    "HF_TOKEN to a token that may use it",
    RevisionNotFoundError: "{repo} has no such revision; write a branch, a tag or a commit after @",
    HFValidationError: "that is not the name of a repository; write OWNER/NAME",
}
"""What failures mean; the first that fits, as some are kinds of others."""


def download(
    repo: str, revision: str | None, *, patterns: Sequence[str], ignored: Sequence[str] = ()
) -> Path:
    """The folder in the local cache that has the files of a repository; downloaded, where it lacks some.

    The folder's name is the commit.

    Raises:
        HubError: The repository cannot be downloaded.
    """
    name = repo if revision is None else f"{repo}@{revision}"
    with _explained(name, repo, "downloaded"):
        folder = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(ignored)
        )
    return Path(folder)


def upload(folder: Path, repo: str, revision: str | None, *, names: Sequence[str]) -> str:
    """Commit files of a folder to a repository, which is created, private, where there is none; its address.

    Raises:
        HubError: They cannot be uploaded.
    """
    with _explained(repo, repo, "uploaded"):
        api = huggingface_hub.HfApi()
        api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, allow_patterns=list(names))
    return f"{constants.ENDPOINT}/{repo}"


@contextlib.contextmanager
def _explained(name: str, repo: str, verb: str) -> Iterator[None]:
    """Turn whatever the client and the libraries below it raise into a sentence."""
    try:
        yield
    except Exception as err:
        raise HubError(_sentence(err, name, repo, verb)) from err


def _sentence(err: Exception, name: str, repo: str, verb: str) -> str:
    if isinstance(err, OSError) and err.errno in FULL:
        return (
            f"{name} cannot be {verb} to {constants.HF_HUB_CACHE}: {err}; make room there, or choose another "
            "place with HF_HOME"
        )
    if constants.HF_HUB_OFFLINE and isinstance(err, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
        return (
            f"{name} is not in the local cache, and HF_HUB_OFFLINE keeps to that; unset it, or save the "
            "model to a folder elsewhere and list ./FOLDER"
        )
    cause = err.__cause__ if isinstance(err, LocalEntryNotFoundError) and err.__cause__ else err
    for kind, reason in REASONS.items():
        if isinstance(cause, kind):
            return f"{name} cannot be {verb}: " + reason.format(repo=repo, hub=constants.ENDPOINT)
    return (
        f"{name} cannot be {verb}: {type(cause).__name__}, {_first_line(cause)}; check that "
        f"{constants.ENDPOINT} can be reached from here (HF_ENDPOINT, HTTPS_PROXY), and run it again, which "
        "keeps what is there"
    )


def _first_line(err: BaseException) -> str:
    """Libraries explain at length; the first sentence says what is wrong."""
    return re.split(r"\n|(?<=\.) ", str(err).strip())[0].rstrip(".")
