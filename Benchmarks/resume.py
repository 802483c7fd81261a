"""An event stream that comes back after very many messages: each must come once, in order, and at what price."""
import re
import socket
import time

from harness import cpu


class Stream:
    """One HTTP connection, spoken by hand: a client library's own cost would be the slower part."""

    def __init__(self, port):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.buffer = b""

    def send(self, text):
        self.socket.sendall(text.encode())

    def read(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise EOFError("the server closed the connection")
        return part

    def listen(self, path, last_id=None):
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: text/event-stream\r\n{resume}\r\n")

    def until(self, pattern):
        while not (found := re.search(pattern, self.buffer)):
            self.buffer += self.read()
        return found


def publish(port, path, numbers, batch=200, rate=20_000):
    """One POST each, many of them under way; nchan's cursors tell no more than 32,767 messages of a second apart."""
    stream, began = Stream(port), time.monotonic()
    for start in range(0, len(numbers), batch):
        part = numbers[start:start + batch]
        bodies = [f"n={n};" for n in part]
        stream.send("".join(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: {len(b)}\r\n\r\n{b}" for b in bodies))
        answers = b""
        while answers.count(b"HTTP/1.1 2") < len(part):
            answers += stream.read()
        time.sleep(max(0, began + start / rate - time.monotonic()))


def resume(server, subscribe, publish_path, count):
    """CPU per event of a resumed stream of `count` events; what is missing, double or out of order is counted."""
    first = Stream(server.http)
    first.listen(subscribe)
    first.until(rb"\r\n\r\n")
    publish(server.http, publish_path, [0])
    # The id stands before or behind the data.
    first.until(rb"n=0;[^\0]*?\n\n")
    last_id = re.findall(rb"id: ?(.*?)\r?\n", first.buffer)[-1].decode()
    first.socket.close()
    publish(server.http, publish_path, range(1, count + 1))
    before = cpu(server.pids)
    second = Stream(server.http)
    second.listen(subscribe, last_id)
    pieces, marks = [], 0
    while marks < count:
        pieces.append(second.read())
        marks += pieces[-1].count(b"=")
    used = cpu(server.pids) - before
    second.socket.close()
    numbers = [int(n) for n in re.findall(rb"n=(\d+);", b"".join(pieces))]
    wrong = sum(1 for a, b in zip(numbers, range(1, count + 1)) if a != b)
    return {"server": server.name, "work": f"sse resume of {count} events", "clients": 1, "us_per_message": round(used / count * 1e6, 2),
            "missed": count - len(set(numbers)) + wrong}
