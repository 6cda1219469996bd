import subprocess
import sys


def test_the_client_works_without_the_rest_of_its_package() -> None:
    code = (
        "from market_operator.cluster.slim_import import leave_out_synchronous_client as leave_out; leave_out(); leave_out(); "
        "import sys, kopf; from kubernetes.aio.client.api_client import ApiClient; "
        "print({'requests', 'oauthlib', 'kubernetes.dynamic'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"True\n"
