/// The sequence numbers of one source, extended by their roll-overs, and how many came (RFC 3550 A.1).
struct SequenceRange: Sendable {
  enum Verdict: Equatable { case advanced, late, restarted, implausible }

  /// A.1: a jump of more is a restart, or a stray packet.
  private static let maximumDropout: UInt16 = 3000
  private static let maximumMisorder: UInt16 = 100

  private(set) var first: Int64
  private(set) var highest: Int64
  private(set) var received: Int64 = 1
  /// What would follow a packet that jumped.
  private var suspect: UInt16?

  init(first: UInt16) {
    self.first = Int64(first)
    highest = Int64(first)
  }

  var expected: Int64 { highest - first + 1 }

  mutating func receive(_ number: UInt16) -> Verdict {
    let step = number &- UInt16(truncatingIfNeeded: highest)
    if step > 0, step < Self.maximumDropout {
      highest += Int64(step)
      received += 1
      suspect = nil
      return .advanced
    }
    if step == 0 || step > 0 &- Self.maximumMisorder {
      received += 1
      return .late
    }
    // Two in a row: the source has begun anew.
    guard suspect == number else {
      suspect = number &+ 1
      return .implausible
    }
    self = SequenceRange(first: number)
    return .restarted
  }
}
