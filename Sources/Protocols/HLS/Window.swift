package import MartletPrimitives

/// The segments of a live playlist and those that left it a short while ago (RFC 8216 §6.2.2).
///
/// It lives as long as the stream's name: sequence numbers go on when a publisher returns, so that no name is ever given
/// twice within an epoch.
package struct Window: Sendable {
  package struct Limits: Sendable {
    /// The playlist holds at least this much, and never less than three target durations.
    package var duration = TimeSpan.seconds(30)
    /// All segments together. Beyond it the oldest go early, but for the last one.
    package var bytes = 256 << 20
    package init() {}
  }

  package struct Entry: Sendable {
    package var sequence: UInt64
    package var segment: Segment
  }

  /// Distinguishes server runs in segment names.
  package let epoch: String
  private let limits: Limits
  private var listedEntries = Deque<Entry>()
  private var retired = Deque<Entry>()
  private var listedDuration = TimeSpan.zero, retiredDuration = TimeSpan.zero
  private var nextSequence: UInt64 = 0
  /// Bytes held, listed or not.
  package private(set) var byteCount = 0
  /// EXT-X-DISCONTINUITY-SEQUENCE: discontinuities that have left the playlist.
  package private(set) var discontinuitySequence: UInt64 = 0
  /// Whole seconds. Grows with the longest segment ever and never shrinks (§4.3.3.1 and §6.2.1).
  package private(set) var targetDuration: Int64
  /// No segment will follow, unless the publisher returns.
  package private(set) var isEnded = false

  /// - Parameter target: the segment length aimed at; a playlist begins with it, since its target should not change.
  package init(epoch: String, target: TimeSpan = .seconds(2), limits: Limits = Limits()) {
    self.epoch = epoch
    self.limits = limits
    targetDuration = max(1, Window.wholeSeconds(target))
  }

  /// Adds a segment. Answers the sequence numbers of those that were freed, for copies kept elsewhere.
  @discardableResult
  package mutating func append(_ segment: Segment) -> [UInt64] {
    var segment = segment
    // After an EXT-X-ENDLIST nothing continues.
    if isEnded { segment.isDiscontinuity = true }
    isEnded = false
    // The first segment of all has nothing to be discontinuous with.
    if nextSequence == 0 { segment.isDiscontinuity = false }
    targetDuration = max(targetDuration, Window.wholeSeconds(segment.duration))
    listedEntries.append(Entry(sequence: nextSequence, segment: segment))
    nextSequence += 1
    listedDuration = listedDuration + segment.duration
    byteCount += segment.bytes.count
    retire()
    return free()
  }

  /// The publisher left for good: the playlist says so.
  package mutating func end() { isEnded = true }

  /// Frees all segments, as when nobody watches any more. Numbers go on. Answers the sequence numbers freed.
  package mutating func clear() -> [UInt64] {
    let freed = retired.map(\.sequence) + listedEntries.map(\.sequence)
    discontinuitySequence += UInt64(listedEntries.filter(\.segment.isDiscontinuity).count)
    retired.removeAll()
    listedEntries.removeAll()
    (listedDuration, retiredDuration, byteCount) = (.zero, .zero, 0)
    return freed
  }

  /// What the playlist lists, oldest first.
  package var listed: [Entry] { Array(listedEntries) }
  package var isEmpty: Bool { listedEntries.isEmpty }
  /// EXT-X-MEDIA-SEQUENCE.
  package var mediaSequence: UInt64 { listedEntries.first?.sequence ?? nextSequence }

  /// A segment that is listed, or left the playlist less than a window ago.
  package func segment(_ sequence: UInt64) -> Segment? {
    guard let first = retired.first?.sequence ?? listedEntries.first?.sequence, sequence >= first, sequence < nextSequence else {
      return nil
    }
    // Numbers are consecutive through both queues.
    let index = Int(sequence - first)
    return index < retired.count ? retired[index].segment : listedEntries[index - retired.count].segment
  }

  /// The sequence number in a file name `EPOCH-SEQ.EXTENSION` of this epoch, and `nil` for any other text.
  package func sequence(inName name: some StringProtocol, extension fileExtension: String = "ts") -> UInt64? {
    let (head, tail) = (epoch + "-", "." + fileExtension)
    guard name.hasPrefix(head), name.hasSuffix(tail), name.utf8.count > head.utf8.count + tail.utf8.count else { return nil }
    let digits = name.dropFirst(head.count).dropLast(tail.count)
    guard digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let sequence = UInt64(digits) else { return nil }
    // One name for one segment: no leading zeros.
    return String(sequence) == digits ? sequence : nil
  }

  private mutating func retire() {
    while listedEntries.count > 1, let first = listedEntries.first {
      let rest = listedDuration - first.segment.duration
      guard rest >= max(limits.duration, .seconds(Int(3 * targetDuration))) else { return }
      moveOldest()
    }
  }

  private mutating func moveOldest() {
    guard let first = listedEntries.popFirst() else { return }
    listedDuration = listedDuration - first.segment.duration
    if first.segment.isDiscontinuity { discontinuitySequence += 1 }
    retired.append(first)
    retiredDuration = retiredDuration + first.segment.duration
  }

  /// §6.2.2: a segment stays for its own length and that of the longest playlist it was in, after leaving it.
  private mutating func free() -> [UInt64] {
    var freed: [UInt64] = []
    let keep = max(limits.duration, listedDuration)
    while true {
      if retired.isEmpty, byteCount > limits.bytes, listedEntries.count > 1 { moveOldest() }
      guard let first = retired.first else { return freed }
      guard retiredDuration - first.segment.duration >= keep || byteCount > limits.bytes else { return freed }
      retired.popFirst()
      retiredDuration = retiredDuration - first.segment.duration
      byteCount -= first.segment.bytes.count
      freed.append(first.sequence)
    }
  }

  private static func wholeSeconds(_ span: TimeSpan) -> Int64 { (max(0, span.nanoseconds) + 999_999_999) / 1_000_000_000 }
}

extension Window {
  /// Bits a second over what is listed; 0 without segments.
  package var averageBitRate: Int {
    let bytes = listedEntries.reduce(0) { $0 + $1.segment.bytes.count }
    return listedDuration > .zero ? Int(Int64(clamping: Double(bytes) * 8 / listedDuration.seconds)) : 0
  }

  /// The peak segment bit rate (§4.3.4.2): of segments of at least half the target duration, or of all when there are none.
  package var peakBitRate: Int {
    let half = TimeSpan.milliseconds(Int(targetDuration) * 500)
    let long = listedEntries.filter { $0.segment.duration >= half }
    return (long.isEmpty ? Array(listedEntries) : long).map { entry in
      Int(Int64(clamping: Double(entry.segment.bytes.count) * 8 / max(entry.segment.duration.seconds, 0.001)))
    }.max() ?? 0
  }
}
