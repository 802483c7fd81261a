internal import MartletCodecs
package import MartletIO
internal import MartletPrimitives

/// What workers tell one another about streams. Everything goes through one ring in one order.
internal enum MediaMessage: Sendable {
  // From a publisher's worker to the stream's home.
  case begin(publication: UInt64, ClientInfo)
  case expect(publication: UInt64, Set<MediaKind>)
  case format(publication: UInt64, TrackFormat, track: UInt8)
  case frame(publication: UInt64, Frame)
  case finish(publication: UInt64)
  // From a viewer's worker to the home.
  case attach(StreamPath, WireFormat, worker: Int)
  case detach(StreamPath, formatName: String, worker: Int)
  // From the home to the others.
  case available(StreamPath)
  case configure(RingKey, opening: Slice, configuration: Slice, hasVideo: Bool)
  case unit(RingKey, WireUnit)
  case end(RingKey, EndReason)
  case revoke(publication: UInt64, KickReason)

  /// Media may be dropped when the ring is full; the rest must arrive.
  internal var mediaSize: Int? {
    switch self {
    case .frame(_, let frame): frame.payload.count
    case .unit(_, let unit): unit.bytes.count
    default: nil
    }
  }
}

internal struct RingKey: Hashable, Sendable {
  let path: StreamPath
  let format: String
}

/// The rings between all pairs of workers, made once at start.
package final class MediaMesh: Sendable {
  internal let loops: [EventLoop]
  private let rings: [[WorkerRing<MediaMessage>]]

  package init(loops: [EventLoop]) {
    self.loops = loops
    rings = loops.map { _ in loops.map { _ in WorkerRing<MediaMessage>() } }
  }

  internal func ring(from source: Int, to target: Int) -> WorkerRing<MediaMessage> { rings[source][target] }
}

/// The sending end of one pair of workers.
internal final class MediaLink {
  private let ring: WorkerRing<MediaMessage>
  private let target: EventLoop
  private let context: LoopContext
  /// Control messages that found the ring full, in order. Their number is bounded by that of streams and rings.
  private var backlog = Deque<MediaMessage>()
  private var isWakeScheduled = false
  internal private(set) var dropped = 0

  internal init(to target: EventLoop, mesh: MediaMesh, in context: LoopContext) {
    ring = mesh.ring(from: context.loop.index, to: target.index)
    self.target = target
    self.context = context
  }

  /// False when media was dropped: the sender skips to the next key frame.
  @discardableResult internal func send(_ message: MediaMessage) -> Bool {
    scheduleWake()
    if let size = message.mediaSize {
      if backlog.isEmpty, ring.push(message, size: size) { return true }
      dropped += 1
      return false
    }
    if !backlog.isEmpty || !ring.push(message, size: 0) { backlog.append(message) }
    return true
  }

  private func scheduleWake() {
    guard !isWakeScheduled else { return }
    isWakeScheduled = true
    context.atEndOfTurn { [weak self] in self?.wake() }
  }

  private func wake() {
    isWakeScheduled = false
    while let first = backlog.first, ring.push(first, size: 0) { backlog.popFirst() }
    if !backlog.isEmpty { context.schedule(after: .milliseconds(5)) { [weak self] in self?.scheduleWake() } }
    let source = context.loop.index
    target.post { context in context.service(MediaHub.self).drain(from: source) }
  }
}

/// The home's end of a format that another worker's viewers watch.
internal final class RemoteTarget: WireTarget {
  internal let worker: Int
  private let link: MediaLink
  private let key: RingKey
  private var awaitsJoinPoint = false

  internal init(worker: Int, link: MediaLink, key: RingKey) {
    self.worker = worker
    self.link = link
    self.key = key
  }

  internal func configure(opening: Slice, configuration: Slice, hasVideo: Bool) {
    awaitsJoinPoint = false
    link.send(.configure(key, opening: opening, configuration: configuration, hasVideo: hasVideo))
  }

  internal func append(_ unit: WireUnit) {
    if awaitsJoinPoint, !unit.isJoinPoint { return }
    awaitsJoinPoint = !link.send(.unit(key, unit))
  }

  internal func end(_ reason: EndReason) { link.send(.end(key, reason)) }
}
