"""A TURN client in its own words, byte by byte: for what no other client asks for or shows."""
import hashlib
import hmac
import os
import socket
import ssl
import struct

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, PERMIT, CHANNEL, CONNECT, CONNECTION_BIND = 1, 3, 4, 8, 9, 10, 11
USERNAME, ERROR, LIFETIME, PEER, DATA, REALM, NONCE, RELAYED = 0x06, 0x09, 0x0D, 0x12, 0x13, 0x14, 0x15, 0x16
EVEN_PORT, TRANSPORT, RESERVATION, ICMP, CONNECTION_ID = 0x18, 0x19, 0x22, 0x8004, 0x2A
FAMILY, BOTH_FAMILIES, NUMBER = 0x17, 0x8000, 0x0C
UDP, TCP = (TRANSPORT, b"\x11\0\0\0"), (TRANSPORT, b"\x06\0\0\0")
RELEASE = (LIFETIME, bytes(4))


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind, attributes, key=None, transaction=None):
    transaction = transaction or os.urandom(12)
    body = b"".join(attribute(each, value(transaction) if callable(value) else value) for each, value in attributes)
    if key:
        header = struct.pack(">HHI", kind, len(body) + 24, COOKIE) + transaction
        body += attribute(0x08, hmac.new(key, header + body, hashlib.sha1).digest())
    return struct.pack(">HHI", kind, len(body), COOKIE) + transaction + body


def attributes(data):
    offset = 20
    while offset < len(data):
        kind, length = struct.unpack_from(">HH", data, offset)
        yield kind, data[offset + 4:offset + 4 + length]
        offset += 4 + length + -length % 4


def parse(data):
    """The type, and the first attribute of each kind."""
    found = {}
    for kind, value in attributes(data):
        found.setdefault(kind, value)
    return struct.unpack_from(">H", data)[0], found


def address(ip, port):
    """An address as messages have it; one of IPv6 is mixed with the transaction of its message."""
    if ":" in ip:
        plain = socket.inet_pton(socket.AF_INET6, ip)
        return lambda transaction: struct.pack(">HH", 2, port ^ (COOKIE >> 16)) + mixed(plain, transaction)
    return struct.pack(">HHI", 1, port ^ (COOKIE >> 16), struct.unpack(">I", socket.inet_aton(ip))[0] ^ COOKIE)


def mixed(plain, transaction):
    return bytes(one ^ other for one, other in zip(plain, struct.pack(">I", COOKIE) + transaction))


def addresses(kind, data):
    """Those of a message, by family."""
    for found, value in attributes(data):
        if found == kind:
            family = socket.AF_INET6 if value[1] == 2 else socket.AF_INET
            yield family, socket.inet_ntop(family, mixed(value[4:], data[8:20])), struct.unpack_from(">H", value, 2)[0] ^ (COOKIE >> 16)


class RawTurn:
    """A client over UDP, from `source` on."""

    def __init__(self, turn, user, password, source="127.0.0.1"):
        self.server, self.user, self.password = (turn.host, turn.port), user, password
        self.realm = self.nonce = self.last = b""
        self.socket = self.open(source)
        self.socket.settimeout(20)

    def open(self, source):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((source, 0))
        return opened

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendto(data, self.server)

    def exchange(self, data):
        self.send(data)
        return self.receive()

    def receive(self):
        self.last = self.socket.recv(2000)
        return parse(self.last)

    def ask(self, method, *attributes):
        """The attributes of the answer, and the error's code or 0; challenges are answered."""
        for _ in range(2):
            key = hashlib.md5(f"{self.user}:".encode() + self.realm + f":{self.password}".encode()).digest()
            named = [(USERNAME, self.user.encode()), (REALM, self.realm), (NONCE, self.nonce)] if self.nonce else []
            _, found = self.exchange(message(method, [*attributes, *named], key if self.nonce else None))
            error = found[ERROR][2] * 100 + found[ERROR][3] if ERROR in found else 0
            if error not in (401, 438) or named and error == 401:
                break
            self.realm, self.nonce = found[REALM], found[NONCE]
        return found, error

    def port(self, found):
        return struct.unpack_from(">H", found[RELAYED], 2)[0] ^ (COOKIE >> 16)

    def permit(self, ip, port=9):
        return self.ask(PERMIT, (PEER, address(ip, port)))[1]

    def tell(self, ip, port, data):
        """Sends it to a peer through the relay."""
        self.send(message(0x16, [(PEER, address(ip, port)), (DATA, data)]))


class RawStream(RawTurn):
    """The same over TCP."""

    def open(self, source):
        return socket.create_connection(self.server, timeout=20, source_address=(source, 0))

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        head = self.exactly(20)
        return parse(head + self.exactly(struct.unpack_from(">H", head, 2)[0]))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the server has closed the connection")
            data += part
        return data


class RawSecure(RawStream):
    """The same over TLS, at a port of the caller's choice."""

    def __init__(self, turn, user, password, port):
        self.tls_port = port
        super().__init__(turn, user, password)

    def open(self, source):
        self.server = (self.server[0], self.tls_port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(super().open(source))


class RawConnection(RawStream):
    """A connection to a peer through a TCP allocation (RFC 6062): a client's connection of its own that becomes the peer's."""

    def __init__(self, turn, control, ip, port):
        found, error = control.ask(CONNECT, (PEER, address(ip, port)))
        assert error == 0, error
        super().__init__(turn, control.user, control.password)
        assert self.ask(CONNECTION_BIND, (CONNECTION_ID, found[CONNECTION_ID]))[1] == 0
