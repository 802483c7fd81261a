// Who publishes and watches one stream: a table with a button to close each.
import { api } from "/api.js";
import { confirmed, el, reconcile, setText } from "/dom.js";
import { bytes, since, transport } from "/format.js";

/** More rows than this help nobody; the list says how many it leaves out. */
const LIMIT = 100;

export class ClientTable {
  #views = new Map();
  #body = el("tbody");
  #more = el("p", { class: "note", hidden: true });

  /** @param {(error: Error) => void} onerror */
  constructor(path, onerror) {
    this.onerror = onerror;
    const heads = ["Role", "Protocol", "Address", "Since", "Sent", ""].map((name) =>
      el("th", { scope: "col" }, name || el("span", { class: "hidden" }, "Action")));
    this.element = el("div", { class: "scroll" },
      el("table", {}, el("caption", { class: "hidden" }, `Clients of ${path}`), el("thead", {}, el("tr", {}, ...heads)), this.#body), this.#more);
  }

  update(clients) {
    reconcile(this.#body, this.#views, clients.slice(0, LIMIT), ({ id }) => id, (client) => this.#row(client));
    this.#more.hidden = clients.length <= LIMIT;
    setText(this.#more, `and ${clients.length - LIMIT} more`);
  }

  #row(client) {
    const { id, role, address } = client;
    const time = el("td");
    const sent = el("td");
    const kick = async () => {
      if (await confirmed(`Close the connection of the ${role} at ${address}?`, "Close it")) api.kick(id).catch(this.onerror);
    };
    const element = el("tr", {},
      el("td", {}, role), el("td", {}, transport(client.transport)),
      el("td", { title: client.user_agent ?? "" }, client.user ? `${client.user} · ${address}` : address), time, sent,
      el("td", {}, el("button", { type: "button", class: "small", "aria-label": `Close the ${role} at ${address}`, onclick: kick }, "Close")));
    return {
      element,
      update: (now) => {
        setText(time, since(now.since));
        setText(sent, role === "viewer" ? bytes(now.bytes_sent) + (now.skips ? ` · ${now.skips} skips` : "") : "–");
      },
    };
  }
}
