"""The TURN server in the hands of those who run it, and of those who would wear it out: who is told of what, how it stops and changes
under way, and what floods do to it. A live relay passes data through all of it."""
import contextlib
import os
import random
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
import raw_turn
from conftest import wait_for
from networks import Namespace
from raw_turn import RawConnection, RawStream, RawTurn
from test_permissions import Receiver, receiver, verify  # noqa: F401 (a fixture)
from turn import PASSWORD, RELAYING, SECRET, USER, martlet_turn

pytestmark = pytest.mark.paired


class Relay:
    """A client with an allocation, and a peer; `passes` says whether data still goes both ways."""

    def __init__(self, turn, client="127.0.0.1", peer="127.0.0.1"):
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind((peer, 0))
        self.peer.settimeout(20)
        self.client = RawTurn(turn, USER, PASSWORD, client)
        found, error = self.client.ask(raw_turn.ALLOCATE, raw_turn.UDP)
        assert error == 0
        self.relayed = (turn.host, self.client.port(found))
        assert self.client.permit(*self.peer.getsockname()) == 0

    def passes(self):
        mark = os.urandom(16)
        self.client.tell(*self.peer.getsockname(), mark)
        data, source = self.peer.recvfrom(100)
        self.peer.sendto(mark[::-1], self.relayed)
        return (data, source) == (mark, self.relayed) and self.client.receive()[1][raw_turn.DATA] == mark[::-1]

    def close(self):
        self.client.socket.close()
        self.peer.close()


@contextlib.contextmanager
def tcp_peer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


# Webhooks.


def test_webhooks_tell_who_relayed_how_much(tmp_path, receiver):  # noqa: F811
    hook = f"webhooks: {{targets: [{{url: \"{receiver.url('/turn')}\", events: [allocate, release], secret: whs-3}}]}}"
    with martlet_turn(tmp_path, more=hook) as turn, tcp_peer() as listener:
        relay = Relay(turn)
        assert relay.passes()
        assert relay.client.ask(raw_turn.REFRESH, raw_turn.RELEASE)[1] == 0
        begun, ended = wait_for(lambda: receiver.bodies("/turn")[1:] and receiver.bodies("/turn"))
        assert (begun["event"], begun["user"], begun["transport"], begun["relayed"]) == ("allocate", USER, "udp", [f"127.0.0.1:{relay.relayed[1]}"])
        assert ended["allocation"] == begun["allocation"] and (ended["event"], ended["reason"]) == ("release", "released")
        assert (ended["bytes_sent"], ended["bytes_received"]) == (16, 16)
        for _, headers, raw, _ in receiver.requests:
            verify(headers, raw, "whs-3")
        # A TCP relay, whose bytes pass connections of their own.
        control = RawStream(turn, USER, PASSWORD)
        assert control.ask(raw_turn.ALLOCATE, raw_turn.TCP)[1] == 0
        connection = RawConnection(turn, control, *listener.getsockname())
        peer, _ = listener.accept()
        connection.send(b"x" * 5000)
        read = 0
        while read < 5000:
            read += len(peer.recv(5000))
        peer.sendall(b"y" * 300)
        assert connection.exactly(300) == b"y" * 300
        (listed,) = turn.api("/turn/allocations")["allocations"]
        assert (listed["relay_transport"], listed["bytes_sent"], listed["bytes_received"]) == ("tcp", 5000, 300)
        control.socket.close()
        wait_for(lambda: len(receiver.bodies("/turn")) == 4)
        last = receiver.bodies("/turn")[-1]
        assert (last["event"], last["reason"], last["transport"]) == ("release", "disconnected", "tcp")
        assert (last["bytes_sent"], last["bytes_received"]) == (5000, 300)
        assert turn.metrics()['martlet_turn_relayed_bytes_total{direction="sent"}'] == 5016
        assert "5000 bytes to peers and 300 from them" in turn.log
        relay.close()


def test_all_that_a_user_relays_keeps_to_one_rate(tmp_path):
    """Two TCP connections of one user, 8 million bytes at 2 million a second: a second's worth passes at once, and what one read of
    either brings (256 KiB), so the rest takes 2.7 s on the fastest machine."""
    with martlet_turn(tmp_path, more="  limits: {user_bandwidth: 16000000}") as turn:
        control = RawStream(turn, USER, PASSWORD)
        assert control.ask(raw_turn.ALLOCATE, raw_turn.TCP)[1] == 0
        ends = []
        for _ in range(2):
            # To one peer there is one connection.
            with tcp_peer() as other:
                connection = RawConnection(turn, control, *other.getsockname())
                ends.append((connection, other.accept()[0]))
        began = time.monotonic()
        senders = [threading.Thread(target=connection.send, args=[b"x" * 4_000_000]) for connection, _ in ends]
        for sender in senders:
            sender.start()
        for _, peer in ends:
            read = 0
            while read < 4_000_000:
                read += len(peer.recv(65536))
        for sender in senders:
            sender.join()
        assert time.monotonic() - began > 1.5
        control.socket.close()


# Stopping and changing.


def test_a_server_that_stops_makes_no_allocations_and_relays_until_it_ends(tmp_path):
    with martlet_turn(tmp_path, drain="12s") as turn:
        relay = Relay(turn)

        def is_refused():
            with RawTurn(turn, USER, PASSWORD) as late:
                code = late.ask(raw_turn.ALLOCATE, raw_turn.UDP)[1]
                return code == 508 or late.ask(raw_turn.REFRESH, raw_turn.RELEASE)[1]

        turn.server_process.process.send_signal(signal.SIGTERM)
        wait_for(is_refused)
        assert relay.passes() and relay.client.ask(raw_turn.REFRESH)[1] == 0
        assert turn.server_process.running and relay.passes()
        # It need not wait for an allocation that is given back.
        assert relay.client.ask(raw_turn.REFRESH, raw_turn.RELEASE)[1] == 0
        assert turn.server_process.process.wait(15) == 0


def test_a_reload_changes_rules_and_users_under_relays_that_go_on(tmp_path):
    with martlet_turn(tmp_path) as turn:
        relay = Relay(turn)
        bob = RawTurn(turn, "bob", "another secret")
        assert relay.client.permit("127.0.0.2") == 0 and bob.ask(raw_turn.ALLOCATE, raw_turn.UDP)[1] == 401
        text = RELAYING.format(user=USER, password=PASSWORD, secret=SECRET, more="").replace("allow:", "deny: [127.0.0.2], allow:")
        text = text.replace("users: [", "users: [{name: bob, password: another secret}, ")
        (tmp_path / "martlet.yaml").write_text(text)
        turn.server_process.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bob.ask(raw_turn.ALLOCATE, raw_turn.UDP)[1] == 0)
        assert relay.client.permit("127.0.0.2") == 403
        assert relay.passes() and relay.client.ask(raw_turn.REFRESH)[1] == 0 and relay.passes()
        relay.close()


# Floods.

# KiB of the server's memory that a flood may move.
MOVES = 12_000
NETWORK = "198.18.0.0/15"


@pytest.fixture
def flooded(tmp_path):
    """A server with one worker in a network where every address of 198.18.0.0/15 is here, so that all of them can flood it."""
    try:
        namespace = Namespace(f"martlet-{os.getpid()}-flood")
    except OSError as error:
        pytest.skip(f"no namespaces here: {error}")
    try:
        namespace.ip("route", "add", "local", NETWORK, "dev", "lo")
        with namespace.inside():
            limits = "  limits: {allocations_per_user: 50}"
            with martlet_turn(tmp_path, host="198.18.0.1", more=limits, flags=["--workers", "1"]) as turn:
                yield turn
    finally:
        namespace.delete()


def strangers(count, seed):
    numbers = random.Random(seed)
    for _ in range(count):
        yield f"198.{numbers.choice((18, 19))}.{numbers.randrange(1, 255)}.{numbers.randrange(1, 255)}"


def pelt(turn, datagrams, count, seed):
    """Each from another address."""
    for index, source in enumerate(strangers(count, seed)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((source, 0))
            stranger.sendto(datagrams[index % len(datagrams)], (turn.host, turn.port))


def malformed():
    """What is nearly a message: cut, lying about its length or that of an attribute, of no channel."""
    whole = raw_turn.message(raw_turn.ALLOCATE, [raw_turn.UDP, (raw_turn.USERNAME, b"ann")])
    return [whole[:-3], whole[:20], whole[:2] + b"\xff\xfc" + whole[4:], whole[:22] + b"\xff\xff" + whole[24:], b"\x40\0\0\4test", os.urandom(900),
            b"\0" * 1200]


def test_floods_from_many_addresses_move_neither_memory_nor_the_live_relay(flooded):
    turn, relay = flooded, Relay(flooded, "198.18.0.2", "198.18.0.3")
    wrong = [(raw_turn.USERNAME, b"ann"), (raw_turn.REALM, b"martlet.test"), (raw_turn.NONCE, b"obMatJos2" + b"A" * 40)]
    floods = [
        [raw_turn.message(raw_turn.BINDING, [])], [raw_turn.message(raw_turn.ALLOCATE, [raw_turn.UDP])],
        [raw_turn.message(raw_turn.ALLOCATE, [raw_turn.UDP, *wrong], b"k" * 16)], malformed(),
    ]
    for flood in floods:
        pelt(turn, flood, 500, seed=0)
    before, memory = turn.metrics(), turn.server_process.resident
    for seed, flood in enumerate(floods, start=1):
        for part in range(5):
            pelt(turn, flood, 800, seed=seed * 10 + part)
            assert relay.passes()
    after = turn.metrics()
    assert turn.server_process.resident - memory < MOVES
    assert after["martlet_turn_bindings_total"] - before["martlet_turn_bindings_total"] > 1000
    assert after["martlet_turn_challenges_total"] - before["martlet_turn_challenges_total"] > 1000
    assert turn.api("/turn/allocations")["total"] == 1
    # To one address, which may be forged, no more than some refusals are sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("198.18.9.9", 0))
        for _ in range(600):
            one.sendto(floods[1][0], (turn.host, turn.port))
        wait_for(lambda: turn.metrics()["martlet_turn_withheld_total"] > after["martlet_turn_withheld_total"] + 100)
    assert relay.passes()
    relay.close()


def test_who_has_a_password_gets_no_more_than_there_is(flooded):
    turn, relay = flooded, Relay(flooded, "198.18.0.2", "198.18.0.3")
    clients = [RawTurn(turn, USER, PASSWORD, source) for source in strangers(80, seed=1)]
    codes = [client.ask(raw_turn.ALLOCATE, raw_turn.UDP)[1] for client in clients]
    assert codes.count(0) == 49 and codes.count(486) == 31
    # Permissions: one at a time, and many in one request, of which all are granted or none.
    codes = [relay.client.permit(peer) for peer in strangers(100, seed=2)]
    assert codes.count(0) == 63 and codes.count(508) == 37
    peers = [(raw_turn.PEER, raw_turn.address(peer, 9)) for peer in strangers(80, seed=3)]
    parts = [peers[start:start + 20] for start in range(0, 80, 20)] + [peers[60:64]]
    assert [clients[0].ask(raw_turn.PERMIT, *part)[1] for part in parts] == [0, 0, 0, 508, 0]
    codes = [relay.client.ask(raw_turn.CHANNEL, (raw_turn.NUMBER, struct.pack(">HH", 0x4000 + index, 0)),
                              (raw_turn.PEER, raw_turn.address("198.18.0.3", 1000 + index)))[1] for index in range(80)]
    assert codes.count(0) == 64 and codes.count(508) == 16
    assert relay.passes()
    for client in clients:
        client.socket.close()
    relay.close()


def test_connections_that_say_nothing_or_nonsense_are_bounded_and_closed(flooded):
    turn, relay = flooded, Relay(flooded, "198.18.0.2", "198.18.0.3")
    memory = turn.server_process.resident
    whole = raw_turn.message(raw_turn.ALLOCATE, [raw_turn.UDP])

    def connect(port, source):
        return socket.create_connection((turn.host, port), timeout=20, source_address=(source, 0))

    def is_closed(connection):
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            try:
                return connection.recv(100) == b""
            except ConnectionError:
                return True
        return False

    # Half a message each, of one address: 64 may stay.
    halves = [connect(turn.port, "198.18.5.5") for _ in range(80)]
    for connection in halves:
        with contextlib.suppress(OSError):
            connection.sendall(whole[:11])
    wait_for(lambda: turn.metrics()["martlet_turn_clients"] == 64)
    assert relay.passes()
    with contextlib.closing(RawStream(turn, USER, PASSWORD, "198.18.5.6").socket):
        pass
    # What is no TLS, and what begins like it.
    hello = ssl_hello()
    for port in (turn.tls_port, turn.server_process.https):
        host = turn.host if port == turn.tls_port else "127.0.0.1"
        for nonsense in (os.urandom(500), b"\x16\x03\x01\xff\xff" + os.urandom(300), hello[:5] + os.urandom(len(hello) - 5), b"GET / HTTP/1.0\r\n\r\n"):
            with socket.create_connection((host, port), timeout=20) as connection:
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
                wait_for(lambda: is_closed(connection))
    for source in strangers(200, seed=5):
        connect(turn.tls_port, source).close()
    stuck = [connect(turn.tls_port, source) for source in strangers(200, seed=6)]
    for connection in stuck:
        connection.sendall(hello[:-7])
    assert relay.passes()
    for connection in halves + stuck:
        connection.close()
    wait_for(lambda: turn.metrics()["martlet_turn_clients"] == 0)
    assert relay.passes() and turn.server_process.resident - memory < 3 * MOVES
    relay.close()


def ssl_hello():
    """A ClientHello."""
    context, incoming, outgoing = ssl.create_default_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()
