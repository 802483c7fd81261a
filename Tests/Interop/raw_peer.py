"""A peer of sockets, that sends what the test says; aioice writes the checks."""
import contextlib
import re
import socket
import struct
import urllib.request

from aioice import stun

OFFER = "\r\n".join([
    "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
    "a=ice-ufrag:peer", "a=ice-pwd:the-password-of-the-peer", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass",
    "a=mid:0", "a=sctp-port:5000", ""])


class RawSession:
    """One whose peer is this test: what the answer says."""

    def __init__(self, server):
        request = urllib.request.Request(
            server.url("/diag/datachannel"), method="POST", data=OFFER.encode(), headers={"Content-Type": "application/sdp"})
        with urllib.request.urlopen(request, timeout=20) as response:
            answer = response.read().decode()
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
        with socket.create_connection(self.address, timeout=15) as connection:
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
