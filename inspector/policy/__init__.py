"""Reports judged and compared: pure functions of reports, without a model or a runtime."""
