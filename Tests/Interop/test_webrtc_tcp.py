"""ICE-TCP (RFC 6544): browsers whose UDP does not get through, and connections of those who mean harm."""
import contextlib
import re
import time

import pytest
from aioice import stun
from conftest import stop_server, wait_for
from raw_peer import OFFER, RawSession, answer, framed, is_closed, metric
from test_webrtc import PLAIN, encoder, playing, send
from webrtc import TCP_ONLY, WEBRTC_BROWSERS, page

pytestmark = pytest.mark.paired

# As docs/webrtc.md says: seconds, and connections.
PATIENCE, WAITING_PER_ADDRESS = 5, 32


@pytest.fixture(scope="module")
def firefox():
    browser = WEBRTC_BROWSERS["firefox"]()
    yield browser
    browser.close()


def start(browser, server, script):
    page(browser, server)
    browser.evaluate(TCP_ONLY.join(["(() => { ", "; return true; })()"]))
    assert browser.evaluate(script + ".then(() => 'done')") == "done"


def pair(server, path):
    sessions = server.api(f"/webrtc?path={path}")["sessions"]
    return [session["pair"]["kind"] for session in sessions if session.get("pair")]


@pytest.mark.peer("names", "TCP only: by WHIP and WHEP")
@pytest.mark.parametrize("names", [("chromium", "firefox"), ("firefox", "chromium")], ids=" to ".join)
def test_browsers_publish_and_watch_over_tcp_alone(server, chromium, firefox, names):
    browsers = {"chromium": chromium, "firefox": firefox}
    publisher, viewer = (browsers[name] for name in names)
    path = f"live/tcp-{names[0]}"
    start(publisher, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})")
    wait_for(lambda: server.live(path))
    start(viewer, server, f"watch('/{path}/whep')")
    got = playing(viewer, frames=60)
    assert got["width"] > 0 and got["video"]["lost"] == 0
    kinds = pair(server, path)
    assert len(kinds) == 2 and all(kind.endswith("-tcp") for kind in kinds), kinds
    assert re.search(r'martlet_webrtc_sessions\{pair="[a-z]+-tcp"\} [1-9]', server.get("/metrics")[2].decode())
    viewer.evaluate("viewer.close()")
    publisher.evaluate("window.publisher.close()")


# Raw connections


def test_frames_cut_at_every_byte_are_read(server):
    session = RawSession(server)
    frame = framed(session.check())
    with session.connection() as connection:
        for byte in frame:
            connection.sendall(bytes([byte]))
        assert answer(connection).message_class == stun.Class.RESPONSE
        connection.sendall(frame * 3)
        assert [answer(connection).message_class for _ in range(3)] == [stun.Class.RESPONSE] * 3


def test_garbage_and_unknown_names_are_closed_at_once(server):
    session = RawSession(server)
    for first in [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 10, framed(b"\x16\x03\x01hello"), framed(session.check(ufrag="nobody")), framed(bytes(100))]:
        with session.connection(first) as connection:
            began = time.monotonic()
            assert is_closed(connection) and time.monotonic() - began < PATIENCE, first


def test_half_open_slow_and_wrong_passwords_are_closed_in_time(server):
    session = RawSession(server)
    with contextlib.ExitStack() as stack:
        parts = [(), (b"\x00",), (framed(session.check())[:-1],), (framed(session.check(password="x" * 24)),)]
        connections = [stack.enter_context(session.connection(*part)) for part in parts]
        assert all(is_closed(connection) for connection in connections)


def test_a_flood_of_connections_disturbs_nobody(server, chromium):
    process = encoder(server, "live/flooded", *PLAIN)
    try:
        wait_for(lambda: server.live("live/flooded"))
        start(chromium, server, "watch('/live/flooded/whep')")
        playing(chromium, frames=10)
        before, refused = server.resident, metric(server, "martlet_webrtc_tcp_refused_total")
        session, wrong = RawSession(server), []
        for round in range(10):
            with contextlib.ExitStack() as stack:
                for index in range(100):
                    with contextlib.suppress(OSError):
                        part = [b"", b"\x00\xff" + bytes(200), framed(session.check(password="y" * 24))][index % 3]
                        wrong.append(stack.enter_context(session.connection(part)))
        assert metric(server, "martlet_webrtc_tcp_connections") <= WAITING_PER_ADDRESS + 8
        assert metric(server, "martlet_webrtc_tcp_refused_total") - refused > 500
        assert server.resident - before < 30_000
        got = playing(chromium, frames=60)
        assert got["video"]["lost"] == 0
        with session.connection(framed(session.check())) as connection:
            # When those of before are gone.
            assert answer(connection).message_class == stun.Class.RESPONSE
    finally:
        process.kill()
        process.wait()
    chromium.evaluate("viewer.close()")


def test_without_tcp_none_is_offered_and_nobody_listens(make_server):
    server = make_server(configuration="webrtc: {tcp: false}\n")
    status, _, text = send(server, "POST", "/diag/datachannel", OFFER, Content_Type="application/sdp")
    assert status == 201 and " udp " in text.lower() and "tcptype" not in text


def test_a_server_stops_while_sessions_are_on_tcp(make_server, chromium):
    server = make_server()
    start(chromium, server, "publish('/live/stopped/whip')")
    wait_for(lambda: server.live("live/stopped"))
    with RawSession(server).connection():
        stop_server(server)
    wait_for(lambda: chromium.evaluate("window.publisher.connectionState") in ("closed", "disconnected", "failed"), 20)
