"""PeerConnection with real peers: through a real TURN server, over TCP, with browsers, aiortc and Pion. Assertions are on messages that
arrived and on frames that were decoded. `make examples` builds the program that speaks for it."""
import pytest
from peers import Agent, checksum, pattern
from turn import coturn


@pytest.fixture
def agent():
    agents = []

    def make(**configuration):
        agents.append(Agent(**configuration))
        return agents[-1]

    yield make
    for each in agents:
        each.close()


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    with coturn(tmp_path_factory.mktemp("turn")) as server:
        yield server


def trickle(a, b):
    """What each has found by now goes to the other; answers whether both have said that that was all."""
    for one, other in ((a, b), (b, a)):
        one.wait("candidate", candidate="")
        for report in one.seen("candidate"):
            other.tell("candidate", candidate=report["candidate"], mid=report.get("mid"))


def connect(a, b):
    """One exchange of offer and answer, and the candidates after it."""
    offer = a.describe("offer")
    answer = b.describe("description", type="offer", sdp=offer["sdp"])
    a.tell("description", type="answer", sdp=answer["sdp"])
    trickle(a, b)
    for each in (a, b):
        each.wait("state", text="connected")


def talk(a, b, label):
    """Messages in both directions, one of them larger than any packet."""
    a.wait("channel", label=label)
    b.wait("channel", label=label)
    for one, other in ((a, b), (b, a)):
        one.tell("send", label=label, text="grüße 🐦")
        other.wait("message", label=label, text="grüße 🐦")
        one.tell("send", label=label, bytes=200_000)
        assert other.wait("message", label=label, bytes=200_000)["sum"] == checksum(pattern(200_000))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_two_connections_reach_each_other_by_relays_alone(agent, turn, transport):
    configuration = {"iceServers": [turn.server(transport)], "relayOnly": True, "authority": turn.authority}
    a, b = agent(**configuration), agent(**configuration)
    a.tell("channel", label="through the relay")
    connect(a, b)
    talk(a, b, "through the relay")
    for each in (a, b):
        found = each.statistics()
        assert (found["local"], found["remote"]) == ("relay", "relay")
        # Nothing tells where they are.
        candidates = [report["candidate"] for report in each.seen("candidate") if report["candidate"]]
        assert candidates and all(" typ relay raddr 0.0.0.0 rport 0" in candidate for candidate in candidates), candidates


def test_a_relay_stands_beside_the_other_candidates_and_tells_where_this_end_is_seen(agent, turn):
    peer = agent(iceServers=[turn.server()])
    peer.tell("channel", label="x")
    peer.describe("offer")
    peer.wait("candidate", candidate="")
    candidates = [report["candidate"] for report in peer.seen("candidate")]
    assert any(" typ host" in each for each in candidates) and any(" typ relay raddr 127.0.0.1 rport " in each for each in candidates)
    assert peer.seen("candidate error") == []


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_wrong_credentials_are_told_and_the_gathering_ends(agent, turn, transport):
    server = turn.server(transport, password="guessed")
    peer = agent(iceServers=[server], relayOnly=True, authority=turn.authority)
    peer.tell("channel", label="x")
    peer.describe("offer")
    error = peer.wait("candidate error")
    assert (error["code"], error["url"]) == (401, server["urls"][0])
    peer.wait("candidate", candidate="")
    assert len(peer.seen("candidate")) == 1


def test_a_turn_server_is_verified_and_one_that_is_not_there_is_told(agent, turn):
    nowhere = {"urls": ["turn:127.0.0.1:1?transport=tcp"], "username": "a", "credential": "b"}
    unknown = {"urls": ["stun:does-not-exist.invalid"]}
    peer = agent(iceServers=[turn.server("tls"), nowhere, unknown])
    peer.tell("channel", label="x")
    peer.describe("offer")
    errors = {}
    for _ in range(3):
        error = peer.wait("candidate error", after=peer.reports.index(error) + 1 if errors else 0)
        errors[error["url"]] = error
    assert {error["code"] for error in errors.values()} == {701}
    assert "certificate" in errors[turn.server("tls")["urls"][0]]["text"]
    peer.wait("candidate", candidate="")


def restart(a, b):
    """ICE restarts; the candidates follow as after the first exchange."""
    before = [each.position for each in (a, b)]
    offer = a.describe("offer", restart=True)
    answer = b.describe("description", type="offer", sdp=offer["sdp"])
    a.tell("description", type="answer", sdp=answer["sdp"])
    for (one, other), after in zip(((a, b), (b, a)), before):
        one.wait("candidate", candidate="", after=after)
        for report in one.reports[after:]:
            if report["event"] == "candidate":
                other.tell("candidate", candidate=report["candidate"], mid=report.get("mid"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_relay_that_dies_is_noticed_and_a_restart_finds_a_new_one(agent, tmp_path, transport):
    with coturn(tmp_path) as turn:
        configuration = {"iceServers": [turn.server(transport)], "relayOnly": True}
        a, b = agent(**configuration), agent(**configuration)
        a.tell("channel", label="x")
        connect(a, b)
        talk(a, b, "x")
        turn.stop()
        for each in (a, b):
            # A connection breaks at once; of datagrams only the answers stay away.
            each.wait("state", text="failed" if transport == "tcp" else "disconnected")
            if transport == "tcp":
                each.wait("candidate error", code=701)
        turn.start()
        positions = [each.position for each in (a, b)]
        restart(a, b)
        for each, after in zip((a, b), positions):
            each.wait("state", text="connected", after=after)
        talk(a, b, "x")


def test_two_connections_without_udp_connect_over_tcp(agent):
    a, b = agent(udp=False, tcp="active"), agent(udp=False, tcp="passive")
    a.tell("channel", label="over TCP")
    connect(a, b)
    talk(a, b, "over TCP")
    candidates = [report["candidate"] for report in a.seen("candidate") + b.seen("candidate") if report["candidate"]]
    assert all(" tcp " in candidate for candidate in candidates)
    assert any(" tcptype passive" in candidate for candidate in candidates)


def test_udp_is_preferred_where_both_work(agent):
    a, b = agent(tcp="passive"), agent(tcp="passive")
    a.tell("channel", label="x")
    connect(a, b)
    talk(a, b, "x")
    port = a.statistics()["address"].rsplit(":", 1)[1]
    assert any(f" udp " in report["candidate"] and f" {port} typ host" in report["candidate"] for report in b.seen("candidate"))
