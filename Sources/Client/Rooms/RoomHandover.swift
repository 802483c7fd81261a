internal import MartletPrimitives

/// From one topology to the next: who still needs the connections of the one before (docs/rooms.md, "Who connects to whom").
internal struct RoomHandover {
  private struct Party {
    /// All that came of it the old way comes the new way.
    var isOurs = false
    /// It has said the same.
    var isTheirs: Bool
  }

  internal private(set) var isRunning = false
  internal private(set) var generation: Int64 = 0
  /// Some programs never say it.
  private static let patience = TimeSpan.seconds(10)
  private var pending: [String: Party] = [:]
  /// The newest topology for which each participant has said so, perhaps before we knew of that.
  private var said: [String: Int64] = [:]
  private var end: Instant?
  private(set) var isLate = false

  internal var deadline: Instant? { isRunning && !isLate ? end : nil }

  internal mutating func begin(_ generation: Int64, with ids: [String], now: Instant) {
    stop()
    (self.generation, isRunning, end) = (generation, true, now + Self.patience)
    for id in ids { pending[id] = Party(isTheirs: said[id] == generation) }
  }

  /// Whether it is to be looked at if all of a participant comes the new way by now.
  internal func needs(_ id: String) -> Bool { pending[id]?.isOurs == false }

  internal mutating func complete(_ id: String) { pending[id]?.isOurs = true }

  internal mutating func hear(_ id: String, _ generation: Int64) {
    said[id] = generation
    if generation == self.generation { pending[id]?.isTheirs = true }
  }

  internal mutating func forget(_ id: String) {
    said[id] = nil
    pending[id] = nil
  }

  internal mutating func stop() {
    (isRunning, isLate, end) = (false, false, nil)
    pending = [:]
  }

  internal mutating func timeout(now: Instant) { if let end, end <= now { isLate = true } }

  /// One whose old connection both sides can do without.
  internal mutating func popDone() -> String? {
    guard let done = pending.first(where: { $0.value.isOurs && ($0.value.isTheirs || isLate) })?.key else { return nil }
    pending[done] = nil
    return done
  }

  /// - Returns: true once, when nobody is left.
  internal mutating func hasFinished() -> Bool {
    guard isRunning, pending.isEmpty else { return false }
    stop()
    return true
  }
}
