"""TURN servers on loopback: coturn, and our own."""
import contextlib
import socket
import subprocess

from conftest import free_port, start_server, stop_server, wait_for

USER, PASSWORD = "ann", "a secret"


CONFIGURATION = """
listening-ip=127.0.0.1
listening-ip=::1
relay-ip=127.0.0.1
relay-ip=::1
listening-port={port}
tls-listening-port={tls_port}
cert={folder}/turn.pem
pkey={folder}/key.pem
lt-cred-mech
user={user}:{password}
realm=martlet.test
no-dtls
no-cli
allow-loopback-peers
pidfile={folder}/turn.pid
userdb={folder}/turndb
log-file={folder}/turn.log
simple-log
verbose
"""


class Coturn:
    configuration = CONFIGURATION

    def __init__(self, folder, *settings):
        """`settings` are further lines of the configuration."""
        self.folder, self.port, self.tls_port = folder, free_port(), free_port()
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*certificate, "-keyout", folder / "key.pem", "-out", folder / "turn.pem"], check=True, capture_output=True)
        (folder / "turnserver.conf").write_text(self.configuration.format(
            port=self.port, tls_port=self.tls_port, folder=folder, user=USER, password=PASSWORD) + "\n".join(settings) + "\n")
        self.start()

    def start(self):
        command = ["turnserver", "-c", self.folder / "turnserver.conf"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)
        for port in (self.port, self.tls_port):
            wait_for(lambda: self._listens(port))

    def _listens(self, port):
        assert self.process.poll() is None, "turnserver ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    def server(self, transport="udp", password=PASSWORD, host="127.0.0.1"):
        """As RTCIceServer has it."""
        url = f"turns:localhost:{self.tls_port}?transport=tcp" if transport == "tls" else f"turn:{host}:{self.port}?transport={transport}"
        return {"urls": [url], "username": USER, "credential": password}

    @property
    def authority(self):
        return str(self.folder / "turn.pem")

    @property
    def log(self):
        return "".join(path.read_text() for path in self.folder.glob("turn*.log"))

    def stop(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def coturn(folder, *settings):
    server = Coturn(folder, *settings)
    try:
        yield server
    finally:
        server.stop()


RELAYING = """
turn:
  realm: martlet.test
  users: [{{name: {user}, password: {password}}}]
  secrets: [{{secret: {secret}}}]
  peers: {{allow: [127.0.0.0/8, 198.18.0.0/15, "::1"]}}
{more}
"""
SECRET = "a shared secret of some length"


class MartletTurn:
    """`martlet serve` with TURN; the servers' common interface, and more."""

    def __init__(self, folder, host="127.0.0.1", more="", flags=(), drain="1s"):
        self.folder, self.host, self.port, self.tls_port = folder, host, free_port(), free_port()
        address = f"[{host}]" if ":" in host else host
        self.server_process = start_server(
            folder, "--drain", drain, "--turn", f"{address}:{self.port}", "--turns", f"{address}:{self.tls_port}", *flags,
            configuration=RELAYING.format(user=USER, password=PASSWORD, secret=SECRET, more=more))

    def server(self, transport="udp", password=PASSWORD):
        url = f"turns:localhost:{self.tls_port}?transport=tcp" if transport == "tls" else f"turn:{self.host}:{self.port}?transport={transport}"
        return {"urls": [url], "username": USER, "credential": password}

    @property
    def authority(self):
        return str(self.folder / "state/martlet/development.pem")

    def api(self, path):
        return self.server_process.api(path)

    def metrics(self):
        """By name with labels."""
        lines = self.server_process.get("/metrics")[2].decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")}

    @property
    def returned(self):
        """Packets of peers that clients were given."""
        return self.metrics()['martlet_turn_relayed_packets_total{direction="received"}']

    @property
    def log(self):
        return self.server_process.log.read_text()

    def stop(self):
        stop_server(self.server_process)


@contextlib.contextmanager
def martlet_turn(folder, **options):
    server = MartletTurn(folder, **options)
    try:
        yield server
    finally:
        server.stop()
