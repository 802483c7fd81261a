/// A viewer's own sequence numbers. The stream that is forwarded may be another from one moment to the next (a layer of simulcast,
/// a new publisher), and packets may be left out of it; the viewer's numbers go on without a gap, except where packets are really
/// missing, and no number is ever given to two packets.
///
/// The numbers are kept as runs: in each, outgoing and incoming differ by a constant. A new run begins where a packet is left out or
/// the source changes. Late packets find the run they belong to, and a place is refused when the next run has taken it.
package struct SequenceRewriter: Sendable {
  /// Where an outgoing number came from.
  package struct Origin: Equatable, Sendable {
    package var source: UInt32
    package var sequenceNumber: UInt16

    package init(source: UInt32, sequenceNumber: UInt16) {
      self.source = source
      self.sequenceNumber = sequenceNumber
    }
  }

  private struct Run {
    var source: UInt32
    var firstIn: Int64
    /// The newest packet of the source while the run lasted.
    var lastIn: Int64
    var firstOut: Int64

    func outgoing(_ number: Int64) -> Int64 { firstOut + (number - firstIn) }
    /// The whole number nearest to where the run ended.
    func extended(_ number: UInt16) -> Int64 { lastIn + Int64(Int16(bitPattern: number &- UInt16(truncatingIfNeeded: lastIn))) }
  }

  /// Runs remembered for late packets and retransmissions.
  private static let maximumRuns = 64
  /// A larger jump of the source is not a loss that a viewer should ask for.
  private static let maximumGap: Int64 = 1000

  private let first: Int64
  private var source: UInt32
  /// The newest run, which nearly every packet is of, lies here and not in an array: one line of memory less for each viewer.
  private var current: Run?
  /// Those before it, the newest last.
  private var former: [Run] = []

  /// - Parameters:
  ///   - first: the first outgoing number. RFC 3711 §3.3.1 wants it below 32,768, so that a late packet before it cannot be taken
  ///     for one behind a roll-over.
  ///   - source: whose packets are forwarded first; any name of the caller's, for instance the SSRC.
  package init(first: UInt16, source: UInt32) {
    self.first = Int64(first)
    self.source = source
  }

  /// From now on another source is forwarded: its first packet follows the highest number given so far. Late packets of the former
  /// one still find their places.
  package mutating func change(to source: UInt32) { self.source = source }

  /// The outgoing number of a packet; `nil` when it must not be forwarded: its place is taken or forgotten, or its source is not
  /// forwarded any more.
  package mutating func forward(_ sequenceNumber: UInt16, of source: UInt32) -> UInt16? {
    guard source == self.source else { return late(sequenceNumber, of: source) }
    guard let current, current.source == source else { return begin(source, at: Int64(sequenceNumber)) }
    let number = current.extended(sequenceNumber)
    guard number > current.lastIn else { return late(sequenceNumber, of: source) }
    guard number - current.lastIn <= Self.maximumGap else { return begin(source, at: number) }
    self.current?.lastIn = number
    return UInt16(truncatingIfNeeded: current.outgoing(number))
  }

  /// The packet is left out on purpose: those behind it close ranks. One that comes late leaves its place empty.
  package mutating func leaveOut(_ sequenceNumber: UInt16, of source: UInt32) {
    guard source == self.source, let current, current.source == source else { return }
    let number = current.extended(sequenceNumber)
    guard number > current.lastIn, number - current.lastIn <= Self.maximumGap else { return }
    // Nothing of the run lies behind the packet left out, so the next one takes its place.
    let next = Run(source: source, firstIn: number + 1, lastIn: number, firstOut: current.outgoing(number))
    if current.lastIn < current.firstIn, number == current.lastIn + 1 {
      self.current = next
    } else {
      append(next)
    }
  }

  /// Which packet of which source an outgoing number stands for, to answer a NACK.
  package func origin(of outgoing: UInt16) -> Origin? {
    guard let current else { return nil }
    let newest = current.outgoing(current.lastIn)
    let number = newest + Int64(Int16(bitPattern: outgoing &- UInt16(truncatingIfNeeded: newest)))
    guard number <= newest else { return nil }
    guard let run = current.firstOut <= number ? current : former.last(where: { $0.firstOut <= number }) else { return nil }
    return Origin(source: run.source, sequenceNumber: UInt16(truncatingIfNeeded: run.firstIn + (number - run.firstOut)))
  }

  /// The place of a packet that is older than the newest one, or that is not of the source now forwarded.
  private func late(_ sequenceNumber: UInt16, of source: UInt32) -> UInt16? {
    guard let current else { return nil }
    if let place = place(sequenceNumber, of: source, in: current) { return free(place, before: current.outgoing(current.lastIn) + 1) }
    var limit = current.firstOut
    for run in former.reversed() {
      if let place = place(sequenceNumber, of: source, in: run) { return free(place, before: limit) }
      limit = run.firstOut
    }
    return nil
  }

  private func place(_ sequenceNumber: UInt16, of source: UInt32, in run: Run) -> Int64? {
    guard run.source == source else { return nil }
    let number = run.extended(sequenceNumber)
    return number >= run.firstIn ? run.outgoing(number) : nil
  }

  /// The next run may have taken the place.
  private func free(_ place: Int64, before limit: Int64) -> UInt16? { place < limit ? UInt16(truncatingIfNeeded: place) : nil }

  private mutating func begin(_ source: UInt32, at number: Int64) -> UInt16 {
    let outgoing = current.map { $0.outgoing($0.lastIn) + 1 } ?? first
    append(Run(source: source, firstIn: number, lastIn: number, firstOut: outgoing))
    return UInt16(truncatingIfNeeded: outgoing)
  }

  private mutating func append(_ run: Run) {
    if let current { former.append(current) }
    if former.count == Self.maximumRuns { former.removeFirst() }
    current = run
  }
}
