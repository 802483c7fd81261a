"""A line between two namespaces that takes its time and loses some of what it carries: two TUN devices with a program between them,
for kernels without netem.

Run as a program it is what carries the packets: `line.py FD FD DELAY JITTER LOSS RATE`.
"""
import collections
import contextlib
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
# Of what waits for a line with a rate, as in a small router.
_QUEUE_SECONDS = 0.2


def _device(namespace, name, address):
    """A TUN device there, as a file here. Raises `OSError` where that is not allowed."""
    with namespace.inside():
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError:
            os.close(file)
            raise
    namespace.ip("addr", "add", address, "dev", name)
    namespace.ip("link", "set", name, "up")
    return file


@contextlib.contextmanager
def line(a, b, addresses, name="line", delay=0.05, jitter=0.0, loss=0.0, rate=0):
    """Joins two namespaces by devices of this name with these addresses (with their prefix lengths).

    `delay` and `jitter` are seconds one way: each packet takes between one and both of them together, in order. `loss` is a share,
    `rate` bits a second each way, 0 for no limit.
    """
    files = [_device(namespace, name, address) for namespace, address in zip((a, b), addresses)]
    command = [sys.executable, __file__, *map(str, [*files, delay, jitter, loss, rate])]
    process = subprocess.Popen(command, pass_fds=files)
    for file in files:
        os.close(file)
    try:
        yield
        assert process.poll() is None, "the line broke"
    finally:
        process.kill()
        process.wait()


class _Way:
    """One direction: what is on it, the next to arrive first."""

    def __init__(self, source, target, delay, jitter, loss, rate, seed):
        self.source, self.target, self.delay, self.jitter, self.loss, self.rate = source, target, delay, jitter, loss, rate
        self.random = random.Random(seed)
        self.packets = collections.deque()
        self.free = self.last = 0.0

    def take(self, now):
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self.source, 65536)
                if self.random.random() < self.loss or self.free - now > _QUEUE_SECONDS:
                    continue
                if self.rate:
                    self.free = max(self.free, now) + len(packet) * 8 / self.rate
                self.last = max(self.last, max(self.free, now) + self.delay + self.random.random() * self.jitter)
                self.packets.append((self.last, packet))

    def give(self, now):
        while self.packets and self.packets[0][0] <= now:
            # A full device loses it, as a line may; EIO is one that is not up.
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self.target, self.packets.popleft()[1])


def main(first, second, *rest):
    first, second = int(first), int(second)
    delay, jitter, loss, rate = map(float, rest)
    ways = [_Way(*ends, delay, jitter, loss, rate, seed) for seed, ends in enumerate([(first, second), (second, first)])]
    while True:
        due = min((way.packets[0][0] for way in ways if way.packets), default=None)
        wait = None if due is None else max(0, due - time.monotonic())
        select.select([first, second], [], [], wait)
        now = time.monotonic()
        for way in ways:
            way.take(now)
            way.give(now)


if __name__ == "__main__":
    main(*sys.argv[1:])
