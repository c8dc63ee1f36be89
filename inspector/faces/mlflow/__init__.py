"""The MLflow face: an evaluator that audits the ONNX models of a tracking server, and logs what it finds."""
