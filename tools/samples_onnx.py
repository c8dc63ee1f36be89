"""From a trained PyTorch network to a clean ONNX file: readable names, nothing about the machine inside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import nn

OPSET = 18


def export(net: nn.Module, shape: tuple[int, int, int], path: Path) -> None:
    """Write ``net`` with input ``image`` (N, *shape), output ``scores`` and a free batch dimension N.

    The TorchScript-based exporter is asked for on purpose: with ``PRESERVE`` it keeps BatchNormalization
    as nodes of their own, the parameters under their module names, and one node per module.
    """
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, *shape),),
        path,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        dynamo=False,
    )
    model = onnx.load(path)
    rename(model.graph)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def readable(name: str, paths: Counter[str]) -> str:
    """``/block/depthwise/Conv`` becomes ``block/depthwise``; the operator stays where the path is shared."""
    path, _, operator = name.removeprefix("/").rpartition("/")
    alone = paths[path] == 1 and not any(other.startswith(path + "/") for other in paths)
    return path if alone else f"{path}/{operator.lower()}"


def rename(graph: onnx.GraphProto) -> None:
    """Name every node after its module, and every tensor between nodes after the node that makes it."""
    paths = Counter(node.name.removeprefix("/").rpartition("/")[0] for node in graph.node)
    outer = {value.name for value in graph.output}
    tensors: dict[str, str] = {}
    for node in graph.node:
        node.name = readable(node.name, paths)
        (output,) = node.output
        if output not in outer:
            tensors[output] = f"{node.name}:out"
    for node in graph.node:
        node.input[:] = [tensors.get(name, name) for name in node.input]
        node.output[:] = [tensors.get(name, name) for name in node.output]
    names = [node.name for node in graph.node]
    if len(set(names)) != len(names):
        raise ValueError(f"node names are not unique: {names}")


def strip(model: onnx.ModelProto) -> None:
    """Remove everything that is not needed to run the model: texts, metadata, inferred shapes."""
    graph = model.graph
    graph.name = "main"
    graph.doc_string = ""
    model.doc_string = ""
    del model.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
