// The connection to the server that passes everybody's media on. The client makes every offer; docs/rooms.md says what is in one.
import { gathered } from "./mesh.js";

/** Milliseconds until a silent path is looked for anew, and between attempts; after so many a new connection is made. */
const RECOVERY = { first: 1500, again: 5000, attempts: 3 };
/** Sizes of a camera, from small to large as Chromium wants them, and from how many pixels on they make sense: of more it would leave out
 * the largest. */
const LAYERS = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];
const TWO_LAYERS = [{ rid: "h", scaleResolutionDownBy: 2, maxBitrate: 200_000 }, { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 900_000 }];

const LAYERS_BY_PIXELS = [[960 * 540, LAYERS], [480 * 270, TWO_LAYERS]];

function layersOf(track) {
  const { width = 1280, height = 720 } = track.getSettings();
  return LAYERS_BY_PIXELS.find(([pixels]) => width * height >= pixels)?.[1].map((layer) => ({ ...layer }));
}

export class SFU {
  #peer = null;
  #servers;
  #publications = new Map();
  /** Tracks that others publish: "participant source" → {participant, source}. */
  #wanted = new Map();
  /** Sections by what is in them: of ours the source, of others' "participant source". Those that are free stay for the next. */
  #sending = new Map();
  #receiving = new Map();
  #isWorking = false;
  #isChanged = false;
  #isOver = false;
  /** The server's name for this connection, once it has answered. */
  #session = undefined;
  /** Which of our pictures somebody watches, as the server said last. */
  #watched = null;
  #recovery = 0;
  #attempts = 0;
  #offer;
  #events;
  #scalability;

  /** @param {(offer: object) => Promise<{sdp: string}>} offer asks the server @param {PlaneEvents & {refused}} events */
  constructor(servers, offer, events, scalability) {
    this.#scalability = scalability;
    this.#servers = servers;
    this.#offer = offer;
    this.#events = events;
    this.#connect();
  }

  get peer() { return this.#peer; }
  get session() { return this.#session; }
  get isConnected() { return this.#peer.connectionState === "connected"; }

  /** The mid of each source of a participant that comes in. */
  midsOf(participant) {
    return [...this.#wanted].filter(([, each]) => each.participant === participant)
      .map(([key]) => this.#receiving.get(key)?.mid).filter(Boolean);
  }

  setServers(servers) {
    this.#servers = servers;
    this.#peer.setConfiguration({ ...this.#peer.getConfiguration(), iceServers: servers });
  }

  publish(publication) {
    this.#publications.set(publication.source, publication);
    const section = this.#sending.get(publication.source);
    if (section?.sender.track) return section.sender.replaceTrack(publication.track);
    this.#change();
  }

  unpublish({ source }) {
    this.#publications.delete(source);
    this.#change();
  }

  /** What a participant publishes now. @param {{source: string}[]} tracks */
  setTracks(participant, tracks) {
    for (const [key, each] of this.#wanted) if (each.participant === participant) this.#wanted.delete(key);
    for (const { source } of tracks) this.#wanted.set(`${participant} ${source}`, { participant, source });
    this.#change();
  }

  /** Layers that nobody watches are not made. @param {{session: string, tracks: {source, wanted: boolean, layers: string[]}[]}} watched */
  setWanted(watched) {
    this.#watched = watched;
    this.#followWanted();
  }

  close() {
    this.#isOver = true;
    clearTimeout(this.#recovery);
    this.#peer.close();
  }

  // MARK: Negotiation

  #connect() {
    this.#peer?.close();
    this.#sending.clear();
    this.#receiving.clear();
    this.#session = undefined;
    const peer = new RTCPeerConnection({ iceServers: this.#servers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    peer.onconnectionstatechange = () => peer === this.#peer && this.#follow();
    this.#change();
  }

  /** One offer after the other, and one for all that changed meanwhile. */
  async #change() {
    this.#isChanged = true;
    if (this.#isWorking) return;
    this.#isWorking = true;
    // What the caller does in one go is one change.
    await null;
    while (this.#isChanged && !this.#isOver) {
      this.#isChanged = false;
      await this.#negotiate().catch((error) => this.#refused(error));
    }
    this.#isWorking = false;
  }

  async #negotiate() {
    const peer = this.#peer;
    this.#assignSending();
    this.#assignReceiving();
    if (!peer.getTransceivers().length) return this.#show();
    await peer.setLocalDescription();
    await gathered(peer);
    const tracks = this.#named(this.#sending, (source) => ({ source }));
    const subscribe = this.#named(this.#receiving, (key) => this.#wanted.get(key));
    const { sdp, session } = await this.#offer({ sdp: peer.localDescription.sdp, session: this.#session, tracks, subscribe });
    if (this.#isOver || peer !== this.#peer) return;
    const isNew = session !== this.#session;
    this.#session = session;
    await peer.setRemoteDescription({ type: "answer", sdp });
    this.#show();
    this.#events.answered(isNew);
    this.#followWanted();
  }

  #named(sections, describe) {
    return [...sections].flatMap(([key, { mid, direction }]) => {
      const description = direction === "inactive" ? null : describe(key);
      return description ? [{ mid, ...description }] : [];
    });
  }

  #assignSending() {
    const wanted = this.#publications;
    for (const [source, section] of this.#sending) {
      if (wanted.has(source) || section.direction === "inactive") continue;
      section.sender.replaceTrack(null).catch(() => {});
      section.direction = "inactive";
    }
    for (const [source, { track }] of wanted) {
      const section = this.#sending.get(source);
      if (section) {
        section.direction = "sendonly";
        if (section.sender.track !== track) section.sender.replaceTrack(track).catch(() => {});
      } else {
        this.#sending.set(source, this.#addSending(source, track));
      }
    }
  }

  #addSending(source, track) {
    const { codec, mode } = this.#scalability ?? {};
    const isScalable = source === "camera" && mode;
    const sendEncodings = isScalable ? [{ scalabilityMode: mode }] : source === "camera" ? layersOf(track) : undefined;
    const section = this.#peer.addTransceiver(track, { direction: "sendonly", sendEncodings });
    // The server takes what it likes best of what it is offered.
    const wanted = [`video/${codec}`, "video/rtx"].map((type) => type.toLowerCase());
    if (isScalable) section.setCodecPreferences(RTCRtpSender.getCapabilities("video").codecs.filter(({ mimeType }) => wanted.includes(mimeType.toLowerCase())));
    return section;
  }

  #followWanted() {
    if (!this.#watched || this.#watched.session !== this.#session) return;
    for (const { source, wanted, layers } of this.#watched.tracks) {
      const sender = this.#sending.get(source)?.sender;
      if (!sender) continue;
      const parameters = sender.getParameters();
      const isActive = ({ rid }) => wanted && (!rid || layers.includes(rid));
      if (parameters.encodings.every((encoding) => encoding.active === isActive(encoding))) continue;
      for (const encoding of parameters.encodings) encoding.active = isActive(encoding);
      // A browser that will not goes on sending: the server takes either.
      sender.setParameters(parameters).catch(() => {});
    }
  }

  #assignReceiving() {
    for (const [key, section] of this.#receiving) section.direction = this.#wanted.has(key) ? "recvonly" : "inactive";
    for (const [key, { source }] of this.#wanted) {
      if (this.#receiving.has(key)) continue;
      const kind = source === "microphone" || source === "screen-audio" ? "audio" : "video";
      const [old, section] = this.#freeSection(kind) ?? [null, this.#peer.addTransceiver(kind, { direction: "recvonly" })];
      this.#receiving.delete(old);
      section.direction = "recvonly";
      this.#receiving.set(key, section);
    }
  }

  #freeSection(kind) { return [...this.#receiving].find(([key, { receiver }]) => !this.#wanted.has(key) && receiver.track.kind === kind); }

  /** What comes in now, of each participant. */
  #show() {
    const tracks = new Map();
    for (const [key, section] of this.#receiving) {
      const each = this.#wanted.get(key);
      if (!each || !/recv/.test(section.currentDirection)) continue;
      if (!tracks.has(each.participant)) tracks.set(each.participant, new Map());
      tracks.get(each.participant).set(each.source, section.receiver.track);
    }
    this.#events.tracks(tracks);
  }

  /** A connection that the server knows no more is made anew; of anything else the next attempt tells. */
  async #refused(error) {
    if (this.#isOver) return;
    if (error.code === "no_media" && this.#session) return this.#connect();
    this.#events.refused(error);
    if (this.#peer.signalingState === "have-local-offer") await this.#peer.setLocalDescription({ type: "rollback" });
    if (error.code !== "no_media") this.#recoverIn(RECOVERY.again);
  }

  // MARK: The path

  #follow() {
    const { connectionState } = this.#peer;
    clearTimeout(this.#recovery);
    if (connectionState === "connected") this.#attempts = 0;
    if (connectionState === "failed" || connectionState === "disconnected") this.#recoverIn(RECOVERY.first);
    this.#events.state(connectionState);
  }

  #recoverIn(delay) {
    clearTimeout(this.#recovery);
    this.#recovery = setTimeout(() => {
      if (this.#isOver || this.isConnected) return;
      if (++this.#attempts > RECOVERY.attempts) {
        this.#attempts = 0;
        this.#connect();
      } else {
        this.#peer.restartIce();
        this.#change();
      }
      this.#recoverIn(RECOVERY.again);
    }, delay);
  }
}
