internal import CShims
internal import CUV
internal import Glibc
package import MartletPrimitives

/// The addresses of this machine.
package enum NetworkInterfaces {
  /// Those of interfaces that are up, global ones first and loopback last. Link-local ones of IPv6 are left out: they mean nothing
  /// without the interface.
  package static func addresses(v6: Bool) -> [IPAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var found: [IPAddress] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard entry.pointee.ifa_flags & UInt32(IFF_UP) != 0, let raw = entry.pointee.ifa_addr, let address = read(raw) else { continue }
      guard v6 || address.isV4, !isLinkLocal(address), !found.contains(address) else { continue }
      found.append(address)
    }
    return found.filter { !$0.isLoopback && $0.isV4 } + found.filter { !$0.isLoopback && !$0.isV4 } + found.filter(\.isLoopback)
  }

  private static func read(_ raw: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
    var storage = sockaddr_storage()
    let size =
      switch Int32(raw.pointee.sa_family) {
      case AF_INET: MemoryLayout<sockaddr_in>.size
      case AF_INET6: MemoryLayout<sockaddr_in6>.size
      default: 0
      }
    guard size > 0 else { return nil }
    withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: size)) }
    return SocketAddress(storage)?.ip
  }

  private static func isLinkLocal(_ address: IPAddress) -> Bool {
    switch address {
    case .v4(let value): value >> 16 == 0xA9FE
    case .v6(let high, _): high >> 54 == 0x3FA
    }
  }
}

extension IPAddress {
  package var isV4: Bool { if case .v4 = self { true } else { false } }
}
