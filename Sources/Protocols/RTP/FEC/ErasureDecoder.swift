internal import MartletPrimitives

/// Makes the lost packets of one source out of repair packets and those that came. It keeps copies of what comes, so it is for
/// sources that repair packets come for.
package struct ErasureDecoder: Sendable {
  package struct Limits: Sendable {
    /// Media packets kept; rounded up to a power of two, at most 1024.
    package var packets = 256
    /// Repair packets that wait for more media.
    package var repairs = 16
    package init() {}
  }

  private struct Kept: Sendable {
    let number: UInt16
    let packet: [UInt8]
  }

  private let limits: Limits
  private var kept: [Kept?]
  private var newest: UInt16?
  private var repairs: [RepairPacket] = []
  private var recovered = Deque<[UInt8]>()
  /// Packets that were made.
  package private(set) var recoveredCount = 0

  package init(limits: Limits = Limits()) {
    self.limits = limits
    var capacity = 16
    while capacity < min(limits.packets, 1024) { capacity *= 2 }
    kept = [Kept?](repeating: nil, count: capacity)
  }

  /// Takes a packet that came, as its sender saw it when it made the repair packets: see `clearMutableExtensions`.
  package mutating func receive(_ packet: [UInt8], number: UInt16) {
    keep(packet, number)
    recover()
  }

  package mutating func receive(_ repair: RepairPacket) {
    guard isNear(repair.base) else { return }
    if repairs.count >= limits.repairs { repairs.removeFirst() }
    repairs.append(repair)
    recover()
  }

  /// The next packet that was lost: whole, as RTP.
  package mutating func pollPacket() -> [UInt8]? { recovered.popFirst() }

  private mutating func keep(_ packet: [UInt8], _ number: UInt16) {
    if newest.map({ Int16(bitPattern: number &- $0) > 0 }) ?? true { newest = number }
    guard isNear(number) else { return }
    kept[Int(number) & (kept.count - 1)] = Kept(number: number, packet: packet)
  }

  private func packet(_ number: UInt16) -> [UInt8]? {
    guard let found = kept[Int(number) & (kept.count - 1)], found.number == number, isNear(number) else { return nil }
    return found.packet
  }

  /// What lies further back has been overwritten, or is of an earlier round of the numbers.
  private func isNear(_ number: UInt16) -> Bool {
    newest.map { abs(Int(Int16(bitPattern: number &- $0))) < kept.count } ?? true
  }

  /// A packet that is made may be the last that another repair packet waited for.
  private mutating func recover() {
    var index = 0
    while index < repairs.count {
      let repair = repairs[index]
      let missing = missing(of: repair)
      guard missing.count < 2 else {
        // It may still help, unless its packets are out of reach.
        if isNear(repair.base) { index += 1 } else { repairs.remove(at: index) }
        continue
      }
      repairs.remove(at: index)
      guard let number = missing.first, let made = solve(repair, for: number) else { continue }
      keep(made, number)
      recoveredCount += 1
      recovered.append(made)
      index = 0
    }
  }

  /// The first of the lost packets, and how many: 0, 1, or 2 for more.
  private func missing(of repair: RepairPacket) -> (first: UInt16?, count: Int) {
    var first: UInt16?
    for number in repair.numbers where packet(number) == nil {
      if first != nil { return (first, 2) }
      first = number
    }
    return (first, first == nil ? 0 : 1)
  }

  private func solve(_ repair: RepairPacket, for missing: UInt16) -> [UInt8]? {
    var parity = repair.parity
    for number in repair.numbers where number != missing {
      guard let packet = packet(number) else { return nil }
      parity.toggle(packet.span.bytes)
    }
    return parity.packet(sequenceNumber: missing, ssrc: repair.ssrc)
  }
}

extension RTPHeader {
  /// The values that a sender fills in when a packet leaves, after its parity was made, count as zero.
  package func clearMutableExtensions(_ packet: UnsafeMutableRawBufferPointer, _ extensions: HeaderExtensions) {
    for kind in [HeaderExtensionKind.transmissionOffset, .absoluteSendTime, .transportSequenceNumber] {
      let found = value(of: kind, in: UnsafeRawBufferPointer(packet).bytes, extensions)
      guard let range = found, range.upperBound <= packet.count else { continue }
      UnsafeMutableRawBufferPointer(rebasing: packet[range]).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }
}
