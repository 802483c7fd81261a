package import MartletPrimitives
internal import Synchronization

/// Relayed addresses of all workers, in total, by user and by client address. Touched when one is opened or closed only.
package final class TURNQuotas: Sendable {
  /// Whom an address is counted for.
  package struct Holder: Hashable, Sendable {
    package let user: String
    package let origin: IPAddress

    package init(user: String, client: IPAddress) {
      self.user = user
      origin = client.origin
    }
  }

  private struct Counts {
    var total = 0
    var users: [String: Int] = [:]
    var origins: [IPAddress: Int] = [:]
    var limits: TURNConfiguration.Limits
  }

  private let counts: Mutex<Counts>

  package init(_ limits: TURNConfiguration.Limits) { counts = Mutex(Counts(limits: limits)) }

  package var total: Int { counts.withLock { $0.total } }

  package func setLimits(_ limits: TURNConfiguration.Limits) { counts.withLock { $0.limits = limits } }

  /// Counts so many in; false when one limit is reached.
  package func take(_ count: Int = 1, for holder: Holder) -> Bool {
    counts.withLock { counts in
      let (users, origins) = (counts.users[holder.user, default: 0], counts.origins[holder.origin, default: 0])
      guard counts.total + count <= counts.limits.total, users + count <= counts.limits.perUser,
        holder.origin.isLoopback || origins + count <= counts.limits.perAddress
      else { return false }
      counts.total += count
      counts.users[holder.user] = users + count
      counts.origins[holder.origin] = origins + count
      return true
    }
  }

  package func giveBack(for holder: Holder) {
    counts.withLock { counts in
      counts.total -= 1
      if let users = counts.users[holder.user] { counts.users[holder.user] = users > 1 ? users - 1 : nil }
      if let origins = counts.origins[holder.origin] { counts.origins[holder.origin] = origins > 1 ? origins - 1 : nil }
    }
  }
}

extension IPAddress {
  /// Whom a limit counts together: hosts choose the lower half of an IPv6 address themselves.
  internal var origin: IPAddress {
    switch self {
    case .v4: self
    case .v6(let high, _): isLoopback ? self : .v6(high: high, low: 0)
    }
  }
}
