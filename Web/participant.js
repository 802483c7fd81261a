// Somebody in a room, as `joinRoom` shows them.

export class Participant {
  name = "";
  info = undefined;
  muted = [];
  tracks = new Map();
  stream = new MediaStream();
  quality = { level: "unknown", reasons: [] };
  /** Whether it came before us, and what the server passes on of it: for `Room`. */
  isEarlier = false;
  forwarded = [];

  constructor(id) { Object.defineProperty(this, "id", { value: id, enumerable: true }); }

  update({ name = "", info, muted = [] }) { Object.assign(this, { name, info, muted }); }

  /** @returns {boolean} whether it is another one than before. */
  setTrack(source, track) {
    const old = this.tracks.get(source) ?? null;
    if (old === track) return false;
    if (old) this.stream.removeTrack(old);
    if (!track) return this.tracks.delete(source);
    this.tracks.set(source, track);
    // A screen stands for itself: the stream is the person.
    if (!source.startsWith("screen")) this.stream.addTrack(track);
    return true;
  }
}
