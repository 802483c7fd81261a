"""The same of every implementation: what one publishes another of its kind watches, data channels, trickle, restart, relays. Browsers
do most of it in tests of their own."""
import pytest
from peers import checksum, pattern
from test_peer_connection import agent, browsers, clips, make_peer, turn  # noqa: F401
from whip import Session, publish, through

pytestmark = pytest.mark.alone

PROGRAMS = ["aiortc", "pion", "martlet"]
# aiortc tells of its candidates in the offer, and has no restart.
TRICKLING = ["chromium", "firefox", "pion", "martlet"]


def echo(peer, server):
    """Text and bytes go there and come back."""
    peer.tell("channel", label="echo")
    Session(peer, server, "/diag/datachannel")
    peer.wait("channel", label="echo")
    peer.tell("send", label="echo", text="grüße 🐦")
    peer.wait("message", label="echo", text="grüße 🐦")
    peer.tell("send", label="echo", bytes=50_000)
    assert peer.wait("message", label="echo", bytes=50_000)["sum"] == checksum(pattern(50_000))


@pytest.mark.peer("kind", "publish: by WHIP")
@pytest.mark.peer("kind", "watch: by WHEP")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_one_publishes_another_watches(make_peer, server, clips, kind):  # noqa: F811
    _, pairs = through(make_peer(kind), make_peer(kind), server, f"live/of-{kind}", clips)
    assert all(pair.endswith("-udp") for pair in pairs), pairs


@pytest.mark.peer("kind", "data channels: with the server")
@pytest.mark.parametrize("kind", ["pion", "martlet"])
def test_data_channels_with_the_server(make_peer, server, kind):  # noqa: F811
    echo(make_peer(kind), server)


@pytest.mark.peer("kind", "trickle: by PATCH")
@pytest.mark.parametrize("kind", TRICKLING)
def test_candidates_are_told_by_patch(make_peer, server, clips, kind):  # noqa: F811
    path = f"live/trickle-{kind}"
    candidates = publish(make_peer(kind), server, path, clips).trickle()
    known = server.api(f"/webrtc?path={path}")["sessions"][0]["remote_candidates"]
    # Firefox also has some for RTCP, which goes with RTP.
    addresses = [" ".join(candidate.split()[4:6]) for candidate in candidates if " 1 udp " in candidate.lower()]
    assert addresses and all(any(f" {address} " in candidate for candidate in known) for address in addresses), (addresses, known)


@pytest.mark.peer("kind", "restart: by PATCH")
@pytest.mark.parametrize("kind", ["pion", "martlet"])
def test_a_publisher_and_a_viewer_restart_ice_and_go_on(make_peer, server, clips, kind):  # noqa: F811
    viewer, path = make_peer(kind), f"live/again-{kind}"
    sessions, _ = through(make_peer(kind), viewer, server, path, clips, frames=25)
    clients = [session["client"] for session in server.api(f"/webrtc?path={path}")["sessions"]]
    for session in sessions:
        session.restart()
        viewer.frames("video", 50)
    assert [session["client"] for session in server.api(f"/webrtc?path={path}")["sessions"]] == clients


@pytest.mark.peer("kind", "relay only: over {transport}")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_relay_is_enough(make_peer, server, turn, kind, transport):  # noqa: F811
    peer = make_peer(kind, iceServers=[turn.server(transport)], relayOnly=True)
    echo(peer, server)
    assert peer.statistics()["local"] == "relay"


@pytest.mark.peer("martlet", "TCP only: by WHIP and WHEP")
def test_our_peer_connection_publishes_and_watches_over_tcp_alone(make_peer, server, clips):  # noqa: F811
    peers = [make_peer("martlet", udp=False, tcp="active") for _ in range(2)]
    _, pairs = through(*peers, server, "live/tcp-martlet", clips)
    assert len(pairs) == 2 and all(pair.endswith("-tcp") for pair in pairs), pairs
