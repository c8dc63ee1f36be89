"""Everything that knows ONNX graphs; nothing here knows a runtime or an analysis."""
