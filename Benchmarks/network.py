"""A network namespace with one server in it, at the other end of a virtual cable: some servers gather no candidates on loopback."""
import subprocess


class Namespace:
    """`here` and `there` are the two ends' addresses. Needs root."""

    here, there = "10.213.7.1", "10.213.7.2"

    def __init__(self, name="mrtlbench"):
        self.name = name
        self.near, self.far = f"{name[:8]}0", f"{name[:8]}1"

    def __enter__(self):
        self._remove()
        self._ip("netns", "add", self.name)
        self._ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
        self._ip("addr", "add", f"{self.here}/24", "dev", self.near)
        self._ip("link", "set", self.near, "up")
        self._ip("-n", self.name, "addr", "add", f"{self.there}/24", "dev", self.far)
        for device in (self.far, "lo"):
            self._ip("-n", self.name, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        self._remove()

    def command(self, *command):
        """Becomes the process itself, so that its id is the server's."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def _remove(self):
        subprocess.run(["ip", "link", "del", self.near], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL)

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)
