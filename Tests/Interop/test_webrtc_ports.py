"""One port for all workers: wherever the kernel takes what a peer sends, it comes to the peer's session."""
import asyncio
import re

import pytest
from aiortc_peer import open_echo
from conftest import start_server, stop_server, wait_for
from raw_peer import OFFER, metric
from test_webrtc import playing, send, start
from webrtc import TCP_ONLY, WEBRTC_BROWSERS, page

pytestmark = pytest.mark.paired


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("shared"), "--workers", "2", configuration="webrtc: {single_port: true}\n")
    yield server
    stop_server(server)


def test_many_sessions_of_two_workers_share_a_port(server):
    async def talk(number):
        # Each request is a connection of its own, which the kernel gives to either worker.
        peer, channel, answers, fields, answer = await open_echo(server, 30)
        for message in [f"{number}", bytes(range(256)) * 40]:
            channel.send(message)
            assert await asyncio.wait_for(answers.get(), 20) == message
        await peer.close()
        worker = re.search(r"datachannel/(\d+)-", fields["Location"])[1]
        assert re.search(r"a=ice-ufrag:(\d+)\+", answer)[1] == worker
        return worker, frozenset(re.findall(r" udp \d+ \S+ (\d+) ", answer))

    async def all_of_them():
        return await asyncio.gather(*(talk(number) for number in range(16)))

    results = asyncio.run(all_of_them())
    assert {worker for worker, _ in results} == {"0", "1"}
    assert len({ports for _, ports in results}) == 1, "one port"
    assert metric(server, "martlet_webrtc_forwarded_datagrams_total") > 0


def test_a_publisher_s_packets_come_to_its_worker_at_once(server, chromium):
    start(chromium, server, "publish('/live/shared/whip')")
    wait_for(lambda: server.live("live/shared"))
    viewer = WEBRTC_BROWSERS["chromium"]()
    try:
        start(viewer, server, "watch('/live/shared/whep')")
        playing(viewer, frames=30)
        forwarded = metric(server, "martlet_webrtc_forwarded_datagrams_total")
        packets = metric(server, "martlet_webrtc_packets_total")
        assert playing(viewer, frames=60)["video"]["lost"] == 0
        # What the viewer reports may go through the other worker; the media of the publisher does not.
        assert metric(server, "martlet_webrtc_forwarded_datagrams_total") - forwarded < (metric(server, "martlet_webrtc_packets_total") - packets) / 4
    finally:
        viewer.close()
    chromium.evaluate("window.publisher.close()")


def test_connections_come_to_the_worker_of_their_session(server, chromium):
    """Several times, since either worker may be the right one by chance."""
    for number in range(4):
        page(chromium, server)
        chromium.evaluate(TCP_ONLY.join(["(() => { ", "; return true; })()"]))
        path = f"live/shared-tcp-{number}"
        chromium.evaluate(f"publish('/{path}/whip')")
        wait_for(lambda: server.live(path))
        assert server.api(f"/webrtc?path={path}")["sessions"][0]["pair"]["kind"].endswith("-tcp")
        chromium.evaluate("window.publisher.close()")


def test_names_are_announced_as_addresses_and_what_is_unknown_is_tried_again(make_server):
    server = make_server(configuration="webrtc: {addresses: [localhost, nowhere.invalid, 203.0.113.7]}\n")

    def offered():
        status, _, answer = send(server, "POST", "/diag/datachannel", OFFER, Content_Type="application/sdp")
        assert status == 201, answer
        return set(re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) ", answer))

    wait_for(lambda: "127.0.0.1" in offered())
    assert "203.0.113.7" in offered() <= {"127.0.0.1", "::1", "203.0.113.7"}
    wait_for(lambda: re.search("nowhere.invalid.*webrtc.addresses.*tried again", server.log.read_text()))
