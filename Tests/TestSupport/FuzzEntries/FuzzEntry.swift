/// A parser that eats whatever a peer may send, for libFuzzer (`Scripts/fuzz`) and for the replay of its corpus in
/// `swift test`. It must not trap, must end soon, and must hold its properties; a broken property traps too, since that is
/// the only thing libFuzzer sees.
package struct FuzzEntry: Sendable {
  /// Also the name of its folders in `Fuzz/Corpus` and `Fuzz/Crashes`.
  package let name: String
  package let run: @Sendable ([UInt8]) -> Void
  /// Valid input, from which the fuzzer begins.
  package let seeds: [[UInt8]]

  init(_ name: String, seeds: [[UInt8]], _ run: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.seeds = seeds
    self.run = run
  }

  package static var all: [FuzzEntry] {
    rtmp + http + containers + codecs + texts + socketIO + files + stun + ice + sessionDescriptions + negotiations + rtp + rtpPayloads
      + sctp + dtls + rooms + roomClients
  }
}

/// A property of a parser that must hold for any input.
func require(_ condition: @autoclosure () -> Bool, _ what: @autoclosure () -> String) {
  if condition() { return }
  // An optimised build traps without a word.
  print("broken property: \(what())")
  preconditionFailure(what())
}

/// `bytes` in two to nine pieces, whose lengths the first bytes say: machines must not care how their input is cut.
func pieces(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
  var pieces: [ArraySlice<UInt8>] = []
  var rest = bytes[...]
  for length in bytes.prefix(8) where !rest.isEmpty {
    pieces.append(rest.prefix(Int(length) + 1))
    rest = rest.dropFirst(Int(length) + 1)
  }
  if !rest.isEmpty { pieces.append(rest) }
  return pieces
}

/// The same numbers each time: a crash must come again.
struct FixedRandom: RandomNumberGenerator {
  private var state: UInt64 = 1
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state
  }
}
