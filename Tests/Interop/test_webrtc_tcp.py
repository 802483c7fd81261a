"""ICE-TCP (RFC 6544): browsers whose UDP does not get through, and connections of those who mean harm. aioice writes the checks."""
import asyncio
import contextlib
import re
import socket
import struct
import subprocess
import time

import pytest
from aioice import stun
from conftest import wait_for
from test_webrtc import PLAIN, encoder, playing, send
from webrtc import TCP_ONLY, WEBRTC_BROWSERS, page

# As docs/webrtc.md says.
PATIENCE, WAITING_PER_ADDRESS = 5, 32


@pytest.fixture(scope="module")
def chromium():
    browser = WEBRTC_BROWSERS["chromium"]()
    yield browser
    browser.close()


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


OFFER = "\r\n".join([
    "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
    "a=ice-ufrag:peer", "a=ice-pwd:the-password-of-the-peer", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass",
    "a=mid:0", "a=sctp-port:5000", ""])


class Session:
    """One whose peer is this test: what the answer says."""

    def __init__(self, server):
        status, _, answer = send(server, "POST", "/diag/datachannel", OFFER, Content_Type="application/sdp")
        assert status == 201, answer
        self.ufrag, self.password = (re.search(f"a=ice-{name}:(.*)", answer)[1].strip() for name in ("ufrag", "pwd"))
        candidate = re.search(r"a=candidate:\S+ 1 tcp (\d+) 127\.0\.0\.1 (\d+) typ host tcptype passive", answer, re.I)
        assert candidate, answer
        udp = re.search(r"a=candidate:\S+ 1 udp (\d+) 127\.0\.0\.1 (\d+) typ host", answer, re.I)
        assert int(candidate[1]) < int(udp[1]), "TCP is liked less"
        self.address = ("127.0.0.1", int(candidate[2]))
        self.udp = ("127.0.0.1", int(udp[2]))

    def check(self, ufrag=None, password=None):
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes.update({"USERNAME": f"{ufrag or self.ufrag}:peer", "PRIORITY": 1, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None})
        message.add_message_integrity((password or self.password).encode())
        return bytes(message)

    @contextlib.contextmanager
    def connection(self, *parts):
        with socket.create_connection(self.address, timeout=PATIENCE + 10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                connection.sendall(part)
            yield connection


def framed(datagram):
    return struct.pack("!H", len(datagram)) + datagram


def answer(connection):
    length = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))[0]
    return stun.parse_message(connection.recv(length, socket.MSG_WAITALL))


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def metric(server, name):
    return sum(float(line.split()[-1]) for line in server.get("/metrics")[2].decode().splitlines() if re.match(name + r"[ {]", line))


def test_frames_cut_at_every_byte_are_read(server):
    session = Session(server)
    frame = framed(session.check())
    with session.connection() as connection:
        for byte in frame:
            connection.sendall(bytes([byte]))
        assert answer(connection).message_class == stun.Class.RESPONSE
        connection.sendall(frame * 3)
        assert [answer(connection).message_class for _ in range(3)] == [stun.Class.RESPONSE] * 3


def test_garbage_and_unknown_names_are_closed_at_once(server):
    session = Session(server)
    for first in [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 10, framed(b"\x16\x03\x01hello"), framed(session.check(ufrag="nobody")), framed(bytes(100))]:
        with session.connection(first) as connection:
            began = time.monotonic()
            assert is_closed(connection) and time.monotonic() - began < PATIENCE, first


def test_half_open_slow_and_wrong_passwords_are_closed_in_time(server):
    session = Session(server)
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
        session, wrong = Session(server), []
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
