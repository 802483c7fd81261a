internal import MartletPrimitives

/// What workers tell one another about one subject: streams, channels. Everything of a subject goes through one ring for each
/// pair of workers, in one order.
package protocol WorkerMessage: Sendable {
  /// Bytes of data, which may be dropped when the ring is full; `nil` for control, which must arrive.
  var droppableSize: Int? { get }
}

/// The rings between all pairs of workers, made once at start.
package final class WorkerMesh<Message: WorkerMessage>: Sendable {
  package let loops: [EventLoop]
  private let rings: [[WorkerRing<Message>]]

  package init(loops: [EventLoop]) {
    self.loops = loops
    rings = loops.map { _ in loops.map { _ in WorkerRing<Message>() } }
  }

  package func ring(from source: Int, to target: Int) -> WorkerRing<Message> { rings[source][target] }
}

/// The sending end of one pair of workers.
package final class WorkerLink<Message: WorkerMessage> {
  private let ring: WorkerRing<Message>
  private let target: EventLoop
  private let context: LoopContext
  private let drain: @Sendable (LoopContext, _ source: Int) -> Void
  /// Control messages that found the ring full, in order. What they are about bounds their number.
  private var backlog = Deque<Message>()
  private var isWakeScheduled = false
  /// Data that found no room.
  package private(set) var dropped = 0

  /// - Parameter drain: runs on the target's loop after something was sent, with the index of this worker; it empties the ring.
  package init(
    to target: EventLoop, mesh: WorkerMesh<Message>, in context: LoopContext,
    drain: @escaping @Sendable (LoopContext, _ source: Int) -> Void
  ) {
    ring = mesh.ring(from: context.loop.index, to: target.index)
    self.target = target
    self.context = context
    self.drain = drain
  }

  /// - Returns: false when data was dropped.
  @discardableResult package func send(_ message: Message) -> Bool {
    scheduleWake()
    if let size = message.droppableSize {
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
    target.post { [source = context.loop.index, drain] context in drain(context, source) }
  }
}
