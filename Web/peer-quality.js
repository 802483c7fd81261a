// How good the connection of each participant is, and why it is not better, of what the browser counts.

/** Shares of packets lost, and seconds of a round trip, from which it is fair and poor. */
const LOSS = { fair: 0.02, poor: 0.08 };
const ROUND_TRIP = { fair: 0.3, poor: 0.7 };
/** Bits a second below which there is no room for a picture of any size. */
const NARROW = 500_000;
const LEVELS = ["good", "fair", "poor"];

/**
 * @typedef {object} Quality
 * @property {"unknown"|"none"|"poor"|"fair"|"good"} level `none` while there is no path
 * @property {string[]} reasons for people: why it is no better, and whether it goes over a relay
 * @property {boolean} [isRelayed]
 * @property {number} [loss] the larger share of both directions, 0 to 1
 * @property {number|null} [roundTrip] seconds
 */
export class QualityReader {
  /** The counts of the last reading, by connection and stream. */
  #before = new WeakMap();
  /** What the browser thinks can be sent over all connections, in bits a second, and whether it sends less than it would; null where
   * the browser does not say. @type {{bitrate: number, isLimited: boolean}|null} */
  uplink = null;

  /** @returns {Promise<Map<string, Quality>>} by participant */
  async read(linkOf, sfu, ids) {
    const result = new Map();
    const paths = new Map();
    const server = sfu && new Path(sfu.peer, this.#before.get(sfu.peer));
    if (server) {
      await server.read();
      this.#before.set(sfu.peer, server.counts);
      paths.set(sfu.peer, server);
    }
    for (const id of ids) {
      const peer = linkOf(id)?.peer;
      if (server) {
        result.set(id, server.quality("the server", new Set(sfu.midsOf(id))));
      } else if (peer) {
        const path = paths.get(peer) ?? new Path(peer, this.#before.get(peer));
        if (!paths.has(peer)) await path.read();
        paths.set(peer, path);
        this.#before.set(peer, path.counts);
        result.set(id, path.quality("them", null));
      }
    }
    this.#measure([...paths.values()]);
    return result;
  }

  #measure(paths) {
    const known = paths.filter(({ bandwidth }) => bandwidth !== null);
    const bitrate = known.reduce((sum, { bandwidth }) => sum + bandwidth, 0);
    this.uplink = known.length ? { bitrate, isLimited: known.some(({ isLimited }) => isLimited) } : null;
  }
}

/** One connection at one moment. */
class Path {
  counts = new Map();
  #peer;
  #before;
  #reports = [];
  #pair = null;
  #local = null;

  constructor(peer, before = new Map()) { [this.#peer, this.#before] = [peer, before]; }

  async read() {
    if (this.#peer.connectionState === "closed") return;
    const all = await this.#peer.getStats();
    this.#reports = [...all.values()];
    const transport = this.#reports.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
    this.#pair = transport ? all.get(transport.selectedCandidatePairId)
      : this.#reports.find(({ type, selected, nominated, state }) => type === "candidate-pair" && (selected || (nominated && state === "succeeded")));
    this.#local = all.get(this.#pair?.localCandidateId);
    this.remote = all.get(this.#pair?.remoteCandidateId);
    for (const { id, packetsLost = 0, packetsReceived = 0 } of this.#ofType("inbound-rtp")) this.counts.set(id, { packetsLost, packetsReceived });
  }

  /** Bits a second that can be sent, as the browser thinks. */
  get bandwidth() { return this.#pair?.availableOutgoingBitrate ?? null; }

  /** Whether less is sent than there is, for want of bandwidth. */
  get isLimited() { return this.#ofType("outbound-rtp").some(({ qualityLimitationReason }) => qualityLimitationReason === "bandwidth"); }

  /** @param {Set<string>|null} mids of what comes from the participant, where others share the connection */
  quality(whom, mids) {
    const { connectionState } = this.#peer;
    if (connectionState === "new" || connectionState === "connecting") return { level: "none", reasons: ["connecting"] };
    if (connectionState !== "connected") return { level: "none", reasons: [`no way through to ${whom}; trying others`] };
    const lost = { incoming: this.#lossOf(mids), outgoing: Math.max(0, ...this.#ofType("remote-inbound-rtp").map(({ fractionLost = 0 }) => fractionLost)) };
    const loss = Math.max(lost.incoming, lost.outgoing);
    const roundTrip = this.#pair?.currentRoundTripTime ?? null;
    const isRelayed = [this.#local, this.remote].some((candidate) => candidate?.candidateType === "relay");
    const bandwidth = this.bandwidth ?? Infinity;
    const isNarrow = bandwidth < NARROW && this.isLimited;
    const isSlow = this.#ofType("outbound-rtp").some(({ qualityLimitationReason }) => qualityLimitationReason === "cpu");
    const badness = Math.max(grade(loss, LOSS), grade(roundTrip ?? 0, ROUND_TRIP), isNarrow ? 1 : 0);
    const reasons = [
      grade(loss, LOSS) && `${Math.round(loss * 100)} % of the packets are lost ${lost.incoming >= lost.outgoing ? "on the way here" : "on the way there"}`,
      grade(roundTrip ?? 0, ROUND_TRIP) && `a round trip takes ${Math.round(roundTrip * 1000)} ms`,
      isNarrow && `only ${Math.round(bandwidth / 50_000) * 50} kbit/s get through from here`, isSlow && "this machine is busy", isRelayed && "over a relay",
    ].filter(Boolean);
    return { level: LEVELS[badness], reasons, isRelayed, loss: Math.round(loss * 100) / 100, roundTrip: roundTrip && Math.round(roundTrip * 100) / 100 };
  }

  #lossOf(mids) {
    let [lost, received] = [0, 0];
    for (const { id, mid } of this.#ofType("inbound-rtp")) {
      const [now, before] = [this.counts.get(id), this.#before.get(id)];
      if (!before || (mids && !mids.has(mid))) continue;
      lost += Math.max(0, now.packetsLost - before.packetsLost);
      received += Math.max(0, now.packetsReceived - before.packetsReceived);
    }
    // A handful of packets says nothing.
    return lost + received < 20 ? 0 : lost / (lost + received);
  }

  #ofType(type) { return this.#reports.filter((report) => report.type === type); }
}

function grade(value, { fair, poor }) { return value >= poor ? 2 : value >= fair ? 1 : 0; }
