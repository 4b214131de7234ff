# On a new machine with Rust, `make run` starts the service and `make test` runs the tests.

.PHONY: run test test-foreign bench lint deny proto release-image previous postgres

# Serves on http://127.0.0.1:8080. Starts a private PostgreSQL unless DATABASE_URL is set.
run: $(if $(DATABASE_URL),,postgres)
	cargo run --release --locked -- serve

test: postgres previous
	cargo test --locked

# Tests the release binary with third-party clients: grpcurl, Python's gRPC, Envoy, buf, Chromium, Schemathesis.
# Also runs the examples. The Rust example is a debug build, which shares its dependencies with the tests.
test-foreign: postgres
	cargo build --release --locked
	cargo build --locked --example client
	tests/foreign/run

# Measures the service as a ratio to the limit of its database. QUICK=1 only checks that the benchmark runs.
bench: postgres
	cargo bench --locked --bench load -- $(if $(QUICK),--quick)

# Checks the imports between modules, the formatting, the code and its documentation.
lint:
	.ci/check-imports
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

# Checks the licences, duplicate versions and sources of the dependencies against .deny.toml.
deny: target/tools/installed
	target/tools/bin/cargo-deny --locked check licenses bans sources

# Checks the style of the API definition, and its compatibility with the last release.
proto: target/tools/installed
	cd proto && ../target/tools/bin/buf lint && ../target/tools/bin/buf breaking --against release.binpb

# Records the API definition of a release, which `make proto` then compares with. Set PREVIOUS below to its commit.
release-image: target/tools/installed
	target/tools/bin/buf build proto --exclude-source-info --output proto/release.binpb

target/tools/installed: .ci/requirements.txt tests/foreign/requirements.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { $(call apt-install,python3-venv); } || \
	{ echo 'Install Python 3 with its venv module.' >&2; exit 1; }
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --disable-pip-version-check --requirement .ci/requirements.txt
	touch $@

# The binary of the previous release, for the tests of rolling updates. Without optimisation, since only its results
# matter. The example brings in the features that `cargo test` enables, so that both releases share their compiled
# dependencies. The changed version keeps cargo from confusing the two releases in the shared target folder.
PREVIOUS := fab10f4b77ba6fd0ed15eaa2058e99e453f8d15c
previous: target/previous/$(PREVIOUS)
target/previous/$(PREVIOUS):
	@git cat-file -e '$(PREVIOUS)^{commit}' 2>/dev/null || { \
		echo 'Commit $(PREVIOUS) (the previous release) is not in this clone; run git fetch --unshallow.' >&2; exit 1; }
	rm -rf target/previous
	mkdir -p target/previous/source
	git archive $(PREVIOUS) | tar -xmf - -C target/previous/source
	cd target/previous/source && sed -i.bak '/^name = "customer-groups"$$/{n;s/"$$/-previous"/;}' Cargo.toml Cargo.lock
	cargo build --locked --bins --example client --target-dir target --manifest-path target/previous/source/Cargo.toml \
		--config profile.dev.package.customer-groups.opt-level=0 --config profile.dev.package.customer-groups.debug=false
	cp target/debug/customer-groups target/previous/customer-groups
	rm -r target/previous/source
	touch $@

# Installs PostgreSQL's binaries if there are none.
postgres:
	@ls $${PG_BIN_DIR:-/usr/lib/postgresql/*/bin}/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	if command -v apt-get >/dev/null; then \
		$(call apt-install,postgresql); \
	elif command -v brew >/dev/null; then \
		brew install postgresql; \
	else \
		echo 'Install PostgreSQL 14 or newer, or set PG_BIN_DIR to the folder of its binaries.' >&2; exit 1; \
	fi

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
apt-install = $(SUDO) apt-get update && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(1)
