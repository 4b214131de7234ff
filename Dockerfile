# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies alone, so that they are built anew only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src tests benches \
    && echo 'fn main() {}' | tee src/main.rs src/lib.rs tests/main.rs benches/main.rs build.rs >/dev/null \
    && cargo build --release --locked

COPY build.rs ./
COPY proto proto
COPY web/dist web/dist
COPY src src
# Newer than what was built in their place.
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --release --locked \
    && cp target/release/customer-groups /customer-groups


FROM debian:bookworm-slim
# The health check needs a client for HTTP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home customer-groups
COPY --from=build /customer-groups /usr/local/bin/customer-groups

USER 10001
ENV LISTEN=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD curl --fail --silent --insecure --output /dev/null "http${TLS_CERT:+s}://127.0.0.1:8080/readyz"
ENTRYPOINT ["customer-groups"]
