/// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is stored as IPv4, so that one peer has one name.
public enum IPAddress: Hashable, Sendable {
  case v4(UInt32)
  case v6(high: UInt64, low: UInt64)

  /// From 4 or 16 bytes in network order.
  public init?(bytes: [UInt8]) {
    switch bytes.count {
    case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      let high = bytes[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let low = bytes[8...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      self = high == 0 && low >> 32 == 0xFFFF ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
    default: return nil
    }
  }

  public var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 16)
    switch self {
    case .v4(let value): writer.u32(value)
    case .v6(let high, let low):
      writer.u64(high)
      writer.u64(low)
    }
    return writer.bytes
  }

  public static let anyV4 = IPAddress.v4(0)
  public static let anyV6 = IPAddress.v6(high: 0, low: 0)

  public var isLoopback: Bool {
    switch self {
    case .v4(let value): value >> 24 == 127
    case .v6(let high, let low): high == 0 && low == 1
    }
  }

  /// Whom a limit counts together: hosts choose the lower half of an IPv6 address themselves.
  package var origin: IPAddress {
    switch self {
    case .v4: self
    case .v6(let high, _): isLoopback ? self : .v6(high: high, low: 0)
    }
  }

  /// Loopback, link-local, private (RFC 1918, RFC 4193), shared (RFC 6598), multicast, unspecified or reserved:
  /// addresses that a request from outside must not make the server connect to.
  public var isSpecialPurpose: Bool {
    switch self {
    case .v4: Self.specialV4.contains { $0.contains(self) }
    case .v6: Self.specialV6.contains { $0.contains(self) }
    }
  }

  private static let specialV4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/3",
  ].compactMap(AddressRange.init)
  private static let specialV6 = ["::/127", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8"].compactMap(AddressRange.init)
}

extension IPAddress: LosslessStringConvertible {
  /// Dotted quads, or RFC 4291 §2.2 text, with or without brackets.
  public init?(_ text: String) {
    var text = Substring(text)
    if text.hasPrefix("["), text.hasSuffix("]") { text = text.dropFirst().dropLast() }
    guard let bytes = text.contains(":") ? Self.parseV6(text) : Self.parseV4(text) else { return nil }
    self.init(bytes: bytes)
  }

  private static func parseV4(_ text: Substring) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }), let byte = UInt8(part) else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  private static func parseV6(_ text: Substring) -> [UInt8]? {
    guard let gap = text.firstRange(of: "::") else {
      let bytes = groups(text)
      return bytes?.count == 16 ? bytes : nil
    }
    guard let head = groups(text[..<gap.lowerBound]), let tail = groups(text[gap.upperBound...]), head.count + tail.count <= 14 else {
      return nil
    }
    return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
  }

  private static func groups(_ text: Substring) -> [UInt8]? {
    if text.isEmpty { return [] }
    var bytes: [UInt8] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if part.contains("."), index == parts.count - 1 {
        guard let v4 = parseV4(part) else { return nil }
        bytes += v4
        continue
      }
      guard (1...4).contains(part.utf8.count), part.utf8.first != UInt8(ascii: "+"), let group = UInt16(part, radix: 16) else { return nil }
      bytes += [UInt8(group >> 8), UInt8(group & 255)]
      guard bytes.count <= 16 else { return nil }
    }
    return bytes
  }

  /// RFC 5952 text: lower case, the longest run of zero groups shortened.
  public var description: String {
    guard case .v6(let high, let low) = self else { return bytes.map { String($0) }.joined(separator: ".") }
    let groups: [UInt16] = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start > max(1, best.count) { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? text(groups[...]) : text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }
}

/// Where a socket is: an address and a port.
public struct SocketAddress: Hashable, Sendable, LosslessStringConvertible {
  public var ip: IPAddress
  public var port: UInt16

  public init(ip: IPAddress, port: UInt16) {
    self.ip = ip
    self.port = port
  }

  /// `1.2.3.4:80`, `[::1]:80`, or `:80` for every address.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    let host = String(text[..<colon])
    guard !host.contains(":") || host.hasPrefix("[") else { return nil }
    guard let ip = host.isEmpty || host == "*" ? .anyV6 : IPAddress(host) else { return nil }
    self.init(ip: ip, port: port)
  }

  public var description: String {
    if case .v6 = ip { "[\(ip)]:\(port)" } else { "\(ip):\(port)" }
  }
}
