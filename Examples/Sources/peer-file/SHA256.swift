import Foundation

/// FIPS 180-4 §6.2, since Foundation has no hash on Linux. A program with a crypto library takes it from there.
struct SHA256 {
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  private var pending: [UInt8] = []
  private var count: UInt64 = 0
  private var words = [UInt32](repeating: 0, count: 64)

  /// The first 32 bits of the fractional parts of the cube roots of the first primes.
  private static let constants: [UInt32] = {
    var primes: [Int] = []
    for number in 2... where primes.count < 64 { if !primes.contains(where: { number % $0 == 0 }) { primes.append(number) } }
    return primes.map { prime in
      // The largest whole number whose cube is not above the prime times 2^96: the cube root times 2^32.
      var (low, high) = (UInt128(1) << 32, UInt128(8) << 32)
      while high - low > 1 {
        let middle = (low + high) / 2
        if middle * middle * middle > UInt128(prime) << 96 { high = middle } else { low = middle }
      }
      return UInt32(truncatingIfNeeded: low)
    }
  }()

  mutating func update(_ data: Data) {
    count += UInt64(data.count)
    pending += data
    var offset = 0
    while pending.count - offset >= 64 {
      compress(offset)
      offset += 64
    }
    pending.removeFirst(offset)
  }

  /// In hexadecimal.
  mutating func finish() -> String {
    let bits = count * 8
    var tail: [UInt8] = [0x80]
    tail += [UInt8](repeating: 0, count: (119 - pending.count) % 64)
    tail += (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * $0)) }
    update(Data(tail))
    return state.map { word in String(repeating: "0", count: 8 - String(word, radix: 16).count) + String(word, radix: 16) }.joined()
  }

  private mutating func compress(_ offset: Int) {
    for place in 0..<16 {
      words[place] = (0..<4).reduce(0) { $0 << 8 | UInt32(pending[offset + place * 4 + $1]) }
    }
    for place in 16..<64 {
      let (a, b) = (words[place - 15], words[place - 2])
      let first = Self.turn(a, 7) ^ Self.turn(a, 18) ^ a >> 3
      let second = Self.turn(b, 17) ^ Self.turn(b, 19) ^ b >> 10
      words[place] = words[place - 16] &+ first &+ words[place - 7] &+ second
    }
    var s = state
    for place in 0..<64 {
      let choice = s[4] & s[5] ^ ~s[4] & s[6]
      let majority = s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2]
      let first = s[7] &+ (Self.turn(s[4], 6) ^ Self.turn(s[4], 11) ^ Self.turn(s[4], 25)) &+ choice &+ Self.constants[place] &+ words[place]
      let second = (Self.turn(s[0], 2) ^ Self.turn(s[0], 13) ^ Self.turn(s[0], 22)) &+ majority
      s = [first &+ second, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
    }
    for place in 0..<8 { state[place] = state[place] &+ s[place] }
  }

  private static func turn(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }
}
