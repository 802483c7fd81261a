// Named figures of something that goes on, some of them with a graph.
import { el, setText } from "/dom.js";
import { Graph } from "/graph.js";

export class Figures {
  #fields;

  /**
   * @param {string} about whose they are, for readers of the graphs
   * @param {{key: string, label: string, format?: (value: any) => string, graph?: boolean, isWide?: boolean, isOptional?: boolean}[]} fields
   *   those that are optional are hidden while they are unknown
   */
  constructor(about, fields) {
    this.#fields = fields.map(({ key, label, format = String, graph, isWide, isOptional = false }) => ({
      key, label, format, isOptional, className: graph ? "with-graph" : isWide ? "two" : "", value: el("dd", { "data-figure": key }, "–"), graph: graph ? new Graph(`${label} of ${about}`, format) : null,
    }));
    for (const field of this.#fields) {
      const { label, className, isOptional, value, graph } = field;
      field.box = el("div", { class: className, hidden: isOptional }, el("dt", {}, label), value,
        ...(graph ? [el("dd", { class: "trend" }, graph.element)] : []));
    }
    this.element = el("dl", { class: "figures" }, ...this.#fields.map(({ box }) => box));
  }

  /** @param {object} values by key; what is `null` or not there is unknown. */
  show(values) {
    for (const { key, format, isOptional, box, value, graph } of this.#fields) {
      const now = values[key] ?? null;
      box.hidden = isOptional && now === null;
      setText(value, now === null ? "–" : format(now));
      if (graph && typeof now === "number") graph.add(now);
    }
  }
}
