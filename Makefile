# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install install-torch demo check test faults chaos clean benchmarks

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"partwise needs Python 3.11 to 3.13; this is {v[0]}.{v[1]}. Next: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[boosting,examples,dev]'
	-@$(BIN)/python -m compileall -qq -j 0 .venv/lib # on all cores; pip would take one
	@touch $(STAMP)

# PyTorch and skorch, for the learner torch_mlp. Where pip finds a CPU build of this version, it takes that.
install-torch: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch]'

demo: install
	$(BIN)/python examples/distributed_training/ray_distributed_training.py --partitions=8 --learner gradient_boosting --metric roc_auc

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two processes: many tests wait for a Ray that starts or stops. A file's tests stay together, as they share fixtures;
# files of few long tests come first (`testpaths`), so that neither process waits for the other in the end.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What takes long: faults of whole runs, disks, servers and clusters.
faults: install
	$(BIN)/python -m pytest -m "long or not long" tests/faults

# SEEDS is a range such as 1-50; a seed whose result is in the file is not run again.
SEEDS ?= 1-50
chaos: install
	$(BIN)/python tests/faults/chaos.py $(SEEDS) --results chaos.jsonl

# DATA is the folder of the Parquet files that benchmarks/tables.py names.
benchmarks: install
	@test -n "$(DATA)" || { echo 'Say where the tables are: make benchmarks DATA=folder (see benchmarks/tables.py)'; exit 2; }
	$(BIN)/python benchmarks/engine.py --data $(DATA)/covtype.parquet
	$(BIN)/python benchmarks/tables.py --data $(DATA)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
