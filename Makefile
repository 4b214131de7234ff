# Everything on a fresh machine that has Rust: `make run` serves, `make test` passes the tests.

.PHONY: run test test-foreign bench lint postgres

# Serve on http://127.0.0.1:8080, on a private PostgreSQL unless DATABASE_URL is set.
run: $(if $(DATABASE_URL),,postgres)
	cargo run --release --locked -- serve

test: postgres
	cargo test --locked

# The tour of the service by programs that know nothing of it: grpcurl, Python's gRPC, Envoy, buf, Chromium,
# Schemathesis; and the examples, of which the one in Rust is built as the tests are, since it shares what they need.
test-foreign: postgres
	cargo build --release --locked
	cargo build --locked --example client
	tests/foreign/run

# The service against the limit of its own database; QUICK=1 only shows that it runs.
bench: postgres
	cargo bench --locked --bench load -- $(if $(QUICK),--quick)

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

# The binaries of PostgreSQL, where there are none yet.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
postgres:
	@ls $${PG_BIN_DIR:-/usr/lib/postgresql/*/bin}/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	if command -v apt-get >/dev/null; then \
		$(SUDO) apt-get update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql; \
	elif command -v brew >/dev/null; then \
		brew install postgresql; \
	else \
		echo 'Install PostgreSQL 14 or newer, or set PG_BIN_DIR to the folder of its binaries.' >&2; exit 1; \
	fi
