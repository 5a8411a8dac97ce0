# syntax=docker/dockerfile:1
# The image for pipelines and for `trueup run`:
#   docker build -t me/trueup .
#   docker build -t me/trueup:spark --target spark .     with a JVM, for `state: {backend: spark}`
# Every package is installed at the version and hash that requirements.txt gives.

ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
ARG EXTRAS="--extra agent --extra databricks --extra web"
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON=/opt/trueup/bin/python
WORKDIR /src
COPY requirements.txt pyproject.toml ./
RUN sed -n '/^uv==/,/^    # via/p' requirements.txt > uv.txt \
 && pip install --no-cache-dir --require-hashes -r uv.txt \
 && python -m venv --without-pip /opt/trueup \
 && uv pip install --constraints requirements.txt ${EXTRAS} -r pyproject.toml
COPY README.md LICENSE ./
COPY schemas schemas
COPY reconcilers reconcilers
COPY runner runner
RUN uv pip install --no-deps --build-constraints requirements.txt .

FROM build AS build-spark
RUN uv pip install --constraints requirements.txt --extra spark -r pyproject.toml

FROM python:${PYTHON} AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
    # A pipeline's checkout belongs to another user.
 && git config --system --add safe.directory '*' \
 && useradd --uid 10001 --create-home trueup \
 && install -d -o trueup -g trueup /specs
ENV PATH=/opt/trueup/bin:$PATH TRUEUP_HOST=0.0.0.0
WORKDIR /specs
# No entry point: a pipeline's runner brings its own shell.
CMD ["trueup", "--help"]
EXPOSE 8930
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8930/healthz', timeout=4)"]

FROM base AS spark
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build-spark /opt/trueup /opt/trueup
USER 10001

FROM base AS trueup
COPY --from=build /opt/trueup /opt/trueup
USER 10001
