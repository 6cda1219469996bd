"""The command line: `market-operator run | crd | version`.

Exit codes: 0 done or stopped as asked, 1 failed, 2 bad input. A command whose reader has gone ends with 141.
"""

import os
import signal
import sys

# The kernel drops SIGTERM to process 1, as in a pod, until it has a handler. Imports take up to a second. A pod that is
# deleted meanwhile would run until SIGKILL. `run` ends as if stopped on request; other commands were cut short.
if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(0 if sys.argv[1:2] == ["run"] else 128 + number))

import argparse
import json
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, get_args

from market_operator import __version__
from market_operator.cluster.lease import Terms
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.manifests.shard import PodSettings
from market_operator.resource.naming import Key
from market_operator.resource.selector import Requirement, Selector, read_selector
from market_operator.resource.tenants import TenantRules
from market_operator.settings import HealthVia, Settings
from market_spec.command import exit_code
from market_spec.durations import seconds
from market_spec.template import PULL_POLICIES, is_operator_label

_DEFAULTS = Settings()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command in `arguments` (default: the process's) and exit."""
    sys.exit(exit_code(lambda: _run_command(arguments)))


def _run_command(arguments: Sequence[str] | None) -> int:
    args = parser().parse_args(arguments)
    return _COMMANDS[args.command](args)


def _run(args: argparse.Namespace) -> int:
    # Imported here so that `crd` and `version` need neither kopf nor the Kubernetes client (half a second, 40 MB).
    import asyncio
    import gc

    from market_operator.cluster.slim_import import leave_out_synchronous_client

    leave_out_synchronous_client()
    from market_operator.app import run
    from market_operator.errors import OperatorError
    from market_operator.telemetry.logs import configure

    settings = _settings(args)
    configure(settings.log_level, settings.log_format)
    # Imported objects stay. Scanning them in each garbage collection took a twelfth of the CPU under load.
    gc.freeze()
    failed = False
    try:
        asyncio.run(run(settings))
    except* (OperatorError, OSError) as group:
        failed = True
        sys.stderr.writelines(f"market-operator: {error}\n" for error in _leaves(group))
    return int(failed)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    nested = [_leaves(e) if isinstance(e, BaseExceptionGroup) else [e] for e in group.exceptions]
    return [error for errors in nested for error in errors]


def _crd(_: argparse.Namespace) -> int:
    from market_operator.resource.crd import crd_yaml

    sys.stdout.write(crd_yaml())
    return 0


def _version(_: argparse.Namespace) -> int:
    sys.stdout.write(f"{__version__}\n")
    return 0


_COMMANDS = {"run": _run, "crd": _crd, "version": _version}


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="market-operator", description="Reconciles MarketCollector resources.")
    top.add_argument("--version", action="version", version=f"{top.prog} {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the operator until it is stopped")
    for name, settings in _OPTIONS.items():
        run.add_argument(name, **settings)
    commands.add_parser("crd", help="print the CRD, for kubectl apply --server-side -f -")
    commands.add_parser("version", help="print the version")
    return top


def _settings(args: argparse.Namespace) -> Settings:
    host, port = args.http
    return Settings(
        namespaces=tuple(dict.fromkeys(args.namespace)),
        selector=args.selector,
        lease=args.lease,
        lease_terms=args.lease_terms,
        collector_image=args.collector_image or os.environ.get("COLLECTOR_IMAGE") or _DEFAULTS.collector_image,
        pods=_pods(args),
        http_host=host,
        http_port=port,
        health_via=args.health_via,
        counter_interval=args.counter_interval,
        sweep_interval=args.sweep_interval,
        workers=args.workers,
        traffic=_traffic(args),
        tenants=args.tenants_allow,
        log_level=args.log_level,
        log_format=args.log_format,
    )


def _pods(args: argparse.Namespace) -> PodSettings:
    secrets = tuple(dict.fromkeys(args.collector_pull_secret))
    return PodSettings(args.collector_pull_policy, secrets, dict(args.label), args.arbitrary_user)


def _traffic(args: argparse.Namespace) -> NetworkRules | None:
    rules = NetworkRules(tuple(args.allow_from), tuple(args.allow_to), tuple(dict.fromkeys(args.block)))
    return rules if any((rules.readers, rules.egress, rules.blocked)) else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT. Write it like 0.0.0.0:8080")
    return host.strip("[]"), int(port)


def _label(text: str) -> tuple[str, str]:
    """A label for managed objects, in the form of a label selector."""
    key, _, value = text.partition("=")
    try:
        found = read_selector(text).requirements
    except ValueError:
        found = ()
    if found != (Requirement(key, frozenset((value,)), is_negated=False),):
        raise argparse.ArgumentTypeError(f"{text!r} is not a label. Write it like team=markets")
    if is_operator_label(key):
        raise argparse.ArgumentTypeError(f"the label {key} is the operator's own. Choose another")
    return key, value


def _selector(text: str) -> Selector:
    try:
        return read_selector(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _lease(text: str) -> Key:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAMESPACE/NAME. Write it like market-operator/market-operator"
        )
    return Key(namespace, name)


def _terms(text: str) -> Terms:
    """Duration, deadline and retry for tests, such as 3s/2s/500ms."""
    terms = Terms(*map(_seconds, text.split("/")))
    if not terms.duration > terms.deadline > terms.retry:
        raise argparse.ArgumentTypeError("duration must be longer than deadline, and deadline longer than retry")
    return terms


def _seconds(text: str) -> float:
    try:
        found = seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if found <= 0:
        raise argparse.ArgumentTypeError("out of range: must be more than 0s, such as 30s")
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise argparse.ArgumentTypeError(f'{text!r} is not a JSON object. Write it like {{"podSelector": {{}}}}')
    return found


def _tenants(text: str) -> TenantRules:
    try:
        return TenantRules.read(json.loads(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r}: {error}. Write it like {{"image": false}}') from error


def _network(text: str) -> str:
    try:
        found = ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}. Write it like 169.254.0.0/16") from error
    if not found.prefixlen:
        raise argparse.ArgumentTypeError(f"{text!r} has every address. Block smaller networks")
    return str(found)


def _workers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError("out of range: must be 1 to 64")
    return int(text)


_OPTIONS: dict[str, dict[str, Any]] = {
    "--namespace": {"action": "append", "default": [], "help": "serve only this namespace (repeatable)"},
    "--selector": {
        "type": _selector,
        "default": _DEFAULTS.selector,
        "help": "serve only resources with these labels, such as 'team=a,tier in (x,y)'",
    },
    "--lease": {
        "type": _lease,
        "metavar": "NAMESPACE/NAME",
        "help": "Lease that elects the leader among several instances; without it, this instance leads",
    },
    "--lease-terms": {"type": _terms, "default": _DEFAULTS.lease_terms, "help": argparse.SUPPRESS},
    "--collector-image": {
        "help": f"image of collectors (default: COLLECTOR_IMAGE, else {_DEFAULTS.collector_image})",
    },
    "--collector-pull-policy": {
        "choices": PULL_POLICIES,
        "default": _DEFAULTS.pods.pull_policy,
        "help": "when nodes pull the image of collectors, unless a resource says so itself (%(default)s)",
    },
    "--collector-pull-secret": {
        "action": "append",
        "default": [],
        "metavar": "NAME",
        "help": "Secret in each resource's namespace with which nodes pull the image of collectors (repeatable)",
    },
    "--label": {
        "action": "append",
        "default": [],
        "type": _label,
        "metavar": "KEY=VALUE",
        "help": "label of all managed objects and their pods (repeatable)",
    },
    "--arbitrary-user": {
        "action": "store_true",
        "help": "leave user and groups out of pods, so that the namespace chooses them (OpenShift)",
    },
    "--http": {
        "default": f"{_DEFAULTS.http_host}:{_DEFAULTS.http_port}",
        "type": _address,
        "metavar": "HOST:PORT",
        "help": "address of probes and metrics (%(default)s)",
    },
    "--health-via": {
        "choices": get_args(HealthVia),
        "default": _DEFAULTS.health_via,
        "help": "probe collectors directly, or through the API server (%(default)s)",
    },
    "--counter-interval": {
        "default": "60s",
        "type": _seconds,
        "help": "shortest time between status writes for counters (%(default)s)",
    },
    "--sweep-interval": {"default": "5m", "type": _seconds, "help": "time between complete listings (%(default)s)"},
    "--workers": {
        "default": _DEFAULTS.workers,
        "type": _workers,
        "help": "resources reconciled at the same time (%(default)s)",
    },
    "--allow-from": {
        "action": "append",
        "default": [],
        "type": _object,
        "metavar": "PEER",
        "help": "create NetworkPolicies in which only this NetworkPolicyPeer (JSON) may reach collectors; include the "
        "operator itself (repeatable)",
    },
    "--allow-to": {
        "action": "append",
        "default": [],
        "type": _object,
        "metavar": "RULE",
        "help": "create NetworkPolicies that allow this NetworkPolicyEgressRule (JSON) besides DNS and the exchange "
        "(repeatable)",
    },
    "--block": {
        "action": "append",
        "default": [],
        "type": _network,
        "metavar": "CIDR",
        "help": "create NetworkPolicies that keep collectors from these addresses, such as a cloud's metadata "
        "service (repeatable)",
    },
    "--tenants-allow": {
        "type": _tenants,
        "default": _DEFAULTS.tenants,
        "metavar": "RULES",
        "help": "what a resource may ask for, as in the chart's value tenants.allow (JSON); by default everything",
    },
    "--log-level": {"choices": ("debug", "info", "warning", "error"), "default": _DEFAULTS.log_level},
    "--log-format": {"choices": ("text", "json"), "default": _DEFAULTS.log_format},
}


if __name__ == "__main__":
    main()
