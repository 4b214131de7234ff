# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_PROFILE_RELEASE_STRIP=true

# Build the dependencies in a layer of their own, so that a change of the sources does not rebuild them.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src tests benches \
    && echo 'fn main() {}' | tee src/main.rs src/lib.rs tests/main.rs benches/main.rs build.rs >/dev/null \
    && cargo build --release --locked

COPY build.rs ./
COPY proto proto
COPY web/dist web/dist
COPY src src
# Cargo compares modification times: the sources must be newer than the placeholders.
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --release --locked \
    && cp target/release/customer-groups /customer-groups


FROM debian:bookworm-slim
# ca-certificates is for sslrootcert=system in DATABASE_URL, curl for the health check.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home customer-groups
COPY --from=build /customer-groups /usr/local/bin/customer-groups

USER 10001
# The image contains no PostgreSQL. Without a value, the service exits and says that DATABASE_URL is empty.
ENV LISTEN=0.0.0.0:8080 LOG_FORMAT=json DATABASE_URL=
EXPOSE 8080
STOPSIGNAL SIGTERM
# The check calls the address in LISTEN, or loopback if LISTEN is 0.0.0.0 or [::]. It reads LISTEN and TLS_CERT from the
# environment, not from flags. With TLS_CLIENT_CA, replace it by a check that sends a client certificate.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD address="$LISTEN"; \
        case "$address" in \
            0.0.0.0:*) address="127.0.0.1:${address##*:}" ;; \
            '[::]:'*) address="[::1]:${address##*:}" ;; \
            unix:*) set -- --unix-socket "${address#unix:}"; address=localhost ;; \
        esac; \
        curl --fail --silent --insecure --globoff --noproxy '*' --output /dev/null "$@" \
            "http${TLS_CERT:+s}://$address/readyz"
ENTRYPOINT ["customer-groups"]
