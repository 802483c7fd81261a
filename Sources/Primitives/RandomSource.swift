/// Where a core's random numbers come from: the system's generator, or a seed, so that a test can be replayed. Cores take one
/// and draw from it whatever a peer must not guess (credentials, tie-breakers, tags, transaction ids).
public struct RandomSource: RandomNumberGenerator, Sendable {
  private enum Kind: Sendable { case system, seeded(UInt64) }
  private var kind: Kind

  /// The system's generator, fit for secrets.
  public static let system = RandomSource(kind: .system)

  private init(kind: Kind) { self.kind = kind }

  /// The same numbers for the same seed: for simulations only.
  public init(seed: UInt64) { kind = .seeded(seed) }

  public mutating func next() -> UInt64 {
    guard case .seeded(let state) = kind else {
      var system = SystemRandomNumberGenerator()
      return system.next()
    }
    // SplitMix64.
    let advanced = state &+ 0x9E37_79B9_7F4A_7C15
    kind = .seeded(advanced)
    var z = advanced
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }

  /// `count` characters of `A-Z a-z 0-9 + /`, six bits each: `ice-char` of RFC 8839 §5.4.
  public mutating func text(_ count: Int) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    return String(decoding: (0..<count).map { _ in alphabet[Int(next() & 63)] }, as: UTF8.self)
  }
}
