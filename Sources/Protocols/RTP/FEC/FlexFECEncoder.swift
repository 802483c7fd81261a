package import MartletPrimitives

/// Makes one repair packet for every few packets of a source: it protects against the loss of one of them. A loss of several in a row is
/// spread over `interleaving` repair packets.
package struct FlexFECEncoder: Sendable {
  private struct Group: Sendable {
    var parity = Parity()
    var base: UInt16 = 0
    var mask: UInt64 = 0
    var count = 0
  }

  private let ssrc: UInt32
  /// Media packets for a repair packet, 1 to 24.
  package var groupSize: Int {
    didSet { groupSize = min(max(1, groupSize), 24) }
  }
  private var groups: [Group]
  private var turn = 0
  private var last: UInt16?

  package init(ssrc: UInt32, groupSize: Int = 10, interleaving: Int = 1) {
    self.ssrc = ssrc
    self.groupSize = min(max(1, groupSize), 24)
    groups = [Group](repeating: Group(), count: min(max(1, interleaving), 4))
  }

  /// Adds a packet as it is sent, with what `clearMutableExtensions` clears at zero. One that is not newer than all before, such as a
  /// retransmission, is passed over.
  /// - Returns: whether a repair packet is complete and its payload was appended to `writer`.
  package mutating func add(_ packet: RawSpan, number: UInt16, into writer: inout ByteWriter) -> Bool {
    guard last.map({ Int16(bitPattern: number &- $0) > 0 }) ?? true else { return false }
    last = number
    turn = (turn + 1) % groups.count
    if groups[turn].count > 0, number &- groups[turn].base >= UInt16(RepairPacket.flexFECSpan) { groups[turn] = Group() }
    if groups[turn].count == 0 { groups[turn].base = number }
    groups[turn].mask |= 1 << UInt64(63 - Int(number &- groups[turn].base))
    groups[turn].count += 1
    groups[turn].parity.toggle(packet)
    guard groups[turn].count >= groupSize else { return false }
    let group = groups[turn]
    RepairPacket(ssrc: ssrc, base: group.base, mask: group.mask, parity: group.parity).writeFlexFEC(into: &writer)
    groups[turn].parity.removeAll()
    (groups[turn].mask, groups[turn].count) = (0, 0)
    return true
  }
}
