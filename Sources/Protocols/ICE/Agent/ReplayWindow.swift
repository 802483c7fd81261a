internal import MartletPrimitives
internal import MartletSTUN

/// The transactions of the last checks and where they came from. STUN's integrity does not cover the source address, so
/// without this a copy of a check, sent from a forged address, would turn a lite agent's stream against that address.
struct ReplayWindow {
  private struct Seen {
    let transaction: UInt64
    let source: SocketAddress
  }

  private var ring: [Seen] = []
  private var place = 0

  /// Notes the check; `false` when it came before from somewhere else. A request that is sent again by its sender is fine.
  mutating func accept(_ transaction: TransactionID, from source: SocketAddress) -> Bool {
    let seen = Seen(transaction: transaction.low, source: source)
    if let earlier = ring.first(where: { $0.transaction == seen.transaction }) { return earlier.source == source }
    if ring.count < Self.capacity {
      ring.append(seen)
    } else {
      ring[place] = seen
      place = (place + 1) % Self.capacity
    }
    return true
  }

  private static let capacity = 16
}
