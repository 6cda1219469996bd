import os
import signal
import subprocess
import sys

import pytest

from market_operator import __version__
from market_operator.__main__ import _settings, main, parser
from market_operator.cluster.lease import Terms
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.manifests.shard import PodSettings
from market_operator.resource.crd import crd_yaml
from market_operator.resource.naming import Key
from market_operator.resource.tenants import TenantRules
from market_operator.settings import Settings


def settings(*arguments: str) -> Settings:
    return _settings(parser().parse_args(["run", *arguments]))


def test_the_defaults_of_the_options_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLECTOR_IMAGE", raising=False)
    assert settings() == Settings()


def test_options_become_settings() -> None:
    found = settings("--namespace", "a", "--namespace", "b", "--namespace", "a", "--http", "[::1]:9", "--workers", "3")
    assert (found.namespaces, found.http_host, found.http_port, found.workers) == (("a", "b"), "::1", 9, 3)
    assert settings("--counter-interval", "1m30s").counter_interval == 90


def test_the_lease_and_the_selector_become_settings() -> None:
    found = settings("--lease", "home/operator", "--lease-terms", "3s/2s/200ms", "--selector", "team=a")
    assert (found.lease, found.lease_terms) == (Key("home", "operator"), Terms(3, 2, 0.2))
    assert found.selector.matches({"team": "a"})
    assert not found.selector.matches({})


def test_options_become_settings_of_the_pods() -> None:
    found = settings(
        *("--collector-pull-policy", "Always", "--arbitrary-user", "--label", "team=a", "--label", "example.com/b="),
        *("--collector-pull-secret", "one", "--collector-pull-secret", "two", "--collector-pull-secret", "one"),
    )
    labels = {"team": "a", "example.com/b": ""}
    assert found.pods == PodSettings("Always", ("one", "two"), labels, has_arbitrary_user=True)


def test_network_policies_need_allowed_readers() -> None:
    assert settings().traffic is None
    peer, rule = '{"podSelector": {}}', '{"ports": [{"port": 3128}]}'
    assert settings("--allow-from", peer, "--allow-to", rule).traffic == NetworkRules(
        readers=({"podSelector": {}},), egress=({"ports": [{"port": 3128}]},)
    )
    assert settings("--allow-to", rule).traffic == NetworkRules(egress=({"ports": [{"port": 3128}]},))
    blocked = settings("--block", "169.254.0.0/16", "--block", "FE80::/10").traffic
    assert blocked == NetworkRules(blocked=("169.254.0.0/16", "fe80::/10"))


def test_limits_of_tenants_become_settings() -> None:
    rules = settings("--tenants-allow", '{"image": ["registry/team/"], "env": false}').tenants
    assert rules == TenantRules({"image": ("registry/team/",), "env": False})


def test_the_collector_image_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECTOR_IMAGE", "theirs")
    assert settings().collector_image == "theirs"
    assert settings("--collector-image", "ours").collector_image == "ours"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "--http", "8080"], "is not HOST:PORT"),
        (["run", "--http", "a:99999"], "is not HOST:PORT"),
        (["run", "--counter-interval", "soon"], "is not a duration"),
        (["run", "--sweep-interval", "0s"], "must be more than 0s"),
        (["run", "--workers", "0"], "must be 1 to 64"),
        (["run", "--allow-from", "prometheus"], "is not a JSON object"),
        (["run", "--allow-from", "{}"], "is not a JSON object"),
        (["run", "--allow-to", "[]"], "is not a JSON object"),
        (["run", "--block", "169.254.169.254/16"], "has host bits set. Write it like 169.254.0.0/16"),
        (["run", "--tenants-allow", '{"images": true}'], "images is unknown"),
        (["run", "--tenants-allow", "{"], "Write it like"),
        (["run", "--block", "0.0.0.0/0"], "has every address"),
        (["run", "--health-via", "guess"], "invalid choice"),
        (["run", "--selector", "team in a"], "'team in a' is not a label requirement: must be a=b"),
        *(
            (["run", "--label", text], "is not a label")
            for text in ("team", "a==b", "a!=b", "a=b,c=d", "a in (b)", "=b")
        ),
        (["run", "--label", "app.kubernetes.io/name=x"], "app.kubernetes.io/name is the operator's own"),
        (["run", "--collector-pull-policy", "often"], "invalid choice"),
        (["run", "--lease", "operator"], "is not NAMESPACE/NAME"),
        (["run", "--lease-terms", "2s/3s/1s"], "duration must be longer than deadline"),
        ([], "required"),
    ],
)
def test_bad_option_is_refused_with_the_allowed_values(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(("command", "text"), [("crd", crd_yaml()), ("version", f"{__version__}\n")])
def test_printing_command_writes_to_standard_output(
    command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command])
    assert (ended.value.code, capsys.readouterr().out) == (0, text)


@pytest.mark.parametrize("command", ["crd", "version"])
def test_command_whose_reader_has_gone_ends_without_a_traceback(command: str) -> None:
    """As in ``market-operator crd | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "market_operator", command]
    result = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")


def test_printing_the_crd_needs_no_cluster_libraries() -> None:
    code = (
        "import sys; from market_operator.__main__ import main\n"
        "try: main(['crd'])\n"
        "except SystemExit: assert not {'kopf', 'kubernetes', 'aiohttp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
