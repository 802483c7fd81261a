internal import MartletCodecs
internal import MartletPrimitives

/// How loud frames of a track are.
enum SoundLevel: Sendable {
  case g711(Codec)
  case g722(G722Level)

  /// `nil` for a codec whose silence is not told.
  init?(of codec: Codec) {
    switch codec {
    case .g711a, .g711u: self = .g711(codec)
    case .g722: self = .g722(G722Level())
    default: return nil
    }
  }

  /// In decibels below the overload point, 0 to 127 (RFC 3389 §3.1); 127 for nothing.
  mutating func level(of sound: RawSpan) -> UInt8 {
    switch self {
    case .g711(let codec): return G711Level.level(of: sound, codec)
    case .g722(var decoder):
      defer { self = .g722(decoder) }
      return decoder.level(of: sound)
    }
  }

  /// Of so many samples with the sum of their squares.
  static func decibels(energy: UInt64, samples: Int, overload: Double) -> UInt8 {
    guard samples > 0, energy > 0 else { return 127 }
    var power = Double(energy) / Double(samples)
    var level: UInt8 = 0
    // Half a decibel away from either neighbour; there is no logarithm above the I/O line.
    while power * halfDecibel < overload * overload, level < 127 {
      power *= decibel
      level += 1
    }
    return level
  }

  private static let decibel = 1.258_925_411_794_167_2
  private static let halfDecibel = 1.122_018_454_301_963_3
}
