internal import CShims
internal import CUV
internal import Glibc
package import MartletCrypto
package import MartletPrimitives

/// Accepts connections on one address for one worker. Every worker listens on the same address with SO_REUSEPORT, and the
/// kernel spreads the connections. The loop keeps it until `close`.
package final class TCPListener: LoopResident {
  package let address: SocketAddress
  private let context: LoopContext
  private let descriptor: Int32
  private let census: ConnectionCensus
  private let poll: LoopHandle<uv_poll_t>
  private let accept: (TCPConnection) -> Void
  /// Bytes that tell a refused client why, in its protocol: a 503, for example. May be empty.
  private let refusal: Slice
  /// Asked for each connection, so that certificates can be exchanged while the server runs.
  private let tls: (() -> TLSContext)?
  private var isOpen = true

  /// - Parameter accept: called for each new connection, over TLS when the handshake is complete; it must set the connection's
  ///   handler before it returns.
  package init(
    _ address: SocketAddress, tls: (() -> TLSContext)? = nil, in context: LoopContext, census: ConnectionCensus, refusal: Slice,
    accept: @escaping (TCPConnection) -> Void
  ) throws(SystemError) {
    self.tls = tls
    let descriptor = address.withSockaddr { martlet_tcp_listen($0, $1, 1024) }
    guard descriptor >= 0 else { throw SystemError("listen on \(address)", code: -descriptor) }
    var name = sockaddr_storage()
    martlet_socket_name(descriptor, 0, &name)
    self.address = SocketAddress(name) ?? address
    self.context = context
    self.descriptor = descriptor
    self.census = census
    self.refusal = refusal
    self.accept = accept
    poll = LoopHandle.make()
    uv_poll_init(context.uv, poll.pointer, descriptor)
    poll.pointer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    context.add(self)
    uv_poll_start(poll.pointer, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      guard let data = handle?.pointee.data else { return }
      Unmanaged<TCPListener>.fromOpaque(data).takeUnretainedValue().acceptWaiting(limit: 64)
    }
  }

  /// Finds out whether an address can be listened on and nobody else does. Workers share an address, so the kernel alone
  /// would let a second server take every other connection of the first.
  package static func probe(_ address: SocketAddress) throws(SystemError) {
    let code = address.withSockaddr { martlet_tcp_probe($0, $1) }
    guard code == 0 else { throw SystemError("listen on \(address)", code: -code) }
  }

  /// Stops listening. Connections that the kernel has already queued are answered with the refusal: closing the socket on
  /// them would reset a client that another worker could not have taken.
  package func close() {
    guard isOpen else { return }
    acceptWaiting(limit: .max, refusing: true)
    isOpen = false
    uv_poll_stop(poll.pointer)
    poll.close()
    Glibc.close(descriptor)
    context.remove(self)
  }

  internal func loopWillStop() { close() }

  private func acceptWaiting(limit: Int, refusing: Bool = false) {
    var peer = sockaddr_storage()
    for _ in 0..<limit {
      let accepted = martlet_tcp_accept(descriptor, &peer)
      if accepted == -EMFILE || accepted == -ENFILE {
        census.refuseWithReserve { refuseOne() }
        return
      }
      guard accepted >= 0, let remote = SocketAddress(peer) else { return }
      if refusing {
        refuse(accepted)
      } else if let reason = census.admit(remote.ip) {
        context.log(.warning, "tcp", "refused \(remote): \(reason)", ["listener": "\(address)"])
        refuse(accepted)
      } else {
        admit(accepted, remote)
      }
    }
  }

  private func admit(_ accepted: Int32, _ remote: SocketAddress) {
    var secure: SecureLayer?
    do throws(TLSError) {
      if let tls { secure = try SecureLayer(tls()) }
    } catch {
      context.log(.error, "tls", "\(error)", ["listener": "\(address)"])
      census.leave(remote.ip)
      Glibc.close(accepted)
      return
    }
    _ = TCPConnection(
      accepted: accepted, remote: remote, census: census, secure: secure, in: context, accept: accept)
  }

  private func refuseOne() {
    var peer = sockaddr_storage()
    let accepted = martlet_tcp_accept(descriptor, &peer)
    if accepted >= 0 { refuse(accepted) }
  }

  private func refuse(_ socket: Int32) {
    let vector = IOVector()
    vector.append(refusal)
    if vector.count > 0, tls == nil { martlet_send(socket, vector.parts, 1) }
    shutdown(socket, Int32(SHUT_WR))
    Glibc.close(socket)
  }
}
