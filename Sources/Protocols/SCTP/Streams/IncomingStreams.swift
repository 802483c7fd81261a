internal import MartletPrimitives

/// Puts the ordered messages of each stream in order. A stream costs nothing before its first ordered message.
struct IncomingStreams {
  private struct Stream {
    /// The number of the message that is due.
    var next: Int64 = 0
    /// Complete messages that came too early.
    var waiting: [Int64: SCTPMessage] = [:]
    /// The last unordered message of I-DATA that the peer has given up.
    var skippedUnordered: Int64?
  }

  private var streams: [UInt16: Stream] = [:]
  /// Payload of messages that wait for earlier ones, and something for each.
  private(set) var heldBytes = 0

  /// What a message costs besides its bytes.
  static let messageCost = 64

  /// Appends the message, and those that waited for it, to `output`; or holds it back.
  mutating func accept(_ message: ReassembledMessage, isInterleaved: Bool, into output: inout Deque<SCTPEvent>) {
    guard !message.message.isUnordered else { return output.append(.message(message.message)) }
    let id = message.message.stream
    let next = streams[id]?.next ?? 0
    let number = Self.extend(message.messageNumber, near: next, isInterleaved)
    if number == next {
      output.append(.message(message.message))
      streams[id, default: Stream()].next = next + 1
      release(id, into: &output)
    } else if number > next, streams[id]?.waiting[number] == nil {
      heldBytes += message.message.payload.count + Self.messageCost
      streams[id, default: Stream()].waiting[number] = message.message
    }
  }

  /// A fragment of a message that was delivered or given up.
  func isStale(_ chunk: DataChunk) -> Bool {
    guard let stream = streams[chunk.stream] else { return false }
    guard chunk.flags.contains(.unordered) else {
      return Self.extend(chunk.messageNumber, near: stream.next, chunk.isInterleaved) < stream.next
    }
    guard chunk.isInterleaved, let skipped = stream.skippedUnordered else { return false }
    return Self.extend(chunk.messageNumber, near: skipped, true) <= skipped
  }

  private static func extend(_ number: UInt32, near next: Int64, _ isInterleaved: Bool) -> Int64 {
    isInterleaved ? SerialNumber.extend(number, near: next) : SerialNumber.extend(UInt16(truncatingIfNeeded: number), near: next)
  }

  private mutating func release(_ id: UInt16, into output: inout Deque<SCTPEvent>) {
    while let stream = streams[id], !stream.waiting.isEmpty, let message = streams[id]?.waiting.removeValue(forKey: stream.next) {
      output.append(.message(message))
      heldBytes -= message.payload.count + Self.messageCost
      streams[id]?.next += 1
    }
  }

  /// The peer has given up the messages up to a number: those that did come are delivered, and what follows them.
  mutating func skip(_ skipped: ForwardTSN.Skipped, isInterleaved: Bool, into output: inout Deque<SCTPEvent>) {
    guard !skipped.isUnordered else { return skipUnordered(skipped) }
    let next = streams[skipped.stream]?.next ?? 0
    let last = Self.extend(skipped.messageNumber, near: next, isInterleaved)
    guard last >= next else { return }
    for number in (streams[skipped.stream]?.waiting.keys.filter { $0 <= last } ?? []).sorted() {
      guard let message = streams[skipped.stream]?.waiting.removeValue(forKey: number) else { continue }
      output.append(.message(message))
      heldBytes -= message.payload.count + Self.messageCost
    }
    streams[skipped.stream, default: Stream()].next = last + 1
    release(skipped.stream, into: &output)
  }

  private mutating func skipUnordered(_ skipped: ForwardTSN.Skipped) {
    let known = streams[skipped.stream]?.skippedUnordered ?? -1
    streams[skipped.stream, default: Stream()].skippedUnordered = max(known, Self.extend(skipped.messageNumber, near: known, true))
  }

  /// The streams begin again at number 0; all of them when the list is empty.
  mutating func reset(_ ids: [UInt16]) {
    if ids.isEmpty {
      streams = [:]
      heldBytes = 0
    }
    for id in ids {
      guard let stream = streams.removeValue(forKey: id) else { continue }
      for message in stream.waiting.values { heldBytes -= message.payload.count + Self.messageCost }
    }
  }
}
