// Who relays through the TURN server, and how much of it: by user, and each allocation with a button to close it.
import { api } from "/api.js";
import { confirmed, el, reconcile, setText } from "/dom.js";
import { bitrate, bytes, count, duration } from "/format.js";

/** More rows than this help nobody; the list says how many it leaves out. */
const LIMIT = 100;

/** The section is hidden while nobody relays. */
export class RelaySection {
  #section;
  #summary = el("summary");
  #users = el("p", { class: "note" });
  #body = el("tbody");
  #more = el("p", { class: "note", hidden: true });
  #views = new Map();

  /** @param {(error: Error) => void} onerror */
  constructor(section, onerror) {
    this.#section = section;
    this.onerror = onerror;
    const heads = ["User", "Client", "Relayed", "For", "To peers", "From peers", ""].map((name) =>
      el("th", { scope: "col" }, name || el("span", { class: "hidden" }, "Action")));
    section.replaceChildren(el("details", { open: true }, this.#summary, this.#users, el("div", { class: "scroll" },
      el("table", {}, el("caption", { class: "hidden" }, "Allocations of the TURN server"), el("thead", {}, el("tr", {}, ...heads)), this.#body)),
    this.#more));
  }

  /** @param {{allocations: object[], total: number, users: object}} relays as `/api/v1/turn/allocations` has them */
  update({ allocations, total, users }) {
    this.#section.hidden = !total;
    setText(this.#summary, count(total, "TURN allocation", "TURN allocations"));
    const most = Object.entries(users).sort(([, one], [, other]) => other - one).slice(0, 10);
    setText(this.#users, most.map(([user, number]) => `${user}: ${number}`).join(" · "));
    reconcile(this.#body, this.#views, allocations.slice(0, LIMIT), ({ id }) => id, (allocation) => this.#row(allocation));
    this.#more.hidden = total <= LIMIT;
    setText(this.#more, `and ${total - LIMIT} more`);
  }

  #row({ id, user, client, transport, relayed }) {
    const [time, sent, received] = [el("td"), el("td"), el("td")];
    const rates = [new Rate(), new Rate()];
    const close = async () => {
      if (await confirmed(`Close the allocation of ${user} at ${client}?`, "Close it")) api.closeRelay(id).catch(this.onerror);
    };
    const element = el("tr", {},
      el("td", {}, user), el("td", {}, `${client}, ${transport.toUpperCase()}`), el("td", {}, relayed.join(", ")), time, sent, received,
      el("td", {}, el("button", { type: "button", class: "small", "aria-label": `Close the allocation of ${user} at ${client}`, onclick: close },
        "Close")));
    return {
      element,
      update: (now) => {
        setText(time, duration(now.age));
        setText(sent, rates[0].text(now.bytes_sent, now.age));
        setText(received, rates[1].text(now.bytes_received, now.age));
      },
    };
  }
}

/** A sum, and how fast it grew since the last look. */
class Rate {
  #last = null;

  text(sum, seconds) {
    const last = this.#last;
    this.#last = { sum, seconds };
    return last && seconds > last.seconds ? `${bytes(sum)} · ${bitrate(8 * (sum - last.sum) / (seconds - last.seconds))}` : bytes(sum);
  }
}
