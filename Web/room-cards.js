// Rooms on the dashboard: who is in them, how they are connected, what each sends and is sent, and what an administrator does about it.
import { api } from "/api.js";
import { confirmed, el, reconcile, setText } from "/dom.js";
import { bitrate, count, since } from "/format.js";
import { RoomMap } from "/room-map.js";

/** Rooms that are shown, and people of each. */
const [ROOMS, PEOPLE] = [50, 100];
const TOPOLOGIES = [["auto", "As fits"], ["mesh", "Each to each"], ["supernode", "By way of one of them"], ["sfu", "By way of this server"]];
const SOURCES = { microphone: "sound", camera: "camera", screen: "screen", "screen-audio": "sound of the screen" };

/** The section is hidden while there is no room. */
export class RoomSection {
  #section;
  #summary = el("span", { class: "note" });
  #list = el("div", { class: "rooms" });
  #more = el("p", { class: "note", hidden: true });
  #views = new Map();

  /** @param {(error: Error) => void} onerror */
  constructor(section, onerror) {
    this.#section = section;
    this.onerror = onerror;
    section.replaceChildren(el("div", { class: "row" }, el("h2", { id: "rooms-title" }, "Rooms"), this.#summary), this.#list, this.#more);
  }

  /** @param {{rooms: object[], total: number}} all as `/api/v1/rooms` has them */
  update({ rooms, total }) {
    this.#section.hidden = !total;
    const people = rooms.reduce((sum, room) => sum + room.total, 0);
    setText(this.#summary, `${count(total, "room", "rooms")}, ${count(people, "participant", "participants")}`);
    reconcile(this.#list, this.#views, rooms.slice(0, ROOMS), ({ name }) => name, (room) => new RoomCard(room, this.onerror));
    this.#more.hidden = total <= ROOMS;
    setText(this.#more, `and ${total - ROOMS} more`);
  }
}

class RoomCard {
  #name;
  #facts = el("p", { class: "note" });
  #map = new RoomMap();
  #topology = el("select", { onchange: () => this.#do({ do: "topology", topology: this.#topology.value }) },
    ...TOPOLOGIES.map(([value, text]) => el("option", { value }, text)));
  #lock = el("button", { type: "button", class: "small", onclick: () => this.#do({ do: this.#room.locked ? "unlock" : "lock" }) });
  #body = el("tbody");
  #table;
  #people = new Map();
  #room = null;
  /** What comes of each, and goes to each, by participant: where this server passes it on. */
  #media = new Map();
  #isAsking = false;

  constructor({ name }, onerror) {
    this.#name = name;
    this.onerror = onerror;
    const heads = ["Participant", "Sends", "Is sent", ""].map((text) => el("th", { scope: "col" }, text || el("span", { class: "hidden" }, "Actions")));
    this.#table = el("div", { class: "scroll" }, el("table", {}, el("caption", { class: "hidden" }, `Participants of ${name}`),
      el("thead", {}, el("tr", {}, ...heads)), this.#body));
    const close = el("button", { type: "button", class: "small danger", onclick: () => this.#close() }, "End the room");
    this.element = el("article", { class: "room", "data-room": name }, el("div", { class: "room-look" }, this.#map.element),
      el("div", { class: "room-about" }, el("h3", {}, el("a", { href: `/call/${encodeURIComponent(name)}` }, name)), this.#facts,
        el("div", { class: "row" }, el("label", {}, "Connected: ", this.#topology), this.#lock, close), this.#table));
  }

  update(room) {
    this.#room = room;
    setText(this.#facts, factsOf(room));
    setText(this.#lock, room.locked ? "Let others in" : "Lock");
    if (document.activeElement !== this.#topology) this.#topology.value = room.mode;
    this.#map.update(room, this.#names);
    this.#table.hidden = room.participants.length === 0;
    if (room.topology === "sfu") this.#ask();
    else this.#media.clear();
    this.#showPeople();
  }

  get #names() { return new Map(this.#room.participants.map(({ id, name }) => [id, name || id])); }

  #showPeople() {
    const people = this.#room.participants.slice(0, PEOPLE).map((participant) => {
      const { sends = [], watches = [], at = 0 } = this.#media.get(participant.id) ?? {};
      return { participant, sends, watches, at, names: this.#names };
    });
    reconcile(this.#body, this.#people, people, ({ participant }) => participant.id, () => new Person((command) => this.#do(command)));
  }

  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      this.#media = new Map((await api.roomMedia(this.#name)).map((each) => [each.participant, { ...each, at: performance.now() }]));
      this.#showPeople();
    } catch (error) {
      this.onerror(error);
    } finally {
      this.#isAsking = false;
    }
  }

  async #do(command) { await api.moderate(this.#name, command).catch(this.onerror); }

  async #close() {
    if (await confirmed(`Send everybody out of ${this.#name}?`, "End the room")) await api.closeRoom(this.#name).catch(this.onerror);
  }
}

function factsOf({ total, waiting, topology, locked, kept, options, since: begin }) {
  const ways = { mesh: "each connected to each", supernode: "by way of one of them", sfu: "by way of this server" };
  const publish = { everyone: null, moderators: "moderators publish", nobody: "encoders alone publish" };
  return [
    `${count(total, "participant", "participants")} of ${options.capacity}`, waiting ? `${waiting} waiting` : null, ways[topology],
    publish[options.publish], options.record ? "recorded" : null, options.lobby ? "with a lobby" : null, locked ? "locked" : null,
    kept ? "stays when empty" : null, `for ${since(begin)}`,
  ].filter(Boolean).join(" · ");
}

/** A row of a room. */
class Person {
  #name = el("b");
  #about = el("p", { class: "note" });
  #sends = el("td");
  #watches = el("td");
  #mute = el("button", { type: "button", class: "small", onclick: () => this.#silence() });
  #rates = new Map();
  #now = null;

  constructor(act) {
    this.act = act;
    this.kick = el("button", { type: "button", class: "small danger", onclick: () => this.#sendOut() }, "Send out");
    this.element = el("tr", {}, el("td", {}, this.#name, this.#about), this.#sends, this.#watches,
      el("td", {}, el("div", { class: "row" }, this.#mute, this.kick)));
  }

  update(now) {
    this.#now = now;
    const { participant, sends, watches, names } = now;
    const name = participant.name || participant.id;
    setText(this.#name, name);
    setText(this.#about, [participant.user, participant.address, `for ${since(new Date(participant.joined).toISOString())}`,
      participant.may.includes("moderate") ? "moderator" : null].filter(Boolean).join(" · "));
    lines(this.#sends, this.#sent(participant, sends));
    lines(this.#watches, watches.map((watch) => this.#watched(watch, names)));
    const isSilenced = (participant.silenced ?? []).includes("microphone");
    setText(this.#mute, isSilenced ? "Unmute" : "Mute");
    for (const button of [this.#mute, this.kick]) button.setAttribute("aria-label", `${button.textContent}: ${name}`);
  }

  #sent({ tracks, muted, silenced = [] }, sends) {
    return tracks.flatMap(({ source }) => {
      const state = silenced.includes(source) ? ", muted by a moderator" : muted.includes(source) ? ", muted" : "";
      const streams = sends.filter((each) => each.source === source);
      const figures = streams.map(({ codec, layer, bytes }) => [layer, this.#rate(`out ${source} ${codec} ${layer}`, bytes)].filter(Boolean).join(" "));
      return `${SOURCES[source]}${streams.length ? ` ${streams[0].codec}` : ""}${state}${figures.length ? `: ${figures.join(", ")}` : ""}`;
    });
  }

  #watched({ participant, source, layer, bytes, paused }, names) {
    const rate = this.#rate(`in ${participant} ${source}`, bytes);
    return `${names.get(participant) ?? participant}, ${SOURCES[source]}: ${paused ? "paused" : [layer, rate].filter(Boolean).join(" ")}`;
  }

  /** Since the reading before. */
  #rate(key, bytes) {
    const [last, { at }] = [this.#rates.get(key), this.#now];
    if (!last || at > last.at) this.#rates.set(key, { bytes, at, rate: last ? (8000 * (bytes - last.bytes)) / (at - last.at) : null });
    const { rate } = this.#rates.get(key);
    return rate === null ? "…" : bitrate(Math.max(0, rate));
  }

  #silence() {
    const { id, silenced = [] } = this.#now.participant;
    const isSilenced = silenced.includes("microphone");
    this.act({ do: "mute", participant: id, muted: isSilenced ? silenced.filter((source) => source !== "microphone") : [...silenced, "microphone"] });
  }

  async #sendOut() {
    const { id, name } = this.#now.participant;
    if (await confirmed(`Send ${name || id} out of the room?`, "Send out")) this.act({ do: "kick", participant: id });
  }
}

/** A line each, and what is the same stays. */
function lines(cell, texts) {
  if (cell.dataset.text === texts.join("\n")) return;
  cell.dataset.text = texts.join("\n");
  cell.replaceChildren(...(texts.length ? texts : ["–"]).map((text) => el("div", {}, text)));
}
