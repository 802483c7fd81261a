"""Headless Chromium and Firefox behind one small interface: `open`, `evaluate`, `screenshot`, `close`.

Chromium speaks its DevTools protocol over a WebSocket, Firefox speaks Marionette (length-prefixed JSON over TCP): both are
in the browsers themselves, so no driver program has to match their versions.
"""
import base64
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from websockets.sync.client import connect


class BrowserError(AssertionError):
    """The browser refused a command, or a script threw."""


class Browser:
    """A browser process with its own profile and one window."""

    def __init__(self, command, profile, environment=None):
        self.profile = profile
        self.output = (profile / "output.log").open("w")
        # A group of its own, because browsers are families of processes.
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=self.output, env=dict(os.environ, **(environment or {})), start_new_session=True)

    def wait_until(self, condition, seconds=60):
        """The first true value; browsers are slow to start on a busy machine."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                value = condition()
            except OSError:
                value = None
            if value:
                return value
            time.sleep(0.05)
        raise BrowserError(f"the browser did not start:\n{(self.profile / 'output.log').read_text()[-2000:]}")

    def open(self, url):
        """Goes to a page and waits for its load event."""
        raise NotImplementedError

    def evaluate(self, script):
        """The value of a JavaScript expression in the page; a promise is awaited."""
        raise NotImplementedError

    def screenshot(self, path):
        """Writes what the window shows as a PNG."""
        raise NotImplementedError

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Chromium(Browser):
    def __init__(self, size=(1280, 900), dark=False, flags=()):
        profile = pathlib.Path(tempfile.mkdtemp(prefix="chromium-"))
        super().__init__([
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--no-first-run",
            "--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--remote-debugging-port=0",
            "--remote-allow-origins=*", f"--user-data-dir={profile}", *flags, "about:blank"], profile)
        self.ids = itertools.count(1)
        # What the page wrote to the console as errors, and what the browser holds against it.
        self.problems = []
        self.resources = contextlib.ExitStack()
        try:
            self.socket = self.resources.enter_context(connect(self.wait_until(self._address), max_size=None, open_timeout=20))
            targets = self._call("Target.getTargets")["targetInfos"]
            page = next(target for target in targets if target["type"] == "page")
            self.session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self._call(f"{domain}.enable")
            self._call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            self._call("Emulation.setEmulatedMedia", features=[scheme])
        except BaseException:
            self.close()
            raise

    def _address(self):
        lines = (self.profile / "DevToolsActivePort").read_text().splitlines()
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}" if len(lines) == 2 else None

    session = None

    def _call(self, method, **parameters):
        identifier = next(self.ids)
        message = {"id": identifier, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        return self._receive(lambda answer: answer.get("id") == identifier, method)

    def _receive(self, is_wanted, what, seconds=60):
        end = time.monotonic() + seconds
        while True:
            try:
                answer = json.loads(self.socket.recv(timeout=max(0, end - time.monotonic())))
            except TimeoutError:
                raise BrowserError(f"Chromium did not answer {what}") from None
            self._note(answer)
            if is_wanted(answer):
                break
        if "error" in answer:
            raise BrowserError(f"{what}: {answer['error']['message']}")
        return answer.get("result", {})

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))

    def open(self, url):
        self._call("Page.navigate", url=url)
        self._receive(lambda event: event.get("method") == "Page.loadEventFired", url)

    def evaluate(self, script):
        result = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise BrowserError(result["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return result["result"].get("value")

    def screenshot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.resources.close()
        super().close()


class Firefox(Browser):
    def __init__(self, size=(1280, 900), dark=False, preferences=None, authority=None):
        """`authority` is a file with a certificate that is believed, also by what no page has opened: TURN over TLS."""
        profile = pathlib.Path(tempfile.mkdtemp(prefix="firefox-"))
        more = preferences or {}
        preferences = {
            # The port that the system chose is then in this file.
            "marionette.port": 0, "media.autoplay.default": 0, "media.volume_scale": "0.0", "browser.shell.checkDefaultBrowser": False,
            "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False, "browser.aboutwelcome.enabled": False,
            "toolkit.telemetry.reportingpolicy.firstRun": False, "layout.css.prefers-color-scheme.content-override": 0 if dark else 1,
            **more,
        }
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines))
        super().__init__(
            ["firefox-esr", "--headless", "--no-remote", "--marionette", *(["--remote-allow-system-access"] if authority else []),
             "--profile", str(profile), "about:blank"], profile,
            {"MOZ_HEADLESS_WIDTH": str(size[0]), "MOZ_HEADLESS_HEIGHT": str(size[1])})
        self.ids = itertools.count(1)
        self.socket = None
        try:
            self.socket = self.wait_until(self._connect)
            self._message()
            self._call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
            inner = self.evaluate("[innerWidth, innerHeight]")
            outer = self._call("WebDriver:GetWindowRect")
            self._call("WebDriver:SetWindowRect", {
                "width": outer["width"] + size[0] - inner[0], "height": outer["height"] + size[1] - inner[1]})
            if authority:
                self._trust(pathlib.Path(authority).read_text())
        except BaseException:
            self.close()
            raise

    def _connect(self):
        # It is there before it says anything.
        port = (self.profile / "MarionetteActivePort").read_text()
        if not port:
            raise FileNotFoundError("no port yet")
        return socket.create_connection(("127.0.0.1", int(port)), timeout=60)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise BrowserError("Firefox closed the connection")
            data += part
        return data

    def _message(self):
        """`LENGTH:JSON`."""
        length = b""
        while not length.endswith(b":"):
            length += self._exactly(1)
        return json.loads(self._exactly(int(length[:-1])))

    def _call(self, command, parameters=None):
        identifier = next(self.ids)
        data = json.dumps([0, identifier, command, parameters or {}]).encode()
        self.socket.sendall(b"%d:%s" % (len(data), data))
        _, answered, error, result = self._message()
        assert answered == identifier
        if error:
            raise BrowserError(f"{command}: {error['error']}: {error['message']}")
        return result

    def _trust(self, certificate):
        encoded = certificate.split("-----")[2].replace("\n", "")
        script = "Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(arguments[0], 'C,,')"
        self._call("Marionette:SetContext", {"value": "chrome"})
        self._call("WebDriver:ExecuteScript", {"script": script, "args": [encoded], "sandbox": None})
        self._call("Marionette:SetContext", {"value": "content"})

    def open(self, url):
        self._call("WebDriver:Navigate", {"url": url})

    def evaluate(self, script):
        body = f"return (async () => ({script}))()"
        return self._call("WebDriver:ExecuteScript", {"script": body, "args": [], "sandbox": None})["value"]

    def screenshot(self, path):
        value = self._call("WebDriver:TakeScreenshot", {"full": False})["value"]
        pathlib.Path(path).write_bytes(base64.b64decode(value))

    def close(self):
        if self.socket:
            self.socket.close()
        super().close()


BROWSERS = {"chromium": Chromium, "firefox": Firefox}
