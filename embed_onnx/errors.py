"""Every failure a user can meet: its HTTP status, OpenAI type and code, and one sentence.

    EmbedError
    ├── InvalidRequest      400  invalid_request_error
    │   ├── TextTooLong     400  invalid_request_error  context_length_exceeded
    │   ├── TaskNotSupported 400 invalid_request_error  task_not_supported
    │   ├── InvalidApiKey   401  invalid_request_error  invalid_api_key
    │   ├── Forbidden       403  invalid_request_error
    │   ├── ModelNotFound   404  invalid_request_error  model_not_found
    │   ├── RequestTooSlow  408  invalid_request_error
    │   ├── BodyTooLarge    413  invalid_request_error
    │   ├── WrongMediaType  415  invalid_request_error
    │   ├── HeadersTooLarge 431  invalid_request_error
    │   └── ClientGone      499  never seen by the client; for the log and the metrics
    ├── Overloaded          429  rate_limit_error       server_overloaded
    ├── InferenceFailed     500  server_error
    ├── ReloadFailed        500  server_error           reload_failed
    └── Unavailable         503  server_error
        └── TimedOut        503  server_error           timeout
    SetupError: the process cannot start; the command line prints the sentence and exits with 1
    ├── ArtifactError       an artifact is absent, damaged, or newer than this version
    ├── ModelsFileError     a line of models.txt cannot be read
    └── HubError            a repository of a model hub cannot be downloaded or uploaded

A sentence names the value, the limit and the way out. It reaches the client as it is.
"""

import math


class EmbedError(Exception):
    """A request failed; the class says how that looks over HTTP."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.headers: dict[str, str] = {}


class InvalidRequest(EmbedError):
    """The request is wrong and stays wrong; ``param`` names the field."""

    status = 400
    type = "invalid_request_error"


class TextTooLong(InvalidRequest):
    """An input has more tokens than the model takes, and cutting it was ruled out."""

    code = "context_length_exceeded"


class TaskNotSupported(InvalidRequest):
    """The model cannot do what is requested of it, whatever the inputs."""

    code = "task_not_supported"


class InvalidApiKey(InvalidRequest):
    """The API key is missing or unknown."""

    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(InvalidRequest):
    """The API key is known, and this is not for its holder."""

    status = 403


class ModelNotFound(InvalidRequest):
    """The model is not served here."""

    status = 404
    code = "model_not_found"


class RequestTooSlow(InvalidRequest):
    """The headers or the body did not arrive in time; the connection closes."""

    status = 408

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"Connection": "close"}


class BodyTooLarge(InvalidRequest):
    """The body is larger than the server takes."""

    status = 413


class WrongMediaType(InvalidRequest):
    """The body is not declared as JSON."""

    status = 415


class HeadersTooLarge(InvalidRequest):
    """The request's line and headers are longer than the server takes; the connection closes."""

    status = 431


class ClientGone(InvalidRequest):
    """The client closed its connection before the answer; 499 is nginx's name for that."""

    status = 499


class Overloaded(EmbedError):
    """The queue is full; trying again after ``retry_after`` seconds makes sense."""

    status = 429
    type = "rate_limit_error"
    code = "server_overloaded"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}


class InferenceFailed(EmbedError):
    """A bug, or a vector that is not finite; the same request would fail again."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"x-should-retry": "false"}


class ReloadFailed(EmbedError):
    """What is listed or exported now cannot be served; what was served still is."""

    code = "reload_failed"


class Unavailable(EmbedError):
    """Models are loading, or the server is going down."""

    status = 503

    def __init__(self, message: str, *, retry_after: float = 1) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}


class TimedOut(Unavailable):
    """The request waited longer than the server lets it."""

    code = "timeout"


class SetupError(Exception):
    """The process cannot do what it was started for."""


class ArtifactError(SetupError):
    """An artifact folder is absent, damaged, or newer than this version."""


class ModelsFileError(SetupError):
    """A line of the models file cannot be read."""


class HubError(SetupError):
    """A repository of a model hub cannot be downloaded or uploaded."""
