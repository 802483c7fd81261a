// Connections from each participant to each: perfect negotiation, one data channel, and what flows through them.
// `rooms.js` makes one `Mesh` for a room, `sfu.js` is the same by way of the server.

/** Milliseconds in which candidates are gathered that go out with the description. */
const GATHERING = 80;
/** Milliseconds until a silent path is looked for anew, by who came later and by the other, and between attempts; then a new connection is made. */
const RECOVERY = { later: 1500, earlier: 5000, again: 4000, attempts: 3 };
/** Milliseconds that who came later has for the offer that it was asked for, and sections that it makes for that. */
const [PATIENCE, SECTIONS] = [3000, 64];
/** Bytes in the data channel beyond which its writers wait. */
const HIGH_WATER = 1 << 20;

/**
 * What a `Mesh` and an `SFU` are told of, and tell.
 *
 * @typedef {object} Plane
 * @property {(publication: Publication) => void} publish
 * @property {(publication: Publication) => void} unpublish
 * @property {() => void} close
 *
 * @typedef {{source: "camera"|"microphone"|"screen"|"screen-audio", track: MediaStreamTrack, of?: string}} Publication of whom, where it is
 *   passed on for somebody
 *
 * @typedef {object} PlaneEvents
 * @property {(id: string, tracks: Map<string, Map<string, MediaStreamTrack>>) => void} tracks what comes over a connection now: of whom,
 *   and by source
 * @property {(id: string, state: RTCPeerConnectionState) => void} state
 */
export class Mesh {
  #links = new Map();
  #publications = new Map();
  #servers = [];
  #events;

  /** @param {PlaneEvents & {send, ask, message, opened}} events `send(to, command)` is the signaling, `message(id, data)` the data channel's */
  constructor(events) { this.#events = events; }

  get ids() { return [...this.#links.keys()]; }

  link(id) { return this.#links.get(id) ?? null; }

  setServers(servers) {
    this.#servers = servers;
    for (const link of this.#links.values()) link.setServers(servers);
  }

  /** Makes ready for a participant. @param {boolean} isLater who came later is the impolite one. */
  add(id, isLater) {
    if (this.#links.has(id)) return;
    this.#links.set(id, new PeerLink(id, isLater, this.#servers, {
      ...this.#events,
      hopeless: () => this.#renew(id),
    }));
  }

  /** Whether the link carries what is published, or data alone. */
  carry(id, hasMedia) { this.#links.get(id)?.carry(hasMedia ? this.#publications : null); }

  /** What of others a participant gets through us. @param {Publication[]} publications */
  passOn(id, publications) { this.#links.get(id)?.passOn(publications); }

  /** Makes the first offer, if none was made. */
  connect(id) { this.#links.get(id)?.begin(); }

  remove(id) {
    this.#links.get(id)?.close();
    this.#links.delete(id);
  }

  receive(from, event) {
    const link = this.#links.get(from);
    if (!link) return;
    // Who came later begins anew, with an offer of another connection; the other one waits for that.
    if (link.isDead && link.isLater) return this.#renew(from);
    if (event.event === "offer" && link.isOfAnother(event.sdp)) this.#replace(from);
    this.#links.get(from).receive(event);
  }

  /** A participant that came earlier has something to send. @param {{audio: number, video: number}} sections that it needs */
  asked(from, sections) { this.#links.get(from)?.asked(sections); }

  #renew(id) {
    this.#replace(id);
    this.connect(id);
  }

  #replace(id) {
    const { isLater, hasMedia } = this.#links.get(id);
    this.remove(id);
    this.add(id, isLater);
    this.carry(id, hasMedia);
  }

  publish(publication) {
    this.#publications.set(publication.source, publication);
    for (const link of this.#links.values()) link.assign();
  }

  unpublish({ source }) {
    this.#publications.delete(source);
    for (const link of this.#links.values()) link.assign();
  }

  close() { for (const id of this.ids) this.remove(id); }
}

/** One connection to one participant, and its data channel. */
class PeerLink {
  /** What the other one says its sections are, by mid. */
  #sources = new Map();
  /** Which section each publication goes through, by its key. */
  #sections = new Map();
  #passedOn = [];
  /** Whether the other one, who came later, makes an offer where it is asked to; and the wait for that. */
  #isAskable = false;
  #waiting = 0;
  /** Whether we were asked for an offer that is still to be made. */
  #isAsked = false;
  #shown = "";
  /** What the other one was told last of our sections. */
  #told = "";
  #publications = null;
  #isBegun = false;
  #isOver = false;
  #ignoresOffer = false;
  #holdsCandidates = true;
  #recovery = 0;
  #attempts = 0;
  #channels = new Set();
  #events;
  /** Descriptions and candidates, ours and theirs, one after the other. */
  #turn = Promise.resolve();

  constructor(id, isLater, iceServers, events) {
    Object.assign(this, { id, isLater });
    this.#events = events;
    const peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.peer = peer;
    peer.onnegotiationneeded = () => this.#negotiate();
    peer.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate && !this.#holdsCandidates) events.send(id, { do: "candidate", candidate: candidate.toJSON() });
    };
    peer.onconnectionstatechange = () => this.#follow();
    peer.ondatachannel = ({ channel }) => {
      this.#isAskable = !isLater && channel.label === "martlet";
      this.#adopt(channel);
    };
  }

  get channel() { return [...this.#channels].find(({ readyState }) => readyState === "open") ?? null; }

  get hasMedia() { return this.#publications !== null; }

  /** Whether the browser has closed the connection. */
  get isDead() { return this.peer.signalingState === "closed"; }

  /** Whether a description is of another connection than the one that is known (RFC 8866 §5.2). */
  isOfAnother(sdp) {
    const known = this.peer.remoteDescription?.sdp;
    return known !== undefined && originOf(known) !== originOf(sdp);
  }

  setServers(iceServers) { if (!this.#isOver) this.peer.setConfiguration({ ...this.peer.getConfiguration(), iceServers }); }

  begin() {
    if (this.#isBegun || this.#isOver) return;
    this.#isBegun = true;
    this.#adopt(this.peer.createDataChannel("martlet"));
    this.assign();
  }

  /** @param {Map<string, Publication>|null} publications what is sent from now on; it may change before `assign`. */
  carry(publications) {
    this.#publications = publications;
    this.assign();
  }

  passOn(publications) {
    this.#passedOn = publications;
    this.assign();
  }

  #wanted() {
    const all = [...(this.#publications?.values() ?? []), ...this.#passedOn];
    return new Map(all.map((publication) => [keyOf(publication), publication]));
  }

  /**
   * Gives each publication a section and takes away those that ended. A section is used again, and in both directions; who came
   * earlier waits for the first offer, so that there is only one.
   */
  assign() {
    if (!this.#isBegun || this.#isOver) return;
    const wanted = this.#wanted();
    for (const [key, section] of this.#sections) {
      if (wanted.has(key)) continue;
      this.#sections.delete(key);
      section.sender.replaceTrack(null).catch(() => {});
      section.direction = "recvonly";
    }
    let isShort = false;
    for (const [key, { track }] of wanted) {
      const known = this.#sections.get(key);
      if (known?.sender.track === track) continue;
      const section = known ?? this.#freeSection(track.kind) ?? (this.#isAskable ? null : this.peer.addTransceiver(track.kind));
      isShort ||= !section;
      if (!section) continue;
      section.sender.replaceTrack(track).catch(() => {});
      section.direction = "sendrecv";
      this.#sections.set(key, section);
    }
    if (isShort) this.#ask();
    this.#retell();
  }

  /** Sections that change what they carry need no offer by the browser's reckoning; what they carry now has to be told all the same. */
  #retell() {
    const { localDescription, signalingState } = this.peer;
    const labels = String([...this.#labels()]);
    if (!localDescription || signalingState !== "stable" || labels === this.#told) return;
    this.#told = labels;
    this.#negotiate();
  }

  #freeSection(kind) {
    const taken = new Set(this.#sections.values());
    return this.peer.getTransceivers().find((each) => !taken.has(each) && each.direction !== "stopped" && each.receiver.track.kind === kind);
  }

  close() {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#recovery);
    clearTimeout(this.#waiting);
    for (const channel of this.#channels) channel.close();
    this.peer.close();
  }

  // MARK: Negotiation

  receive(event) { this.#inTurn(() => this.#take(event)); }

  #inTurn(act) {
    this.#turn = this.#turn.then(() => this.#isOver || this.isDead || act()).catch((error) => {
      if (!this.#isOver) console.warn(`martlet: ${this.id}:`, error);
    });
  }

  /**
   * Who came earlier has the other one offer: of two offers that meet one has to be rolled back, which leaves Chromium unable to
   * take any more where the other one is a Firefox (its numbers of RTP extensions stay). Where the path is lost there is no asking.
   */
  #negotiate() {
    if (this.#isAskable && this.peer.connectionState === "connected") this.#ask();
    else this.#inTurn(() => this.#offer());
  }

  #ask() {
    const kinds = [...this.#wanted().values()].map(({ track }) => track.kind);
    const count = (kind) => kinds.filter((each) => each === kind).length;
    this.#events.ask(this.id, { audio: count("audio"), video: count("video") });
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => {
      this.#isAskable = false;
      this.assign();
      this.#inTurn(() => this.#offer());
    }, PATIENCE);
  }

  asked(sections) {
    if (!this.isLater || this.#isOver) return;
    for (const kind of ["audio", "video"]) {
      const known = this.peer.getTransceivers().filter(({ receiver, direction }) => receiver.track.kind === kind && direction !== "stopped");
      for (let count = known.length; count < Math.min(sections[kind], SECTIONS); count++) this.peer.addTransceiver(kind, { direction: "recvonly" });
    }
    this.#isAsked = true;
    this.#inTurn(() => this.#offer());
  }

  async #offer() {
    // When it is stable again the browser asks anew.
    if (this.peer.signalingState !== "stable") return;
    this.#isAsked = false;
    this.#holdsCandidates = true;
    await this.peer.setLocalDescription();
    await gathered(this.peer);
    this.#tell("offer", this.peer.pendingLocalDescription);
  }

  /** https://www.w3.org/TR/webrtc/#perfect-negotiation-example */
  async #take({ event, sdp, candidate }) {
    const { peer } = this;
    if (event === "candidate") {
      // Those of an offer that was not taken belong to nothing.
      return peer.addIceCandidate(candidate).catch((error) => { if (!this.#ignoresOffer) throw error; });
    }
    if (event === "answer" && peer.signalingState !== "have-local-offer") return;
    this.#ignoresOffer = event === "offer" && this.isLater && peer.signalingState !== "stable";
    if (this.#ignoresOffer) return;
    await peer.setRemoteDescription({ type: event, sdp });
    this.#sources = sourcesIn(sdp);
    if (event === "offer") await this.#answer();
    this.#show();
    if (event === "answer" && this.#isAsked) await this.#offer();
    else this.#retell();
  }

  async #answer() {
    this.#isBegun = true;
    clearTimeout(this.#waiting);
    this.assign();
    this.#holdsCandidates = true;
    await this.peer.setLocalDescription();
    await gathered(this.peer);
    this.#tell("answer", this.peer.currentLocalDescription);
  }

  #tell(what, description) {
    this.#holdsCandidates = false;
    if (!description) return;
    const labels = this.#labels();
    this.#told = String([...labels]);
    this.#events.send(this.id, { do: what, sdp: labelled(description.sdp, labels) });
  }

  /** What our sections are, where their kind does not say it. */
  #labels() {
    const labels = new Map();
    for (const [key, { source, of }] of this.#wanted()) {
      const mid = this.#sections.get(key)?.mid;
      // One that has no mid yet is in the next offer.
      if (!mid) continue;
      if (of) labels.set(mid, `a=label:${of}.${source}`);
      else if (source.startsWith("screen")) labels.set(mid, "a=content:slides");
    }
    return labels;
  }

  /** What comes in now. */
  #show() {
    const tracks = new Map();
    const shown = [];
    for (const { mid, currentDirection, receiver } of this.peer.getTransceivers()) {
      if (!/recv/.test(currentDirection) || !this.#sources.has(mid)) continue;
      const { source, of = this.id } = this.#sources.get(mid);
      if (!tracks.has(of)) tracks.set(of, new Map());
      tracks.get(of).set(source, receiver.track);
      shown.push(`${of} ${source} ${receiver.track.id}`);
    }
    if (shown.join() === this.#shown) return;
    this.#shown = shown.join();
    this.#events.tracks(this.id, tracks);
  }

  // MARK: The path

  #follow() {
    if (this.#isOver) return;
    const { connectionState } = this.peer;
    clearTimeout(this.#recovery);
    if (connectionState === "connected") this.#attempts = 0;
    if (connectionState === "failed" || connectionState === "disconnected") this.#recoverIn(this.isLater ? RECOVERY.later : RECOVERY.earlier);
    this.#events.state(this.id, connectionState);
  }

  #recoverIn(delay) {
    this.#recovery = setTimeout(() => {
      if (this.#isOver || this.peer.connectionState === "connected") return;
      if (this.isLater && ++this.#attempts > RECOVERY.attempts) return this.#events.hopeless();
      this.peer.restartIce();
      this.#recoverIn(RECOVERY.again);
    }, delay);
  }

  // MARK: The data channel

  #adopt(channel) {
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = HIGH_WATER / 4;
    this.#channels.add(channel);
    channel.onopen = () => this.#events.opened(this.id);
    channel.onmessage = ({ data }) => this.#events.message(this.id, data);
    channel.onclose = () => this.#channels.delete(channel);
    if (channel.readyState === "open") channel.onopen();
  }

  /** @returns {boolean} false when there is no open channel. */
  send(data) {
    const { channel } = this;
    if (!channel) return false;
    channel.send(data);
    return true;
  }

  /** Kept when the channel takes more; broken when it is gone. */
  async writable() {
    const { channel } = this;
    if (!channel) throw new Error("the connection to the participant is gone");
    if (channel.bufferedAmount < HIGH_WATER) return;
    await new Promise((resolve) => {
      const events = new AbortController();
      for (const type of ["bufferedamountlow", "close"]) {
        channel.addEventListener(type, () => (events.abort(), resolve()), { signal: events.signal });
      }
    });
  }
}

/** Most candidates of this machine are there at once: with them in the description fewer messages go around. */
export function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const events = new AbortController();
    const done = () => (events.abort(), clearTimeout(timer), resolve());
    const timer = setTimeout(done, GATHERING);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done(), { signal: events.signal });
  });
}

function keyOf({ source, of = "" }) { return `${source} ${of}`; }

/** Says of sections that they carry a screen (RFC 4796), or whose media they carry (RFC 4574). */
function labelled(sdp, labels) {
  return sdp.replace(/^a=mid:(\S+)\r?\n/gm, (line, mid) => (labels.has(mid) ? `${line}${labels.get(mid)}\r\n` : line));
}

function originOf(sdp) { return sdp.match(/^o=\S+ (\S+)/m)?.[1]; }

/** What each section carries, by mid: the source, and of whom where it is not the other one's own. */
function sourcesIn(sdp) {
  const sources = new Map();
  for (const section of sdp.split(/^(?=m=)/m).slice(1)) {
    const mid = section.match(/^a=mid:(\S+)/m)?.[1];
    const label = section.match(/^a=label:(\w+)\.([\w-]+)/m);
    const isScreen = /^a=content:slides/m.test(section);
    if (label) sources.set(mid, { of: label[1], source: label[2] });
    else if (section.startsWith("m=audio")) sources.set(mid, { source: isScreen ? "screen-audio" : "microphone" });
    else if (section.startsWith("m=video")) sources.set(mid, { source: isScreen ? "screen" : "camera" });
  }
  return sources;
}
