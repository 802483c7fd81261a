internal import Glibc
internal import MartletPrimitives
internal import Synchronization

/// Counts connections over all workers, in total and per address, and keeps one descriptor in reserve so that the connection
/// over the limit is refused in words instead of hanging in the kernel's queue. Touched on accept and close only.
package final class ConnectionCensus: Sendable {
  package struct Limits: Sendable {
    /// Connections over all listeners; by default the descriptor limit less 64 for files, pipes and outgoing connections.
    package var total: Int
    /// Connections from one address; 0 is no limit. Loopback is exempt.
    package var perAddress: Int

    package init(total: Int? = nil, perAddress: Int = 0) {
      self.total = total ?? Limits.descriptors - 64
      self.perAddress = perAddress
    }

    /// Raises the soft descriptor limit to the hard one and answers it.
    private static var descriptors: Int {
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      limit.rlim_cur = limit.rlim_max
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      return Int(clamping: limit.rlim_cur)
    }
  }

  private struct State {
    var total = 0
    var byAddress = Tally<IPAddress>()
    var refused = 0
    var reserve: Int32
  }

  package let limits: Limits
  private let state: Mutex<State>

  package init(limits: Limits = Limits()) {
    self.limits = limits
    state = Mutex(State(reserve: open("/dev/null", O_RDONLY | O_CLOEXEC)))
  }

  package var total: Int { state.withLock { $0.total } }
  package var refused: Int { state.withLock { $0.refused } }

  /// Counts a connection in, or says why it is refused.
  internal func admit(_ address: IPAddress) -> String? {
    state.withLock { state in
      if state.total >= limits.total {
        state.refused += 1
        return "\(limits.total) connections are open (limits.connections)"
      }
      if limits.perAddress > 0, state.byAddress[address] >= limits.perAddress, !address.isLoopback {
        state.refused += 1
        return "\(limits.perAddress) connections from this address (limits.connections_per_address)"
      }
      state.total += 1
      state.byAddress.add(address)
      return nil
    }
  }

  internal func leave(_ address: IPAddress) {
    state.withLock { state in
      state.total -= 1
      state.byAddress.remove(address)
    }
  }

  /// Out of descriptors: gives the reserve up for as long as `refuse` runs.
  internal func refuseWithReserve(_ refuse: () -> Void) {
    state.withLock { state in
      state.refused += 1
      close(state.reserve)
      refuse()
      state.reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }
  }
}
