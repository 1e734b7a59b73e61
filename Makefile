# `make` lists the targets. Everything runs in .venv, which `make env` makes from constraints.txt.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
LABEL := .venv-label
LABEL_RUN := $(LABEL)/bin/python
DEPLOY := .venv-deploy
DEPLOY_RUN := $(DEPLOY)/bin/python
# Tests run in two processes, each file in one of them, with one thread each; more of them: make test WORKERS=8.
WORKERS ?= 2
TEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS) --dist loadfile
EXTRAS := mlflow,onnx,phantom,dicom,dev
LABEL_EXTRAS := dcmqi einops matplotlib pandas scikit-learn scipy SimpleITK jinja2 joblib

# The bundle's own commands run from the bundle root, so paths given to them are absolute.
BUNDLE := cd bundle && "$(CURDIR)/$(RUN)" -m monai.bundle
DEMO := $(CURDIR)/demo
# A smaller network than the default, so that it is done in minutes.
DEMO_SETTINGS := --widths "[16,32,48,64]" --amp true
DEMO_RUN := --dataset_dir "$(DEMO)/cohort" --output_dir "$(DEMO)/run" --cache_dir "$(DEMO)/cache" --epochs 40 $(DEMO_SETTINGS)
TRAIN := --config_file configs/train.yaml $(DEMO_RUN)
EVALUATE := --config_file "['configs/train.yaml','configs/evaluate.yaml']" $(DEMO_RUN)

EXPORT := --ckpt_file models/model.pt --meta_file configs/metadata.json --config_file configs/inference.json
ONNX := {'input_names':['image'],'output_names':['pred'],'dynamic_axes':{'image':{0:'batch'},'pred':{0:'batch'}}, \
	'opset_version':20,'verify':True,'rtol':1e-4,'atol':1e-5,'use_ort':True}
EXPORT_SCANS := $(CURDIR)/build/export_scans

# Pages with tables that are made from bundle/docs/results.
PAGES := README.md bundle/docs/README.md bundle/docs/results/README.md bundle/docs/clvae.md \
	bundle/docs/results/clvae.md bundle/docs/ablation.md bundle/docs/uncertainty.md

.DEFAULT_GOAL := help
.PHONY: help env label-env deploy-env demo test test-all lint format audit bench export tables clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

env: $(VENV)/installed ## Make or update .venv with the pinned versions

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Expected Python 3.11 or newer, found $$($(PYTHON) --version); use make PYTHON=..." >&2; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

label-env: $(LABEL)/installed ## Make or update .venv-label with MONAI Label, see bundle/docs/monai_label.md

# What it builds (sam2, without CUDA) is built with the same pins, so they are in the environment, not in -c.
$(LABEL)/installed: label/constraints.txt label/torchvision_operators.py
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))" || \
		{ echo "Expected Python 3.11 or 3.12, found $$($(PYTHON) --version); use make PYTHON=..." >&2; exit 1; }
	@test -x $(LABEL_RUN) || $(PYTHON) -m venv $(LABEL)
	SAM2_BUILD_CUDA=0 PIP_CONSTRAINT=label/constraints.txt \
		$(LABEL_RUN) -m pip install --disable-pip-version-check monailabel $(LABEL_EXTRAS)
	@site=$$($(LABEL_RUN) -c "import sysconfig; print(sysconfig.get_path('purelib'))") && \
		cp label/torchvision_operators.py "$$site" && \
		echo "import torchvision_operators" > "$$site/torchvision_operators.pth"
	$(LABEL_RUN) -c "import monailabel.main, torchvision"
	@touch $@

deploy-env: $(DEPLOY)/installed ## Make or update .venv-deploy with the MONAI Deploy SDK, see bundle/docs/deploy.md

$(DEPLOY)/installed: pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" || \
		{ echo "Expected Python 3.11 to 3.13, found $$($(PYTHON) --version); use make PYTHON=..." >&2; exit 1; }
	@test -x $(DEPLOY_RUN) || $(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY_RUN) -m pip install --disable-pip-version-check -c deploy/constraints.txt -e ".[dicom]" monai-deploy-app-sdk
	$(DEPLOY_RUN) -W ignore -c "import monai.deploy.core"
	@touch $@

demo: env ## Train, evaluate and map on synthetic scans, from nothing; writes demo/
	@echo "[1/5] Phantom cohort: synthetic scans, no patients"
	@$(RUN) -m scripts.data.phantom "$(DEMO)/cohort" --subjects=24 --modalities=t1ce > /dev/null
	@echo "[2/5] Training (resumes where it was stopped)"
	@$(BUNDLE) run training $(TRAIN)
	@echo "[3/5] Evaluation on the test subjects, beside baselines that need no model"
	@$(BUNDLE) run evaluating $(EVALUATE) --bootstrap_samples 200
	@echo "[4/5] A scan the model has not seen"
	@$(RUN) -m scripts.data.phantom "$(DEMO)/new" --subjects=1 --tumour_fraction=1 --seed=1 --modalities=t1ce > /dev/null
	@echo "[5/5] Inference"
	@$(BUNDLE) run inference --config_file configs/inference.json --model_dir "$(DEMO)/run" --synthetic true $(DEMO_SETTINGS) \
		--dataset_dir "$(DEMO)/new" --output_dir "$(DEMO)/maps" --overwrite true
	@echo
	@echo "Done. The scans are synthetic: the pictures show that everything works, not how well."
	@echo "  maps        $(DEMO)/maps/Phantom_001/*.nii.gz"
	@echo "  scores      $(DEMO)/maps/scores.csv, and slice by slice $(DEMO)/maps/Phantom_001/Phantom_001_result.json"
	@echo "  pages       $(DEMO)/maps/index.html"
	@echo "  pictures    $(DEMO)/maps/Phantom_001/Phantom_001_overview.png"
	@echo "  training    $(DEMO)/run/training.png, $(DEMO)/run/history.csv"
	@echo "  evaluation  $(DEMO)/run/evaluation/metrics.csv, $(DEMO)/run/evaluation/detection.png"

test: env ## Run the default test suite
	$(TEST)

test-all: env ## Run every test, the slow ones too
	$(TEST) -m "slow or not slow"

lint: env ## Check style and types
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

format: env ## Format the code and mend what ruff can mend
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

audit: build/audit ## Look the pinned versions up among known vulnerabilities; needs the network
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# In an environment of its own: its dependencies are none of ours.
build/audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1 || { rm -rf build/audit; exit 1; }

bench: env ## Measure speed and memory of inference; writes benchmarks/latest.json
	$(RUN) -m benchmarks.run

export: env ## Export the shipped weights to TorchScript and ONNX, in bundle/models, and compare them
	$(BUNDLE) ckpt_export network_def --filepath models/model.ts $(EXPORT)
	$(BUNDLE) onnx_export network_def --filepath models/model.onnx $(EXPORT) \
		--use_trace True --converter_kwargs "$(ONNX)"
ifndef BRAIN_MRI_SCANS
	$(RUN) -m scripts.data.phantom "$(EXPORT_SCANS)" --subjects=2 --tumour_fraction=1 --modalities=t1ce > /dev/null
endif
	cd bundle && "$(CURDIR)/$(RUN)" -m scripts.engines.export_check \
		"$(or $(BRAIN_MRI_SCANS),$(EXPORT_SCANS))" models/model.ts models/model.onnx

tables: env ## Write the results tables in the docs anew from bundle/docs/results
	$(RUN) -m scripts.report.tables $(PAGES)

clean: ## Remove the demo, exports and caches; .venv and runs stay
	rm -rf demo build dist bundle/*.egg-info bundle/models/*.ts bundle/models/*.onnx
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find bundle tests -name __pycache__ -type d -prune -exec rm -rf {} +
