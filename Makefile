# Everything a newcomer types. Each target first makes `.venv` with pinned versions, if that is not there yet.

VENV  := .venv
# onnxruntime sends its makers what it runs; the inspector tells it not to, tests and benchmarks import it first.
export ORT_DISABLE_TELEMETRY := 1
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
# The first Python that is new enough; the GPU runtime where there is a GPU, the CPU one elsewhere (never both).
FIND_PYTHON = for p in python3.13 python3.12 python3.11 python3 python; do \
  if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint gpu ray fuzz zoo zoo-keras optimiser bench bench-gpu bench-loading protos format clean

help:  ## Shows this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/' | expand -t 20

install: $(READY)  ## Makes .venv with everything in it.

$(READY): pyproject.toml constraints.txt
	@python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then echo "No Python 3.11 or later with venv was found; install one, for example python3 and python3-venv." >&2; exit 2; fi; \
	echo "Setting up $(VENV) with $$($$python --version), onnxruntime for $(RUNTIME) …"; $$python -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(RUNTIME),dev]'
	@touch $(READY)

demo: $(READY)  ## Runs the main job on the sample models, over gRPC; writes demo/.
	@$(BIN)/inspector demo --out demo

test: lint  ## Runs all checks and tests.
	$(BIN)/python -m pytest -n auto -m "not ray"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

gpu: $(READY)  ## Runs the tests that need an NVIDIA GPU; skips with a reason where there is none.
	$(BIN)/python -m pytest -m gpu

fuzz: $(READY)  ## Puts broken and hostile files through everything for FUZZ_SECONDS (120); keeps faults in fuzz/.
	$(BIN)/python tools/fuzz.py

ray: $(READY)  ## Runs audits on a Ray cluster of two workers on this machine, one of which is killed.
	$(BIN)/python -m pytest -m ray

optimiser: $(READY)  ## Runs every two operators with and without onnxruntime's optimiser; for every new onnxruntime.
	for opset in 13 17 20; do $(BIN)/python tools/optimiser.py --opset $$opset || exit 1; done

zoo:  ## Compares with PyTorch over 175 architectures; needs an environment with torch, torchvision, timm and onnxscript.
	python tools/zoo.py

zoo-keras:  ## Compares with Keras and its exporters; needs an environment with keras, tensorflow-cpu and tf2onnx.
	python tools/zoo_keras.py

bench: $(READY)  ## Measures audits: against plain inference and other tools, by batch, form of data, over gRPC, with Ray; writes benchmarks/RESULTS.md.
	$(BIN)/python -m benchmarks.against_plain --write
	$(BIN)/python -m benchmarks.against_others --net SqueezeNet --write
	$(BIN)/python -m benchmarks.against_others --net ResNet-50 --write
	$(BIN)/python -m benchmarks.flat_memory --write
	$(BIN)/python -m benchmarks.batch_size --write
	$(BIN)/python -m benchmarks.sizes --write
	$(BIN)/python -m benchmarks.adding_up --write
	$(BIN)/python -m benchmarks.decoding --write
	$(BIN)/python -m benchmarks.over_grpc --write
	$(BIN)/python -m benchmarks.on_ray --write

bench-gpu:  ## Measures audits on an NVIDIA GPU; needs an environment with onnxruntime-gpu, torch and triton.
	python -m benchmarks.against_plain --device cuda --batch 64 --write
	python -m benchmarks.batch_size --device cuda --write
	python -m benchmarks.on_device --write

bench-loading: $(READY)  ## Measures loading and rewriting beside onnxruntime's own; needs 10 GB of disk, 8 GB of memory.
	$(BIN)/python benchmarks/loading.py

protos: $(READY)  ## Generates the protocol's Python code again.
	$(BIN)/python tools/generate_protos.py

format: $(READY)  ## Formats the code.
	$(BIN)/ruff format .

clean:  ## Removes .venv and everything that was made.
	rm -rf $(VENV) demo dist fuzz .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
