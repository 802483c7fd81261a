internal import CShims
internal import Glibc
package import MartletPrimitives
internal import Synchronization

/// A bound UDP port that no loop reads yet: to be kept for later, or made a `UDPSocket` on any loop. If nobody takes it, it is closed.
package final class UDPPort: Sendable {
  package let address: SocketAddress
  internal let isDualStack: Bool
  /// Negative once it was taken.
  private let descriptor: Atomic<Int32>

  /// Who else may bind the same port.
  package enum Sharing: Int32, Sendable {
    case nobody = -1
    /// Others that listen to a multicast group.
    case listeners = 0
    /// The other workers (SO_REUSEPORT).
    case workers = 1
  }

  /// - Parameter buffer: bytes that the kernel may hold in each direction.
  package init(_ wanted: SocketAddress, buffer: Int = 4 << 20, sharedWith sharing: Sharing = .listeners) throws(SystemError) {
    let bound = wanted.withSockaddr { martlet_udp_bind($0, $1, Int32(clamping: buffer), sharing.rawValue) }
    guard bound >= 0 else { throw SystemError("bind UDP \(wanted)", code: -bound) }
    descriptor = Atomic(bound)
    var name = sockaddr_storage()
    martlet_socket_name(bound, 0, &name)
    address = SocketAddress(name) ?? wanted
    isDualStack = if case .v6 = wanted.ip { true } else { false }
  }

  internal func takeDescriptor() -> Int32 {
    let taken = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
    precondition(taken >= 0, "a port is taken once")
    return taken
  }

  deinit {
    let left = descriptor.load(ordering: .relaxed)
    if left >= 0 { close(left) }
  }
}
