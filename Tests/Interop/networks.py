"""Networks made of namespaces: a backbone that stands for the Internet, and homes behind NATs of every kind, by nftables.

A thread enters a namespace for as long as it opens sockets and starts processes there; both stay when it leaves.
"""
import contextlib
import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, text=None):
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode:
        raise OSError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


class Namespace:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments)

    @contextlib.contextmanager
    def inside(self):
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.name}") as there:
            self._enter(there)
            try:
                yield self
            finally:
                self._enter(before)

    @staticmethod
    def _enter(namespace):
        if _libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def rules(self, text):
        """Replaces the firewall."""
        run("ip", "netns", "exec", self.name, "nft", "-f", "-", text="flush ruleset\n" + text + "\n")

    def delete(self):
        run("ip", "netns", "delete", self.name)


class Internet:
    """203.0.113.0/24 on a bridge. Hosts are on it, homes behind a router of theirs."""

    def __init__(self):
        self.namespaces = []
        try:
            self.backbone = self.namespace("backbone")
            self.backbone.ip("link", "add", "br0", "type", "bridge")
            self.backbone.ip("addr", "add", "203.0.113.1/24", "dev", "br0")
            self.backbone.ip("link", "set", "br0", "up")
            # Whether the kernel has what the routers need shows here.
            for nat in NATS.values():
                self.backbone.rules(nat("192.0.2.1"))
            self.backbone.rules("")
            with self.backbone.inside():
                pass
        except OSError:
            self.close()
            raise

    def namespace(self, name):
        self.namespaces.append(Namespace(f"martlet-{os.getpid()}-{name}"))
        return self.namespaces[-1]

    def host(self, name, address):
        host = self.namespace(name)
        self.join(host, self.backbone, f"{address}/24", f"to-{name}")
        self.backbone.ip("link", "set", f"to-{name}", "master", "br0", "up")
        return host

    def home(self, name, outside, inside):
        """A router with the address `outside` and a host behind it with `inside`; answers both."""
        router = self.host(f"{name}-r", outside)
        host = self.namespace(name)
        gateway = inside.rsplit(".", 1)[0] + ".1"
        self.join(host, router, f"{inside}/24", "lan")
        router.ip("addr", "add", f"{gateway}/24", "dev", "lan")
        host.ip("route", "add", "default", "via", gateway)
        run("ip", "netns", "exec", router.name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return router, host

    @staticmethod
    def join(host, other, address, name):
        """A cable: `eth0` here, `name` there."""
        host.ip("link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", other.name)
        host.ip("addr", "add", address, "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        other.ip("link", "set", name, "up")

    def close(self):
        for namespace in reversed(self.namespaces):
            with contextlib.suppress(OSError):
                namespace.delete()


# Unsolicited packets from outside must be dropped at the router itself too: else their flow takes the port that the host behind
# it has outside, which then gets another, and a cone has become symmetric.
_CLOSED = """
table ip filter {
  chain in { type filter hook input priority filter; iifname "eth0" ct state new drop; }
  chain forward { type filter hook forward priority filter; %s iifname "eth0" ct state new drop; }
}
"""


def _nat(how, forward=""):
    return 'table ip nat { \n chain post { type nat hook postrouting priority srcnat; oifname "eth0" ' + how + "; }\n}\n" + _CLOSED % forward


NATS = {
    # Whoever sends to the outer port reaches the host.
    "full cone": lambda host: (
        'table ip nat {\n chain post { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }\n'
        f' chain pre {{ type nat hook prerouting priority dstnat; iifname "eth0" meta l4proto udp dnat to {host}; }}\n}}'),
    # One outer port for all peers, but only who was sent to may answer.
    "restricted": lambda host: _nat("masquerade"),
    # Another outer port for each peer.
    "symmetric": lambda host: _nat("masquerade fully-random"),
    "UDP blocked": lambda host: _nat("masquerade", "meta l4proto udp drop;"),
    "2 % loss": lambda host: _nat("masquerade", "meta l4proto udp numgen random mod 100 < 2 drop;"),
    "8 % loss": lambda host: _nat("masquerade", "meta l4proto udp numgen random mod 100 < 8 drop;"),
}
