"""The scripts of hack/: what they say when a machine cannot run the cluster, and whom they call.

Nothing here starts or touches a cluster, except the last test. The machine is faked by small programs on PATH (id, df, ip, docker,
kind, ...) and by the settings that hack/cluster/settings.sh documents.
"""

import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

HACK = Path(__file__).parents[2] / "hack"
CLUSTER = HACK / "cluster"


class Machine:
    """A made-up machine: an empty cache, programs of ours on PATH, a log of their calls."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.calls_file = folder / "calls"
        self.cache = folder / "market-collector"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MC_", "IMAGE_", "PIP_", "CLUSTER", "KUBE"))}
        self.environment = clean | {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder),
            "PATH": f"{self.programs}:{clean['PATH']}",
            "CALLS": str(self.calls_file),
        }
        # Whatever runs on the real machine (its own cluster, say) is not seen.
        self.fake("pgrep", "exit 1")
        self.fake("id", '[ "$1" = -un ] && echo root || echo 0')

    def fake(self, name: str, body: str) -> None:
        """A program that notes its call and runs `body`, a few lines of shell."""
        path = self.programs / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n{body}\n')
        path.chmod(0o755)

    def calls(self, program: str) -> list[str]:
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [line for line in lines if line.startswith(program + " ")]

    def run(self, *command: str | Path, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            env=self.environment | dict(settings or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def check(self, **settings: str) -> str:
        """Return the reason why `up.sh --check` refuses this machine."""
        ports = [
            "API",
            "ETCD",
            "ETCD_PEER",
            "CONTROLLER_MANAGER",
            "SCHEDULER",
            "KUBELET",
            "KUBELET_HEALTH",
            "PROXY_METRICS",
            "PROXY_HEALTH",
        ]
        free = {"MC_POD_NETWORK": "10.199", "MC_SERVICE_NETWORK": "10.198"}
        free |= {f"MC_PORT_{name}": str(21001 + number) for number, name in enumerate(ports)}
        outcome = self.run(CLUSTER / "up.sh", "--check", settings=free | settings)
        assert outcome.returncode == 1, outcome.stderr
        assert outcome.stdout == ""
        return outcome.stderr


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Not tmp_path: sockets' paths are limited, and the scripts refuse a long one.
    folder = Path(tempfile.mkdtemp(prefix="mc", dir="/tmp"))
    yield Machine(folder)
    shutil.rmtree(folder)


def on_terminal(machine: Machine, script: str, columns: int) -> str:
    """Return the output of `script` on a terminal of that width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen(
        ["bash", "-c", script], env=machine.environment | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        # Linux answers EIO, not an empty read, when nobody holds the other end.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 4096):
                written += part
        os.close(ours)
    assert process.returncode == 0
    return written.decode()


def in_bash(machine: Machine, script: str) -> str:
    """The output of `script` after the scripts' own functions were read."""
    sources = [
        "progress.sh",
        "packages.sh",
        "cluster/settings.sh",
        "cluster/processes.sh",
        "cluster/certificates.sh",
        "cluster/preflight.sh",
        "cluster/remove.sh",
    ]
    lines = ["set -euo pipefail", *(f". {HACK / source}" for source in sources), script]
    outcome = machine.run("bash", "-c", "\n".join(lines))
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


# -- may this machine run it? ----------------------------------------------------------------------------------------------


def test_without_root_the_message_names_the_other_ways(machine: Machine) -> None:
    machine.fake("id", '[ "$1" = -un ] && echo alice || echo 1000')
    said = machine.check()
    assert "needs root" in said
    assert "you are alice" in said
    assert "CLUSTER=kind" in said
    assert "CLUSTER=current" in said


def test_another_system_is_named(machine: Machine, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=fedora\nPRETTY_NAME="Fedora Linux 43"\n')
    said = machine.check(MC_OS_RELEASE=str(release))
    assert "Fedora Linux 43" in said
    assert "CLUSTER=kind" in said


def test_macos_is_named(machine: Machine) -> None:
    machine.fake("uname", "echo Darwin")
    assert "needs Linux; this is Darwin" in machine.check()


def test_a_taken_port_is_named_with_its_process_and_the_way_out(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = machine.check(MC_PORT_ETCD=str(port))
    assert f"port {port} (etcd) is taken by" in said
    assert f"process {os.getpid()}" in said
    assert "MC_PORT_ETCD=NUMBER" in said


def test_the_api_servers_port_must_be_free_on_every_address(machine: Machine) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"port {port} (API server) is taken" in machine.check(MC_PORT_API=str(port))


@pytest.mark.parametrize(
    ("is_built", "free_gb", "message"),
    [
        (False, 5, "6 GB are needed to build and run the cluster, 5 GB are free"),
        (True, 2, "3 GB are needed to run the cluster, 2 GB are free"),
    ],
)
def test_full_disk_is_reported_with_the_space_needed(
    machine: Machine, is_built: bool, free_gb: int, message: str
) -> None:
    machine.fake("df", f"printf 'Filesystem 1024-blocks Used Available\\n/dev/x 1 1 {free_gb * 1024 * 1024}\\n'")
    if is_built:
        program = Path(in_bash(machine, 'echo "$KUBERNETES_BIN/kube"').strip())
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    assert message in machine.check()


def test_a_subnet_in_use_is_named_with_its_holder(machine: Machine) -> None:
    machine.fake("ip", "[ \"$3\" = address ] && echo '7: tun0    inet 10.199.3.1/24 scope global tun0' || true")
    said = machine.check()
    assert "10.199.0.0/16 is in use on this machine: tun0 has 10.199.3.1/24" in said
    assert "MC_POD_NETWORK=" in said


def test_another_kubernetes_on_the_machine_is_refused(machine: Machine) -> None:
    machine.fake("pgrep", f'[ "$*" = "-x kubelet" ] && echo {os.getpid()}')
    said = machine.check()
    assert f"another Kubernetes runs on this machine: kubelet (process {os.getpid()})" in said
    assert "CLUSTER=current" in said


def test_a_path_too_long_for_sockets_is_refused(machine: Machine) -> None:
    assert "too long for sockets" in machine.check(XDG_CACHE_HOME="/tmp/" + "x" * 80)


@pytest.mark.parametrize("script", ["up.sh", "down.sh", "images.sh", "kubeconfig.sh"])
def test_an_unknown_cluster_is_refused_by_every_script(machine: Machine, script: str) -> None:
    outcome = machine.run(CLUSTER / script, settings={"CLUSTER": "minikube"})
    assert outcome.returncode == 1
    assert "CLUSTER=minikube is unknown" in outcome.stderr
    assert "local (the default), kind, current" in outcome.stderr


# -- whose process, whose rule? --------------------------------------------------------------------------------------------


def test_a_program_that_only_names_the_state_folder_is_not_ours(machine: Machine) -> None:
    watcher = subprocess.Popen(["sleep", "60"], executable="/bin/sleep", env={"X": f"{machine.cache}/cluster/"})
    try:
        assert in_bash(machine, f"is_ours {watcher.pid} && echo yes || echo no") == "no\n"
        # The same binary under our name, with our folder among its arguments, is.
        folder = machine.cache / "bin" / "kubernetes-0"
        folder.mkdir(parents=True)
        shutil.copy("/bin/bash", folder / "kube")
        ours = subprocess.Popen(
            [str(folder / "kube"), "-c", "while sleep 0.2; do :; done", f"--config={machine.cache}/cluster/x.yaml"]
        )
        try:
            assert in_bash(machine, f"is_ours {ours.pid} && echo yes || echo no; our_processes") == f"yes\n{ours.pid}\n"
            in_bash(machine, f"end_processes TERM 2 {ours.pid}")
            assert ours.wait(timeout=5) == -signal.SIGTERM
        finally:
            ours.kill()
            ours.wait()
    finally:
        watcher.kill()
        watcher.wait()


def test_a_stale_pid_file_is_not_a_running_component(machine: Machine) -> None:
    state = machine.cache / "cluster"
    state.mkdir(parents=True)
    (state / "etcd.pid").write_text(f"{os.getpid()}\n")
    assert in_bash(machine, "is_running etcd && echo yes || echo no") == "no\n"


@pytest.mark.parametrize(("days", "answer"), [(1, "no"), (2, "yes")])
def test_certificates_that_end_within_a_day_count_as_ended(machine: Machine, days: int, answer: str) -> None:
    folder = machine.cache / "cluster" / "pki"
    folder.mkdir(parents=True)
    request = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days {days} -subj /CN=x -keyout {folder}/ca.key -out {folder}/ca.crt"
    assert machine.run("openssl", *request.split()).returncode == 0
    assert in_bash(machine, "are_certificates_valid && echo yes || echo no") == f"{answer}\n"


def test_only_the_clusters_own_iptables_rules_are_removed(machine: Machine) -> None:
    saved = """*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:CNI-aaa - [0:0]
:CNI-bbb - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A POSTROUTING -s 10.244.0.2/32 -m comment --comment "name: \\"market-collector\\" id: \\"x\\"" -j CNI-aaa
-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \\"podman\\" id: \\"y\\"" -j CNI-bbb
-A CNI-aaa -d 10.244.0.0/16 -m comment --comment "name: \\"market-collector\\" id: \\"x\\"" -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC
-A FORWARD -i mc0 -m comment --comment market-collector -j ACCEPT
COMMIT
"""
    removal = in_bash(machine, f"iptables_removal <<'SAVED'\n{saved}SAVED\n").splitlines()
    assert removal[:3] == [
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-D POSTROUTING -s 10.244.0.2/32 -m comment --comment "name: \\"market-collector\\" id: \\"x\\"" -j CNI-aaa',
        "-D FORWARD -i mc0 -m comment --comment market-collector -j ACCEPT",
    ]
    assert sorted(removal[3:5]) == ["-F CNI-aaa", "-F KUBE-SERVICES"]
    assert sorted(removal[5:]) == ["-X CNI-aaa", "-X KUBE-SERVICES"]


# -- progress --------------------------------------------------------------------------------------------------------------


def test_long_step_prints_a_line_now_and_then_without_a_terminal(machine: Machine) -> None:
    machine.environment["MC_HEARTBEAT_S"] = "1"
    outcome = machine.run("bash", "-c", f". {HACK}/progress.sh; step /dev/null 'waiting for nothing' sleep 1.6")
    assert outcome.returncode == 0
    assert "- waiting for nothing\n" in outcome.stderr
    assert "still running after 1 s" in outcome.stderr
    assert "done in " in outcome.stderr
    assert "\r" not in outcome.stderr


def test_long_step_updates_one_line_in_place_on_a_terminal(machine: Machine) -> None:
    shown = on_terminal(machine, f". {HACK}/progress.sh; step /dev/null 'waiting for {'x' * 40} nothing' sleep 2.6", 40)
    lines = shown.split("\r\n")
    assert len(lines) == 2
    *running, end = lines[0].split("\r\033[K")
    assert running[0] == ""
    assert len(running) > 2
    assert all(len(line) < 40 and re.fullmatch(r"- waiting for x+ \d+ s", line) for line in running[1:])
    assert re.fullmatch(r"- waiting for x+ nothing: done in \d+ s", end)


def test_started_steps_run_beside_one_another(machine: Machine, tmp_path: Path) -> None:
    """Each waits for a file that the other writes."""
    script = f"""
. {HACK}/progress.sh
start_step {tmp_path}/log.a first bash -c 'touch {tmp_path}/a; until [ -e {tmp_path}/b ]; do sleep 0.05; done'
start_step {tmp_path}/log.b second bash -c 'touch {tmp_path}/b; until [ -e {tmp_path}/a ]; do sleep 0.05; done'
finish_steps
"""
    outcome = machine.run("bash", "-c", script)
    assert outcome.returncode == 0
    assert sorted(re.findall(r"done in \d+ s: (\w+)", outcome.stderr)) == ["first", "second"]


def test_failed_step_ends_the_others(machine: Machine, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"""
. {HACK}/progress.sh
start_step {tmp_path}/log.a endless bash -c 'echo $$ >{pid_file}; exec sleep 50'
until [ -s {pid_file} ]; do sleep 0.05; done
start_step {tmp_path}/log.b failing bash -c 'echo the reason; exit 7'
finish_steps || echo status $?
"""
    start = time.monotonic()
    outcome = machine.run("bash", "-c", script)
    assert time.monotonic() - start < 25
    assert outcome.stdout == "status 7\n"
    assert "| the reason" in outcome.stderr
    endless = Path("/proc", pid_file.read_text().strip())
    while endless.exists() and time.monotonic() - start < 45:
        time.sleep(0.05)
    assert not endless.exists()


def test_a_failed_step_shows_the_end_of_its_log(machine: Machine, tmp_path: Path) -> None:
    script = f". {HACK}/progress.sh; step {tmp_path}/log 'building' bash -c 'seq 100; exit 7' || echo status $?"
    outcome = machine.run("bash", "-c", script)
    assert outcome.stdout == "status 7\n"
    assert "Last lines of" in outcome.stderr
    assert "| 100" in outcome.stderr
    assert "| 85\n" not in outcome.stderr


def test_a_started_process_holds_neither_the_callers_output_nor_its_lock(machine: Machine, tmp_path: Path) -> None:
    lock, pid_file = tmp_path / "lock", tmp_path / "pid"
    script = f". {HACK}/progress.sh; lock {lock} testing; setsid {CLUSTER}/detach.sh {pid_file} {tmp_path}/log sleep 60 & until [ -s {pid_file} ]; do sleep 0.05; done"
    start = time.monotonic()
    machine.run("bash", "-c", script)  # returns at the end of all who hold its output
    assert time.monotonic() - start < 20
    pid = int(pid_file.read_text())
    try:
        assert machine.run("flock", "--nonblock", lock, "true").returncode == 0
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)


# -- kubeconfig ------------------------------------------------------------------------------------------------------------


def test_kubeconfig_without_a_cluster_says_how_to_get_one(machine: Machine) -> None:
    outcome = machine.run(CLUSTER / "kubeconfig.sh")
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert "make cluster" in outcome.stderr


@pytest.mark.parametrize("folder", ["cluster", "with space"])
def test_kubeconfig_prints_what_eval_understands(machine: Machine, folder: str) -> None:
    home = machine.cache.parent / folder
    (home / "market-collector" / "cluster").mkdir(parents=True)
    (home / "market-collector" / "tools").mkdir()
    (home / "market-collector" / "cluster" / "admin.kubeconfig").write_text("{}")
    script = f'eval "$({CLUSTER}/kubeconfig.sh)"; echo "$KUBECONFIG"; echo "$PATH"'
    kubeconfig, path = machine.run("bash", "-c", script, settings={"XDG_CACHE_HOME": str(home)}).stdout.splitlines()
    assert kubeconfig == f"{home}/market-collector/cluster/admin.kubeconfig"
    assert path == f"{home}/market-collector/tools:{machine.environment['PATH']}"


# -- kind and an existing cluster --------------------------------------------------------------------------------------------

FAKE_KIND = """
case "$1 $2" in
  "get clusters") cat "$HOME/clusters" 2>/dev/null ;;
  "create cluster") echo "$4" >"$HOME/clusters"; echo '{}' >"$6" ;;
  "export kubeconfig") echo '{}' >"$6" ;;
  "delete cluster") rm "$HOME/clusters" ;;
esac
"""
# Keeps what it was handed as secrets, the way a build would see them.
FAKE_DOCKER = """
for argument in "$@"; do
  case $argument in
    id=*,src=*) name=${argument%%,*}; cp "${argument#*src=}" "$HOME/secret-${name#id=}" ;;
  esac
done
"""
IMAGES = [f"localhost/market-{name}:dev" for name in ("operator", "collector", "simulator")]


@pytest.fixture
def laptop(machine: Machine) -> Machine:
    """No root, and Docker, kind, kubectl, helm."""
    machine.fake("id", '[ "$1" = -un ] && echo alice || echo 1000')
    machine.fake("kind", FAKE_KIND)
    machine.fake("docker", FAKE_DOCKER)
    machine.fake("kubectl", '[ "$*" = "config current-context" ] && echo staging || true')
    machine.fake("helm", "true")
    return machine


def test_kind_is_made_once_used_again_and_removed(laptop: Machine) -> None:
    kind = {"CLUSTER": "kind"}
    assert laptop.run(CLUSTER / "up.sh", settings=kind).returncode == 0
    assert laptop.run(CLUSTER / "up.sh", settings=kind).returncode == 0
    kubeconfig = laptop.cache / "kind.kubeconfig"
    assert (
        laptop.calls("kind").count(f"kind create cluster --name market-collector --kubeconfig {kubeconfig} --wait 180s")
        == 1
    )
    assert f"export KUBECONFIG={kubeconfig} " in laptop.run(CLUSTER / "kubeconfig.sh", settings=kind).stdout
    assert laptop.run(CLUSTER / "down.sh", settings=kind).returncode == 0
    assert laptop.calls("kind")[-1].startswith("kind delete cluster --name market-collector")
    assert not kubeconfig.exists()


def test_kind_builds_and_loads_three_images(laptop: Machine) -> None:
    outcome = laptop.run(CLUSTER / "images.sh", settings={"CLUSTER": "kind"})
    assert outcome.stdout.splitlines() == IMAGES
    builds = [call for call in laptop.calls("docker") if call.startswith("docker build")]
    assert [
        "--target " + name in build for name, build in zip(("operator", "collector", "simulator"), builds, strict=True)
    ] == [True] * 3
    assert not any("BASE_IMAGE" in build for build in builds)
    assert [call.split()[-1] for call in laptop.calls("kind")] == IMAGES


def test_one_image_and_another_tag(laptop: Machine) -> None:
    outcome = laptop.run(
        CLUSTER / "images.sh", "--no-load", "collector", settings={"CLUSTER": "kind", "IMAGE_TAG": "1.2"}
    )
    assert outcome.stdout == "localhost/market-collector:1.2\n"
    assert laptop.calls("kind") == []


def test_pips_settings_reach_the_build_as_a_secret(laptop: Machine) -> None:
    settings = {
        "CLUSTER": "kind",
        "PIP_TIMEOUT": "7",
        "PIP_EXTRA_INDEX_URL": "scheme://user:pass@index.invalid/simple",
        "PIP_FIND_LINKS": "/opt/wheels",
        "PIP_CERT": "/nowhere/ca.pem",
    }
    laptop.run(CLUSTER / "images.sh", "collector", settings=settings)
    handed = (laptop.cache.parent / "secret-pip").read_text().splitlines()
    assert handed[0] == "[global]"
    assert "timeout = 7" in handed
    assert "extra-index-url = scheme://user:pass@index.invalid/simple" in handed
    # A folder and a file of this machine mean nothing inside a build.
    assert not any(line.startswith(("find-links", "cert")) for line in handed)
    assert (laptop.cache.parent / "secret-ca").read_text() == ""
    assert "user:pass" not in laptop.calls_file.read_text()


def test_kind_without_docker_says_so(machine: Machine) -> None:
    machine.fake("kind", FAKE_KIND)
    machine.fake("kubectl", "true")
    machine.fake("docker", "exit 1")
    outcome = machine.run(CLUSTER / "up.sh", settings={"CLUSTER": "kind"})
    assert outcome.returncode == 1
    assert "the Docker engine does not answer" in outcome.stderr


def test_the_current_cluster_is_used_and_left_alone(laptop: Machine) -> None:
    current = {"CLUSTER": "current"}
    up = laptop.run(CLUSTER / "up.sh", settings=current)
    assert up.returncode == 0
    assert "context staging" in up.stderr
    assert "Nothing is changed" in laptop.run(CLUSTER / "down.sh", settings=current).stderr
    assert laptop.calls("kind") == []
    assert not any(" delete " in call or " apply " in call for call in laptop.calls("kubectl"))


def test_images_are_pushed_only_to_the_registry_that_the_user_names(laptop: Machine) -> None:
    here = laptop.run(CLUSTER / "images.sh", settings={"CLUSTER": "current"})
    assert "IMAGE_REGISTRY" in here.stderr
    assert not any(call.startswith("docker push") for call in laptop.calls("docker"))
    there = laptop.run(
        CLUSTER / "images.sh", settings={"CLUSTER": "current", "IMAGE_REGISTRY": "registry.invalid/team/"}
    )
    names = [f"registry.invalid/team/market-{name}:dev" for name in ("operator", "collector", "simulator")]
    assert there.stdout.splitlines() == names
    assert [call for call in laptop.calls("docker") if call.startswith("docker push")] == [
        f"docker push {name}" for name in names
    ]


# -- the scripts themselves --------------------------------------------------------------------------------------------------


def test_programs_are_executable_and_sourced_files_are_not() -> None:
    for script in HACK.rglob("*.sh"):
        is_program = script.read_text().startswith("#!")
        assert os.access(script, os.X_OK) == is_program, script


# -- the real one ------------------------------------------------------------------------------------------------------------


def traces(cache: Path) -> dict[str, list[str]]:
    """List everything that a cluster could leave on this machine, in a form to compare."""

    def lines(command: str) -> list[str]:
        return sorted(
            subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False).stdout.splitlines()
        )

    return {
        "processes": lines(
            "ps -eo args= | grep -E 'kube|etcd|containerd|/pause|/coredns' | grep -vE 'grep|pytest|defunct'"
        ),
        "mounts": lines(f"grep -F ' {cache}/' /proc/mounts"),
        "links": lines("ip -o link | cut -d : -f 2"),
        "namespaces": lines("ip netns"),
        "rules": lines(
            "iptables-save | grep ^-A; iptables-save | grep -oE '^:(KUBE|CNI)-[^ ]*'; ip6tables-save | grep -oE '^:KUBE-[^ ]*'"
        ),
        "cgroups": lines("find /sys/fs/cgroup -name market-collector"),
        "folders": lines(
            "ls -d /var/lib/kubelet /var/lib/cni /var/log/containers /var/log/pods /run/containerd /opt/containerd /usr/libexec/kubernetes"
        ),
        "settings": lines("sysctl net.ipv4.ip_forward vm.overcommit_memory kernel.panic_on_oops kernel.panic"),
    }


@pytest.mark.cluster_lifecycle
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    os.environ.get("MC_LIFECYCLE") != "1", reason="takes the real cluster down: only with MC_LIFECYCLE=1"
)
def test_a_killed_cluster_recovers_and_a_removed_one_leaves_nothing() -> None:
    state = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "market-collector" / "cluster"

    def script(name: str) -> str:
        outcome = subprocess.run([str(CLUSTER / name)], capture_output=True, text=True, timeout=300, check=False)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stderr

    def kubectl(*arguments: str) -> str:
        command = [str(state.parent / "tools" / "kubectl"), "--kubeconfig", str(state / "admin.kubeconfig"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout

    script("down.sh")
    before = traces(state.parent)
    script("up.sh")

    start = time.monotonic()
    assert "The cluster is up" in script("up.sh")
    assert time.monotonic() - start < 3

    kubectl("run", "sleeper", "--image=localhost/pause:1", "--image-pull-policy=Never")
    kubectl("expose", "pod", "sleeper", "--port=80")
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")

    for victim in ("kubelet", "containerd", "kube-apiserver"):
        os.kill(int((state / f"{victim}.pid").read_text()), signal.SIGKILL)
    time.sleep(0.5)
    assert "a new one starts" in script("up.sh")
    kubectl("wait", "--for=condition=Ready", "node/node-1", "--timeout=10s")

    script("down.sh")
    time.sleep(1)  # the kernel ends network namespaces in its own time
    assert traces(state.parent) == before
    assert not state.exists()
    script("up.sh")
