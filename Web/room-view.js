// What a page sees of a room: the server sends pictures in the size in which they are shown, and none that nobody sees.

/** Milliseconds for which sizes are gathered: a window that is dragged changes them all the time. */
const REST = 150;

export class RoomView {
  #tell;
  /** What the page said itself: "participant source" → wish. */
  #said = new Map();
  /** Elements that show something: their wish, size and whether they are in sight. */
  #observed = new Map();
  #timer = 0;
  #told = "";
  #listening = new AbortController();
  #sizes = new ResizeObserver((entries) => this.#note(entries, ({ contentRect: { width, height } }) => ({ width, height })));
  #sights = new IntersectionObserver((entries) => this.#note(entries, ({ isIntersecting }) => ({ isInSight: isIntersecting })));

  /** @param {(tracks: object[]) => boolean} tell answers whether there is a server that can be told */
  constructor(tell) {
    this.#tell = tell;
    document.addEventListener("visibilitychange", () => this.#change(), { signal: this.#listening.signal });
  }

  /** Says in pixels how large something is shown; `null` to say nothing of it any more. */
  set(participant, source, wish) {
    const key = `${participant} ${source}`;
    if (wish) this.#said.set(key, { participant, source, ...wish });
    else this.#said.delete(key);
    this.#change();
  }

  /** Something is shown in an element from now on, in its size and as long as it is in sight. */
  observe(element, participant, source, isPinned) {
    const known = this.#observed.get(element);
    this.#observed.set(element, { ...known, participant, source, isPinned });
    if (known) return this.#change();
    this.#sizes.observe(element);
    this.#sights.observe(element);
  }

  unobserve(element) {
    if (!this.#observed.delete(element)) return;
    this.#sizes.unobserve(element);
    this.#sights.unobserve(element);
    this.#change();
  }

  forget(participant) {
    for (const [key, wish] of this.#said) if (wish.participant === participant) this.#said.delete(key);
  }

  /** To a server that knows nothing of it yet. */
  tellAgain() {
    this.#told = "";
    this.#change();
  }

  close() {
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.#sizes.disconnect();
    this.#sights.disconnect();
  }

  #note(entries, read) {
    for (const entry of entries) {
      const known = this.#observed.get(entry.target);
      if (known) Object.assign(known, read(entry));
    }
    this.#change();
  }

  #change() {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      const tracks = this.#wishes();
      const told = JSON.stringify(tracks);
      if (told !== this.#told && this.#tell(tracks)) this.#told = told;
    }, REST);
  }

  /** Of what is shown twice, the larger one. */
  #wishes() {
    const wishes = new Map();
    for (const { participant, source, isPinned, width, height, isInSight } of this.#observed.values()) {
      // Nothing is known of it before it is laid out.
      if (width === undefined || isInSight === undefined) continue;
      const key = `${participant} ${source}`;
      const isSeen = isInSight && !document.hidden && width > 0 && height > 0;
      const known = wishes.get(key);
      const wish = isSeen ? { participant, source, width: devicePixels(width), height: devicePixels(height) } : { participant, source, paused: true };
      if (isPinned) wish.pinned = true;
      if (!known || known.paused || (wish.height ?? 0) > known.height) wishes.set(key, wish);
    }
    for (const [key, wish] of this.#said) wishes.set(key, wish);
    return [...wishes.values()];
  }
}

function devicePixels(length) { return Math.ceil(length * devicePixelRatio); }
