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
    var users = Tally<String>()
    var origins = Tally<IPAddress>()
    var limits: TURNConfiguration.Limits
  }

  private let counts: Mutex<Counts>

  package init(_ limits: TURNConfiguration.Limits) { counts = Mutex(Counts(limits: limits)) }

  package var total: Int { counts.withLock { $0.total } }

  package func setLimits(_ limits: TURNConfiguration.Limits) { counts.withLock { $0.limits = limits } }

  /// Counts so many in; false when one limit is reached.
  package func take(_ count: Int = 1, for holder: Holder) -> Bool {
    counts.withLock { counts in
      guard counts.total + count <= counts.limits.total, counts.users[holder.user] + count <= counts.limits.perUser,
        holder.origin.isLoopback || counts.origins[holder.origin] + count <= counts.limits.perAddress
      else { return false }
      counts.total += count
      counts.users.add(holder.user, count)
      counts.origins.add(holder.origin, count)
      return true
    }
  }

  package func giveBack(for holder: Holder) {
    counts.withLock { counts in
      counts.total -= 1
      counts.users.remove(holder.user)
      counts.origins.remove(holder.origin)
    }
  }
}
