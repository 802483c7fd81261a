package import MartletCodecs
package import MartletIO
internal import MartletPrimitives

/// What a viewer's session hears from its reader.
package protocol RingReaderOwner: AnyObject {
  /// The stream is live, now or already when the reader began to wait; answer with `start`. Comes again when the stream
  /// ended and begins anew.
  func readerDidBegin(_ reader: RingReader)
  /// Nothing more will come; what the ring holds is still being sent.
  func readerDidEnd(_ reader: RingReader, _ reason: EndReason)
  /// The session must go.
  func readerWasKicked(_ reader: RingReader, _ reason: KickReason)
}

package enum KickReason: Sendable, CustomStringConvertible {
  case stuck
  case administrator
  case expired

  package var description: String {
    switch self {
    case .stuck: "took nothing for too long"
    case .administrator: "closed by an administrator"
    case .expired: "its permission expired"
    }
  }
}

/// One viewer: a cursor into a ring, pulled by its connection or HTTP/2 stream whenever the socket takes more.
package final class RingReader: OutputSource {
  package let ring: WireRing
  package let client: ClientInfo
  package weak var owner: (any RingReaderOwner)?
  /// Strong until `stop`: a weak reference would make every retain of a connection take the slow path.
  package private(set) var sink: (any OutputSink)?

  /// Where the ring lists it.
  internal var place: Int?
  /// The next unit, once the viewer has begun.
  private var cursor: Int?
  private var sentOpening = false
  private var sentGeneration = 0
  private var progress = SendProgress()
  private var isPaused = false
  private var hidden: Set<MediaKind> = []
  package private(set) var skips = 0
  package private(set) var bytesSent = 0

  package init(ring: WireRing, client: ClientInfo, sink: any OutputSink) {
    self.ring = ring
    self.client = client
    self.sink = sink
  }

  /// Keeps the ring in being and waits for the stream to be live.
  package func wait() { ring.add(self) }

  /// Begins to send: the connection pulls from here until `stop`.
  package func start() {
    sink?.boundKernelOutput()
    sink?.source = self
  }

  /// Hears no more of the stream, but goes on sending what the ring holds.
  package func leaveRing() { ring.remove(self) }

  package func stop() {
    leaveRing()
    if sink?.source === self { sink?.source = nil }
    sink = nil
  }

  /// While paused nothing is sent; afterwards the viewer goes on at the newest join point.
  package func setPaused(_ paused: Bool) {
    isPaused = paused
    if !paused {
      cursor = nil
      sink?.setNeedsFlush()
    }
  }

  /// Leaves a kind of media out, as RTMP's receiveAudio and receiveVideo ask.
  package func setHidden(_ kind: MediaKind, _ isHidden: Bool) {
    if isHidden { hidden.insert(kind) } else { hidden.remove(kind) }
  }

  internal func streamDidBegin() { owner?.readerDidBegin(self) }

  internal func streamDidEnd(_ reason: EndReason) { owner?.readerDidEnd(self, reason) }

  package func kick(_ reason: KickReason) { owner?.readerWasKicked(self, reason) }

  internal func isStuck(now: Instant, limit: TimeSpan) -> Bool {
    guard let sink, let cursor, cursor < ring.head || progress.isMidItem else { return false }
    return now - sink.lastWrite > limit
  }

  // MARK: OutputSource

  package var isMidMessage: Bool { progress.isMidItem }

  package var hasMore: Bool { cursor.map { $0 < ring.head } ?? false }

  package func gather(into vector: IOVector, _ scope: GatherScope) {
    progress.gather(into: vector)
    guard scope == .all, !isPaused, reposition() else { return }
    if !sentOpening { vector.append(ring.opening) }
    if sentGeneration != ring.generation { vector.append(ring.configuration) }
    guard var sequence = cursor else { return }
    while sequence < ring.head, !vector.isFull {
      let unit = ring.unit(at: sequence)
      if shows(unit) { vector.append(unit.bytes) }
      sequence += 1
    }
  }

  package func advance(by count: Int) {
    bytesSent += count
    progress.advance(by: count) { next() }
  }

  /// Takes the next item in the order of `gather`.
  private func next() -> Slice? {
    if !sentOpening {
      sentOpening = true
      if !ring.opening.isEmpty { return ring.opening }
    }
    if sentGeneration != ring.generation {
      sentGeneration = ring.generation
      if !ring.configuration.isEmpty { return ring.configuration }
    }
    while let sequence = cursor, sequence < ring.head {
      cursor = sequence + 1
      let unit = ring.unit(at: sequence)
      if shows(unit) { return unit.bytes }
    }
    return nil
  }

  /// Puts the cursor on a unit that still exists; false when the viewer must wait for the next join point.
  private func reposition() -> Bool {
    if let cursor, cursor >= ring.base, !mustRejoin { return true }
    guard let join = ring.joinPoint else { return false }
    if let cursor, cursor < ring.base { skips += 1 }
    cursor = join
    return true
  }

  /// A new configuration began before the cursor reached it: the units between belong to the old decoder.
  private var mustRejoin: Bool {
    guard sentGeneration != 0, sentGeneration != ring.generation, let cursor else { return false }
    return cursor < (ring.joinPoint ?? ring.head)
  }

  private func shows(_ unit: WireUnit) -> Bool { hidden.isEmpty || !hidden.contains(unit.kind) }
}
