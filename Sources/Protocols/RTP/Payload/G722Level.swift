internal import MartletPrimitives

/// How loud a piece of G.722 is (ITU-T G.722): the sum of what its two bands have, each of which is decoded as far as its
/// predictor needs it. The filters that would make sound of them are left out.
package struct G722Level: Sendable {
  private var low = Band(.low)
  private var high = Band(.high)

  package init() {}

  /// In decibels below the overload point, 0 to 127 (RFC 3389 §3.1); 127 for nothing. Each piece goes on where the one before ended.
  package mutating func level(of sound: RawSpan) -> UInt8 {
    var energy: UInt64 = 0
    for index in 0..<sound.byteCount {
      guard let byte = sound.byte(at: index) else { break }
      // Two bits of the upper band, then six of the lower, whose last two refine it and predict nothing (§1.5.3).
      energy &+= high.energy(of: Int(byte >> 6)) &+ low.energy(of: Int(byte >> 2 & 15))
    }
    // A band has 15 bits with its sign.
    return SoundLevel.decibels(energy: energy, samples: sound.byteCount, overload: 16_384)
  }
}

/// The tables of a band: table 11 to 15 of the recommendation.
private struct BandTables: Sendable {
  /// What a code stands for, in 1/1024 of the scale.
  let differences: [Int]
  /// What a code does to the scale's logarithm.
  let steps: [Int]
  let largestLogarithm: Int
  /// Of the logarithm's unit.
  let shift: Int

  static let low = BandTables(
    differences: [0, -2557, -1612, -1121, -786, -530, -323, -150, 2557, 1612, 1121, 786, 530, 323, 150, 0],
    steps: [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60], largestLogarithm: 18_432, shift: 8)
  static let high = BandTables(differences: [-926, -202, 926, 202], steps: [798, -214, 798, -214], largestLogarithm: 22_528, shift: 10)
  /// 2048 × 2^(n/32).
  static let powers = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
    3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
  ]
}

/// Adaptive quantization and prediction of one band: two poles and six zeros (§3.6).
private struct Band: Sendable {
  private let tables: BandTables
  private var logarithm = 0
  private var scale: Int
  private var zeros = [0, 0, 0, 0, 0, 0]
  private var differences = [0, 0, 0, 0, 0, 0]
  private var poles = (0, 0)
  /// The signs of the last two partial reconstructions, and the last reconstruction.
  private var wereNegative = (false, false)
  private var last = 0
  private var predictionOfZeros = 0
  private var prediction = 0

  init(_ tables: BandTables) {
    self.tables = tables
    scale = Self.scale(0, tables)
  }

  /// Of the next sample of the band.
  mutating func energy(of code: Int) -> UInt64 {
    guard code < tables.differences.count else { return 0 }
    let difference = (scale * tables.differences[code]) >> 10
    let sample = max(-16_384, min(16_383, prediction + difference))
    predict(difference)
    logarithm = max(0, min(tables.largestLogarithm, (logarithm * 127) >> 7 + tables.steps[code]))
    scale = Self.scale(logarithm, tables)
    return UInt64(sample.magnitude) * UInt64(sample.magnitude)
  }

  private mutating func predict(_ difference: Int) {
    let isNegative = predictionOfZeros + difference < 0
    movePoles(isNegative)
    moveZeros(difference)
    let reconstruction = Self.clamped(2 * (prediction + difference))
    prediction = Self.clamped(predictionOfZeros + (poles.0 * reconstruction) >> 15 + (poles.1 * last) >> 15)
    last = reconstruction
    wereNegative = (isNegative, wereNegative.0)
  }

  private mutating func movePoles(_ isNegative: Bool) {
    let (first, second) = (isNegative == wereNegative.0 ? 1 : -1, isNegative == wereNegative.1 ? 1 : -1)
    let bounded = max(-8191, min(8191, poles.0))
    poles.1 = max(-12_288, min(12_288, (-first * bounded) >> 5 + second * 128 + (poles.1 * 127) >> 7))
    let limit = 15_360 - poles.1
    poles.0 = max(-limit, min(limit, first * 192 + (poles.0 * 255) >> 8))
  }

  private mutating func moveZeros(_ difference: Int) {
    for index in zeros.indices {
      let step = difference == 0 ? 0 : (differences[index] < 0) == (difference < 0) ? 128 : -128
      zeros[index] = (zeros[index] * 255) >> 8 + step
    }
    differences.removeLast()
    differences.insert(Self.clamped(2 * difference), at: 0)
    predictionOfZeros = zip(zeros, differences).reduce(0) { $0 + ($1.0 * $1.1) >> 15 }
  }

  private static func scale(_ logarithm: Int, _ tables: BandTables) -> Int {
    let power = BandTables.powers[logarithm >> 6 & 31]
    let shift = (logarithm >> 11) - tables.shift
    return shift < 0 ? power >> -shift : power << shift
  }

  private static func clamped(_ value: Int) -> Int { max(-32_768, min(32_767, value)) }
}
