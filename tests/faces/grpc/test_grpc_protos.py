"""The .proto files: their generated code is current, and their style is one."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from inspector._proto.inspector.v1 import inspector_service_pb2

ROOT = Path(__file__).resolve().parents[3]
PROTOS = sorted((ROOT / "protos" / "inspector" / "v1").glob("*.proto"))


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_protos", ROOT / "tools" / "generate_protos.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if metadata.version("grpcio-tools") != module.TOOLS_VERSION:
        pytest.skip(f"needs grpcio-tools {module.TOOLS_VERSION}")
    return module


def test_the_generated_code_is_what_the_protos_say(generator, tmp_path):
    files = generator.generate(generator.PROTOS)
    assert generator.differing(files, generator.OUTPUT) == set()
    generator.write(files, tmp_path)
    assert generator.differing(files, tmp_path) == set()
    (tmp_path / "inspector" / "left_over.py").write_text("")
    (tmp_path / "__init__.py").write_text("changed")
    stale = {path.name for path in generator.differing(files, tmp_path)}
    assert stale == {"left_over.py", "__init__.py"}


def test_the_package_brings_the_protos_along_where_the_page_on_grpc_says():
    (line,) = re.findall(
        'python -c "(from importlib.resources .*)"$', (ROOT / "docs/grpc.md").read_text(), re.MULTILINE
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    brought = sorted((Path(done.stdout.strip()) / "inspector" / "v1").glob("*.proto"))
    assert [(p.name, p.read_bytes()) for p in brought] == [(p.name, p.read_bytes()) for p in PROTOS]


def test_generated_modules_need_nothing_on_the_path():
    code = "import inspector._proto.inspector.v1.inspector_service_pb2_grpc as m; print(m.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def descriptors(generator, tmp_path_factory):
    out = tmp_path_factory.mktemp("descriptors") / "all.pb"
    arguments = [f"-I{ROOT / 'protos'}", "--include_source_info", f"--descriptor_set_out={out}", *map(str, PROTOS)]
    assert generator.protoc.main(["protoc", *arguments]) == 0
    return FileDescriptorSet.FromString(out.read_bytes()).file


def test_names_follow_the_style(descriptors):
    for file in descriptors:
        assert file.package == "inspector.v1"
        assert file.name == f"inspector/v1/{Path(file.name).name}"
        for enum in [*file.enum_type, *(e for m in file.message_type for e in m.enum_type)]:
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
            assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)
        for message in file.message_type:
            assert all(re.fullmatch("[a-z][a-z0-9_]*", field.name) for field in message.field)


def test_other_languages_find_every_message_in_one_package(descriptors):
    """Without these, Go refuses the files, and Java wraps the messages of a file in one more class."""
    assert len(descriptors) == len(PROTOS)
    for file in descriptors:
        assert file.options.go_package == "inspector/v1;inspectorv1", file.name
        assert file.options.java_multiple_files, file.name
    names = [kind.name for file in descriptors for kind in (*file.message_type, *file.enum_type)]
    assert len(set(map(str.lower, names))) == len(names), "files of Java's classes, on disks that know no case"


def test_no_more_fields_have_names_that_clash_in_java(descriptors):
    clashing = {
        f"{message.name}.{field.name}"
        for file in descriptors
        for message in file.message_type
        for field in message.field
        if field.label == field.LABEL_REPEATED
        and {f"{field.name}_count", f"{field.name}_list"} & {other.name for other in message.field}
    }
    assert clashing == {"Report.skipped", "ReportHeader.skipped"}, (
        "these stay; docs/grpc.md says what Java makes of them"
    )


def test_every_method_has_messages_of_its_own():
    (service,) = inspector_service_pb2.DESCRIPTOR.services_by_name.values()
    assert service.full_name == "inspector.v1.InspectorService"
    for method in service.methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


def test_everything_is_explained(descriptors):
    for file in descriptors:
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        missing = [path for path in paths(file) if path not in commented]
        assert not missing, f"{file.name}: {missing}"


def paths(file):
    """Where messages (4), enums (5), services (6) and what they hold stand, as descriptor.proto numbers it."""
    yield (2,)
    for i, message in enumerate(file.message_type):
        yield 4, i
        yield from ((4, i, 2, j) for j in range(len(message.field)))
        for j, enum in enumerate(message.enum_type):
            yield 4, i, 4, j
            yield from ((4, i, 4, j, 2, k) for k in range(len(enum.value)))
    for i, enum in enumerate(file.enum_type):
        yield 5, i
        yield from ((5, i, 2, j) for j in range(len(enum.value)))
    for i, service in enumerate(file.service):
        yield 6, i
        yield from ((6, i, 2, j) for j in range(len(service.method)))
