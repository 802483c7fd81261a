package import MartletPrimitives

/// Writes down when packets with transport-wide sequence numbers arrive and reports it at an interval
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01). Times of reported packets are kept for a while: when one arrives late, the
/// next feedback begins at it, and those between are reported once more, as what they are.
package struct TransportFeedbackGenerator: Sendable {
  package struct Limits: Sendable {
    /// From the first arrival after a feedback to the next feedback.
    package var interval = TimeSpan.milliseconds(100)
    /// Packets remembered, received or not; a number further away begins anew.
    package var window = 2048
    /// Arrivals in one feedback. It then fits a datagram whatever the pattern: 2 bytes for each arrival, and 2 for every seven packets
    /// of the window.
    package var arrivals = 256
    /// How long the times of reported packets are kept.
    package var memory = TimeSpan.milliseconds(500)

    package init() {}
  }

  /// An arrival in units of 250 µs.
  private typealias Ticks = Int64
  private static let ticksPerReference: Ticks = 256

  private let limits: Limits
  /// From `firstNumber` on; `nil` has not arrived.
  private var arrivals = Deque<Ticks?>()
  private var firstNumber: Int64 = 0
  private var nextToReport: Int64 = 0
  /// When the feedback is due; `nil` with nothing to report.
  package private(set) var deadline: Instant?
  private var feedbackCount: UInt8 = 0

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// A packet with this number in its transport-wide-cc extension came, of whatever source.
  package mutating func receive(_ sequenceNumber: UInt16, now: Instant) {
    let number = extended(sequenceNumber)
    let ticks = now.nanoseconds / TransportFeedback.deltaUnit.nanoseconds
    if arrivals.isEmpty {
      restart(at: number)
    } else if number < firstNumber {
      // Before all memory: too late to matter.
      guard arrivals.count + Int(firstNumber - number) <= limits.window else { return }
      for _ in number..<firstNumber { arrivals.prepend(nil) }
      firstNumber = number
    } else if number >= end + Int64(limits.window) {
      restart(at: number)
    }
    while end <= number { arrivals.append(nil) }
    let place = Int(number - firstNumber)
    // A duplicate does not change when the packet arrived.
    guard arrivals[place] == nil else { return }
    arrivals[place] = ticks
    nextToReport = min(nextToReport, number)
    while arrivals.count > limits.window { dropFirst() }
    if deadline == nil { deadline = now + limits.interval }
    if end - nextToReport >= Int64(limits.arrivals) { deadline = min(now, deadline ?? now) }
  }

  /// The feedback that is due, one at a time.
  package mutating func poll(sender: UInt32, media: UInt32, now: Instant) -> TransportFeedback? {
    guard let deadline, deadline <= now else { return nil }
    forgetOld(now)
    guard let first = firstArrival(from: nextToReport) else {
      self.deadline = nil
      return nil
    }
    let reference = Self.floorDivide(first, Self.ticksPerReference)
    var feedback = TransportFeedback(
      sender: sender, media: media, baseSequenceNumber: UInt16(truncatingIfNeeded: nextToReport),
      // 24 bits with the sign extended.
      referenceTime: (Int32(truncatingIfNeeded: reference) << 8) >> 8, feedbackCount: feedbackCount, deltas: [])
    nextToReport = fill(&feedback, since: reference * Self.ticksPerReference)
    feedbackCount &+= 1
    if firstArrival(from: nextToReport) == nil { self.deadline = nil }
    return feedback
  }

  private var end: Int64 { firstNumber + Int64(arrivals.count) }

  private func extended(_ sequenceNumber: UInt16) -> Int64 {
    guard !arrivals.isEmpty else { return Int64(sequenceNumber) }
    let newest = end - 1
    return newest + Int64(Int16(bitPattern: sequenceNumber &- UInt16(truncatingIfNeeded: newest)))
  }

  private func firstArrival(from number: Int64) -> Ticks? {
    for index in Int(number - firstNumber)..<arrivals.count {
      if let ticks = arrivals[index] { return ticks }
    }
    return nil
  }

  /// Adds packets from `nextToReport` up to the last arrival that fits, and answers the number behind it. An arrival too far from
  /// the one before it for a delta begins another feedback.
  private func fill(_ feedback: inout TransportFeedback, since reference: Ticks) -> Int64 {
    var previous = reference
    var next = nextToReport
    var count = 0
    while next < end, count < limits.arrivals {
      if let ticks = arrivals[Int(next - firstNumber)] {
        guard let delta = Int16(exactly: ticks - previous) else { break }
        feedback.deltas.append(delta)
        previous = ticks
        count += 1
      } else {
        feedback.deltas.append(nil)
      }
      next += 1
    }
    // What has not arrived at the end may still come: it is left for the next feedback.
    while case .some(.none) = feedback.deltas.last {
      feedback.deltas.removeLast()
      next -= 1
    }
    return next
  }

  private mutating func restart(at number: Int64) {
    arrivals.removeAll()
    firstNumber = number
    nextToReport = number
  }

  private mutating func dropFirst() {
    arrivals.popFirst()
    firstNumber += 1
    nextToReport = max(nextToReport, firstNumber)
  }

  private mutating func forgetOld(_ now: Instant) {
    let oldest = (now - limits.memory).nanoseconds / TransportFeedback.deltaUnit.nanoseconds
    // One is kept, so that the next number is seen to follow it.
    while firstNumber < nextToReport, arrivals.count > 1, (arrivals[0] ?? .min) < oldest { dropFirst() }
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 { (value - (value % divisor + divisor) % divisor) / divisor }
}
