"""Ways to the TURN server beside its own UDP, TCP and TLS: DTLS, the ports of HTTP, two addresses for behaviour discovery; and the
credentials that an application asks for."""
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import jwt
import pytest
from conftest import BINARY, free_port
from test_peer_connection import agent, connect, talk  # noqa: F401
from raw_turn import ALLOCATE, REFRESH, UDP, RawTurn
from test_turn_server import CLIENT, UCLIENT, echo  # noqa: F401
from turn import CONFIGURATION, PASSWORD, USER, Coturn, martlet_turn

pytestmark = pytest.mark.paired

KEY = "a secret of more than thirty-two letters"


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    port = free_port()
    more = f"  former_channels: true\nstun: {{alternate: \"127.0.0.2:{port}\"}}\nauth: {{jwt: [{{secret: {KEY}, do: [relay]}}]}}"
    with martlet_turn(tmp_path_factory.mktemp("martlet-turn"), more=more) as server:
        server.alternate = port
        yield server


def uclient(port, *arguments):
    command = [UCLIENT, "-p", str(port), "-n", "20", "-m", "2", "-c", *map(str, arguments), "127.0.0.1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    return result.stdout + result.stderr


# DTLS.


@CLIENT
@pytest.mark.peer("coturn", "TURN server: over dtls")
def test_an_echo_comes_back_over_dtls(turn, echo):  # noqa: F811
    output = uclient(turn.tls_port, "-S", "-u", USER, "-w", PASSWORD, "-e", "127.0.0.1", "-r", echo)
    assert "tot_send_msgs=40, tot_recv_msgs=40" in output, output[-2000:]


@pytest.mark.parametrize("more", [[], ["-mtu", "256", "-servername", "a-long-label-of-some-host." * 7 + "example"]], ids=["whole", "in fragments"])
def test_openssl_is_told_a_cookie_first(turn, more):
    """What a stranger's datagram costs us: an answer that is shorter, and nothing kept, even of a ClientHello that spans datagrams."""
    result = subprocess.run(
        ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{turn.tls_port}", "-CAfile", turn.authority, "-verify_return_error",
         "-verify_hostname", "localhost", "-state", *more], input="", capture_output=True, text=True, timeout=30)
    output = result.stdout + result.stderr
    assert "read hello verify request" in output and "Verify return code: 0 (ok)" in output, output[-3000:]


class CoturnWithDTLS(Coturn):
    configuration = CONFIGURATION.replace("no-dtls\n", "")


@pytest.fixture(scope="module")
def coturn_with_dtls(tmp_path_factory):
    if not shutil.which("turnserver"):
        pytest.skip("turnserver is not installed: Scripts/bootstrap --interop")
    server = CoturnWithDTLS(tmp_path_factory.mktemp("coturn"))
    yield server
    server.stop()


@pytest.mark.peer("coturn", "relay only: with PeerConnection, over dtls")
@pytest.mark.parametrize("kind", ["ours", "coturn"])
def test_our_connections_reach_each_other_by_relays_over_dtls(agent, turn, coturn_with_dtls, kind):  # noqa: F811
    relay = turn if kind == "ours" else coturn_with_dtls
    server = {"urls": [f"turns:localhost:{relay.tls_port}?transport=udp"], "username": USER, "credential": PASSWORD}
    configuration = {"iceServers": [server], "relayOnly": True, "authority": relay.authority}
    a, b = agent(**configuration), agent(**configuration)
    a.tell("channel", label="through the relay")
    connect(a, b)
    talk(a, b, "through the relay")
    for each in (a, b):
        assert each.statistics()["local"] == "relay"


def test_a_server_whose_certificate_is_not_trusted_is_not_used(agent, turn):  # noqa: F811
    server = {"urls": [f"turns:localhost:{turn.tls_port}?transport=udp"], "username": USER, "credential": PASSWORD}
    peer = agent(iceServers=[server], relayOnly=True)
    peer.tell("channel", label="x")
    peer.describe("offer")
    assert "701" in str(peer.wait("candidate error"))


# The ports of HTTP.


@CLIENT
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_client_is_served_on_the_port_of_http(turn, echo, secure):  # noqa: F811
    server, before = turn.server_process, turn.returned
    output = uclient(server.https if secure else server.http, "-t", *(["-S"] if secure else []), "-u", USER, "-w", PASSWORD, "-e", "127.0.0.1",
                     "-r", echo)
    # Over TLS this client misses messages that come together.
    assert ("tot_send_msgs=40, tot_recv_msgs=" if secure else "tot_send_msgs=40, tot_recv_msgs=40") in output, output[-2000:]
    assert turn.returned - before == 40
    assert server.get("/healthz")[0] == 200


# Behaviour discovery.


@pytest.mark.skipif(not shutil.which("turnutils_natdiscovery"), reason="turnutils_natdiscovery is missing: Scripts/bootstrap --interop")
@pytest.mark.peer("coturn", "TURN server: asked about NATs")
def test_the_tool_of_coturn_finds_no_nat_here(turn):
    command = ["turnutils_natdiscovery", "-m", "-f", "-p", str(turn.port), "-L", "127.0.0.1", "127.0.0.1"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60)
    text = output.stdout + output.stderr
    assert "NAT with Endpoint Independent Mapping" in text or "No NAT" in text, text
    assert "NAT with Endpoint Independent Filtering" in text, text


def test_a_stun_client_is_answered_at_the_other_address_and_port_too(turn):
    other = turn.alternate
    for host, port in (("127.0.0.1", turn.port), ("127.0.0.1", other), ("127.0.0.2", turn.port), ("127.0.0.2", other)):
        result = subprocess.run(["turnutils_stunclient", "-p", str(port), host], capture_output=True, text=True, timeout=60)
        output = result.stdout + result.stderr
        # From the address that was asked, and from the other one.
        assert output.count("UDP reflexive addr: 127.0.0.1") >= 2, output
        assert f"Response origin: : {host}:{port}" in output, output
        assert f"Other addr: : 127.0.0.{3 - int(host[-1])}:{turn.port if port == other else other}" in output, output


def test_our_own_client_finds_no_nat_here(turn):
    off = [part for name in ("http", "https", "rtmp", "rtmps", "webrtc", "turn", "turns") for part in (f"--{name}", "off")]
    command = [BINARY, "doctor", "--stun", f"127.0.0.1:{turn.port}", *off]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert "open internet: seen as 127.0.0.1:" in output and "endpoint-independent filtering" in output, output


# Credentials.


def ask(turn, token=None):
    request = urllib.request.Request(turn.server_process.url("/api/v1/turn"), method="POST", headers={"Origin": "https://app.example.org"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        return response.headers, json.load(response)


def token(*arguments):
    command = [BINARY, "token", "--secret", KEY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@CLIENT
def test_an_application_gets_credentials_that_end_with_its_token(turn, echo):  # noqa: F811
    headers, answer = ask(turn, token("--sub", "ann", "--can", "relay:turn", "--expires", "90s"))
    assert headers["Access-Control-Allow-Origin"] and headers["Cache-Control"] == "no-store"
    (server,) = answer["iceServers"]
    assert 80 < answer["ttl"] <= 90 and server["username"].split(":")[1].startswith("ann;")
    assert f"turn:127.0.0.1:{turn.port}?transport=udp" in server["urls"]
    output = uclient(turn.port, "-u", server["username"], "-w", server["credential"], "-e", "127.0.0.1", "-r", echo)
    assert "tot_send_msgs=40, tot_recv_msgs=40" in output, output[-2000:]
    assert " user=ann\n" in turn.log


@pytest.mark.parametrize("can", [None, "play:**"])
def test_who_may_not_relay_gets_none(turn, can):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(turn, can and token("--can", can))
    assert refused.value.code == (403 if can else 401)


def revoke(turn, **what):
    request = urllib.request.Request(turn.server_process.url("/api/v1/auth/revoke"), json.dumps(what).encode(), method="POST")
    return json.load(urllib.request.urlopen(request))["closed"]


def test_what_was_got_for_a_token_ends_when_it_is_revoked(turn):
    def client(sub, jti):
        claims = {"sub": sub, "jti": jti, "iat": int(time.time()), "exp": int(time.time()) + 600, "can": [{"do": "relay", "on": "turn"}]}
        (server,) = ask(turn, jwt.encode(claims, KEY, "HS256"))[1]["iceServers"]
        return RawTurn(turn, server["username"], server["credential"])

    lost, kept, static = client("eve", "eve-1"), client("eve", "eve-2"), RawTurn(turn, USER, PASSWORD)
    for each in (lost, kept, static):
        assert each.ask(ALLOCATE, UDP)[1] == 0
    assert turn.api("/turn/allocations?user=eve")["total"] == 2
    assert revoke(turn, token_id="eve-1") == 1
    assert turn.api("/turn/allocations?user=eve")["total"] == 1
    assert lost.ask(REFRESH)[1] == lost.ask(ALLOCATE, UDP)[1] == 401
    assert kept.ask(REFRESH)[1] == 0
    assert "the token that eve got the credential for has been revoked" in turn.log
    assert revoke(turn, user="eve") == 1 and kept.ask(REFRESH)[1] == 401 and static.ask(REFRESH)[1] == 0
    for each in (lost, kept, static):
        each.socket.close()
