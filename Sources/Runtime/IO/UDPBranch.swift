internal import CUV
internal import Glibc
internal import MartletPrimitives

/// A connected socket on the port of another: the kernel prefers it for what its one peer sends. It reads through the buffers of the
/// other and sends nothing.
package final class UDPBranch: LoopResident {
  package let context: LoopContext
  private let descriptor: Int32
  private let poll = LoopHandle<uv_poll_t>.make()
  private weak var socket: UDPSocket?
  private var isOpen = true

  internal init(_ descriptor: Int32, of socket: UDPSocket) {
    self.descriptor = descriptor
    self.socket = socket
    context = socket.context
    uv_poll_init(context.uv, poll.pointer, descriptor)
    poll.pointer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    context.add(self)
    uv_poll_start(poll.pointer, Int32(UV_READABLE.rawValue)) { handle, status, _ in
      guard let data = handle?.pointee.data else { return }
      let branch = Unmanaged<UDPBranch>.fromOpaque(data).takeUnretainedValue()
      withExtendedLifetime(branch) { branch.ready(status) }
    }
  }

  /// An ICMP error ends it, as libuv ends its watching: what the peer sends then comes in as before.
  private func ready(_ status: Int32) {
    guard status == 0, let socket else { return close() }
    socket.receive(from: descriptor, rounds: 1)
  }

  package func close() {
    guard isOpen else { return }
    isOpen = false
    uv_poll_stop(poll.pointer)
    poll.close()
    Glibc.close(descriptor)
    context.remove(self)
  }

  internal func loopWillStop() { close() }
}
