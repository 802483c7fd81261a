// How loud a track is.

/** Milliseconds between looks. */
const PERIOD = 100;
let context = null;

export class LevelMeter {
  level = 0;
  #source;
  #analyser;
  #samples;
  #timer;

  /** @param {MediaStreamTrack} track @param {(level: number) => void} [onlevel] 0 to 1 */
  constructor(track, onlevel = () => {}) {
    context ??= new AudioContext();
    // Browsers let it begin once somebody has pressed something.
    if (context.state === "suspended") context.resume().catch(() => {});
    this.#source = context.createMediaStreamSource(new MediaStream([track]));
    this.#analyser = new AnalyserNode(context, { fftSize: 512 });
    this.#source.connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#timer = setInterval(() => {
      this.#read();
      onlevel(this.level);
    }, PERIOD);
  }

  /** Loudness as ears have it: the decibels from -60 to 0. */
  #read() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    const now = power > 0 ? Math.max(0, 1 + (10 * Math.log10(power)) / 60) : 0;
    this.level = Math.max(now, this.level * 0.7);
  }

  close() {
    clearInterval(this.#timer);
    this.#source.disconnect();
  }
}
