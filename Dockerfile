# One file, three images: `--target operator`, `collector` or `simulator`.
# Users build on the public Python image; the tests build this very file on a Debian base of their own. For a build that
# can be repeated, name the base by its digest: --build-arg BASE_IMAGE=docker.io/library/python:3.13-slim@sha256:...
ARG BASE_IMAGE=docker.io/library/python:3.13-slim

FROM ${BASE_IMAGE} AS build
# The venv without pip is what the final layer gets; the one with pip stays behind here.
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/venv
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY hack/image/*.sh hack/image/unused-packages.txt hack/image/
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip hack/image/install-packages.sh requirements/build.txt /opt/tools/bin/python

FROM build AS build-operator
COPY requirements/operator.txt requirements/
# Of the Kubernetes client the operator uses neither its models nor a class a group of the API: 115 MB. They are loaded
# when they are asked for, and check.py proves that nothing asks.
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip hack/image/install-packages.sh requirements/operator.txt && \
    /opt/tools/bin/pip --python /opt/venv/bin/python uninstall --quiet --yes -r hack/image/unused-packages.txt && \
    find /opt/venv/lib/python3*/site-packages/kubernetes \( -path '*/client/api/*' -o -path '*/client/models/*' \) -type f ! -name '__init__*' -delete
COPY spec spec
COPY operator operator
RUN hack/image/install-project.sh ./spec ./operator

FROM build AS build-collector
COPY requirements/collector.txt requirements/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip hack/image/install-packages.sh requirements/collector.txt
COPY spec spec
COPY collector collector
RUN hack/image/install-project.sh ./spec ./collector

FROM build AS build-simulator
COPY requirements/simulator.txt requirements/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip hack/image/install-packages.sh requirements/simulator.txt
COPY simulator simulator
RUN hack/image/install-project.sh ./simulator
COPY tests/recordings/okx /opt/recordings/okx

FROM ${BASE_IMAGE} AS run
# Without what installs more Python, and without programs that run as another user (setuid).
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/share/python-wheels \
    /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip && \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
# Compiled modules are in the image, so a read-only root costs no start-up time.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The entry points ignore PYTHON* variables (-I). Otherwise an author of a pod could run code of a ConfigMap in this image.
# So the options of the variables above stand there again: unbuffered (-u), no compiled files (-B).
USER 65532:65532
WORKDIR /

FROM run AS operator
COPY --from=build-operator /opt/venv /opt/venv
RUN --mount=type=bind,source=hack/image,target=/mnt python3 /mnt/check.py market_operator
EXPOSE 8080
ENTRYPOINT ["/opt/venv/bin/python3", "-I", "-u", "-B", "-m", "market_operator"]
CMD ["run"]

FROM run AS collector
COPY --from=build-collector /opt/venv /opt/venv
RUN --mount=type=bind,source=hack/image,target=/mnt python3 /mnt/check.py market_collector
EXPOSE 8080
ENTRYPOINT ["/opt/venv/bin/python3", "-I", "-u", "-B", "-m", "market_collector"]
CMD ["run", "-f", "/etc/market-collector/collector.json"]

FROM run AS simulator
COPY --from=build-simulator /opt/venv /opt/venv
COPY --from=build-simulator /opt/recordings /opt/recordings
RUN --mount=type=bind,source=hack/image,target=/mnt python3 /mnt/check.py market_simulator
EXPOSE 8443 8444
ENTRYPOINT ["market-simulator"]
CMD ["serve", "--exchange", "okx", "--replay", "/opt/recordings/okx/ws_public_2022-05-13_btc.jsonl", "--listen", "0.0.0.0:8443", "--control", "0.0.0.0:8444"]
