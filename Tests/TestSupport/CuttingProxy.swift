import Glibc
import Synchronization

/// A TCP proxy of a few lines that breaks its connections when it is told to, as a bad network does.
package final class CuttingProxy: Sendable {
  package let port: UInt16
  private let target: UInt16
  private let listener: Int32
  private struct State {
    var open: Set<Int32> = []
    var accepted = 0
  }
  private let state = Mutex(State())

  /// - Parameter target: a port on 127.0.0.1.
  package init(to target: UInt16) throws {
    self.target = target
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var (address, size) = (Self.address(0), socklen_t(MemoryLayout<sockaddr_in>.size))
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0 }
    }
    guard isBound, listen(descriptor, 16) == 0 else { throw RawClientError(reason: "bind: \(String(cString: strerror(errno)))") }
    (listener, port) = (descriptor, UInt16(bigEndian: address.sin_port))
    Self.thread { [self] in accept() }
  }

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Connections that came so far.
  package var accepted: Int { state.withLock(\.accepted) }

  /// Breaks all connections, with whatever was on its way.
  package func cut() {
    state.withLock { state in
      for descriptor in state.open {
        // A reset: what was not read yet is gone.
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
      }
    }
  }

  /// Takes no more connections.
  package func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    cut()
  }

  private func accept() {
    while case let near = Glibc.accept(listener, nil, nil), near >= 0 {
      let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = Self.address(target)
      let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(far, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
      guard result == 0 else {
        close(near)
        close(far)
        continue
      }
      let left = Atomic2()
      state.withLock { state in
        state.accepted += 1
        state.open.formUnion([near, far])
      }
      Self.thread { [self] in pump(from: near, to: far, left) }
      Self.thread { [self] in pump(from: far, to: near, left) }
    }
    close(listener)
  }

  private final class Atomic2: Sendable {
    let count = Atomic<Int>(2)
  }

  private func pump(from source: Int32, to target: Int32, _ left: Atomic2) {
    var buffer = [UInt8](repeating: 0, count: 16384)
    while case let count = recv(source, &buffer, buffer.count, 0), count > 0 {
      var sent = 0
      while sent < count {
        let done = buffer[sent..<count].withUnsafeBytes { send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard done > 0 else { break }
        sent += done
      }
    }
    shutdown(target, Int32(SHUT_RDWR))
    // Whoever is last closes both: a number must not be given away while the other still uses it.
    guard left.count.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    state.withLock { state in
      state.open.subtract([source, target])
      close(source)
      close(target)
    }
  }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    final class Start {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { raw in
        guard let raw else { return nil }
        Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(Start(body)).toOpaque())
    pthread_detach(thread)
  }
}
