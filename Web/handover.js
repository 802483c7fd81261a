// From one topology to the next: who still needs the connections of the one before.

/** Milliseconds that a participant has to say that it can do without them; some programs never say it. */
const PATIENCE = 10_000;

export class Handover {
  /** What is still to come, by participant. */
  #pending = new Map();
  /** The newest topology for which each participant has said so, perhaps before we knew of that. */
  #said = new Map();
  #generation = 0;
  #isLate = false;
  #isRunning = false;
  #timer = 0;
  #events;

  /** @param {{done: (id: string) => void, finished: () => void}} events of a participant the old way is given up; of all of them */
  constructor(events) { this.#events = events; }

  begin(generation, ids) {
    this.stop();
    this.#generation = generation;
    this.#isRunning = true;
    for (const id of ids) this.#pending.set(id, { isOurs: false, isTheirs: this.#said.get(id) === generation });
    this.#timer = setTimeout(() => {
      this.#isLate = true;
      this.#look();
    }, PATIENCE);
  }

  /** Whether it is to be looked at if all of a participant comes the new way by now. */
  needs(id) { return this.#pending.get(id)?.isOurs === false; }

  /** All that came the old way comes the new way. */
  complete(id) {
    this.#pending.get(id).isOurs = true;
    this.#look();
  }

  /** The participant says the same. */
  hear(id, generation) {
    this.#said.set(id, generation);
    if (generation !== this.#generation || !this.#pending.has(id)) return;
    this.#pending.get(id).isTheirs = true;
    this.#look();
  }

  forget(id) {
    this.#said.delete(id);
    this.#pending.delete(id);
    this.#look();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#pending.clear();
    this.#isLate = this.#isRunning = false;
  }

  #look() {
    for (const [id, { isOurs, isTheirs }] of [...this.#pending]) {
      // One that is done may make another one so.
      if (!isOurs || !(isTheirs || this.#isLate) || !this.#pending.has(id)) continue;
      this.#pending.delete(id);
      this.#events.done(id);
    }
    if (!this.#isRunning || this.#pending.size) return;
    this.stop();
    this.#events.finished();
  }
}
