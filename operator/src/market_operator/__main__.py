"""The command line: `market-operator run | crd | version`."""

import argparse
import sys

from market_operator import __version__
from market_operator.crd import crd_yaml


def main() -> None:
    parser = argparse.ArgumentParser(prog="market-operator")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    commands.add_parser("version", help="print the version")
    args = parser.parse_args()
    sys.stdout.write(crd_yaml() if args.command == "crd" else f"{__version__}\n")


if __name__ == "__main__":
    main()
