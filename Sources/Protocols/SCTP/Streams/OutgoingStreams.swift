internal import MartletPrimitives

/// The messages of all streams, and which of them goes next: weighted fair queueing (RFC 8260 §3.6, RFC 8831 §6.4), by fragments
/// where I-DATA lets streams interleave, else by messages.
struct OutgoingStreams {
  enum Next {
    case fragment(OutgoingChunk)
    /// The rest of a message that has expired: takes a TSN and is not sent.
    case abandoned(OutgoingChunk)
    case nothing
  }

  private var streams: [UInt16: OutgoingStream] = [:]
  private var schedule = ScheduleHeap()
  private var virtualTime: UInt64 = 0
  /// The stream whose message must be finished before another may begin, without interleaving.
  private var unfinished: UInt16?
  private var lastMessage: UInt64 = 0
  private(set) var bufferedBytes = 0
  private(set) var abandonedMessages = 0
  /// Streams whose buffer fell to its threshold.
  private(set) var low: [UInt16] = []
  /// Agreed on in the handshake, before anything is sent.
  var isInterleaved = false
  /// The peer understands that the rest of a message will not come.
  var mayAbandonParts = false

  var isEmpty: Bool { schedule.isEmpty && unfinished == nil }

  subscript(id: UInt16) -> OutgoingStream? { streams[id] }

  // MARK: Commands

  mutating func append(_ message: OutgoingMessage, to id: UInt16) {
    var wasIdle = false
    update(id) {
      $0.messages.append(message)
      if message.isCounted { $0.bufferedBytes += message.payload.count }
      wasIdle = !$0.isScheduled
    }
    bufferedBytes += message.payload.count
    if wasIdle { reschedule(id, from: virtualTime) }
  }

  mutating func update(_ id: UInt16, _ change: (inout OutgoingStream) -> Void) { change(&streams[id, default: OutgoingStream()]) }

  /// A stream after its reset, or after the peer has refused it: then its numbers go on.
  mutating func reopen(_ id: UInt16, restarts: Bool) {
    if restarts { streams[id] = nil } else { update(id) { $0.isClosing = false } }
  }

  /// Drops what waits on streams that the peer does not take.
  mutating func drop(from limit: UInt16) {
    for (id, stream) in streams where id >= limit {
      for message in stream.messages { bufferedBytes -= message.payload.count }
      schedule.remove(id)
      streams[id] = nil
    }
  }

  mutating func takeLow() -> [UInt16] { low.isEmpty ? [] : exchange(&low, with: []) }

  mutating func removeAll() {
    streams = [:]
    schedule = ScheduleHeap()
    unfinished = nil
    bufferedBytes = 0
  }

  // MARK: Scheduling

  /// The cost of the next piece decides on the turn, so that a high priority gets its share of bytes, not of messages.
  private mutating func reschedule(_ id: UInt16, from start: UInt64) {
    guard let stream = streams[id], let first = stream.messages.first else { return }
    let bytes = min(first.payload.count - stream.offset, Self.turnBytes)
    let finish = start &+ UInt64(bytes + Self.messageCost) * Self.scale / UInt64(max(1, stream.weight))
    update(id) {
      $0.isScheduled = true
      $0.finish = finish
    }
    schedule.push(finish, id)
  }

  private static let turnBytes = 1200
  /// What a message costs besides its bytes.
  private static let messageCost = 32
  private static let scale: UInt64 = 1024

  /// - Parameters:
  ///   - room: payload bytes that the packet still takes.
  ///   - full: what a packet takes that holds nothing else: a message that fits into it is never cut.
  ///   - mayCut: a longer message will not find more room than here.
  mutating func next(room: Int, full: Int, mayCut: Bool, now: Instant) -> Next {
    while let id = unfinished ?? schedule.first, let stream = streams[id], let message = stream.messages.first {
      if message.expiresAt <= now, stream.offset == 0 || mayAbandonParts {
        abandonedMessages += 1
        if let chunk = dropFirst(id) { return .abandoned(chunk) }
        continue
      }
      let left = message.payload.count - stream.offset
      // Nor is a longer one cut into crumbs that fill the end of a packet.
      guard room > 0, left <= room || left > full && (mayCut || room >= Self.smallestPiece) else { return .nothing }
      return .fragment(take(id, message, min(left, room)))
    }
    return .nothing
  }

  private static let smallestPiece = 512

  private mutating func take(_ id: UInt16, _ message: OutgoingMessage, _ count: Int) -> OutgoingChunk {
    var isDone = false
    var chunk = OutgoingChunk(
      payload: Slice(), message: 0, stream: id, flags: message.isUnordered ? .unordered : [], messageNumber: 0, fragmentNumber: 0,
      protocolID: message.protocolID, retransmissionLimit: message.retransmissionLimit, expiresAt: message.expiresAt)
    begin(id, message)
    update(id) { stream in
      chunk.payload = message.payload.sub(stream.offset..<stream.offset + count)
      (chunk.message, chunk.messageNumber, chunk.fragmentNumber) = (stream.message, stream.messageNumber, stream.fragments)
      if stream.offset == 0 { chunk.flags.insert(.begin) }
      stream.offset += count
      stream.fragments &+= 1
      isDone = stream.offset == message.payload.count
    }
    if isDone { chunk.flags.insert(.end) }
    consume(id, count, message)
    advance(id, isDone: isDone)
    return chunk
  }

  /// Gives a message its number when its first fragment goes: one that expires before that leaves no gap.
  private mutating func begin(_ id: UInt16, _ message: OutgoingMessage) {
    guard let stream = streams[id], stream.offset == 0 else { return }
    lastMessage += 1
    let (identity, isInterleaved) = (lastMessage, isInterleaved)
    update(id) {
      $0.message = identity
      $0.messageNumber = $0.takeNumber(isUnordered: message.isUnordered, isInterleaved: isInterleaved)
      $0.fragments = 0
    }
  }

  private mutating func consume(_ id: UInt16, _ count: Int, _ message: OutgoingMessage) {
    bufferedBytes -= count
    guard message.isCounted, let stream = streams[id] else { return }
    let left = stream.bufferedBytes - count
    if let threshold = stream.lowThreshold, stream.bufferedBytes > threshold, left <= threshold { low.append(id) }
    update(id) { $0.bufferedBytes = left }
  }

  /// The turn goes to another stream, unless this one must finish its message first.
  private mutating func advance(_ id: UInt16, isDone: Bool) {
    let wasScheduled = unfinished == nil
    if wasScheduled {
      schedule.popFirst()
      virtualTime = max(virtualTime, streams[id]?.finish ?? 0)
    }
    if isDone {
      update(id) {
        $0.messages.popFirst()
        $0.offset = 0
        if $0.messages.isEmpty { $0.messages.removeAll() }
      }
    }
    guard isDone || isInterleaved else {
      unfinished = id
      return
    }
    unfinished = nil
    update(id) { $0.isScheduled = false }
    reschedule(id, from: max(virtualTime, streams[id]?.finish ?? 0))
  }

  // MARK: Giving up

  /// Drops the first message of a stream.
  /// - Returns: a stand-in for what has not gone, when a part of it has: the peer must be told to stop waiting.
  private mutating func dropFirst(_ id: UInt16) -> OutgoingChunk? {
    guard let stream = streams[id], let message = stream.messages.first else { return nil }
    consume(id, message.payload.count - stream.offset, message)
    advance(id, isDone: true)
    guard stream.offset > 0 else { return nil }
    return OutgoingChunk(
      payload: Slice(), message: stream.message, stream: id, flags: message.isUnordered ? [.unordered, .end] : .end,
      messageNumber: stream.messageNumber, fragmentNumber: stream.fragments, protocolID: message.protocolID,
      retransmissionLimit: message.retransmissionLimit, expiresAt: message.expiresAt)
  }

  /// Drops what is left of a message of which fragments were sent.
  mutating func dropRest(of chunk: OutgoingChunk) -> OutgoingChunk? {
    guard let stream = streams[chunk.stream], stream.offset > 0, stream.message == chunk.message else { return nil }
    guard unfinished == chunk.stream || isInterleaved else { return nil }
    if unfinished == nil { schedule.remove(chunk.stream) }
    // `advance` takes the first of the schedule unless a message is unfinished: here the stream was taken out already.
    unfinished = chunk.stream
    return dropFirst(chunk.stream)
  }
}

/// Streams by when their next piece would be through, equal ones in the order in which they came: a binary heap.
private struct ScheduleHeap {
  private struct Entry {
    var finish: UInt64
    var order: UInt64
    var id: UInt16

    static func < (a: Entry, b: Entry) -> Bool { a.finish == b.finish ? a.order < b.order : a.finish < b.finish }
  }

  private var entries: [Entry] = []
  private var pushed: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }
  var first: UInt16? { entries.first?.id }

  mutating func push(_ finish: UInt64, _ id: UInt16) {
    pushed += 1
    entries.append(Entry(finish: finish, order: pushed, id: id))
    siftUp(entries.count - 1)
  }

  mutating func popFirst() {
    guard let last = entries.popLast(), !entries.isEmpty else { return }
    entries[0] = last
    siftDown(0)
  }

  mutating func remove(_ id: UInt16) {
    guard let place = entries.firstIndex(where: { $0.id == id }), let last = entries.popLast(), place < entries.count else { return }
    entries[place] = last
    siftDown(place)
    siftUp(place)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0, entries[child] < entries[(child - 1) / 2] {
      entries.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && entries[child] < entries[least] {
        least = child
      }
      guard least != parent else { return }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}
