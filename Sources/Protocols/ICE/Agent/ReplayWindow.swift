internal import MartletPrimitives
internal import MartletSTUN

/// The transactions of the last checks and where they came from. STUN's integrity does not cover the source address, so
/// without this a copy of a check, sent from a forged address, would turn a lite agent's stream against that address. A copy of
/// an older check still can, until the peer's next check turns it back: browsers send one every 2.5 s.
struct ReplayWindow {
  /// Thirty-two bits of each will do: one check in some hundred million is then taken for a copy, and its sender sends another.
  private struct Seen {
    let transaction: UInt32
    let source: UInt32
  }

  private var ring: [Seen] = []
  private var place = 0

  /// Notes the check; `false` when it came before from somewhere else. A request that is sent again by its sender is fine.
  mutating func accept(_ transaction: TransactionID, from source: SocketAddress) -> Bool {
    let seen = Seen(transaction: UInt32(truncatingIfNeeded: transaction.low), source: UInt32(truncatingIfNeeded: source.hashValue))
    if let earlier = ring.first(where: { $0.transaction == seen.transaction }) { return earlier.source == seen.source }
    if ring.count < Self.capacity {
      ring.append(seen)
    } else {
      ring[place] = seen
      place = (place + 1) % Self.capacity
    }
    return true
  }

  private static let capacity = 32
}
