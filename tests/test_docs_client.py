"""The client in JavaScript of docs/grpc.md has the names of the protocol."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf import any_pb2

from inspector._proto.inspector.v1 import block_pb2, inspector_service_pb2, model_pb2, run_event_pb2

PAGE = Path(__file__).resolve().parent.parent / "docs" / "grpc.md"
READ = {
    "answer": inspector_service_pb2.ListModelsResponse,
    "model": model_pb2.Model,
    "event": run_event_pb2.RunEvent,
    "row": block_pb2.Row,
    "info": any_pb2.Any,
    "any": any_pb2.Any,
}
"""What the client's variables hold."""


@pytest.fixture(scope="module")
def code() -> str:
    (found,) = re.findall(r"^```js\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_client_reads_fields_that_there_are(code: str) -> None:
    ways = set(re.findall(rf"\b({'|'.join(READ)})((?:\.\w+)+)(?: === \"(\w+)\")?", code))
    assert {variable for variable, _, _ in ways} == set(READ)
    for variable, way, value in ways:
        kind, oneof = READ[variable].DESCRIPTOR, ""
        for step in way[1:].split("."):
            if step in ("map", "endsWith"):  # of JavaScript
                break
            assert step in {*kind.fields_by_name, *kind.oneofs_by_name}, f"{variable}{way}"
            if step in kind.oneofs_by_name:
                oneof = step
                break
            kind = kind.fields_by_name[step].message_type
        assert not value or value in {field.name for field in kind.oneofs_by_name[oneof].fields}, f"{variable}{way}"
    assert {value for _, _, value in ways} == {"", "progress", "finding", "block", "table", "end"}


def test_the_client_sends_fields_that_there_are(code: str) -> None:
    service = inspector_service_pb2.DESCRIPTOR.services_by_name["InspectorService"]
    assert set(re.findall(r"client\.(\w+)\(", code)) == {"ListModels", "Audit"} <= set(service.methods_by_name)
    assert "client.ListModels({ page_size:" in code
    assert "page_size" in service.methods_by_name["ListModels"].input_type.fields_by_name
    sent = re.findall(r"audit\.write\(\{ (\w+): \{ (.*?) \} \}\)", code)
    assert [part for part, _ in sent] == ["config", "input"]
    for part, body in sent:
        names = {pair.partition(":")[0] for pair in body.split(", ")}
        kind = service.methods_by_name["Audit"].input_type.fields_by_name[part].message_type
        assert len(names) > 1
        assert names <= set(kind.fields_by_name)
