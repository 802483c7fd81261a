// Who is connected to whom in a room, as a picture: participants around a circle, and in the middle who passes everything on.
import { reconcile, setText, svg } from "/dom.js";

const SIZE = 240;
const [CENTRE, RADIUS, DOT] = [SIZE / 2, 84, 15];
/** More people than this are not drawn; the list below has them all. */
const LIMIT = 24;

export class RoomMap {
  #lines = svg("g", { class: "ways" });
  #people = svg("g", {});
  #views = new Map();
  element = svg("svg", { class: "room-map", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" }, this.#lines, this.#people);

  /** @param {object} room as `/api/v1/rooms` has it @param {Map<string, string>} names by participant */
  update(room, names) {
    const all = room.participants.slice(0, LIMIT);
    const middle = room.topology === "sfu" ? { id: "", label: "S", title: "This server" } : null;
    const around = all.filter(({ id }) => room.topology !== "supernode" || id !== room.supernode)
      .map(({ id }) => ({ id, label: initials(names.get(id)), title: names.get(id) }));
    const named = room.topology === "supernode" ? all.filter(({ id }) => id === room.supernode)
      .map(({ id }) => ({ id, label: initials(names.get(id)), title: `${names.get(id)} passes everything on` })) : [];
    const centre = middle ?? named[0] ?? null;
    const places = new Map(around.map(({ id }, index) => [id, placeOf(index, around.length, centre === null && around.length === 1)]));
    if (centre) places.set(centre.id, [CENTRE, CENTRE]);
    this.#draw(waysOf([...places], centre), places);
    const nodes = [...around, ...(centre ? [centre] : [])];
    reconcile(this.#people, this.#views, nodes, ({ id }) => id, () => new Node());
    for (const { id } of nodes) this.#views.get(id).place(places.get(id), id === centre?.id);
    this.element.setAttribute("aria-label", describe(room, names, centre));
  }

  #draw(ways, places) {
    const key = JSON.stringify([...places]) + ways.length;
    if (this.#lines.dataset.key === key) return;
    this.#lines.dataset.key = key;
    this.#lines.replaceChildren(...ways.map(([[x1, y1], [x2, y2]]) => svg("line", { x1, y1, x2, y2 })));
  }
}

class Node {
  #circle = svg("circle", { r: DOT });
  #text = svg("text", { "text-anchor": "middle", "dominant-baseline": "central" });
  #title = svg("title");
  element = svg("g", {}, this.#title, this.#circle, this.#text);

  update({ label, title }) {
    setText(this.#text, label);
    setText(this.#title, title);
  }

  place([x, y], isCentre) {
    this.element.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    this.element.setAttribute("class", isCentre ? "centre" : "");
    this.#circle.setAttribute("r", isCentre ? DOT + 5 : DOT);
  }
}

/** From the top, clockwise; one alone stands in the middle. */
function placeOf(index, count, isAlone) {
  if (isAlone) return [CENTRE, CENTRE];
  const angle = (2 * Math.PI * index) / count - Math.PI / 2;
  return [CENTRE + RADIUS * Math.cos(angle), CENTRE + RADIUS * Math.sin(angle)];
}

/** Each to the middle, or each to each. */
function waysOf(places, centre) {
  if (centre) return places.filter(([id]) => id !== centre.id).map(([, place]) => [place, [CENTRE, CENTRE]]);
  return places.flatMap(([, one], index) => places.slice(index + 1).map(([, other]) => [one, other]));
}

function describe({ topology, total }, names, centre) {
  const people = `${total} ${total === 1 ? "participant" : "participants"}`;
  if (!centre) return `${people}, each connected to each`;
  return topology === "sfu" ? `${people}, each connected to this server` : `${people}, each connected to ${names.get(centre.id)}`;
}

function initials(name = "") {
  const words = name.split(/\s+/).filter(Boolean);
  return (words.length > 1 ? words[0][0] + words.at(-1)[0] : name.slice(0, 2)).toUpperCase() || "?";
}
