// What a browser knows of a connection, as rates and in one form for all browsers.

/** Reads the statistics of one RTCPeerConnection; rates are those since the reading before. */
export class PeerStats {
  #peer;
  #before = null;

  constructor(peer) {
    this.#peer = peer;
  }

  /**
   * Seconds, bits a second, counts; `null` is what this browser does not tell.
   * @returns {Promise<Reading>}
   *
   * @typedef {object} Reading
   * @property {number|null} bitrate of all that is sent or received
   * @property {number|null} roundTrip
   * @property {number|null} loss share of the packets, 0 to 1
   * @property {number|null} available what the path is estimated to take
   * @property {number|null} delay how long the jitter buffer kept what was shown last
   * @property {number|null} frameRate
   * @property {number|null} width
   * @property {number|null} height
   * @property {string|null} limitation what keeps the picture small: "cpu", "bandwidth", "other"
   * @property {string|null} codecs
   * @property {string|null} pair candidate types and the server's address
   * @property {string|null} security cipher of DTLS, profile of SRTP
   * @property {number} packets
   * @property {number} lost
   * @property {number} retransmissions asked for or sent
   * @property {number} keyFrameRequests
   * @property {number|null} decoded
   * @property {number|null} dropped
   * @property {number|null} freezes
   */
  async read() {
    const reports = [...(await this.#peer.getStats()).values()];
    const byID = new Map(reports.map((report) => [report.id, report]));
    const ofType = (type) => reports.filter((report) => report.type === type);
    const streams = [...ofType("outbound-rtp"), ...ofType("inbound-rtp")];
    const isSender = streams.some(({ type }) => type === "outbound-rtp");
    const remote = ofType("remote-inbound-rtp");
    const video = largest(streams.filter(({ kind }) => kind === "video"));
    const { pair, transport } = selected(reports, byID);
    const sum = (list, name) => list.reduce((total, each) => total + (each[name] ?? 0), 0);
    const now = {
      time: performance.now(),
      bytes: sum(streams, isSender ? "bytesSent" : "bytesReceived") + sum(streams, isSender ? "headerBytesSent" : "headerBytesReceived"),
      packets: sum(streams, isSender ? "packetsSent" : "packetsReceived"),
      lost: sum(isSender ? remote : streams, "packetsLost"),
      // The picture's buffer, or the sound's where there is no picture.
      buffer: (video ?? streams.find(({ kind }) => kind === "audio")) ?? {},
    };
    const reading = {
      bitrate: null, loss: null, delay: null,
      roundTrip: first(pair?.currentRoundTripTime, ...remote.map((each) => each.roundTripTime), ...ofType("remote-outbound-rtp").map((each) => each.roundTripTime)),
      available: pair?.availableOutgoingBitrate ?? null,
      frameRate: video?.framesPerSecond ?? null, width: video?.frameWidth ?? null, height: video?.frameHeight ?? null,
      limitation: video?.qualityLimitationReason && video.qualityLimitationReason !== "none" ? video.qualityLimitationReason : null,
      codecs: [...new Set(streams.map(({ codecId }) => byID.get(codecId)?.mimeType?.split("/")[1]).filter(Boolean))].join(", ") || null,
      pair: pair && describe(byID.get(pair.localCandidateId), byID.get(pair.remoteCandidateId)),
      security: [transport?.dtlsCipher, transport?.srtpCipher].filter(Boolean).join(", ") || null,
      packets: now.packets, lost: now.lost,
      retransmissions: sum(streams, isSender ? "retransmittedPacketsSent" : "nackCount"), keyFrameRequests: sum(streams, "pliCount"),
      decoded: video?.framesDecoded ?? null, dropped: video?.framesDropped ?? null, freezes: video?.freezeCount ?? null,
    };
    if (this.#before) Object.assign(reading, rates(this.#before, now, isSender));
    this.#before = now;
    return reading;
  }
}

function rates(before, now, isSender) {
  const seconds = (now.time - before.time) / 1000;
  const lost = Math.max(0, now.lost - before.lost);
  const packets = Math.max(0, now.packets - before.packets);
  const emitted = (now.buffer.jitterBufferEmittedCount ?? 0) - (before.buffer.jitterBufferEmittedCount ?? 0);
  return {
    bitrate: Math.max(0, ((now.bytes - before.bytes) * 8) / seconds),
    // A receiver counts what came, a sender what left.
    loss: packets || lost ? Math.min(1, lost / (isSender ? Math.max(packets, 1) : packets + lost)) : 0,
    delay: emitted > 0 ? (now.buffer.jitterBufferDelay - before.buffer.jitterBufferDelay) / emitted : null,
  };
}

/** With simulcast there are several; the largest is what a person means. */
function largest(streams) {
  return streams.reduce((best, each) => (!best || (each.frameWidth ?? 0) > (best.frameWidth ?? 0) ? each : best), null);
}

function selected(reports, byID) {
  const transport = reports.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
  const pair = transport
    ? byID.get(transport.selectedCandidatePairId)
    : reports.find((each) => each.type === "candidate-pair" && (each.selected || (each.nominated && each.state === "succeeded")));
  return { pair: pair ?? null, transport: transport ?? null };
}

/** `host → host, UDP, 192.0.2.1:8189`. */
function describe(local, remote) {
  if (!remote) return null;
  const host = remote.address?.includes(":") ? `[${remote.address}]` : remote.address;
  const protocol = (local?.relayProtocol ?? local?.protocol ?? remote.protocol ?? "").toUpperCase();
  return [`${local?.candidateType ?? "?"} → ${remote.candidateType}`, protocol, host && `${host}:${remote.port}`].filter(Boolean).join(", ");
}

function first(...values) {
  return values.find((value) => typeof value === "number") ?? null;
}
