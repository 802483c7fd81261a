// How the WebRTC sessions of a stream get through, and why others did not.
import { el, reconcile, setText } from "/dom.js";
import { Figures } from "/figures.js";
import { bitrate, milliseconds, percent, since } from "/format.js";

/** More sessions than this are looked at by their client's name in the API. */
const LIMIT = 12;

const FIGURES = [
  { key: "bitrate", label: "Bitrate", format: bitrate, graph: true },
  // A publisher's only its own browser knows.
  { key: "roundTrip", label: "Round trip", format: milliseconds, graph: true, isOptional: true },
  { key: "loss", label: "Loss", format: percent, graph: true },
  // What the path to a viewer is thought to carry.
  { key: "estimate", label: "Estimate", isOptional: true },
  { key: "leftOut", label: "Left out, too late", isOptional: true },
  { key: "codecs", label: "Codecs" },
  { key: "retransmissions", label: "Sent again" },
  { key: "keyFrames", label: "Key frames asked for" },
  { key: "pair", label: "ICE pair", isWide: true },
  { key: "security", label: "DTLS, SRTP", isWide: true },
  { key: "drops", label: "Dropped", isWide: true, isOptional: true },
];

/** The sessions of one stream. */
export class SessionList {
  #views = new Map();
  #more = el("p", { class: "note", hidden: true });
  #list = el("div", { class: "sessions" });
  element = el("div", {}, this.#list, this.#more);

  /** @param {object[]} sessions as `/api/v1/webrtc` has them */
  update(sessions) {
    reconcile(this.#list, this.#views, sessions.slice(0, LIMIT), ({ client }) => client, (session) => new SessionView(session));
    this.#more.hidden = sessions.length <= LIMIT;
    setText(this.#more, `and ${sessions.length - LIMIT} more`);
  }
}

class SessionView {
  #title = el("h4");
  #figures;

  constructor({ role, address }) {
    this.#figures = new Figures(`the ${role} at ${address}`, FIGURES);
    this.element = el("article", { class: "session" }, this.#title, this.#figures.element);
  }

  update({ role, user, address, state, since: begin, pair, tracks, drops, ...session }) {
    setText(this.#title, `${sentence(role)} ${user ? `${user} · ` : ""}${address}, ${state} for ${since(begin)}`);
    const sum = (name) => tracks.reduce((total, each) => total + each[name], 0);
    this.#figures.show({
      bitrate: role === "publisher" ? session.bitrate_in : session.bitrate_out, roundTrip: session.round_trip, loss: session.loss,
      estimate: session.estimate && `${bitrate(session.estimate)} (${session.estimate_reason})`, leftOut: session.left_out || null,
      pair: pair && `${pair.local_type} ${pair.local} → ${pair.remote_type} ${pair.remote}`,
      codecs: [...new Set(tracks.map(({ codec, layer }) => (layer ? `${codec} ${layer}` : codec)))].join(", ") || null,
      security: [session.dtls_cipher, session.srtp_profile].filter(Boolean).join(", ") || null,
      retransmissions: sum("retransmissions"), keyFrames: sum("key_frame_requests"),
      drops: Object.entries(drops).map(([reason, count]) => `${reason} ${count}`).join(", ") || null,
    });
  }
}

/** Those that never came about, with what to do; the section is hidden while there are none. */
export class FailedSessions {
  #section;
  #views = new Map();
  #list = el("div", { class: "sessions" });
  #summary = el("summary");

  constructor(section) {
    this.#section = section;
    section.replaceChildren(el("details", { open: true }, this.#summary, this.#list));
  }

  update(failed) {
    this.#section.hidden = !failed.length;
    setText(this.#summary, failed.length === 1 ? "A WebRTC session did not come about" : `${failed.length} WebRTC sessions did not come about`);
    reconcile(this.#list, this.#views, failed, ({ client }) => client, (session) => failure(session));
  }
}

function failure({ role, path, address, user, failure: reason, diagnosis, trace, local_candidates: offered, remote_candidates: theirs }) {
  const title = el("h4");
  const list = (texts) => el("ul", {}, ...(texts.length ? texts : ["none"]).map((text) => el("li", {}, el("code", {}, text))));
  const element = el("article", { class: "session failed" }, title,
    el("p", {}, `${sentence(reason ?? "it failed")}.`), el("p", {}, `${sentence(diagnosis ?? "")}.`),
    el("details", {}, el("summary", {}, "Candidates and what ICE did"),
      el("p", {}, "Offered to the peer:"), list(offered), el("p", {}, "Told by the peer:"), list(theirs),
      el("p", {}, "Events:"), list(trace.map(({ at, event }) => `${at.toFixed(2)} s: ${event}`))));
  return {
    element,
    update: ({ failed }) => setText(title, `${sentence(role)} of ${path}, ${user ? `${user} · ` : ""}${address}, ${since(failed)} ago`),
  };
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
