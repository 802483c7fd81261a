package import MartletPrimitives

/// Time that passes when the test says so.
package struct ManualClock: Sendable {
  package private(set) var now = Instant.zero

  package init() {}

  package mutating func advance(by span: TimeSpan) { now = now + span }

  /// Never back: a deadline that has passed already is due now.
  package mutating func advance(to instant: Instant) { now = max(now, instant) }
}
