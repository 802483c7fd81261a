/// Extends counters that wrap (RTP sequence numbers, 32-bit RTMP timestamps, 33-bit PES timestamps) to Int64.
public struct Unwrapper: Sendable {
  private let modulus: Int64
  private var last: Int64?

  /// - Parameter bits: the counter's width, 1 to 62.
  public init(bits: Int) { modulus = 1 << Int64(bits) }

  /// The value nearest to the previous one among those congruent to `raw`.
  public mutating func unwrap(_ raw: UInt64) -> Int64 {
    let value = Int64(truncatingIfNeeded: raw) & (modulus - 1)
    guard let last else {
      self.last = value
      return value
    }
    var delta = (value - last) % modulus
    if delta < -modulus / 2 { delta += modulus }
    if delta >= modulus / 2 { delta -= modulus }
    let extended = last &+ delta
    self.last = extended
    return extended
  }
}
