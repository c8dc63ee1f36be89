"""Errors as google.rpc.Status, and back: the one place that knows status codes."""

from __future__ import annotations

import ast
import contextlib
import logging
import re
import secrets
from collections.abc import Iterator
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # publishes no types
from grpc_status import rpc_status

from inspector import errors
from inspector.errors import InspectorError

DOMAIN: Final = "inspector.v1"
RETRY_SECONDS: Final = 1
MAX_BYTES: Final = 400
"""Of one text. All texts of one error together stay well below 8 KiB, the limit of all trailing metadata."""

_log = logging.getLogger(__name__)


class BusyError(errors.LimitError):
    """All workers are busy and the queue is full; trying again later helps."""

    reason = "BUSY"


class NotAllowedError(InspectorError):
    """The server was started without what the request needs."""

    reason = "NOT_ALLOWED"


class ExistsError(InspectorError):
    """The name is taken."""

    reason = "ALREADY_EXISTS"


class UnreachableError(errors.RunError):
    """The server cannot be reached, or the connection broke."""

    reason = "UNREACHABLE"


class InternalError(errors.RunError):
    """Something happened that nobody foresaw; the server's log has the details."""

    reason = "INTERNAL"


_CODES: Final[dict[type[InspectorError], grpc.StatusCode]] = {
    errors.ModelError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ParameterError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SummaryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.Inapplicable: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ProviderError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LimitError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PluginError: grpc.StatusCode.INTERNAL,
    errors.RunError: grpc.StatusCode.INTERNAL,
    errors.OutputError: grpc.StatusCode.INTERNAL,
    errors.StoppedError: grpc.StatusCode.CANCELLED,
    InternalError: grpc.StatusCode.INTERNAL,
    BusyError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotAllowedError: grpc.StatusCode.PERMISSION_DENIED,
    ExistsError: grpc.StatusCode.ALREADY_EXISTS,
    UnreachableError: grpc.StatusCode.UNAVAILABLE,
}
_BY_REASON: Final = {kind.reason: kind for kind in _CODES}
_BY_CODE: Final[dict[grpc.StatusCode, type[InspectorError]]] = {
    grpc.StatusCode.CANCELLED: errors.StoppedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.StoppedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.LimitError,
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
}
"""What an error means that did not come from our server but from gRPC itself."""


def status_of(error: Exception) -> status_pb2.Status:
    """The error as a status with details.

    An error that was not raised on purpose tells the caller nothing but an id, under which the log has everything.
    """
    known = error if isinstance(error, InspectorError) else _unexpected(error)
    status = status_pb2.Status(code=code_of(known).value[0], message=short(str(known)))
    for detail in _details(known):
        status.details.add().Pack(detail)
    return status


def code_of(error: InspectorError) -> grpc.StatusCode:
    """The code of the nearest class of the error that has one."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


def _unexpected(error: Exception) -> InspectorError:
    mark = secrets.token_hex(6)
    _log.error("unexpected error %s", mark, exc_info=error)
    return InternalError("server", "something unexpected happened", remedy=f"Its log has the details under {mark}.")


def _details(error: InspectorError) -> Iterator[Message]:
    metadata = {
        "subject": error.subject,
        "problem": error.problem,
        "expected": error.expected,
        "found": error.found,
        "remedy": error.remedy,
    }
    texts = {key: short(text) for key, text in metadata.items() if text}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=texts)
    if isinstance(error, errors.ParameterError | errors.InputError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=short(error.subject), description=short(error.problem), reason=error.reason
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    elif isinstance(error, errors.NotFoundError):
        kind, name = _resource(error.subject)
        yield error_details_pb2.ResourceInfo(
            resource_type=short(kind), resource_name=short(name), description=short(error.problem)
        )
    elif isinstance(error, BusyError):
        yield error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS))


def _resource(subject: str) -> tuple[str, str]:
    """Kind and name of what was not found, from a subject such as `model 'digits'`; of another form, no name."""
    match = re.fullmatch(r"([a-z ]+) (['\"].*['\"])", subject, re.DOTALL)
    if not match:
        return subject, ""
    kind, name = match.groups()
    with contextlib.suppress(SyntaxError, ValueError):  # `'a' of 'b'` is no name
        name = str(ast.literal_eval(name))
    return kind, name


def short(text: str) -> str:
    """The text on one line, in at most `MAX_BYTES` bytes of UTF-8; cut in the middle, as both ends tell most."""
    data = " ".join(text.split()).encode("utf-8", "backslashreplace")
    if len(data) <= MAX_BYTES:
        return data.decode("utf-8")
    half = (MAX_BYTES - len(" … ".encode())) // 2
    return f"{data[:half].decode('utf-8', 'ignore')} … {data[-half:].decode('utf-8', 'ignore')}"


def error_from_call(error: grpc.RpcError, target: str) -> InspectorError:
    """The error that the server raised, as the class it had there. `target` is what to call the server."""
    call: Any = error  # what the stubs raise is an error and a call at once; no type says so
    try:
        status = rpc_status.from_call(call)
    except ValueError:  # details that contradict the status
        status = None
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info) and info.domain == DOMAIN and info.reason in _BY_REASON:
            return _rebuilt(info)
    kind = _BY_CODE.get(call.code(), errors.RunError)
    return kind(f"server {target}", str(call.details()), found=call.code().name)


def _rebuilt(info: error_details_pb2.ErrorInfo) -> InspectorError:
    texts = dict(info.metadata)
    subject, problem = texts.pop("subject", "server"), texts.pop("problem", "")
    known = {key: texts[key] for key in ("expected", "found", "remedy") if key in texts}
    return _BY_REASON[info.reason](subject, problem, **known)
