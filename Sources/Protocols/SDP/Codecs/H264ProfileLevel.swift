internal import MartletPrimitives

/// The `profile-level-id` of H.264 (RFC 6184 §8.1): six hexadecimal digits for profile_idc, the constraint flags and level_idc.
package struct H264ProfileLevel: Equatable, Sendable {
  package var profile: UInt8, constraints: UInt8, level: UInt8

  package init?(_ text: String) {
    guard let bytes = Hex.decode(text), bytes.count == 3 else { return nil }
    (profile, constraints, level) = (bytes[0], bytes[1], bytes[2])
  }

  /// RFC 6184 §8.1: Baseline at level 1 when the parameter is absent.
  static let absent = "42000a"

  /// A subset of tools under one name, whatever flags say it (RFC 6184 table 5, and Constrained High of H.264 A.2.4.2).
  private enum Name: Equatable {
    case constrainedBaseline, baseline, main, extended, constrainedHigh
    case exactly(profile: UInt8, constraints: UInt8)
  }

  private var name: Name {
    // The low four bits are reserved; flag 3 says level 1b in the old profiles.
    let flags = constraints & 0xe0
    switch profile {
    case 0x42: return flags & 0x40 != 0 ? .constrainedBaseline : .baseline
    case 0x4d: return flags & 0x80 != 0 ? .constrainedBaseline : .main
    case 0x58: return flags & 0x80 == 0 ? .extended : flags & 0x40 != 0 ? .constrainedBaseline : .baseline
    case 0x64 where constraints & 0x0c == 0x0c: return .constrainedHigh
    default: return .exactly(profile: profile, constraints: constraints & 0xf0)
    }
  }

  package func isSameProfile(_ other: H264ProfileLevel) -> Bool { name == other.name }

  /// H.264 table A-1: flag 3 turns level 1.1 of the old profiles into 1b.
  private var hasFlag1b: Bool { [0x42, 0x4d, 0x58].contains(profile) && level == 11 && constraints & 0x10 != 0 }
  private var is1b: Bool { hasFlag1b || level == 9 }
  /// In an order in which 1b lies between 1 and 1.1.
  private var rank: Int { is1b ? 21 : Int(level) * 2 }

  /// The same profile at the level of `other`.
  package func atLevel(of other: H264ProfileLevel) -> H264ProfileLevel {
    var result = self
    if hasFlag1b { result.constraints &= ~0x10 }
    let isOld = [0x42, 0x4d, 0x58].contains(profile)
    switch (other.is1b, isOld) {
    case (true, true): (result.level, result.constraints) = (11, result.constraints | 0x10)
    case (true, false): result.level = 9
    case (false, _): result.level = other.level
    }
    return result
  }

  package func lowered(to other: H264ProfileLevel) -> H264ProfileLevel { rank <= other.rank ? self : atLevel(of: other) }
}

extension H264ProfileLevel: CustomStringConvertible {
  package var description: String { Hex.encode([profile, constraints, level]) }
}
