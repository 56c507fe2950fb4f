# make demo    set up and run the whole workflow on a small recording day
#              (DATA=s3: from a bucket of an S3 endpoint that it starts on this machine)
# make test    set up and run every test
# make faults  set up and run the long tests of faults: 100,000 damaged files for every parser, and all drills
# make example set up and run the workflow on a real recording, downloaded from PyPI
#              (RECORDING=optinist: two-photon imaging)
# make bench   set up and run every benchmark beside its peers; the table goes to benchmarks/RESULTS.md
#              (QUICK=1: smaller inputs, some minutes, the table is only printed)
# make docs    the documentation as a web site, in site/
# make check   style of the code and the rules
# make lint    the same, and known vulnerabilities of the packages in requirements.lock
#              (AUDIT=warn: also without an answer; AUDIT_SERVICE=osv: from another service)
# make lock    resolve all dependencies anew into requirements.lock

PYTHON ?= python3
DATA ?= local
RECORDING ?= blackrock
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
AUDIT ?= fail
AUDIT_SERVICE ?= pypi

.PHONY: demo test faults bench example docs check lint lock rulegraph

# The environment is stale when the lock or the package's metadata is newer than it.
.venv/complete: requirements.lock pyproject.toml plugins/pyproject.toml
	@echo "Setting up .venv from requirements.lock (some minutes, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hippflow needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement requirements.lock --editable . --editable ./plugins
	@touch $@
	@echo "Setting up .venv: done."

# A bucket's run has folders of its own, so that the two do not replace each other's products.
ifeq ($(DATA),s3)
DEMO := demo/s3
SERVE := $(BIN)/hippflow serve demo/data --
DEMO_CONFIG := data=s3://hippflow-demo staging=demo/s3/staging results=demo/s3/results
else
DEMO := demo
DEMO_CONFIG := data=demo/data results=demo/results
endif

demo: .venv/complete
	@test -f demo/data/zebrafish/20220104/truth.json || $(BIN)/hippflow demo demo/data
	@$(SERVE) env PATH="$(CURDIR)/$(BIN):$$PATH" sh -ec 'for command in "$$@"; do $$command --configfile resources/demo.yaml --config $(DEMO_CONFIG); done' \
	  demo "snakemake --cores $(CORES) --quiet reason" "hippflow cost" "hippflow status"
	@echo
	@echo "Done. Look at:"
	@echo "  $(DEMO)/results/picasso/20181105/report.html         the day on one page: open it in a browser"
	@echo "                                picasso_20181105.nwb  and in one NWB file, for pynwb, pynapple and others"
	@echo "  $(DEMO)/results/picasso/20181105/                    the day's products (docs/products.md says what is in them)"
	@echo "  $(DEMO)/results/picasso/20181105/mountains/          the units of every channel: units.csv, metrics.csv"
	@echo "  $(DEMO)/results/picasso/20181105/session01/          alignment.png; what the animal looked at, where it was"
	@echo "  $(DEMO)/results/zebrafish/20220104/imaging01/        kmeans/plane0/figure5.png: cells and their clusters; projections/"
	@echo "  demo/data/*/*/truth.json                          what is true of these days"

example: .venv/complete
	@$(BIN)/hippflow example example/$(RECORDING) --recording $(RECORDING)
	@$(BIN)/snakemake --cores $(CORES) --configfile example/$(RECORDING)/config.yaml
	@echo
	@echo "Done. The products are in example/$(RECORDING)/results/."

test: .venv/complete
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

faults: .venv/complete
	@HIPPFLOW_LONG_FAULTS=1 $(BIN)/python -m pytest tests/faults tests/cluster/test_no_secrets_on_slurm.py --numprocesses 3 -rA --show-capture=stdout

bench: .venv/complete
	@$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

docs: .venv/complete
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Done. Open site/index.html."

check: .venv/complete
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile rules && $(BIN)/snakemake --lint

lint: check
	@$(BIN)/python -m hippflow.audit requirements.lock --unreachable $(AUDIT) --service $(AUDIT_SERVICE)

# Needs Graphviz (apt install graphviz); the picture is in the repository.
rulegraph: .venv/complete
	@test -f demo/data/zebrafish/20220104/truth.json || $(BIN)/hippflow demo demo/data
	@$(BIN)/snakemake --rulegraph --configfile resources/demo.yaml --config data=demo/data results=demo/results 2>/dev/null \
	  | tred 2>/dev/null | dot -Tsvg -Grankdir=LR -Nfontname=Helvetica -Gbgcolor=white > docs/rulegraph.svg

# What has wheels for some machines only; pip freeze does not say so.
MARK := s/^atheris==.*/& ; sys_platform == "linux" and platform_machine == "x86_64" and python_version < "3.14"/

lock:
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --editable '.[imaging,behaviour,cluster,outputs,docs,test]'
	@{ echo '# Every package with its exact version, for pip install -r; made by: make lock'; \
	   .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//; $(MARK)'; } > requirements.lock
	@rm -rf .venv-lock
