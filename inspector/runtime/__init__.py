"""Everything that knows onnxruntime, and how data becomes tensors; nothing here knows an analysis."""
