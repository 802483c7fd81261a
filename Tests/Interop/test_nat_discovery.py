"""What NATs do, found out by `martlet doctor` from a coturn with two addresses, and by coturn's own tools: networks of namespaces."""
import contextlib
import socket
import subprocess

import pytest
from conftest import BINARY, wait_for
from networks import NATS
from test_networks import internet  # noqa: F401 (a fixture)

pytestmark = pytest.mark.alone

FIRST, SECOND, ROUTER, HOME = "203.0.113.10", "203.0.113.11", "203.0.113.30", "10.77.0.2"
EXPECTED = {
    "full cone": "full cone NAT: seen as {}, endpoint-independent mapping, endpoint-independent filtering, no hairpinning",
    "restricted": "port-restricted cone NAT: seen as {}, endpoint-independent mapping, address-and-port-dependent filtering, no hairpinning",
    "symmetric": "symmetric NAT: seen as {}, address-and-port-dependent mapping, address-and-port-dependent filtering, no hairpinning",
}


# What the host sends to its own outer address comes back to it, from there.
HAIRPIN = f"""
table ip nat {{
  chain post {{
    type nat hook postrouting priority srcnat;
    oifname "eth0" masquerade;
    oifname "lan" ip saddr 10.77.0.0/24 snat to {ROUTER};
  }}
  chain pre {{ type nat hook prerouting priority dstnat; meta l4proto udp ip daddr {ROUTER} dnat to {HOME}; }}
}}
"""


@pytest.fixture(scope="module")
def coturn(internet, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("turn")
    host = internet.host("discovery", FIRST)
    host.ip("addr", "add", f"{SECOND}/24", "dev", "eth0")
    with host.inside(), (folder / "log").open("w") as log:
        process = subprocess.Popen([
            "turnserver", "-n", "-a", "-u", "user:secret", "-r", "test", "--no-tls", "--no-dtls", "--no-cli", "-L", FIRST, "-L", SECOND,
            "-p", "3478", "--alt-listening-port", "3479", "--log-file", "stdout", "--pidfile", folder / "pid"], stdout=log, stderr=log)
    listens(FIRST)
    yield FIRST
    process.kill()
    process.wait()


def listens(host, port=3478):
    def connects():
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
    wait_for(connects)


@pytest.fixture(scope="module")
def home(internet):  # noqa: F811
    return internet.home("home", ROUTER, HOME)


def doctor(host, server):
    """The line about the NAT. No port is listened on, so that other programs do not matter."""
    off = [part for name in ("http", "https", "rtmp", "rtmps") for part in (f"--{name}", "off")]
    with host.inside():
        result = subprocess.run([BINARY, "doctor", "--stun", server, *off], capture_output=True, text=True, timeout=60)
    return result.stdout.splitlines()


@pytest.mark.parametrize("nat", EXPECTED)
def test_the_nat_is_named(coturn, home, nat):
    router, host = home
    router.rules(NATS[nat](HOME))
    lines = doctor(host, coturn)
    before, after = EXPECTED[nat].split("{}")
    assert any(before in line and after in line and f" {ROUTER}:" in line for line in lines), lines
    assert any(f"webrtc.addresses: [{ROUTER}]" in line for line in lines), lines


def test_a_nat_that_turns_back_what_is_for_its_own_outside_is_named(coturn, home):
    router, host = home
    router.rules(HAIRPIN)
    lines = doctor(host, coturn)
    assert any("full cone NAT" in line and ", hairpinning" in line for line in lines), lines


def test_no_nat_and_no_udp_are_named(coturn, internet, home):  # noqa: F811
    assert any("open internet: seen as 203.0.113.1:" in line for line in doctor(internet.backbone, coturn))
    router, host = home
    router.rules(NATS["UDP blocked"](HOME))
    assert any(line.startswith("problem") and "does not answer over UDP" in line for line in doctor(host, coturn))
