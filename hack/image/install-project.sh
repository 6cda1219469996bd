#!/bin/sh
# Inside a build: builds a wheel of the project in folder $1 and installs it into /opt/venv.
set -eu
/opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels "$1"
exec /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl
