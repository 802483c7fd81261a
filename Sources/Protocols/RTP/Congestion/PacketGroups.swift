internal import MartletPrimitives

/// Puts packets that were sent together into groups, and tells how much further apart two groups arrived than they had been sent
/// (draft-ietf-rmcat-gcc-02 §5.2): pictures and pacing make bursts, within which the spacing says nothing about the queue.
struct PacketGroups: Sendable {
  /// Of a group to the one before.
  struct Step: Equatable, Sendable {
    var sent: TimeSpan
    var arrival: TimeSpan
    /// When the later group had arrived.
    var at: Instant
  }

  private struct Group: Sendable {
    var firstSent: Instant, lastSent: Instant
    var firstArrival: Instant, lastArrival: Instant
  }

  private static let burst = TimeSpan.milliseconds(5)
  /// Longer gaps, and arrivals that run backwards, are a clock that jumped.
  private static let longestStep = TimeSpan.seconds(3)

  private var previous: Group?
  private var current: Group?

  /// - Returns: the step to a group that is complete, since this packet begins the next one.
  mutating func add(sent: Instant, arrival: Instant) -> Step? {
    let alone = Group(firstSent: sent, lastSent: sent, firstArrival: arrival, lastArrival: arrival)
    guard var group = current else {
      current = alone
      return nil
    }
    // One that was sent before its group has been overtaken.
    guard sent >= group.firstSent else { return nil }
    if belongs(sent, arrival, to: group) {
      group.lastSent = max(group.lastSent, sent)
      group.lastArrival = max(group.lastArrival, arrival)
      current = group
      return nil
    }
    defer { (previous, current) = (group, alone) }
    guard let previous else { return nil }
    return step(from: previous, to: group)
  }

  private func belongs(_ sent: Instant, _ arrival: Instant, to group: Group) -> Bool {
    if sent - group.firstSent <= Self.burst { return true }
    // What was held up somewhere and comes in one go is one group, whenever it was sent.
    let gap = arrival - group.lastArrival
    return gap <= Self.burst && gap < sent - group.lastSent && arrival - group.firstArrival < TimeSpan.milliseconds(100)
  }

  private mutating func step(from earlier: Group, to later: Group) -> Step? {
    let step = Step(sent: later.lastSent - earlier.lastSent, arrival: later.lastArrival - earlier.lastArrival, at: later.lastArrival)
    return step.arrival < .zero || step.arrival > Self.longestStep || step.sent > Self.longestStep ? nil : step
  }
}
