# One file, three images: `--target operator`, `collector` or `simulator`.
# Users build on the public Python image; the tests build this very file on a Debian base of their own.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim

FROM ${BASE_IMAGE} AS build
# The venv without pip is what the final layer gets; the one with pip stays behind here.
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/venv
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/build.txt requirements/
# `ca` and `pip` are optional build secrets (a company's certificates and index): never in a layer.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca --mount=type=secret,id=pip,target=/run/secrets/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; export PIP_CONFIG_FILE=/run/secrets/pip; \
    /opt/tools/bin/pip install --quiet --require-hashes -r requirements/build.txt

FROM build AS build-operator
COPY requirements/operator.txt requirements/
RUN --mount=type=secret,id=ca,target=/run/secrets/ca --mount=type=secret,id=pip,target=/run/secrets/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; export PIP_CONFIG_FILE=/run/secrets/pip; \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --only-binary :all: --require-hashes -r requirements/operator.txt
COPY operator operator
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./operator && \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM build AS build-collector
COPY requirements/collector.txt requirements/
RUN --mount=type=secret,id=ca,target=/run/secrets/ca --mount=type=secret,id=pip,target=/run/secrets/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; export PIP_CONFIG_FILE=/run/secrets/pip; \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --only-binary :all: --require-hashes -r requirements/collector.txt
COPY collector collector
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./collector && \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM build AS build-simulator
COPY requirements/simulator.txt requirements/
RUN --mount=type=secret,id=ca,target=/run/secrets/ca --mount=type=secret,id=pip,target=/run/secrets/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; export PIP_CONFIG_FILE=/run/secrets/pip; \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --only-binary :all: --require-hashes -r requirements/simulator.txt
COPY tests/simulator tests/simulator
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./tests/simulator && \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl
COPY tests/recordings/okx /opt/recordings/okx

FROM ${BASE_IMAGE} AS run
# Compiled modules are in the image, so a read-only root costs no start-up time.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /

FROM run AS operator
COPY --from=build-operator /opt/venv /opt/venv
EXPOSE 8080
ENTRYPOINT ["market-operator"]
CMD ["run"]

FROM run AS collector
COPY --from=build-collector /opt/venv /opt/venv
EXPOSE 8080
ENTRYPOINT ["market-collector"]
CMD ["run", "-f", "/etc/market-collector/collector.json"]

FROM run AS simulator
COPY --from=build-simulator /opt/venv /opt/venv
COPY --from=build-simulator /opt/recordings /opt/recordings
EXPOSE 8443 8444
ENTRYPOINT ["market-simulator"]
CMD ["serve", "--exchange", "okx", "--replay", "/opt/recordings/okx/ws_public_2022-05-13_btc.jsonl", "--listen", "0.0.0.0:8443", "--control", "0.0.0.0:8444"]
