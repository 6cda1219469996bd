"""Imports `kubernetes` without its synchronous client."""

import importlib.util
import sys


def leave_out_synchronous_client() -> None:
    """Lets parts of the package `kubernetes` be imported without the rest.

    Importing any part runs the package's own module, which imports the synchronous client, requests and OAuth: 9 MB and
    350 unused modules. So that module is registered without being run.
    """
    package = importlib.util.find_spec("kubernetes")
    if package and "kubernetes" not in sys.modules:
        sys.modules["kubernetes"] = importlib.util.module_from_spec(package)
