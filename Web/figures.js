// Named figures of something that goes on, some of them with a graph.
import { el, setText } from "/dom.js";
import { Graph } from "/graph.js";

export class Figures {
  #fields;

  /**
   * @param {string} about whose they are, for readers of the graphs
   * @param {{key: string, label: string, format?: (value: any) => string, graph?: boolean, isWide?: boolean}[]} fields
   */
  constructor(about, fields) {
    this.#fields = fields.map(({ key, label, format = String, graph, isWide }) => ({
      key, label, format, className: graph ? "with-graph" : isWide ? "two" : "", value: el("dd", { "data-figure": key }, "–"), graph: graph ? new Graph(`${label} of ${about}`, format) : null,
    }));
    this.element = el("dl", { class: "figures" }, ...this.#fields.map(({ label, className, value, graph }) =>
      el("div", { class: className }, el("dt", {}, label), value, ...(graph ? [el("dd", { class: "trend" }, graph.element)] : []))));
  }

  /** @param {object} values by key; what is `null` or not there is unknown. */
  show(values) {
    for (const { key, format, value, graph } of this.#fields) {
      const now = values[key] ?? null;
      setText(value, now === null ? "–" : format(now));
      if (graph && typeof now === "number") graph.add(now);
    }
  }
}
