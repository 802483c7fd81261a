import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct TransportFeedbackTests {
  private func feedback(_ deltas: [Int16?]) -> TransportFeedback {
    TransportFeedback(sender: 1, media: 2, baseSequenceNumber: 65_000, referenceTime: 0x12_3456, feedbackCount: 9, deltas: deltas)
  }

  private func chunks(_ deltas: [Int16?]) -> [UInt8] { Array(write([.transportFeedback(feedback(deltas))]).dropFirst(20)) }

  // draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.3 and §3.1.4.
  @Test func `runs, one-bit and two-bit vectors are used where they are shortest`() {
    #expect(chunks([Int16?](repeating: nil, count: 20)).prefix(2) == [0x00, 20])
    #expect(chunks([Int16?](repeating: 1, count: 20)).prefix(2) == [0x20, 20])
    #expect(chunks([Int16?](repeating: 300, count: 7)).prefix(2) == [0x40, 7])
    // 14 packets, one missing: 1 0 then the bits.
    #expect(chunks([1, nil] + [Int16?](repeating: 1, count: 12)).prefix(2) == [0b1010_1111, 0xFF])
    // A large delta: 1 1 then 01 10 00 01 01 01 01.
    #expect(chunks([1, 300, nil, 1, 1, 1, 1]).prefix(2) == [0b1101_1000, 0b0101_0101])
  }

  @Test func `a packet of the draft's layout reads`() throws {
    // Run of 3 small deltas, then a vector with "large, missing, small" and filling.
    let bytes = hex("8fcd0007 00000001 00000002 fffe0006 ffffff07 2003 e100 010203 ff9c 05 0000")
    let expected = TransportFeedback(
      sender: 1, media: 2, baseSequenceNumber: 65_534, referenceTime: -1, feedbackCount: 7, deltas: [1, 2, 3, -100, nil, 5])
    #expect(try parse(bytes) == [.transportFeedback(expected)])
  }

  @Test(arguments: seeds(20)) func `any pattern of arrivals survives`(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    for _ in 0..<50 {
      let loss = Double.random(in: 0...1, using: &random)
      let large = Double.random(in: 0...1, using: &random)
      let deltas = (0..<Int.random(in: 0...600, using: &random)).map { _ -> Int16? in
        if Double.random(in: 0..<1, using: &random) < loss { return nil }
        return Double.random(in: 0..<1, using: &random) < large
          ? Int16.random(in: .min ... .max, using: &random) : Int16.random(in: 0...255, using: &random)
      }
      #expect(try parse(write([.transportFeedback(feedback(deltas))])) == [.transportFeedback(feedback(deltas))])
    }
  }

  @Test func `the reserved status is refused`() {
    #expect(throws: ParseError.invalid("the reserved packet status", at: 18)) {
      try parse(hex("8fcd0005 00000001 00000002 00010001 00000000 60010000"))
    }
  }
}
