"""Floods of what costs a sender nothing, against a server with a session that must not notice."""
import asyncio
import os
import socket
import time

import pytest
from aiortc_peer import open_echo
from conftest import wait_for
from raw_peer import RawSession, metric
from test_webrtc import PLAIN, encoder, playing, send, start
from webrtc import WEBRTC_BROWSERS

pytestmark = pytest.mark.alone

# KiB of the server's memory that a flood may move.
MOVES = 30_000


@pytest.fixture(scope="module")
def viewer(server):
    """A browser that watches, over everything that happens."""
    process = encoder(server, "live/calm", *PLAIN)
    browser = WEBRTC_BROWSERS["chromium"]()
    try:
        wait_for(lambda: server.live("live/calm"))
        start(browser, server, "watch('/live/calm/whep')")
        playing(browser, frames=30)
        yield browser
    finally:
        browser.close()
        process.kill()
        process.wait()


def pelt(address, datagrams, seconds=2):
    """Sends them again and again from many ports; answers how many."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
    count, end = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            for sender in sockets:
                try:
                    sender.sendto(datagrams[count % len(datagrams)], address)
                except OSError:
                    continue
                count += 1
            # A share of the machine is left to the others.
            time.sleep(0.002)
    finally:
        for sender in sockets:
            sender.close()
    return count


def test_a_flood_of_checks_disturbs_nobody(server, viewer):
    session = RawSession(server)
    wrong = session.check(password="z" * 24)
    datagrams = [wrong, session.check(ufrag="nobody"), wrong[:-3], wrong[:20], b"\x00\x01" + os.urandom(200), os.urandom(1200), b"\x80" + os.urandom(800)]
    before, unknown = server.resident, metric(server, "martlet_webrtc_unknown_datagrams_total")
    assert pelt(session.udp, datagrams) > 10_000
    playing(viewer, frames=60)
    assert metric(server, "martlet_webrtc_unknown_datagrams_total") > unknown
    assert server.resident - before < MOVES
    # The session that was pelted is still to be had.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(10)
        peer.sendto(session.check(), session.udp)
        assert peer.recv(2048)[:2] == b"\x01\x01"


def test_authentic_checks_from_everywhere_are_bounded(server, viewer):
    """Who has the password and a thousand addresses costs no more than the limit of candidates."""
    session = RawSession(server)
    before = server.resident
    for _ in range(20):
        assert pelt(session.udp, [session.check() for _ in range(64)], seconds=0.05) > 0
    playing(viewer, frames=30)
    assert server.resident - before < MOVES


def test_a_flood_of_sctp_inits_disturbs_nobody(server, viewer):
    from aiortc.rtcsctptransport import InitChunk, serialize_packet

    async def flood():
        peer, channel, answers, *_ = await open_echo(server)
        before = server.resident
        for number in range(1, 10_001):
            chunk = InitChunk()
            chunk.initiate_tag, chunk.advertised_rwnd, chunk.outbound_streams, chunk.inbound_streams, chunk.initial_tsn = number, 1 << 17, 65_535, 65_535, number
            await peer.sctp.transport._send_data(serialize_packet(5000, 5000, 0, chunk))
            if number % 200 == 0:
                await asyncio.sleep(0.01)
        # An INIT alone takes no association down (RFC 9260 §5.2.2).
        channel.send("still here")
        assert await asyncio.wait_for(answers.get(), 20) == "still here"
        assert server.resident - before < MOVES
        await peer.close()

    asyncio.run(flood())
    playing(viewer, frames=30)
