"""What is not loaded at the start."""

import importlib.util
import sys


def leave_out_synchronous_client() -> None:
    """Lets the parts of the package `kubernetes` be imported without the rest of it.

    The package imports its synchronous client, requests, OAuth and more for whoever imports any part of it (kopf does,
    too): 9 MB and 350 modules that nobody here uses. So the package's own module is put in place without being run.
    """
    package = importlib.util.find_spec("kubernetes")
    if package and "kubernetes" not in sys.modules:
        sys.modules["kubernetes"] = importlib.util.module_from_spec(package)
