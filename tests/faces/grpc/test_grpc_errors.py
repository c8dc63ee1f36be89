"""What errors of a call become for whoever called: ours by their reasons, those of others by their codes."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from inspector.errors import LimitError, NotFoundError, RunError, StoppedError
from inspector.faces.grpc.errors import DOMAIN, UnreachableError, error_from_call, status_of


class Failed(grpc.RpcError):
    """A call that failed, as stubs raise it."""

    def __init__(self, code: grpc.StatusCode, status: status_pb2.Status | None = None) -> None:
        self._code, self._status = code, status

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._status.message if self._status else "what gRPC says"

    def trailing_metadata(self):
        return (("grpc-status-details-bin", self._status.SerializeToString()),) if self._status else ()


def test_an_error_of_ours_comes_back_as_it_was():
    error = NotFoundError("model 'a'", "there is none", remedy="Look.")
    back = error_from_call(Failed(grpc.StatusCode.NOT_FOUND, status_of(error)), "here")
    assert (type(back), str(back)) == (NotFoundError, str(error))


@pytest.mark.parametrize(
    ("subject", "kind", "name"),
    [
        ("model 'digits'", "model", "digits"),
        ("""layer "it's" """.strip(), "layer", "it's"),
        ("source 'caf\\xe9'", "source", "caf\xe9"),
        ("layer 'a' of 'b'", "layer", "'a' of 'b'"),
        ("preprocess preset 'x'", "preprocess preset", "x"),
        ("/x.onnx", "/x.onnx", ""),
    ],
)
def test_what_was_not_found_is_named_without_quotes(subject, kind, name):
    resource = error_details_pb2.ResourceInfo()
    status = status_of(NotFoundError(subject, "there is none"))
    assert any(detail.Unpack(resource) for detail in status.details)
    assert (resource.resource_type, resource.resource_name) == (kind, name)


@pytest.mark.parametrize(("domain", "reason"), [("proxy.example", "NOT_FOUND"), (DOMAIN, "OF_A_LATER_VERSION")])
def test_an_error_of_somebody_else_is_none_of_ours_whatever_its_reason(domain, reason):
    status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="no such route")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    error = error_from_call(Failed(grpc.StatusCode.NOT_FOUND, status), "here")
    assert (type(error), str(error)) == (RunError, "server here: no such route; found NOT_FOUND.")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, StoppedError),
        (grpc.StatusCode.CANCELLED, StoppedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, LimitError),
        (grpc.StatusCode.UNAVAILABLE, UnreachableError),
        (grpc.StatusCode.UNKNOWN, RunError),
    ],
)
def test_what_grpc_itself_says_is_told_by_its_code(code, kind):
    error = error_from_call(Failed(code), "here")
    assert type(error) is kind
    assert "server here: what gRPC says" in str(error)
