internal import Glibc
internal import MartletPrimitives

/// What all viewers of a run saw.
internal final class Tally {
  internal var connected = 0
  internal var bytes = 0
  internal var frames = 0
  internal var missed = 0
  internal var closed = 0
  internal var latencies: [Int64] = []
  internal var joins: [Int64] = []
  /// Samples before this are not counted: viewers are still joining.
  internal var measureFrom = Instant.distantFuture
  internal var measuredBytes = 0
  /// When the publisher sent the newest picture that each viewer has seen; nothing for those that saw none.
  internal var newest: [Int: Instant] = [:]

  /// - Parameters:
  ///   - viewers: how many were to come, of which
  ///   - probes: look at what they get.
  internal func report(viewers: Int, probes: Int, seconds: Double, now: Instant) -> String {
    // Whoever saw nothing has no age; their number tells of them.
    let age = newest.values.map { (now - $0).nanoseconds }.max().map { Double($0) / 1e6 } ?? -1
    let latency = Self.percentiles(latencies), join = Self.percentiles(joins)
    let result: JSON = [
      "viewers": .int(Int64(viewers)), "connected": .int(Int64(connected)), "bytes": .int(Int64(measuredBytes)),
      "frames": .int(Int64(frames)),
      "missed": .int(Int64(missed)), "closed": .int(Int64(closed)), "seconds": .double(seconds),
      "blind": .int(Int64(probes - newest.count)), "last_frame_age_ms": ["max": .double(age)],
      "latency_ms": ["p50": .double(latency.p50), "p99": .double(latency.p99)],
      "join_ms": ["p50": .double(join.p50), "p99": .double(join.p99)],
    ]
    return String(decoding: result.serialized, as: UTF8.self)
  }

  /// In milliseconds; −1 without samples.
  internal static func percentiles(_ samples: [Int64]) -> (p50: Double, p99: Double) {
    guard !samples.isEmpty else { return (-1, -1) }
    let sorted = samples.sorted()
    let at = { (share: Double) in Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1e6 }
    return (at(0.5), at(0.99))
  }
}

/// Finds stamps in one viewer's bytes, also across two reads.
internal struct StampScanner {
  private var tail: [UInt8] = []
  private var lastSequence = -1
  private let began: Instant
  private let viewer: Int
  private var hasJoined = false

  internal init(viewer: Int, began: Instant) {
    self.viewer = viewer
    self.began = began
  }

  internal mutating func scan(_ bytes: UnsafeRawBufferPointer, now: Instant, into tally: Tally) {
    if !tail.isEmpty {
      // A stamp that the last read cut in two.
      let joined = tail + bytes.prefix(Stamp.size)
      let limit = tail.count
      joined.withUnsafeBytes { find($0, before: limit, now, tally) }
    }
    find(bytes, before: max(0, bytes.count - Stamp.size + 1), now, tally)
    let keep = min(Stamp.size - 1, tail.count + bytes.count)
    tail = bytes.count >= keep ? Array(bytes.suffix(keep)) : Array((tail + Array(bytes)).suffix(keep))
  }

  private mutating func find(_ bytes: UnsafeRawBufferPointer, before limit: Int, _ now: Instant, _ tally: Tally) {
    var from = 0
    while from < limit, let base = bytes.baseAddress, let hit = memchr(base + from, Int32(Stamp.magic[0]), limit - from) {
      let offset = UnsafeRawPointer(hit) - base
      let isStamp = offset + Stamp.size <= bytes.count && memcmp(hit, Stamp.magic, Stamp.magic.count) == 0
      if isStamp, let stamp = Stamp(bytes, at: offset) { count(stamp, now, tally) }
      from = offset + 1
    }
  }

  private mutating func count(_ stamp: Stamp, _ now: Instant, _ tally: Tally) {
    tally.frames += 1
    if !hasJoined, stamp.isKey {
      hasJoined = true
      tally.joins.append((now - began).nanoseconds)
    }
    if lastSequence >= 0, stamp.sequence > lastSequence + 1 { tally.missed += stamp.sequence - lastSequence - 1 }
    lastSequence = stamp.sequence
    tally.newest[viewer] = stamp.sent
    // Frames from before this viewer came are the cache's age, not the relay's.
    if stamp.sent > began, now >= tally.measureFrom { tally.latencies.append((now - stamp.sent).nanoseconds) }
  }
}
