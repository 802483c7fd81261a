package import MartletPrimitives

/// Numbers the packets of a transport and tells, from the peer's feedback, what became of each: the input of a bandwidth estimator.
package struct TransportFeedbackReader: Sendable {
  package struct Limits: Sendable {
    /// Packets remembered until they are reported.
    package var packets = 4096
    /// What is not reported within this time never will be.
    package var age = TimeSpan.seconds(5)

    package init() {}
  }

  /// What became of a packet.
  package struct Result: Equatable, Sendable {
    package var sequenceNumber: UInt16
    package var sent: Instant
    /// As given to `send`.
    package var bytes: Int
    package var probe: UInt16
    /// On the receiver's clock, of which only differences mean anything, in steps of 250 µs; `nil` when it has not arrived, which
    /// a later feedback may correct.
    package var arrival: Instant?
  }

  private struct Sent: Sendable {
    enum Fate { case unknown, lost, received }
    var time: Instant
    var bytes: Int32
    var probe: UInt16
    var fate = Fate.unknown
  }

  private let limits: Limits
  private var sent = Deque<Sent>()
  private var firstNumber: Int64
  private var reference = Unwrapper(bits: 24)

  /// - Parameter first: the number of the first packet.
  package init(first: UInt16 = 1, limits: Limits = Limits()) {
    self.limits = limits
    firstNumber = Int64(first)
  }

  /// Packets whose fate may still be told.
  package var outstanding: Int { sent.count }

  /// Takes the number that goes into the packet's transport-wide-cc extension.
  ///
  /// - Parameters:
  ///   - bytes: whatever the estimator counts, usually the size of the datagram.
  ///   - probe: the cluster of probes that it belongs to; 0 for none.
  package mutating func send(bytes: Int, probe: UInt16 = 0, now: Instant) -> UInt16 {
    while let first = sent.first, sent.count >= limits.packets || now - first.time > limits.age || first.fate == .received { dropFirst() }
    let number = firstNumber + Int64(sent.count)
    sent.append(Sent(time: now, bytes: Int32(clamping: bytes), probe: probe))
    return UInt16(truncatingIfNeeded: number)
  }

  /// Appends what the feedback tells for the first time, in sending order.
  package mutating func receive(_ feedback: TransportFeedback, into results: inout [Result]) {
    // The nearest to what was sent last; what does not lie among the sent packets is passed over.
    let next = firstNumber + Int64(sent.count)
    let base = next + Int64(Int16(bitPattern: feedback.baseSequenceNumber &- UInt16(truncatingIfNeeded: next)))
    let cycle = reference.unwrap(UInt64(UInt32(bitPattern: feedback.referenceTime) & 0xFF_FFFF))
    var arrival = Instant(nanoseconds: cycle &* TransportFeedback.referenceUnit.nanoseconds)
    for (offset, delta) in feedback.deltas.enumerated() {
      if let delta { arrival = arrival + TransportFeedback.deltaUnit * Int(delta) }
      let number = base + Int64(offset)
      guard number >= firstNumber, number < next else { continue }
      report(number, delta == nil ? nil : arrival, into: &results)
    }
  }

  private mutating func report(_ number: Int64, _ arrival: Instant?, into results: inout [Result]) {
    let place = Int(number - firstNumber)
    let fate = sent[place].fate
    // A packet that arrived is not lost again by a feedback that overtook another.
    guard fate == .unknown || (fate == .lost && arrival != nil) else { return }
    sent[place].fate = arrival == nil ? .lost : .received
    results.append(
      Result(
        sequenceNumber: UInt16(truncatingIfNeeded: number), sent: sent[place].time, bytes: Int(sent[place].bytes),
        probe: sent[place].probe, arrival: arrival))
  }

  private mutating func dropFirst() {
    sent.popFirst()
    firstNumber += 1
  }
}
