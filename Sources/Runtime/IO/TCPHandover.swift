internal import Glibc
package import MartletPrimitives
internal import Synchronization

/// An open connection on its way from one loop to another. Nobody reads or writes it meanwhile; if nobody takes it, it is closed.
package final class TCPHandover: Sendable {
  package let remote: SocketAddress
  internal let census: ConnectionCensus?
  /// Negative once it was taken.
  private let descriptor: Atomic<Int32>

  internal init(_ descriptor: Int32, remote: SocketAddress, census: ConnectionCensus?) {
    self.descriptor = Atomic(descriptor)
    self.remote = remote
    self.census = census
  }

  internal func takeDescriptor() -> Int32 {
    let taken = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
    precondition(taken >= 0, "a connection is taken over once")
    return taken
  }

  deinit {
    let left = descriptor.load(ordering: .relaxed)
    guard left >= 0 else { return }
    close(left)
    census?.leave(remote.ip)
  }
}
