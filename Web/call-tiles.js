// The pictures of a call: a tile for each person and each screen, as a grid or with one of them large.
import { el, reconcile, setText } from "/dom.js";
import { LevelMeter } from "/call-levels.js";

/** A level above which somebody speaks, and milliseconds for which the last who spoke stays large. */
const SPEAKING = 0.55;
const HOLD = 2500;
const RATIO = 16 / 9;
const GAP = 8;

export class Tiles {
  #element;
  #stage;
  #room;
  #views = new Map();
  #pinned = null;
  #loudest = null;
  #changed = 0;
  #size;

  /** @param {HTMLElement} stage with `data-view` "grid" or "speaker" */
  constructor(stage, element, room) {
    [this.#stage, this.#element, this.#room] = [stage, element, room];
    this.#size = new ResizeObserver(() => this.#layout());
    this.#size.observe(stage);
  }

  get view() { return this.#stage.dataset.view; }

  set view(view) {
    this.#stage.dataset.view = view;
    if (view === "grid") this.#pinned = null;
    this.show();
  }

  /** Shows one large, or all alike again. */
  pin(key) {
    this.#pinned = this.#pinned === key ? null : key;
    this.#stage.dataset.view = this.#pinned ? "speaker" : "grid";
    this.show();
    this.onview?.();
  }

  show() {
    const { me, participants } = this.#room;
    const people = [...participants.values(), me];
    const tiles = people.flatMap((participant) => [
      ...(participant.tracks.has("screen") ? [{ key: `screen ${participant.id}`, participant, isScreen: true }] : []),
      { key: participant.id, participant, isScreen: false },
    ]);
    const isMine = ({ participant }) => participant === me;
    const make = (tile) => new Tile(tile, isMine(tile) ? null : this.#room, () => this.pin(tile.key), (level) => this.#hear(tile, level));
    reconcile(this.#element, this.#views, tiles, ({ key }) => key, make);
    const large = this.view === "speaker" ? this.#largeOf(tiles) : null;
    for (const [key, view] of this.#views) view.setLarge(key === large, key === this.#pinned);
    this.#layout();
  }

  close() {
    this.#size.disconnect();
    for (const view of this.#views.values()) view.close();
  }

  #largeOf(tiles) {
    const has = (key) => tiles.some((tile) => tile.key === key);
    const others = tiles.filter(({ participant }) => participant !== this.#room.me);
    return [this.#pinned, tiles.find(({ isScreen }) => isScreen)?.key, this.#loudest].find((key) => key && has(key)) ?? (others[0] ?? tiles[0])?.key;
  }

  #hear({ key, participant }, level) {
    if (level < SPEAKING || participant === this.#room.me || this.#loudest === key || performance.now() - this.#changed < HOLD) return;
    [this.#loudest, this.#changed] = [key, performance.now()];
    if (this.view === "speaker") this.show();
  }

  /** As many columns as make the tiles largest. */
  #layout() {
    const count = this.#views.size;
    const { clientWidth, clientHeight } = this.#stage;
    let best = { width: 0, columns: 1 };
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const width = Math.min((clientWidth - GAP * (columns - 1)) / columns, ((clientHeight - GAP * (rows - 1)) / rows) * RATIO);
      if (width > best.width) best = { width, columns };
    }
    this.#element.style.setProperty("--columns", best.columns);
    this.#element.style.setProperty("--width", `${Math.floor(best.width)}px`);
  }
}

class Tile {
  #video;
  #participant;
  #isScreen;
  #room;
  #isMine;
  #onlevel;
  #meter = null;
  #heard = null;
  #parts;

  /** @param room where it comes from; `null` for what is our own */
  constructor({ participant, isScreen }, room, onpin, onlevel) {
    const isMine = room === null;
    [this.#participant, this.#isScreen, this.#room, this.#isMine, this.#onlevel] = [participant, isScreen, room, isMine, onlevel];
    // One's own sound comes from nowhere.
    this.#video = el("video", { autoplay: true, playsinline: true, onclick: onpin });
    this.#video.muted = isMine;
    this.#parts = {
      avatar: el("span", { class: "avatar", "aria-hidden": "true" }), name: el("span", { class: "name" }), muted: el("span", { class: "off" }),
      quality: el("span", { class: "quality", role: "img" }), pin: el("button", { type: "button", class: "pin small", onclick: onpin }),
    };
    const { avatar, name, muted, quality, pin } = this.#parts;
    this.element = el("figure", { class: `tile${isScreen ? " screen" : ""}${isMine && !isScreen ? " own" : ""}`, "data-participant": participant.id },
      avatar, this.#video, el("figcaption", {}, quality, name, muted), pin);
    this.#video.addEventListener("loadeddata", () => this.update());
  }

  setLarge(value, isPinned) {
    this.#room?.observe(this.element, this.#participant, { source: this.#isScreen ? "screen" : "camera", isPinned });
    this.element.classList.toggle("large", value);
    const name = this.#label();
    setText(this.#parts.pin, value ? "Smaller" : "Larger");
    this.#parts.pin.setAttribute("aria-label", value ? `Show all alike, not ${name} large` : `Show ${name} large`);
  }

  update() {
    const { tracks, muted, quality } = this.#participant;
    const picture = tracks.get(this.#isScreen ? "screen" : "camera");
    this.#attach(picture, tracks.get("screen-audio"));
    const isShown = Boolean(picture) && (this.#isScreen || !muted.includes("camera"));
    this.element.classList.toggle("pictured", isShown);
    setText(this.#parts.name, this.#label());
    setText(this.#parts.avatar, initials(this.#participant.name));
    const off = this.#isScreen ? [] : ["microphone", "camera"].filter((source) => muted.includes(source) || !tracks.has(source));
    setText(this.#parts.muted, off.map((source) => ({ microphone: "muted", camera: "no picture" })[source]).join(", "));
    this.#showQuality(quality);
    this.#listen(tracks.get("microphone"));
  }

  close() {
    this.#room?.unobserve(this.element);
    this.#meter?.close();
    this.#video.srcObject = null;
  }

  #label() {
    const name = this.#isMine ? "You" : this.#participant.name || "Somebody";
    return this.#isScreen ? `${this.#isMine ? "Your" : `${name}’s`} screen` : name;
  }

  #attach(picture, sound) {
    const tracks = this.#isScreen ? [picture, sound].filter(Boolean) : null;
    if (tracks ? sameTracks(this.#video.srcObject, tracks) : this.#video.srcObject) return;
    this.#video.srcObject = tracks ? new MediaStream(tracks) : this.#participant.stream;
    this.#video.play().catch((error) => error.name === "NotAllowedError" && this.element.dispatchEvent(new CustomEvent("silent", { bubbles: true })));
  }

  #showQuality({ level, reasons }) {
    const { quality } = this.#parts;
    quality.hidden = this.#isMine || this.#isScreen;
    quality.dataset.level = level;
    const text = level === "unknown" ? "connection not known yet" : level === "none" ? `no connection: ${reasons.join(", ")}` : `${level} connection${reasons.length ? `: ${reasons.join(", ")}` : ""}`;
    quality.title = text;
    quality.setAttribute("aria-label", text);
    this.element.classList.toggle("waiting", level === "none" && !this.#isMine);
  }

  #listen(track) {
    if (this.#isScreen || this.#heard === track) return;
    this.#meter?.close();
    this.#heard = track;
    this.#meter = track ? new LevelMeter(track, (level) => {
      this.element.classList.toggle("speaking", level >= SPEAKING && !this.#participant.muted.includes("microphone"));
      this.#onlevel(level);
    }) : null;
  }
}

function sameTracks(stream, tracks) { return stream?.getTracks().length === tracks.length && tracks.every((track) => stream.getTrackById(track.id)); }

function initials(name) {
  return name.split(/\s+/).filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || "?";
}
