internal import MartletPrimitives

/// What a publisher is asked for of one track: a layer that somebody watches at once, and one that nobody watches any more until a few
/// seconds later, since whoever looked away may look again.
internal struct WantedLayers {
  /// A bit for each layer.
  internal private(set) var asked: UInt32
  private var unwatchedSince: [Instant?]

  internal static let patience = TimeSpan.seconds(4)

  internal init(count: Int) {
    asked = count >= 32 ? .max : 1 << UInt32(count) - 1
    unwatchedSince = Array(repeating: nil, count: min(count, 32))
  }

  internal func contains(_ layer: UInt8) -> Bool { layer < 32 && asked & 1 << UInt32(layer) != 0 }

  /// - Returns: whether other layers are asked for than before.
  internal mutating func update(watched: UInt32, now: Instant) -> Bool {
    let before = asked
    for layer in unwatchedSince.indices {
      let bit: UInt32 = 1 << UInt32(layer)
      if watched & bit != 0 {
        unwatchedSince[layer] = nil
        asked |= bit
      } else if let since = unwatchedSince[layer] {
        if now - since >= Self.patience { asked &= ~bit }
      } else {
        unwatchedSince[layer] = now
      }
    }
    return asked != before
  }
}
