// A small graph of a figure's last two minutes.
import { svg } from "/dom.js";

const [WIDTH, HEIGHT] = [240, 48];
const SPAN = 120_000; // milliseconds

export class Graph {
  #samples = []; // [time, value]
  #area = svg("path", { class: "area" });
  #line = svg("path", { class: "line" });

  /** @param {(value: number) => string} format for the description. */
  constructor(label, format) {
    this.label = label;
    this.format = format;
    this.element = svg("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, this.#area, this.#line);
  }

  add(value, time = performance.now()) {
    this.#samples.push([time, value]);
    while (this.#samples[0][0] < time - SPAN) this.#samples.shift();
    const values = this.#samples.map(([, each]) => each);
    const most = Math.max(...values);
    // From zero, with some air above: a steady stream is a steady line.
    const top = most * 1.15 || 1;
    const points = this.#samples.map(([at, each]) =>
      `${(WIDTH - ((time - at) / SPAN) * WIDTH).toFixed(1)},${(HEIGHT - (each / top) * (HEIGHT - 3) - 1.5).toFixed(1)}`);
    const line = `M${points.join("L")}`;
    const left = points[0].split(",")[0];
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", `${line}L${WIDTH},${HEIGHT}L${left},${HEIGHT}Z`);
    this.element.setAttribute("aria-label",
      `${this.label}, last two minutes: now ${this.format(value)}, between ${this.format(Math.min(...values))} and ${this.format(most)}`);
  }
}
