internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// Ports behind even ones, kept for half a minute for whoever has the token (RFC 8656 §7.2), who may come to another worker. Each is
/// counted for the user that asked for it.
internal final class TURNReservations: Sendable {
  private struct Entry {
    let port: UDPPort
    let holder: TURNQuotas.Holder
    let expires: Instant
  }

  private static let lifetime = TimeSpan.seconds(30)

  private let entries = Mutex<[UInt64: Entry]>([:])
  private let quotas: TURNQuotas

  internal init(_ quotas: TURNQuotas) { self.quotas = quotas }

  internal func keep(_ port: UDPPort, for holder: TURNQuotas.Holder, token: UInt64, now: Instant) {
    sweep(now: now)
    entries.withLock { $0[token] = Entry(port: port, holder: holder, expires: now + Self.lifetime) }
  }

  /// The port, if the same user asks; its place in the quotas goes with it.
  internal func take(_ token: UInt64, user: String, now: Instant) -> (UDPPort, TURNQuotas.Holder)? {
    sweep(now: now)
    return entries.withLock { entries in
      guard let entry = entries[token], entry.holder.user == user else { return nil }
      entries[token] = nil
      return (entry.port, entry.holder)
    }
  }

  /// Those that nobody came for are closed; the next that is kept, or a timer, does it.
  internal func sweep(now: Instant) {
    let gone = entries.withLock { entries in
      let gone = entries.filter { $0.value.expires <= now }
      for token in gone.keys { entries[token] = nil }
      return gone.values.map(\.holder)
    }
    for holder in gone { quotas.giveBack(for: holder) }
  }
}
