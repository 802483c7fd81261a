/// An address block in CIDR notation; a single address is a block of one. A block of IPv4-mapped addresses (`::ffff:10.0.0.0/104`) is
/// the IPv4 block it stands for, as an `IPAddress` is.
public struct AddressRange: Hashable, Sendable, LosslessStringConvertible {
  public let base: IPAddress
  /// How many leading bits of an address are those of `base`.
  public let prefix: Int

  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let base = IPAddress(String(parts[0])) else { return nil }
    let width = base.bytes.count * 8
    // What was written as IPv6 and stored as IPv4 counts its prefix from 96 bits further left.
    let mapped = width == 32 && parts[0].contains(":") ? 96 : 0
    var prefix = width
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(parts[1]) else { return nil }
      prefix = number - mapped
    }
    guard (0...width).contains(prefix) else { return nil }
    self.base = base
    self.prefix = prefix
  }

  /// One address.
  public init(_ address: IPAddress) {
    base = address
    prefix = address.bytes.count * 8
  }

  public func contains(_ address: IPAddress) -> Bool {
    switch (base, address) {
    case (.v4(let a), .v4(let b)): prefix == 0 || (a ^ b) >> UInt32(32 - prefix) == 0
    case (.v6(let ah, let al), .v6(let bh, let bl)):
      prefix <= 64
        ? prefix == 0 || (ah ^ bh) >> UInt64(64 - prefix) == 0
        : ah == bh && (al ^ bl) >> UInt64(128 - prefix) == 0
    default: false
    }
  }

  public var description: String { "\(base)/\(prefix)" }
}
