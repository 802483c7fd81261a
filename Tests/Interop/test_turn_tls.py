"""Relays over TLS alone, on the TURN server's own port and on that of HTTPS: what is left where a network lets nothing but HTTPS through.
All but ours believe authorities of the system, so each is told of the server's certificate in its own way. Assertions are on messages
that arrived, and on how the server has seen the clients come."""
import base64
import hashlib
import pathlib

import pytest
from browsers import Chromium, Firefox
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from peers import Agent, BrowserPeer, Pion
from test_peer_connection import connect, talk
from turn import PASSWORD, USER, martlet_turn
from webrtc import CHROMIUM, FIREFOX

pytestmark = pytest.mark.paired


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    with martlet_turn(tmp_path_factory.mktemp("martlet-turn"), more="log: {level: debug}") as server:
        yield server


def fingerprint(path):
    """Of the public key, as Chromium's flag takes it."""
    certificate = x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


TRUSTING = {
    "chromium": lambda turn: Chromium(flags=[*CHROMIUM, f"--ignore-certificate-errors-spki-list={fingerprint(turn.authority)}"]),
    "firefox": lambda turn: Firefox(preferences=FIREFOX, authority=turn.authority),
}
STRANGERS = {"chromium": lambda: Chromium(flags=CHROMIUM), "firefox": lambda: Firefox(preferences=FIREFOX)}


@pytest.fixture(scope="module")
def trusting(turn):
    """Browsers that believe the server, each started when it is needed first."""
    running = {}

    def get(kind):
        if kind not in running:
            running[kind] = TRUSTING[kind](turn)
        return running[kind]

    yield get
    for browser in running.values():
        browser.close()


@pytest.fixture
def make(turn, trusting, elsewhere, monkeypatch):
    peers = []
    folder, url = elsewhere
    (folder / "blank.html").write_text("<!doctype html><title>peer</title><body>")
    # Where Go's programs look for authorities.
    monkeypatch.setenv("SSL_CERT_FILE", turn.authority)

    def make(kind, **configuration):
        if kind in TRUSTING:
            peers.append(BrowserPeer(trusting(kind), f"{url}/blank.html", **configuration))
        else:
            peers.append({"martlet": Agent, "pion": Pion}[kind](**configuration, authority=turn.authority))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def over_tls(turn, port, transport="tcp"):
    """The one server of a connection that uses relays alone."""
    server = {"urls": [f"turns:localhost:{port}?transport={transport}"], "username": USER, "credential": PASSWORD}
    return {"iceServers": [server], "relayOnly": True}


@pytest.mark.peer("kind", "TURN server: over TLS, on the {port} port")
@pytest.mark.parametrize("kind", ["chromium", "firefox", "pion"])
@pytest.mark.parametrize("port", ["TURN", "HTTPS"])
def test_relays_over_tls_carry_what_is_said(make, turn, kind, port):
    configuration = over_tls(turn, turn.tls_port if port == "TURN" else turn.server_process.https)
    ours, other = make("martlet", **configuration), make(kind, **configuration)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat", 60_000)
    assert ours.statistics()["local"] == other.statistics()["local"] == "relay"
    allocations = turn.api("/turn/allocations")["allocations"]
    carrying = [each for each in allocations if each["bytes_sent"] > 60_000]
    assert len(carrying) == 2 and all(each["transport"] == "tls" for each in allocations), allocations


@pytest.mark.peer("pion", "TURN server: over DTLS")
def test_pion_reaches_us_over_dtls(make, turn):
    configuration = over_tls(turn, turn.tls_port, "udp")
    ours, other = make("martlet", **configuration), make("pion", **configuration)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat", 60_000)
    assert ours.statistics()["local"] == other.statistics()["local"] == "relay"
    assert {each["transport"] for each in turn.api("/turn/allocations")["allocations"] if each["bytes_sent"] > 60_000} == {"dtls"}


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_pictures_come_through_relays_over_tls(make, turn, kind):
    configuration = over_tls(turn, turn.server_process.https)
    sender, viewer = make(kind, **configuration), make("martlet", **configuration)
    sender.tell("media", kind="video")
    connect(sender, viewer)
    viewer.frames("video", 20)


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_browser_that_does_not_believe_the_certificate_gets_no_relay(turn, elsewhere, kind):
    """So the tests above have shown TLS that was verified."""
    folder, url = elsewhere
    (folder / "blank.html").write_text("<!doctype html><title>peer</title><body>")
    browser = STRANGERS[kind]()
    try:
        peer = BrowserPeer(browser, f"{url}/blank.html", **over_tls(turn, turn.tls_port))
        peer.tell("channel", label="x")
        peer.describe("offer")
        peer.wait("candidate", candidate="")
        assert not [each for each in peer.seen("candidate") if each["candidate"]]
        assert "alert" in turn.log
    finally:
        browser.close()
