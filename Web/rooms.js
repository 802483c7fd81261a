// Rooms: what `joinRoom` of martlet.js loads. How to use it: docs/javascript.md; what it speaks: docs/rooms.md.
//
// Who is here comes over channels (`Signaling`), media over a plane: `Mesh` (mesh.js) or `SFU` (sfu.js). Where the room changes from
// one to the other both run until what flows through the old one flows through the new one.
import { Handover } from "./handover.js";
import { Mesh } from "./mesh.js";
import { Participant } from "./participant.js";
import { QualityReader } from "./peer-quality.js";
import { RoomView } from "./room-view.js";
import { SFU } from "./sfu.js";
import { RoomError, Signaling } from "./signaling.js";
import { Transfers } from "./transfers.js";

/** Milliseconds between readings of how good connections are. */
const READING = 2000;
/** Milliseconds between reports of how much can be sent, unless it has become less. */
const UPLINK = 10_000;
/** Milliseconds without a path after which the server is told, for its choice of the topology. */
const UNREACHABLE = 10_000;
/** Messages of participants who are not known yet: two channels have no common order. */
const EARLY = 256;

class RoomEvent extends Event {
  constructor(type, details) {
    super(type);
    Object.assign(this, details);
  }
}

/** @param {{Martlet, expiry, randomKey}} library of martlet.js @param {string} name @param {object} options */
export async function join(library, name, options) {
  const given = tracksGiven(options);
  const opened = await openDevices(options, given);
  const room = new Room(library, name, options);
  try {
    for (const track of [...given, ...opened]) await room.publish(track);
    await room.enter();
  } catch (error) {
    for (const track of opened) track.stop();
    throw error;
  }
  return room;
}

function tracksGiven({ audio, video }) {
  const all = [audio, video].flatMap((each) => (each instanceof MediaStream ? each.getTracks() : each instanceof MediaStreamTrack ? [each] : []));
  return [...new Set(all)];
}

async function openDevices({ audio = true, video = true }, given) {
  const missing = { audio: wish(audio, "audio", given), video: wish(video, "video", given) };
  if (!missing.audio && !missing.video) return [];
  if (!navigator.mediaDevices) throw new DOMException("pages get camera and microphone over HTTPS only", "SecurityError");
  return (await navigator.mediaDevices.getUserMedia(missing)).getTracks();
}

/** `true`, constraints, or `false` where it is there already. */
function wish(value, kind, given) {
  if (!value || given.some((track) => track.kind === kind)) return false;
  return value instanceof MediaStream || value instanceof MediaStreamTrack ? false : value;
}

export class Room extends EventTarget {
  participants = new Map();
  me = null;
  topology = "mesh";
  /** The id of who passes everything on, in the topology of that name. */
  supernode = null;
  mode = "auto";
  isLocked = false;
  /** How the room is: `capacity`, `publish`, `lobby`, `record`, …; null until we are in it. */
  options = null;
  /** What we may do here: `publish`, `moderate`. */
  may = ["publish"];
  /** `joining`, `connected`, `reconnecting` or `closed`. */
  state = "joining";
  #options;
  #randomKey;
  #signaling;
  #mesh;
  #sfu = null;
  #transfers;
  #publications = new Map();
  /** What comes of each participant: by plane (`mesh`, `sfu`, or who passes it on), the tracks by source. */
  #incoming = new Map();
  /** What comes over each connection, of whom. */
  #fromLinks = new Map();
  #early = [];
  #servers = [];
  /** Counts the topologies. */
  #generation = 0;
  #handover = new Handover({ done: (id) => this.#giveUpOthers(id), finished: () => this.#finishSwitch() });
  #lost = new Map();
  /** How often each connection has failed since it last was one. */
  #failures = new Map();
  #unreachable = "";
  #uplink = { bitrate: 0, isLimited: false, at: -Infinity };
  #quality = new QualityReader();
  #view = new RoomView((tracks) => this.#tellView(tracks));
  #reading = 0;
  #listening = new AbortController();

  constructor(library, name, options) {
    super();
    this.#options = options;
    this.#randomKey = library.randomKey;
    Object.defineProperty(this, "name", { value: name, enumerable: true });
    this.#signaling = new Signaling(library, name, options, {
      entered: (answer) => this.#enter(answer),
      caughtUp: (answer) => this.#catchUp(answer),
      event: (event) => this.#follow(event),
      inbox: (event) => this.#hear(event),
      message: (message) => this.#emit("message", message),
      state: (state, text, error) => this.#change(state, text, error),
      servers: (servers) => this.#setServers(servers),
    });
    this.#mesh = new Mesh({
      send: (to, command) => this.#signaling.send({ ...command, to }),
      ask: (id, sections) => this.#signaling.send({ do: "signal", to: id, data: { renegotiate: sections } }),
      tracks: (id, tracks) => this.#takeFromLink(id, tracks),
      state: (id, state) => this.#followLink(id, state),
      message: (id, data) => this.#transfers.receive(id, data),
      opened: (id) => this.#transfers.opened(id),
    });
    this.#transfers = new Transfers({
      link: (id) => this.#mesh.link(id),
      connect: (id) => this.#connectForData(id),
      signal: (to, data) => this.#signaling.send({ do: "signal", to, data }),
      download: (url) => this.#signaling.download(url),
      upload: (file, path) => this.#signaling.martlet.upload(file, { name: `rooms/${name}/${path}` }),
      data: (from, data) => this.participants.has(from) && this.#emit("data", { participant: this.participants.get(from), data }),
      asked: (from, sections) => this.#mesh.asked(from, sections),
      handover: (from, generation) => this.#handover.hear(from, generation),
      file: (from, transfer) => this.#emit("file", { participant: this.participants.get(from), transfer }),
    });
  }

  get transport() { return this.#signaling.martlet.transport; }

  // MARK: What applications do

  async enter() {
    const { signal } = this.#listening;
    await this.#signaling.join();
    globalThis.addEventListener("pagehide", () => this.#signaling.leaveByBeacon(), { signal });
    // Kept for the way back, the page is somebody new: it has left.
    globalThis.addEventListener("pageshow", ({ persisted }) => persisted && this.#signaling.rejoin(), { signal });
    this.#reading = setInterval(() => this.#read(), READING);
  }

  /** Says something in the chat: text, or any JSON. */
  async say(data) { await this.#signaling.ask({ do: "say", data, once: this.#randomKey() }); }

  async set({ name, info }) {
    this.#signaling.describe({ name, info });
    await this.#signaling.ask({ do: "set", name, info });
  }

  async setMuted(source, isMuted) {
    const publication = this.#publications.get(source);
    if (publication) publication.track.enabled = !isMuted;
    const muted = new Set(this.me?.muted);
    if (muted.has(source) === isMuted) return;
    if (isMuted) muted.add(source);
    else muted.delete(source);
    this.me.muted = [...muted];
    this.#emit("changed", { participant: this.me });
    await this.#signaling.ask({ do: "set", muted: this.me.muted });
  }

  /** Shows or lets hear a track, in place of what the source had before. */
  async publish(track, { source = track.kind === "audio" ? "microphone" : "camera" } = {}) {
    const publication = { source, track };
    track.enabled = !this.me?.muted.includes(source);
    this.#publications.set(source, publication);
    this.me?.setTrack(source, track);
    if (this.#isPublisher) this.#send(publication);
    track.addEventListener("ended", () => this.unpublish(track));
    if (this.me) this.#emit("track", { participant: this.me, source, track });
  }

  get #isPublisher() { return this.may.includes("publish"); }

  #send(publication) {
    this.#mesh.publish(publication);
    this.#sfu?.publish(publication);
  }

  #sendNoMore(publication) {
    this.#mesh.unpublish(publication);
    this.#sfu?.unpublish(publication);
  }

  async unpublish(track) {
    const publication = [...this.#publications.values()].find((each) => each.track === track);
    if (!publication) return;
    const { source } = publication;
    this.#publications.delete(source);
    this.#sendNoMore(publication);
    if (this.me?.setTrack(source, null)) this.#emit("trackended", { participant: this.me, source, track });
  }

  /** Sends JSON to one participant: over the data channel, else by the server. */
  send(participant, data) { this.#transfers.say(idOf(participant), { data }); }

  /** @returns {Transfer} */
  sendFile(participant, file) { return this.#transfers.send(idOf(participant), file); }

  /**
   * Shows something of a participant in an element: where the server passes media on, it sends what fits the element's size, and
   * nothing while it is out of sight. What is pinned comes also where `lastN` leaves others out.
   */
  observe(element, participant, { source = "camera", isPinned = false } = {}) {
    this.#view.observe(element, idOf(participant), source, isPinned);
  }

  unobserve(element) { this.#view.unobserve(element); }

  /** The same by hand: `{ width, height }` in pixels of the screen, `{ paused: true }`, or `null` to say nothing of it any more. */
  setView(participant, source, view) { this.#view.set(idOf(participant), source, view); }

  /** Moderation, for those who may: `kick`, `mute`, `lock`, `unlock`, `admit`, `refuse`, `move`, `topology`. */
  async moderate(action, details = {}) { return this.#signaling.ask({ do: action, ...details }); }

  /** @param {boolean} stopsTracks ends camera and microphone, too. */
  async leave({ stopsTracks = true } = {}) {
    if (this.state === "closed") return;
    const done = this.#signaling.leave();
    this.#close("You have left.");
    if (stopsTracks) for (const { track } of this.#publications.values()) track.stop();
    await done;
  }

  // MARK: Who is here

  /** The server's answer to a join, the first or another one. */
  #enter({ participant, room, participants, may }) {
    const ids = new Set(participants.map(({ id }) => id));
    for (const id of [...this.participants.keys()]) {
      if (ids.has(id)) this.#disconnect(id);
      else this.#remove(id, "left");
    }
    this.#sfu?.close();
    this.#sfu = null;
    this.#handover.stop();
    const old = this.me;
    this.me = new Participant(participant);
    this.me.update({ name: old?.name ?? this.#options.name, info: old ? old.info : this.#options.info, muted: old?.muted });
    for (const { source, track } of this.#publications.values()) this.me.setTrack(source, track);
    if (this.me.muted.length) this.#signaling.send({ do: "set", muted: this.me.muted });
    this.#setRoom(room);
    this.#setMay(may);
    for (const each of participants) if (each.id !== participant) this.#add(each, true);
    if (this.topology === "sfu") this.#openServer();
  }

  /** The same participant, after a time in which events may have been lost. */
  #catchUp({ room, participants, may }) {
    const now = new Map(participants.map((each) => [each.id, each]));
    for (const id of [...this.participants.keys()]) if (!now.has(id)) this.#remove(id, "left");
    for (const each of participants) if (each.id !== this.me.id) this.#add(each, false);
    this.isLocked = room.locked ?? false;
    this.options = room.options;
    this.#setMay(may);
    this.#followTopology(room);
  }

  /** What is published is kept for when it may be sent again. */
  #setMay(may) {
    const before = this.#isPublisher;
    this.may = may;
    if (this.#isPublisher === before) return;
    for (const publication of this.#publications.values()) this.#isPublisher ? this.#send(publication) : this.#sendNoMore(publication);
  }

  #setRoom({ topology = "mesh", supernode = null, mode = topology, generation = 0, locked = false, options = this.options }) {
    Object.assign(this, { topology, supernode, mode, isLocked: locked, options });
    this.#generation = generation;
  }

  /** @param {boolean} isEarlier it was here when we came. */
  #add(description, isEarlier) {
    const { id } = description;
    const known = this.participants.get(id);
    const participant = known ?? new Participant(id);
    if (!known || isEarlier) participant.isEarlier = isEarlier;
    if (known) this.#changeParticipant(description);
    else this.#welcome(participant, description);
    if (this.#planeOf(id) === "mesh" && !this.#mesh.link(id)) this.#meet(participant);
    this.#forwardedChanged(id, description.tracks ?? []);
    const early = this.#early.filter(({ from }) => from === id);
    this.#early = this.#early.filter(({ from }) => from !== id);
    for (const event of early) this.#hear(event);
  }

  #welcome(participant, description) {
    const { id } = participant;
    participant.update(description);
    this.participants.set(id, participant);
    this.#incoming.set(id, {});
    this.#emit("joined", { participant });
    for (const [from, tracks] of this.#fromLinks) if (tracks.has(id)) this.#take(id, from, tracks.get(id));
  }

  /** Who came later makes the first offer. */
  #meet({ id, isEarlier }) {
    this.#mesh.add(id, isEarlier);
    this.#mesh.carry(id, this.#planeOf(id) === "mesh");
    this.#passOn();
    if (isEarlier) this.#mesh.connect(id);
  }

  /** We are somebody else to a participant who is the same to us. */
  #disconnect(id) {
    clearTimeout(this.#lost.get(id));
    this.#lost.delete(id);
    this.#failures.delete(id);
    this.#mesh.remove(id);
    this.#transfers.gone(id);
    this.#incoming.set(id, {});
    this.#takeFromLink(id, new Map());
  }

  #remove(id, reason) {
    const participant = this.participants.get(id);
    if (!participant) return;
    this.#disconnect(id);
    this.participants.delete(id);
    this.#incoming.delete(id);
    this.#sfu?.setTracks(id, []);
    this.#view.forget(id);
    this.#handover.forget(id);
    this.#emit("left", { participant, reason });
  }

  /** What everybody hears. */
  #follow(event) {
    switch (event.event) {
      case "joined":
        if (event.participant.id !== this.me.id) this.#add(event.participant, false);
        break;
      case "left":
        if (event.participant === this.me.id) this.#followOwnEnd(event.reason);
        else this.#remove(event.participant, event.reason);
        break;
      case "changed":
        this.#changeParticipant(event.participant);
        break;
      case "tracks":
        this.#forwardedChanged(event.participant, event.tracks);
        break;
      case "topology":
        this.#followTopology(event);
        break;
      case "locked":
      case "unlocked":
        this.isLocked = event.event === "locked";
        this.#emit(event.event, {});
        break;
      case "options":
        this.options = event.options;
        this.#emit("options", { options: event.options });
        break;
      case "speaking":
        this.#emit("speaking", { participants: event.participants.map((id) => this.participants.get(id) ?? (id === this.me.id ? this.me : null)).filter(Boolean) });
        break;
    }
  }

  /** Of one that was meant the inbox says more, which may come later. */
  #followOwnEnd(reason) {
    if (reason === "timeout") this.#signaling.check();
    else if (reason !== "left") setTimeout(() => this.#close("Your part in the room was ended."), 1000);
  }

  #changeParticipant(description) {
    const participant = description.id === this.me.id ? this.me : this.participants.get(description.id);
    if (!participant) return;
    // What of ours is muted we know better than an echo.
    participant.update(participant === this.me ? { ...description, muted: this.me.muted } : description);
    this.#emit("changed", { participant });
  }

  #forwardedChanged(id, tracks) {
    const participant = this.participants.get(id);
    if (!participant) return;
    participant.forwarded = tracks;
    this.#sfu?.setTracks(id, tracks);
  }

  /** What only we hear. */
  #hear(event) {
    const { from } = event;
    if (from && !this.participants.has(from)) {
      // It has just come, or has already gone.
      this.#early.push(event);
      if (this.#early.length > EARLY) this.#early.shift();
      return;
    }
    switch (event.event) {
      case "offer":
        // For data beside the server's connection, or of a topology that we are still to hear of.
        if (!this.#mesh.link(from)) this.#meetForData(from);
        this.#mesh.receive(from, event);
        break;
      case "answer":
      case "candidate":
        this.#mesh.receive(from, event);
        break;
      case "signal":
        this.#transfers.take(from, event.data);
        break;
      case "mute":
        for (const source of event.muted) this.setMuted(source, true).catch(() => {});
        this.#emit("mute", { muted: event.muted });
        break;
      case "may":
        this.#setMay(event.may);
        this.#emit("may", { may: event.may });
        break;
      case "wanted":
        this.#sfu?.setWanted(event);
        break;
      case "waiting":
        this.#emit("waiting", { participant: event.participant });
        break;
      case "kicked":
        this.#close(`A moderator has ended your part in the room${event.reason ? `: ${event.reason}` : ""}.`);
        break;
      case "moved":
        this.#close(`A moderator asks you into the room “${event.room}”.`);
        this.#emit("moved", { room: event.room });
        break;
      case "expired":
        this.#close("Your permission to be here has expired.");
        break;
    }
  }

  // MARK: Media

  /** What comes of a participant through one of the planes. */
  #take(id, plane, tracks) {
    const incoming = this.#incoming.get(id);
    if (!incoming) return;
    incoming[plane] = tracks;
    for (const track of tracks.values()) track.onunmute = () => this.#show(id);
    this.#show(id);
  }

  /** What comes over the connection to a participant: its own, and what it passes on of others. */
  #takeFromLink(id, tracks) {
    this.#fromLinks.set(id, tracks);
    for (const other of this.participants.keys()) this.#take(other, other === id ? "mesh" : id, tracks.get(other) ?? new Map());
    this.#passOn();
  }

  /** The way by which the media of a participant comes. */
  #planeOf(id) {
    if (this.topology === "sfu") return "sfu";
    return this.topology === "supernode" && ![id, this.me.id].includes(this.supernode) ? this.supernode : "mesh";
  }

  /** What comes of a participant the way it comes now, and all else that still does. */
  #ways(id) {
    const { [this.#planeOf(id)]: now = new Map(), ...others } = this.#incoming.get(id);
    return [now, new Map(Object.values(others).flatMap((tracks) => [...tracks]))];
  }

  #isPathOpen(id) {
    const plane = this.#planeOf(id);
    if (plane === "sfu") return this.#sfu?.isConnected ?? false;
    return this.#mesh.link(plane === "mesh" ? id : plane)?.peer.connectionState === "connected";
  }

  /** As the supernode: what comes of each to all others. */
  #passOn() {
    if (this.topology !== "supernode" || this.supernode !== this.me.id) return;
    const all = [...this.#incoming].flatMap(([of, { mesh = [] }]) => [...mesh].map(([source, track]) => ({ source, track, of })));
    for (const id of this.participants.keys()) this.#mesh.passOn(id, all.filter(({ of }) => of !== id));
  }

  /** Of two planes that have a track, the one shows it that the room has now, as soon as it flows. */
  #show(id) {
    const participant = this.participants.get(id);
    if (!participant || !this.#incoming.has(id)) return;
    const [now, before] = this.#ways(id);
    for (const source of new Set([...now.keys(), ...before.keys(), ...participant.tracks.keys()])) {
      const [next, old] = [now.get(source), before.get(source)];
      const track = (next && (!next.muted || !old) ? next : old) ?? null;
      const last = participant.tracks.get(source);
      if (!participant.setTrack(source, track)) continue;
      this.#emit(track ? "track" : "trackended", { participant, source, track: track ?? last });
    }
    this.#handOver(id);
  }

  #openServer() {
    if (this.#sfu) return;
    this.#sfu = new SFU(this.#servers, (offer) => this.#signaling.ask({ do: "offer", ...offer }), {
      tracks: (all) => { for (const id of this.participants.keys()) this.#take(id, "sfu", all.get(id) ?? new Map()); },
      answered: (isNew) => isNew && this.#view.tellAgain(),
      state: (state) => this.#followServer(state),
      refused: (error) => this.#emit("connection", { state: this.state, text: sentence(error.message), error }),
    }, this.#options.scalability);
    if (this.#isPublisher) for (const publication of this.#publications.values()) this.#sfu.publish(publication);
    for (const { id, forwarded } of this.participants.values()) this.#sfu.setTracks(id, forwarded);
  }

  #tellView(tracks) {
    const session = this.#sfu?.session;
    const { lastN } = this.#options;
    if (session) this.#signaling.send({ do: "view", session, tracks, ...(lastN === undefined ? {} : { lastN }) });
    return Boolean(session);
  }

  #followServer(state) {
    const texts = {
      disconnected: "The way to the server's media was interrupted; looking for another one…",
      failed: "No media gets through to the server; trying again…", connected: "Connected",
    };
    if (state === "connected") for (const id of this.participants.keys()) this.#handOver(id);
    if (texts[state] && this.state === "connected") this.#emit("connection", { state: "connected", media: state, text: texts[state] });
  }

  #followTopology({ topology, supernode, mode, generation }) {
    const before = `${this.topology} ${this.supernode}`;
    this.#setRoom({ topology, supernode, mode, generation, locked: this.isLocked });
    if (before !== `${this.topology} ${this.supernode}`) this.#switch();
  }

  // MARK: From one topology to the next

  #switch() {
    this.#handover.begin(this.#generation, this.participants.keys());
    if (this.topology === "sfu") this.#openServer();
    for (const participant of this.participants.values()) if (this.#planeOf(participant.id) === "mesh") this.#meet(participant);
    this.#emit("topology", { topology: this.topology, supernode: this.supernode, mode: this.mode });
    for (const id of this.participants.keys()) this.#show(id);
  }

  /** Once all that came the old way comes the new way, also what it passed on of others, the other one is told. */
  #handOver(id) {
    if (!this.#handover.needs(id)) return;
    if (!this.#isPathOpen(id)) return;
    const [now, before] = this.#ways(id);
    if ([...before.keys()].some((source) => now.get(source)?.muted ?? true)) return;
    if ([...this.participants.keys()].some((other) => this.#planeOf(other) !== id && this.#incoming.get(other)[id]?.size)) return;
    this.#transfers.say(id, { handover: this.#generation });
    this.#handover.complete(id);
  }

  /** A file under way keeps its connection, for data. */
  #giveUpOthers(id) {
    const plane = this.#planeOf(id);
    if (plane !== "mesh") {
      if (this.#transfers.isBusy(id)) this.#mesh.carry(id, false);
      else this.#mesh.remove(id);
      this.#fromLinks.delete(id);
    }
    this.#incoming.set(id, { [plane]: this.#incoming.get(id)[plane] ?? new Map() });
    this.#show(id);
    for (const other of this.participants.keys()) this.#handOver(other);
  }

  #finishSwitch() {
    if (this.topology !== "sfu") {
      this.#sfu?.close();
      this.#sfu = null;
    }
    if (this.supernode !== this.me.id) for (const id of this.participants.keys()) this.#mesh.passOn(id, []);
  }

  #meetForData(id) {
    this.#mesh.add(id, this.participants.get(id).isEarlier);
    this.#mesh.carry(id, this.#planeOf(id) === "mesh");
  }

  #connectForData(id) {
    if (!this.participants.has(id)) return;
    this.#meetForData(id);
    this.#mesh.connect(id);
  }

  // MARK: Paths

  #setServers(servers) {
    this.#servers = servers;
    this.#mesh.setServers(servers);
    this.#sfu?.setServers(servers);
  }

  #followLink(id, state) {
    clearTimeout(this.#lost.get(id));
    this.#lost.delete(id);
    if (state === "connected") this.#failures.delete(id);
    if (state === "failed") this.#failures.set(id, (this.#failures.get(id) ?? 0) + 1);
    if (state === "connected") {
      this.#handOver(id);
      if (this.#unreachable) this.#report();
    } else if (this.#failures.get(id) > 1) {
      this.#report();
    } else if (state !== "closed") {
      this.#lost.set(id, setTimeout(() => this.#report(), UNREACHABLE));
    }
    this.#read();
  }

  #report() {
    const unreachable = this.#mesh.ids.filter((id) => !["connected", "new"].includes(this.#mesh.link(id).peer.connectionState));
    if (this.#unreachable === unreachable.join()) return;
    this.#unreachable = unreachable.join();
    this.#signaling.send({ do: "report", unreachable });
  }

  /** For the choice of a supernode, and of whether a mesh is too much: at once when it has become less, else now and then. */
  #reportUplink() {
    const { uplink } = this.#quality;
    if (!uplink || this.state !== "connected") return;
    const last = this.#uplink;
    const isLess = uplink.bitrate < 0.75 * last.bitrate || (uplink.isLimited && !last.isLimited);
    const isOther = isLess || uplink.bitrate > 1.25 * last.bitrate || uplink.isLimited !== last.isLimited;
    if (!isOther || (!isLess && performance.now() - last.at < UPLINK)) return;
    this.#uplink = { ...uplink, at: performance.now() };
    this.#signaling.send({ do: "report", uplink: Math.round(uplink.bitrate), limited: uplink.isLimited });
  }

  async #read() {
    const readings = await this.#quality.read((id) => this.#mesh.link(id) ?? this.#mesh.link(this.supernode), this.#sfu, [...this.participants.keys()]);
    for (const [id, quality] of readings) {
      const participant = this.participants.get(id);
      if (!participant || JSON.stringify(participant.quality) === JSON.stringify(quality)) continue;
      participant.quality = quality;
      this.#emit("quality", { participant, quality });
    }
    this.#reportUplink();
  }

  // MARK: Ends

  #change(state, text, error) {
    if (this.state === "closed") return;
    if (state === "closed") return this.#close(text, error);
    this.state = state;
    this.#emit("connection", { state, text, error });
  }

  #close(text, error) {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#listening.abort();
    clearInterval(this.#reading);
    this.#handover.stop();
    for (const timer of this.#lost.values()) clearTimeout(timer);
    this.#view.close();
    this.#transfers.close();
    this.#mesh.close();
    this.#sfu?.close();
    this.#signaling.close();
    this.#emit("connection", { state: "closed", text, error });
  }

  #emit(type, details) { this.dispatchEvent(new RoomEvent(type, details)); }
}

export { RoomError };

function idOf(participant) { return typeof participant === "string" ? participant : participant.id; }

function sentence(text) { return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`; }
