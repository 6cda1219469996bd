#!/bin/sh
# Inside a build: builds wheels of the projects in the given folders and installs them into /opt/venv.
set -eu
/opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels "$@"
exec /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl
