// One card for each stream.
import { api, authorization, encodePath } from "/api.js";
import { ClientTable } from "/clients.js";
import { confirmed, el, setText } from "/dom.js";
import { bitrate, bytes, count, since, track, transport } from "/format.js";
import { Graph } from "/graph.js";
import { playAddresses, rows } from "/hints.js";
import { SessionList } from "/sessions.js";

export class StreamCard {
  #graph;
  #preview;
  #clients;
  #fields = { badge: el("span", { class: "badge" }), rate: el("span", { class: "rate" }), viewers: el("p", { class: "viewers" }) };
  #tracks = el("p", { class: "tracks" });
  #publisher = el("p", { class: "note" });
  #summary = el("summary");
  #sessions = new SessionList();
  #webrtc = { summary: el("summary"), element: null };
  #stop;

  /** @param {import("/hints.js").Place} place @param {(error: Error) => void} onerror */
  constructor({ path }, place, onerror) {
    this.#graph = new Graph(`Bitrate of ${path}`, bitrate);
    this.#preview = new Preview(path);
    this.#clients = new ClientTable(path, onerror);
    this.#webrtc.element = el("details", { class: "wide", hidden: true }, this.#webrtc.summary, this.#sessions.element);
    const watch = `/play/${encodePath(path)}`;
    this.#stop = el("button", {
      type: "button", class: "danger",
      onclick: async () => {
        if (await confirmed(`Stop ${path}? Its publisher's connection is closed.`, "Stop the stream")) api.stop(path).catch(onerror);
      },
    }, "Stop");
    this.element = el("article", { class: "card", "aria-label": path },
      el("a", { class: "preview", href: watch, tabindex: -1, "aria-hidden": "true" }, this.#preview.element),
      el("div", { class: "about" },
        el("h3", {}, el("a", { href: watch }, path), " ", this.#fields.badge), this.#tracks, this.#publisher, this.#fields.viewers),
      el("div", { class: "figure" }, this.#fields.rate, this.#graph.element),
      el("div", { class: "actions" }, el("a", { class: "button primary", href: watch }, "Watch"), this.#stop),
      el("div", { class: "more" },
        el("details", {}, el("summary", {}, "Addresses"), rows(playAddresses(place, path), path)),
        el("details", {}, this.#summary, this.#clients.element), this.#webrtc.element));
  }

  close() {
    this.#preview.close();
  }

  /** @param {object} stream as the API has it, with its `clients` and its `sessions` by WebRTC */
  update(stream) {
    const { live, publisher, viewers, clients, sessions } = stream;
    this.element.classList.toggle("off", !live);
    setText(this.#fields.badge, live ? "Live" : "Interrupted");
    setText(this.#tracks, stream.tracks.map((each) => track(each, stream.frame_rate)).join(" · ") || "No media yet");
    setText(this.#fields.rate, live ? bitrate(stream.bitrate) : "–");
    this.#graph.add(stream.bitrate);
    setText(this.#publisher, publisher
      ? [transport(publisher.transport), publisher.transport === "demo" ? "" : `from ${publisher.user ?? publisher.address}`, `for ${since(publisher.since)}`,
        `${bytes(stream.bytes)} received`, publisher.user_agent].filter(Boolean).join(" · ")
      : "The publisher is gone; viewers wait for it to come back");
    const kinds = Object.entries(viewers.by_transport).map(([name, number]) => `${number} ${transport(name)}`);
    setText(this.#fields.viewers, count(viewers.total, "viewer", "viewers") + (kinds.length ? `: ${kinds.join(", ")}` : ""));
    setText(this.#summary, `Clients (${clients.length})`);
    this.#stop.disabled = !live;
    this.#clients.update(clients);
    this.#webrtc.element.hidden = !sessions.length;
    setText(this.#webrtc.summary, `WebRTC sessions (${sessions.length})`);
    this.#sessions.update(sessions);
    this.#preview.refresh(stream.tracks.some(({ kind }) => kind === "video"), live);
  }
}

/** A small picture of what is on, fetched anew every few seconds while it can be seen. */
class Preview {
  static #pause = 5000;
  /** After a refusal: sound only, a codec that makes no picture, no permission. */
  static #longPause = 30_000;

  #next = 0;
  #isVisible = false;
  #url = null;
  #glyph = el("span", { "aria-hidden": "true" }, "▶");
  #picture = el("img", { alt: "", hidden: true });
  #observer = new IntersectionObserver(([entry]) => (this.#isVisible = entry.isIntersecting));

  constructor(path) {
    this.address = `/${encodePath(path)}.jpg`;
    this.element = el("span", { class: "frame" }, this.#glyph, this.#picture);
    this.#observer.observe(this.element);
  }

  close() {
    this.#observer.disconnect();
    this.#show(null);
  }

  async refresh(hasPicture, isLive) {
    setText(this.#glyph, hasPicture ? "▶" : "♪");
    if (!hasPicture || !isLive) return this.#show(null);
    if (!this.#isVisible || performance.now() < this.#next) return;
    this.#next = Infinity;
    let picture = null;
    try {
      // Not the address in `src`: a request of its own carries the token, and a refusal shows no broken picture.
      const response = await fetch(this.address, { headers: authorization(), signal: AbortSignal.timeout(10_000) });
      if (response.ok) picture = await response.blob();
    } catch {
      // The banner says when the server is away.
    }
    this.#show(picture);
    this.#next = performance.now() + (picture ? Preview.#pause : Preview.#longPause);
  }

  #show(picture) {
    const old = this.#url;
    this.#url = picture && URL.createObjectURL(picture);
    if (picture) this.#picture.src = this.#url;
    else this.#picture.removeAttribute("src");
    this.#picture.hidden = !picture;
    if (old) URL.revokeObjectURL(old);
  }
}
