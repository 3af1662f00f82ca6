# Every target sets up what it needs: Python 3.11 or newer, pip, make and git are enough.
# Another Python: make test PYTHON=python3.13. Some tests only: make test ARGS="-k join".

UV := .ci/uv
RUN := $(UV) run --frozen --all-packages
export PYTHON

.PHONY: help demo test lint types wheels bench chaos check format

help:
	@echo "make demo    a pipeline over real data, run twice"
	@echo "make test    all tests"
	@echo "make check   all that a change must pass: lint, types, wheels, test"
	@echo "make format  rewrite the code as lint wants it"
	@echo "make bench   the figures of benchmarks/README.md"
	@echo "make chaos   random harm to random runs: make chaos ARGS='--minutes 30'"

# The first run computes, the second finds everything there and tries again what failed.
demo:
	@rm -f earth_rotation.db*
	$(UV) run --script examples/earth_rotation.py earth_rotation.db
	$(UV) run --script examples/earth_rotation.py earth_rotation.db

test:
	$(RUN) python .ci/test $(ARGS)

lint:
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) lint-imports

# Once per package, so that a module name may occur in two of them.
types:
	for package in packages/*/src; do $(RUN) mypy "$$package" || failed=1; done; test -z "$$failed"

wheels:
	$(UV) run --no-project python .ci/wheels

bench:
	$(RUN) python benchmarks/run.py $(ARGS)

chaos:
	$(RUN) python benchmarks/chaos $(ARGS)

check:
	.ci/run

format:
	$(RUN) ruff check --fix
	$(RUN) ruff format
