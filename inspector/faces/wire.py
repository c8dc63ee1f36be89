"""Reports as messages and as JSON, and back. The files `wire*.py` alone know both vocabularies; none knows gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from inspector._proto.inspector.v1 import report_pb2
from inspector.errors import InputError
from inspector.faces.wire_block import (
    Draw,
    block_from_message,
    block_to_message,
    finding_from_message,
    finding_to_message,
)
from inspector.faces.wire_metric import metric_from_message, metric_to_message
from inspector.faces.wire_tensor import utf8
from inspector.report import AnalysisResult, Check, Failure, Memory, OperatorCount, Provenance, Report, Skipped

_INT64: Final = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def report_to_json(report: Report) -> str:
    """The report as ProtoJSON of `inspector.v1.Report`, for people and programs.

    Every field is there, under its name in the .proto file. Whole numbers are JSON numbers, also those of 64 bits,
    which every ProtoJSON reader accepts; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity".
    """
    message = report_to_message(report)
    tree = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    fields = message.DESCRIPTOR.fields_by_name
    plain = {name: _with_numbers(value, fields[name]) for name, value in tree.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=2)


def report_from_json(text: str | bytes) -> Report:
    """The report in ProtoJSON; fields that are not known here are passed over.

    Raises:
        InputError: no JSON, no report, or a report that breaks the format.
    """
    try:
        message = json_format.Parse(text, report_pb2.Report(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        found = str(error).removeprefix("Failed to load JSON: ")
        found = "no object" if found.startswith("Failed to parse JSON: ") else found[:200]
        raise InputError("report", "it is none", expected="a report as JSON", found=found) from error
    return report_from_message(message)


def _with_numbers(value: Any, field: Any) -> Any:
    """The value of a field, 64-bit numbers as numbers and not as text, maps in the order of their keys.

    `field` is its descriptor, which is of one of two unrelated classes.
    """
    if isinstance(value, list):
        return [_with_numbers(item, field) for item in value]
    if field.cpp_type in _INT64:
        return int(value)
    if field.message_type is None:
        return value
    inner = field.message_type.fields_by_name
    if field.message_type.GetOptions().map_entry:
        return {key: _with_numbers(value[key], inner["value"]) for key in sorted(value)}
    return {name: _with_numbers(item, inner[name]) for name, item in value.items()}


def report_to_message(report: Report, draw: Draw | None = None) -> report_pb2.Report:
    """The report as one message; with `draw`, pictures come with a PNG of themselves."""
    return report_pb2.Report(
        provenance=provenance_to_message(report.provenance),
        results=[_result_to_message(result, draw) for result in report.results],
        skipped=skipped_to_messages(report.skipped),
        skipped_count=skipped_count(report),
        ok=report.ok,
    )


def report_from_message(message: report_pb2.Report) -> Report:
    """The report in a message. `ok` is worked out anew, pictures that were drawn are left.

    Raises:
        InputError: it has no provenance, or a part of it breaks the format.
    """
    if not message.HasField("provenance"):
        raise InputError("report", "it does not say where its numbers come from", expected="a field `provenance`")
    return Report(
        provenance=provenance_from_message(message.provenance),
        results=tuple(_result_from_message(result) for result in message.results),
        skipped=skipped_from_messages(message.skipped),
        skipped_count=message.skipped_count,
    )


def _result_to_message(result: AnalysisResult, draw: Draw | None) -> report_pb2.AnalysisResult:
    return report_pb2.AnalysisResult(
        name=utf8(result.name),
        version=utf8(result.version),
        params=utf8(result.params),
        blocks=[block_to_message(block, draw) for block in result.blocks],
        findings=[finding_to_message(finding) for finding in result.findings],
        failure=failure_to_message(result.failure),
        metrics=[metric_to_message(metric) for metric in result.metrics],
    )


def _result_from_message(message: report_pb2.AnalysisResult) -> AnalysisResult:
    return AnalysisResult(
        name=message.name,
        version=message.version,
        params=message.params,
        blocks=tuple(block_from_message(block) for block in message.blocks),
        findings=tuple(finding_from_message(finding) for finding in message.findings),
        failure=failure_from_message(message.failure) if message.HasField("failure") else None,
        metrics=tuple(metric_from_message(metric) for metric in message.metrics),
    )


def failure_to_message(failure: Failure | None) -> report_pb2.Failure | None:
    """Why an analysis gave no result, as a message."""
    if failure is None:
        return None
    return report_pb2.Failure(kind=utf8(failure.kind), message=utf8(failure.message), remedy=utf8(failure.remedy))


def failure_from_message(message: report_pb2.Failure) -> Failure:
    """Why an analysis gave no result, from a message."""
    return Failure(message.kind, message.message, message.remedy)


def skipped_to_messages(skipped: Iterable[Skipped]) -> list[report_pb2.SkippedInput]:
    """The inputs that were left out, as messages."""
    return [_skipped_to_message(s) for s in skipped]


def skipped_count(report: Report) -> int:
    """How many inputs were left out; InputError for a number beyond 64 bits."""
    if report.skipped_count >= 1 << 63:
        raise InputError("report", "it cannot have left out so many inputs", found=str(report.skipped_count))
    return report.skipped_count


def skipped_from_messages(messages: Iterable[report_pb2.SkippedInput]) -> tuple[Skipped, ...]:
    """The inputs that were left out, from messages."""
    return tuple(Skipped(m.id, m.reason, m.count or 1, m.incomplete) for m in messages)


def _skipped_to_message(skipped: Skipped) -> report_pb2.SkippedInput:
    id_, reason = utf8(skipped.id), utf8(skipped.reason)
    return report_pb2.SkippedInput(id=id_, reason=reason, count=skipped.count, incomplete=skipped.incomplete)


def provenance_to_message(provenance: Provenance) -> report_pb2.Provenance:
    """Where the numbers come from, as a message.

    Raises:
        InputError: a number is beyond 64 bits, which none is unless somebody made it up.
    """
    try:
        return _provenance(provenance)
    except (TypeError, ValueError) as error:
        expected = "numbers of at most 64 bits, and texts"
        raise InputError("provenance", "it cannot be true", expected=expected, found=str(error)[:200]) from error


def _provenance(provenance: Provenance) -> report_pb2.Provenance:
    return report_pb2.Provenance(
        model=utf8(provenance.model),
        sha256=utf8(provenance.sha256),
        data=utf8(provenance.data),
        data_sha256=utf8(provenance.data_sha256),
        inputs=provenance.inputs,
        batch=provenance.batch,
        preprocess=utf8(provenance.preprocess),
        fidelity=utf8(provenance.fidelity),
        device=utf8(provenance.device),
        providers={utf8(name): count for name, count in provenance.providers.items()},
        versions={utf8(name): utf8(version) for name, version in provenance.versions.items()},
        notes=map(utf8, provenance.notes),
        started=utf8(provenance.started),
        seconds=provenance.seconds,
        waited=provenance.waited,
        incomplete=provenance.incomplete,
        missing_shards=provenance.missing_shards,
        check=check_to_message(provenance.check),
        operators=[
            report_pb2.OperatorCount(domain=utf8(o.domain), op=utf8(o.op), plain=o.plain, watched=o.watched)
            for o in provenance.operators
        ],
        memory=memory_to_message(provenance.memory),
    )


def provenance_from_message(message: report_pb2.Provenance) -> Provenance:
    """Where the numbers come from, from a message; maps in the order of their keys."""
    return Provenance(
        model=message.model,
        sha256=message.sha256,
        data=message.data,
        data_sha256=message.data_sha256,
        inputs=message.inputs,
        batch=message.batch,
        preprocess=message.preprocess,
        fidelity=message.fidelity,
        device=message.device,
        providers=dict(sorted(message.providers.items())),
        versions=dict(sorted(message.versions.items())),
        notes=tuple(message.notes),
        started=message.started,
        seconds=message.seconds,
        waited=message.waited,
        incomplete=message.incomplete,
        missing_shards=message.missing_shards,
        check=check_from_message(message.check) if message.HasField("check") else None,
        operators=tuple(OperatorCount(o.domain, o.op, o.plain, o.watched) for o in message.operators),
        memory=memory_from_message(message.memory) if message.HasField("memory") else None,
    )


def check_to_message(check: Check | None) -> report_pb2.Check | None:
    """What a self-check found, as a message."""
    if check is None:
        return None
    return report_pb2.Check(
        outputs=check.outputs,
        max_abs=check.max_abs,
        max_rel=check.max_rel,
        equal=check.equal,
        passed=check.passed,
    )


def check_from_message(message: report_pb2.Check) -> Check:
    """What a self-check found, from a message."""
    return Check(message.outputs, message.max_abs, message.max_rel, message.equal, message.passed)


def memory_to_message(memory: Memory | None) -> report_pb2.Memory | None:
    """How a run was made to fit, as a message."""
    if memory is None:
        return None
    return report_pb2.Memory(estimate_bytes=memory.estimate, budget_bytes=memory.budget, waves=memory.waves)


def memory_from_message(message: report_pb2.Memory) -> Memory:
    """How a run was made to fit, from a message."""
    return Memory(message.estimate_bytes, message.budget_bytes, message.waves)
