import MartletPrimitives
import TestSupport
import Testing

func hex(_ text: String) -> Slice { Slice(Hex.decode(text) ?? []) }

/// Feeds seeded garbage, half of it a damaged copy of `valid`, to a parser: it may throw, it must not trap.
func feedGarbage(_ count: Int = 2000, like valid: Slice, seed: UInt64 = 1, _ parse: (Slice) throws -> Void) {
  var random = SeededRandom(seed: seed)
  for round in 0..<count {
    var bytes = valid.array
    if round % 2 == 0 || bytes.isEmpty {
      bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    } else {
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
    }
    try? parse(Slice(bytes))
  }
}

/// Every proper prefix must throw.
func expectTruncationThrows(_ valid: Slice, from shortest: Int = 0, _ parse: (Slice) throws -> Void) {
  for length in shortest..<valid.count {
    do {
      try parse(valid.sub(0..<length))
      Issue.record("a prefix of \(length) of \(valid.count) bytes was accepted")
    } catch {}
  }
}
