#!/bin/sh
# Inside a build: installs a file of pins, given as $1, into the Python $2 (/opt/venv when it is not given).
# `ca` and `pip` are optional build secrets (a company's certificates and index): never in a layer.
set -eu
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi
export PIP_CONFIG_FILE=/run/secrets/pip
exec /opt/tools/bin/pip --python "${2:-/opt/venv/bin/python}" install --quiet --only-binary :all: --require-hashes -r "$1"
