# Everything is built and installed below one cache folder, outside the checkout.
CACHE := $(or $(CLUSTER_SECRETS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/platform-cluster-secrets)
# The newest Python of the machine that the tests are known to run with.
PYTHON ?= $(shell python3 tests/interpreters.py)

REQUIREMENTS := tests/requirements.txt
# With UNPINNED=1 the newest of each package is installed, anew on each day.
UNPINNED ?=
PINNED := $(if $(UNPINNED),sed -E 's/==[^;]*//',cat) $(REQUIREMENTS)
VENV := $(CACHE)/venv-$(shell ($(PINNED); echo $(PYTHON) $(if $(UNPINNED),$$(date +%F))) | cksum | cut -d' ' -f1)
CHECKOUT := $(CACHE)/checkouts/$(shell pwd | cksum | cut -d' ' -f1)
COLLECTION := $(CHECKOUT)/ansible_collections/platform/cluster_secrets

export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CHECKOUT)
export ANSIBLE_LOCALHOST_WARNING := false
export ANSIBLE_INVENTORY_UNPARSED_WARNING := false
export ANSIBLE_NOCOWS := true
export ANSIBLE_PYTHON_INTERPRETER := $(VENV)/bin/python

# Three sets of files at a time, each with control planes of its own; a file's tests stay together and in order. They wait
# more than they compute, so that two cores do.
WORKERS ?= 3
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Tests import the harness as a package, and the collection as it was built and installed.
TESTS := PYTHONPATH=$(CURDIR)/tests:$(CHECKOUT) $(VENV)/bin/python

.PHONY: help venv collection build-controlplane browser shellcheck start stop status demo demo-stop test unit integration integration-kind lint sanity generate screenshots docs advisories matrix soak-takeover soak-eso-upgrade soak-node soak-fuzz node-packages start-node stop-node bench bench-quick clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-20s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/done: $(REQUIREMENTS)
	@echo "installing the Python packages of $(REQUIREMENTS)"
	@test -n "$(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PINNED) > $(VENV)/requirements.txt
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $@

venv: $(VENV)/done

collection: venv ## Build the collection and install what was built for the tests
	@rm -rf $(CHECKOUT) && mkdir -p $(CHECKOUT)
	@ansible-galaxy collection build --force --output-path $(CHECKOUT) . >$(CHECKOUT)/build.log || { cat $(CHECKOUT)/build.log; exit 1; }
	@ansible-galaxy collection install --force --offline --no-deps -p $(CHECKOUT) $(CHECKOUT)/platform-cluster_secrets-*.tar.gz >>$(CHECKOUT)/build.log || { cat $(CHECKOUT)/build.log; exit 1; }

build-controlplane: venv ## Build the embedded control plane's programs
	@$(TESTS) -m controlplane build

start: venv ## Start the embedded control plane
	@$(TESTS) -m controlplane start

stop: venv ## Stop it
	@$(TESTS) -m controlplane stop

status: venv ## Show which of its parts run
	@$(TESTS) -m controlplane status

start-node: venv node-packages ## Start a whole cluster: the control plane with a real node (root on Linux)
	@$(TESTS) -m controlplane --node --name node start

stop-node: venv ## Stop it
	@$(TESTS) -m controlplane --node --name node stop

demo: collection ## See the whole architecture work, from an empty cluster to 17 Secrets
	@$(TESTS) -m demo.demo

demo-stop: venv ## Stop the demo's cluster
	@$(TESTS) -m demo.demo stop

shellcheck: ## Install shellcheck, which one sanity test runs (Debian, as root)
	@command -v shellcheck >/dev/null || { \
	  echo "installing shellcheck"; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y shellcheck >/dev/null; }

browser: ## Install the Chromium that one test opens the audit's page in (Debian, as root)
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "installing chromium"; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y chromium >/dev/null; }

node-packages: ## Install what a real node takes (Debian, as root); without it the tests that need one are skipped
	@test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || { command -v nft && command -v gcc && test -e /usr/include/seccomp.h; } >/dev/null || { \
	  echo "installing nftables, iproute2, gcc and libseccomp-dev"; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y nftables iproute2 gcc libc6-dev libseccomp-dev >/dev/null; }

# ansible-test's part runs beside the rest; what it says comes only when it fails.
test: collection node-packages build-controlplane browser shellcheck lint docs ## Run all tests
	@rm -rf $(CACHE)/sanity-copy && cp -r $(CHECKOUT) $(CACHE)/sanity-copy
	@tests/sanity/run.sh $(CACHE)/sanity-copy/ansible_collections/platform/cluster_secrets $(CACHE)/sanity \
	  >$(CACHE)/sanity.log 2>&1 & sanity=$$!; trap "kill $$sanity" INT TERM; \
	(cd tests && $(TESTS) -m pytest $(PARALLEL) $(PYTEST_ARGS) unit integration); status=$$?; \
	wait $$sanity || { cat $(CACHE)/sanity.log; status=1; }; exit $$status

unit: collection ## Run the unit tests
	@cd tests && $(TESTS) -m pytest $(PYTEST_ARGS) unit

integration: collection node-packages build-controlplane browser ## Run the integration tests
	@cd tests && $(TESTS) -m pytest $(PARALLEL) $(PYTEST_ARGS) integration

lint: collection ## ruff, mypy, ansible-lint with the production profile, and yamllint
	@echo "ruff, mypy, ansible-lint (profile production), yamllint"
	@ruff check --quiet plugins tests && ruff format --quiet --check plugins tests
	@cd $(CHECKOUT) && mypy --config-file $(CURDIR)/pyproject.toml --no-error-summary --namespace-packages --explicit-package-bases -p ansible_collections.platform.cluster_secrets.plugins
	@cd $(COLLECTION) && ansible-lint --offline --profile production --strict -q
	@yamllint --strict .

sanity: collection shellcheck ## The part of ansible-test sanity that runs without containers
	@tests/sanity/run.sh $(COLLECTION) $(CACHE)/sanity

screenshots: collection browser ## Take the pictures of the HTML pages in docs/images
	@$(TESTS) -m docs.pages

generate: collection ## Write what the documentation takes from the code
	@$(TESTS) -m docs.generate

docs: collection ## Build the documentation site; a warning is an error
	@tests/docs/site.sh $(CACHE)/docs

advisories: collection ## Compare what is known of ESO's vulnerabilities with osv.dev and GitHub
	@$(TESTS) tests/advisories.py

matrix: collection build-controlplane ## Unit tests and a bootstrap on each supported ansible-core that the machine has a Python for
	@$(TESTS) -m matrix $(MATRIX_ARGS)

soak-takeover: collection build-controlplane ## Kill things at random moments of a take-over
	@PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/integration:$(CHECKOUT) $(VENV)/bin/python -m soak.takeover $(SOAK_ARGS)

soak-eso-upgrade: collection build-controlplane ## Kill things at random moments of an upgrade of ESO
	@PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/integration:$(CHECKOUT) $(VENV)/bin/python -m soak.eso_upgrade $(SOAK_ARGS)

soak-fuzz: collection build-controlplane ## Change a tenant's objects at random; no command may end because of one
	@PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/integration:$(CHECKOUT) $(VENV)/bin/python -m soak.fuzz $(SOAK_ARGS)

soak-node: collection build-controlplane ## Kill things of a whole cluster at random moments (root on Linux)
	@PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/integration:$(CHECKOUT) $(VENV)/bin/python -m soak.node $(SOAK_ARGS)

bench: collection build-controlplane ## Measure against kubernetes.core.k8s and raw HTTP
	@$(TESTS) -m bench.bench $(BENCH_ARGS)

bench-quick: collection build-controlplane ## The same, small: requests, and ratios that leave room, in two minutes
	@$(TESTS) -m bench.quick

clean: ## Remove the cache folder
	@$(MAKE) --no-print-directory stop stop-node demo-stop 2>/dev/null || true
	rm -rf $(CACHE)

integration-kind: collection ## Run the integration tests on kind, where docker and kind are installed
	@command -v kind >/dev/null && docker info >/dev/null 2>&1 || { echo "kind and a running docker are needed"; exit 1; }
	@echo '{}' >$(CACHE)/kind-vars.json
	@kind create cluster --name cluster-secrets-test --kubeconfig $(CACHE)/kind.kubeconfig
	@trap 'kind delete cluster --name cluster-secrets-test' EXIT; cd tests && \
	  CLUSTER_SECRETS_TEST_KUBECONFIG=$(CACHE)/kind.kubeconfig CLUSTER_SECRETS_TEST_VARS=$(CACHE)/kind-vars.json \
	  $(TESTS) -m pytest $(PYTEST_ARGS) integration
