internal import MartletPrimitives

/// A message that is complete, with the number that orders it in its stream.
struct ReassembledMessage {
  var message: SCTPMessage
  var messageNumber: UInt32
}

/// Fragments of messages that are not complete, in runs without a gap.
///
/// A run lies on a line: for DATA that of the TSNs, which number the fragments of a message in a row (RFC 9260 §6.9); for I-DATA one
/// line for each message, of fragment numbers (RFC 8260 §2.1). A fragment goes to the end of the run it continues; only a run
/// that has its beginning takes over the runs behind it, so that no byte is copied more than twice.
struct FragmentStore {
  private struct Run {
    var line: UInt64
    var start: Int64
    var end: Int64
    var isComplete: Bool { hasBegin && hasEnd }
    var hasBegin: Bool
    var hasEnd: Bool
    var stream: UInt16
    var isUnordered: Bool
    var messageNumber: UInt32
    var protocolID: UInt32
    var bytes: [UInt8]

    func isBefore(_ line: UInt64, _ position: Int64) -> Bool { self.line < line || (self.line == line && start < position) }

    func continues(_ other: Run) -> Bool {
      !hasBegin && stream == other.stream && isUnordered == other.isUnordered && messageNumber == other.messageNumber
    }
  }

  /// Sorted by line and start.
  private var runs: [Run] = []
  /// Payload held, and something for each run.
  private(set) var heldBytes = 0
  private let limits: SCTPLimits

  /// What a run costs besides its bytes.
  private static let runCost = 128

  init(limits: SCTPLimits) { self.limits = limits }

  var isFull: Bool { runs.count >= limits.partialMessages }

  /// - Returns: the message that this fragment completes.
  mutating func insert(_ chunk: DataChunk, tsn: Int64, _ payload: RawSpan) throws(SCTPViolation) -> ReassembledMessage? {
    let isWhole = chunk.flags.isSuperset(of: [.begin, .end])
    guard payload.byteCount <= limits.message else { throw .messageTooLarge(maximum: limits.message) }
    if isWhole { return Self.whole(chunk, payload) }
    let line = Self.line(of: chunk)
    let position = chunk.isInterleaved ? Int64(chunk.fragmentNumber) : tsn
    let next = firstRun(from: line, position)
    if next < runs.count, runs[next].line == line, runs[next].start == position { throw .brokenFragments }
    var place = next - 1
    if place >= 0, runs[place].line == line, runs[place].end > position { throw .brokenFragments }
    if place >= 0, runs[place].line == line, runs[place].end == position, !runs[place].hasEnd {
      try extend(place, chunk, payload)
    } else {
      place = next
      runs.insert(Self.run(line, position, chunk, payload), at: place)
      heldBytes += payload.byteCount + Self.runCost
    }
    try absorb(behind: place)
    return runs[place].isComplete ? remove(place) : nil
  }

  private static func whole(_ chunk: DataChunk, _ payload: RawSpan) -> ReassembledMessage {
    ReassembledMessage(
      message: SCTPMessage(
        stream: chunk.stream, protocolID: chunk.protocolID, isUnordered: chunk.flags.contains(.unordered), payload: Slice(copying: payload)),
      messageNumber: chunk.messageNumber)
  }

  private static func line(of chunk: DataChunk) -> UInt64 {
    guard chunk.isInterleaved else { return 0 }
    return UInt64(chunk.stream) << 33 | (chunk.flags.contains(.unordered) ? 1 << 32 : 0) | UInt64(chunk.messageNumber)
  }

  private static func run(_ line: UInt64, _ position: Int64, _ chunk: DataChunk, _ payload: RawSpan) -> Run {
    Run(
      line: line, start: position, end: position + 1, hasBegin: chunk.flags.contains(.begin), hasEnd: chunk.flags.contains(.end),
      stream: chunk.stream, isUnordered: chunk.flags.contains(.unordered), messageNumber: chunk.messageNumber,
      protocolID: chunk.protocolID, bytes: Array(copying: payload))
  }

  private mutating func extend(_ place: Int, _ chunk: DataChunk, _ payload: RawSpan) throws(SCTPViolation) {
    let isUnordered = chunk.flags.contains(.unordered)
    guard !chunk.flags.contains(.begin), runs[place].stream == chunk.stream, runs[place].isUnordered == isUnordered,
      runs[place].messageNumber == chunk.messageNumber
    else { throw .brokenFragments }
    guard runs[place].bytes.count + payload.byteCount <= limits.message else { throw .messageTooLarge(maximum: limits.message) }
    runs[place].bytes.append(payload)
    runs[place].end += 1
    runs[place].hasEnd = chunk.flags.contains(.end)
    heldBytes += payload.byteCount
  }

  /// A run with its beginning takes over those that continue it.
  private mutating func absorb(behind place: Int) throws(SCTPViolation) {
    guard runs[place].hasBegin else { return }
    var taken = 0
    while place + 1 + taken < runs.count, !runs[place].hasEnd {
      let next = runs[place + 1 + taken]
      guard next.line == runs[place].line, next.start == runs[place].end else { break }
      guard next.continues(runs[place]) else { throw .brokenFragments }
      guard runs[place].bytes.count + next.bytes.count <= limits.message else { throw .messageTooLarge(maximum: limits.message) }
      runs[place].bytes.append(contentsOf: next.bytes)
      runs[place].end = next.end
      runs[place].hasEnd = next.hasEnd
      taken += 1
    }
    guard taken > 0 else { return }
    runs.removeSubrange(place + 1...place + taken)
    heldBytes -= taken * Self.runCost
  }

  private mutating func remove(_ place: Int) -> ReassembledMessage {
    let run = runs.remove(at: place)
    heldBytes -= run.bytes.count + Self.runCost
    if runs.isEmpty { runs = [] }
    return ReassembledMessage(
      message: SCTPMessage(stream: run.stream, protocolID: run.protocolID, isUnordered: run.isUnordered, payload: Slice(run.bytes)),
      messageNumber: run.messageNumber)
  }

  /// The index of the first run that is not before a position.
  private func firstRun(from line: UInt64, _ position: Int64) -> Int {
    guard let last = runs.last, !last.isBefore(line, position) else { return runs.count }
    var (low, high) = (0, runs.count)
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].isBefore(line, position) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: What the peer gives up

  /// FORWARD TSN (RFC 3758 §3.6): what began up to here and is incomplete stays so.
  mutating func drop(upTo tsn: Int64) { drop { $0.start <= tsn } }

  /// Fragments of DATA whose beginning was given up: all that comes before them is there or will never be.
  mutating func dropOrphans(upTo cumulative: Int64) {
    var place = 0
    while place < runs.count, runs[place].start <= cumulative {
      if runs[place].hasBegin { place += 1 } else { _ = remove(place) }
    }
  }

  /// I-FORWARD-TSN (RFC 8260 §2.3.1).
  mutating func drop(_ skipped: ForwardTSN.Skipped) {
    drop {
      $0.stream == skipped.stream && $0.isUnordered == skipped.isUnordered
        && Int32(bitPattern: $0.messageNumber &- skipped.messageNumber) <= 0
    }
  }

  /// The peer's stream begins again.
  mutating func drop(stream: UInt16) { drop { $0.stream == stream } }

  private mutating func drop(where isGone: (Run) -> Bool) {
    for run in runs where isGone(run) { heldBytes -= run.bytes.count + Self.runCost }
    runs.removeAll(where: isGone)
  }
}
