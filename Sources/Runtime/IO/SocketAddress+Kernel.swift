internal import CShims
internal import CUV
internal import Glibc
internal import MartletPrimitives

extension SocketAddress {
  /// The kernel's form of the address.
  /// - Parameter mapped: IPv4 as `::ffff:a.b.c.d`, as a socket of both families wants it.
  internal func withSockaddr<R>(mapped: Bool = false, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    switch ip {
    case .v4(let value) where !mapped:
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = value.bigEndian
      return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
    case .v4, .v6:
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      let bytes = if case .v4 = ip { [UInt8](repeating: 0, count: 10) + [255, 255] + ip.bytes } else { ip.bytes }
      withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes) }
      return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
      }
    }
  }

  internal init?(_ storage: sockaddr_storage) {
    var storage = storage
    switch Int32(storage.ss_family) {
    case AF_INET:
      let address = withUnsafeBytes(of: &storage) { $0.loadUnaligned(as: sockaddr_in.self) }
      self.init(ip: .v4(UInt32(bigEndian: address.sin_addr.s_addr)), port: UInt16(bigEndian: address.sin_port))
    case AF_INET6:
      let address = withUnsafeBytes(of: &storage) { $0.loadUnaligned(as: sockaddr_in6.self) }
      let bytes = withUnsafeBytes(of: address.sin6_addr) { Array($0) }
      guard let ip = IPAddress(bytes: bytes) else { return nil }
      self.init(ip: ip, port: UInt16(bigEndian: address.sin6_port))
    default: return nil
    }
  }
}

/// What the kernel said, in its words.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  package let operation: String
  /// A positive errno.
  package let code: Int32

  package init(_ operation: String, code: Int32) {
    self.operation = operation
    self.code = code
  }

  package var isPortTaken: Bool { code == EADDRINUSE || code == EACCES }
  /// The machine does not have the address.
  package var isNoAddress: Bool { code == EADDRNOTAVAIL || code == EAFNOSUPPORT }

  /// The resolver's codes are libuv's own, beyond those of the kernel.
  package var description: String {
    let text = code > 3000 ? uv_strerror(-code) : UnsafePointer(strerror(code))
    return "\(operation): \(text.map { String(cString: $0) } ?? "error \(code)")"
  }
}
