"""Browsers with a camera and a microphone that play a pattern and beeps, and pages that publish and watch with them."""
import urllib.request

from browsers import Chromium, Firefox

# Loopback is no candidate for a browser otherwise, and names in place of addresses would need multicast DNS.
CHROMIUM = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
            "--disable-features=WebRtcHideLocalIpsWithMdns"]
FIREFOX = {"media.navigator.streams.fake": True, "media.navigator.permission.disabled": True, "media.peerconnection.ice.loopback": True,
           "media.peerconnection.ice.obfuscate_host_addresses": False}

WEBRTC_BROWSERS = {"chromium": lambda: Chromium(flags=CHROMIUM), "firefox": lambda: Firefox(preferences=FIREFOX)}
# As they are for a user who has not let the page have a camera.
HIDING_BROWSERS = {"chromium": lambda: Chromium(flags=["--allow-loopback-in-peer-connection"]),
                   "firefox": lambda: Firefox(preferences={**FIREFOX, "media.peerconnection.ice.obfuscate_host_addresses": True})}

# What a page needs for either, in plain calls of the browser's API: one exchange of offer and answer.
PAGE = """(() => {
  window.exchange = async (peer, url, headers = {}) => {
    await peer.setLocalDescription();
    // Else the server learns of candidates by the checks that come from them, not of what kind they are.
    if (window.gathersFirst) await new Promise(done => {
      const look = () => { if (peer.iceGatheringState === "complete") done(); };
      peer.onicegatheringstatechange = look;
      look();
    });
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp", ...headers }, body: peer.localDescription.sdp });
    const text = await response.text();
    if (response.status !== 201) throw new Error(`${response.status}: ${text}`);
    window.resource = new URL(response.headers.get("Location"), location.href).href;
    window.etag = response.headers.get("ETag");
    window.answer = text;
    await peer.setRemoteDescription({ type: "answer", sdp: window.edit?.(text) ?? text });
    await new Promise((done, fail) => {
      const look = () => {
        if (peer.connectionState === "connected") done();
        else if (peer.connectionState === "failed") fail(new Error("the connection failed"));
      };
      peer.onconnectionstatechange = look;
      look();
      setTimeout(() => fail(new Error(`still ${peer.connectionState} after 15 s`)), 15000);
    });
  };
  window.publish = async (url, { video = true, audio = true, codec, sound, simulcast } = {}) => {
    const peer = window.publisher = new RTCPeerConnection(window.configuration);
    // Chromium makes three layers of no less than 960 x 540.
    const size = simulcast ? { width: 1280, height: 720 } : { width: 640, height: 480 };
    const media = await navigator.mediaDevices.getUserMedia({ video: video && { ...size, frameRate: 30 }, audio });
    for (const track of media.getTracks()) {
      const encodings = simulcast && track.kind === "video"
        ? [{ rid: "q", scaleResolutionDownBy: 4 }, { rid: "h", scaleResolutionDownBy: 2 }, { rid: "f" }] : undefined;
      const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media], ...(encodings && { sendEncodings: encodings }) });
      if (codec && track.kind === "video") {
        const all = RTCRtpSender.getCapabilities("video").codecs;
        const chosen = all.filter(c => c.mimeType.toLowerCase() === `video/${codec}`);
        transceiver.setCodecPreferences([...chosen, ...all.filter(c => /[/](rtx|red|ulpfec)$/.test(c.mimeType))]);
      }
      if (sound && track.kind === "audio") {
        const all = RTCRtpSender.getCapabilities("audio").codecs;
        transceiver.setCodecPreferences(all.filter(c => c.mimeType.toLowerCase() === `audio/${sound}`));
      }
    }
    await exchange(peer, url);
  };
  window.watch = async (url, { video = true, audio = true } = {}) => {
    const peer = window.viewer = new RTCPeerConnection(window.configuration);
    const element = window.element = document.createElement("video");
    element.muted = true; element.autoplay = true; element.playsInline = true;
    document.body.append(element);
    const stream = new MediaStream();
    element.srcObject = stream;
    peer.ontrack = ({ track }) => stream.addTrack(track);
    if (video) peer.addTransceiver("video", { direction: "recvonly" });
    if (audio) peer.addTransceiver("audio", { direction: "recvonly" });
    await exchange(peer, url);
    element.play().catch(() => {});
  };
  window.restart = async peer => {
    const offer = await peer.createOffer({ iceRestart: true });
    await peer.setLocalDescription(offer);
    const take = (name, text) => text.match(new RegExp(`a=${name}:(.*)`))[1].trim();
    const body = ["ice-ufrag", "ice-pwd"].map(name => `a=${name}:${take(name, offer.sdp)}`).join("\\r\\n") + "\\r\\n";
    const response = await fetch(resource, { method: "PATCH", body,
      headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" } });
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    let sdp = answer;
    for (const name of ["ice-ufrag", "ice-pwd"]) sdp = sdp.replaceAll(new RegExp(`a=${name}:.*`, "g"), `a=${name}:${take(name, text)}`);
    await peer.setRemoteDescription({ type: "answer", sdp });
    return peer.iceConnectionState;
  };
  window.received = async () => {
    const found = {};
    for (const report of (await viewer.getStats()).values()) {
      if (report.type === "inbound-rtp") found[report.kind] = {
        packets: report.packetsReceived, lost: report.packetsLost, frames: report.framesDecoded, width: report.frameWidth,
        height: report.frameHeight, energy: report.totalAudioEnergy, samples: report.totalSamplesReceived,
        concealed: report.concealedSamples, nacks: report.nackCount, plis: report.pliCount };
    }
    return { ...found, time: element.currentTime, width: element.videoWidth };
  };
  window.sent = async () => {
    const found = {};
    for (const report of (await publisher.getStats()).values()) {
      if (report.type === "outbound-rtp") found[report.rid ? `${report.kind}-${report.rid}` : report.kind] = {
        packets: report.packetsSent, frames: report.framesEncoded, plis: report.pliCount, nacks: report.nackCount, bitrate: report.targetBitrate };
      if (report.type === "candidate-pair" && report.nominated) found.pair = { available: report.availableOutgoingBitrate };
    }
    return found;
  };
})()"""


def page(browser, server):
    browser.open(server.url("/diag/hello"))
    browser.evaluate(PAGE)
    return browser


# The server's UDP candidates are kept from the browser, as if nothing of them got through.
TCP_ONLY = r"window.edit = sdp => sdp.replace(/a=candidate:\S+ \d+ udp .*\r\n/gi, '')"


def send(server, method, path, body=None, **headers):
    """An answer's status, fields and text, whatever the status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.url(path), method=method, data=body.encode() if body else None, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
