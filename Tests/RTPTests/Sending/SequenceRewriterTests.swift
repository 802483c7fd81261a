import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct SequenceRewriterTests {
  @Test func `numbers begin where told and go on across the roll-over`() {
    var rewriter = SequenceRewriter(first: 100, source: 1)
    let out = [65_534, 65_535, 0, 2, 1].map { rewriter.forward($0, of: 1) }
    #expect(out == [100, 101, 102, 104, 103])
  }

  @Test func `packets left out close ranks, lost ones leave their place`() {
    var rewriter = SequenceRewriter(first: 0, source: 1)
    var out = [10, 11].map { rewriter.forward($0, of: 1) }
    rewriter.leaveOut(12, of: 1)
    rewriter.leaveOut(13, of: 1)
    out += [14, 16].map { rewriter.forward($0, of: 1) }
    rewriter.leaveOut(18, of: 1)
    out += [19].map { rewriter.forward($0, of: 1) }
    #expect(out == [0, 1, 2, 4, 6])
    // 15 and 17 may still come; 12, 13 and 18 may not.
    let late = [17, 15, 12, 13, 18].map { rewriter.forward($0, of: 1) }
    #expect(late == [5, 3, nil, nil, nil])
  }

  @Test func `another source follows on, late packets of the former find their places`() {
    var rewriter = SequenceRewriter(first: 5, source: 1)
    var out = [100, 101, 103].map { rewriter.forward($0, of: 1) }
    out.append(rewriter.forward(7, of: 2))
    rewriter.change(to: 2)
    out += [40_000, 40_001].map { rewriter.forward($0, of: 2) }
    #expect(out == [5, 6, 8, nil, 9, 10])
    let late = [102, 104].map { rewriter.forward($0, of: 1) }
    #expect(late == [7, nil])
    rewriter.change(to: 1)
    #expect([200, 201].map { rewriter.forward($0, of: 1) } == [11, 12])
  }

  @Test func `a jump of the source is closed`() {
    var rewriter = SequenceRewriter(first: 0, source: 1)
    #expect([1, 2, 20_000, 20_001].map { rewriter.forward($0, of: 1) } == [0, 1, 2, 3])
  }

  @Test func `an outgoing number leads back to its packet`() {
    var rewriter = SequenceRewriter(first: 32_760, source: 1)
    var forwarded: [UInt16: SequenceRewriter.Origin] = [:]
    for number in 0..<20 as Range<UInt16> {
      if number % 5 == 2 {
        rewriter.leaveOut(number, of: 1)
      } else if let out = rewriter.forward(number, of: 1) {
        forwarded[out] = .init(source: 1, sequenceNumber: number)
      }
    }
    rewriter.change(to: 2)
    for number in 500..<520 as Range<UInt16> {
      if let out = rewriter.forward(number, of: 2) { forwarded[out] = .init(source: 2, sequenceNumber: number) }
    }
    #expect(forwarded.count == 36)
    for (out, origin) in forwarded { #expect(rewriter.origin(of: out) == origin) }
    #expect(rewriter.origin(of: 32_759) == nil)
    #expect(rewriter.origin(of: 32_796) == nil)
  }

  /// The invariant that SRTP stands on (RFC 3711 §9.1): whatever a publisher and the layers do, no number is given twice.
  @Test(arguments: seeds(20)) func `no outgoing number stands for two packets`(_ seed: UInt64) {
    struct Name: Hashable { var source: UInt32, number: Int }
    var random = RandomSource(seed: seed)
    var rewriter = SequenceRewriter(first: UInt16.random(in: 0..<32_768, using: &random), source: 0)
    var owners: [UInt16: Name] = [:]
    var heads = [Int.random(in: 0...65_535, using: &random), Int.random(in: 0...65_535, using: &random)]
    var current: UInt32 = 0
    var stolen = 0
    for _ in 0..<20_000 where owners.count < 30_000 {
      if Int.random(in: 0..<200, using: &random) == 0 {
        current = 1 - current
        rewriter.change(to: current)
      }
      let source = Int.random(in: 0..<20, using: &random) == 0 ? 1 - current : current
      heads[Int(source)] += Int.random(in: 0..<30, using: &random) == 0 ? Int.random(in: 0...40, using: &random) : 1
      let number = heads[Int(source)] - (Int.random(in: 0..<10, using: &random) == 0 ? Int.random(in: 0...60, using: &random) : 0)
      let raw = UInt16(truncatingIfNeeded: number)
      if Int.random(in: 0..<4, using: &random) == 0 {
        rewriter.leaveOut(raw, of: source)
      } else if let out = rewriter.forward(raw, of: source) {
        let name = Name(source: source, number: number)
        if owners.updateValue(name, forKey: out).map({ $0 != name }) == true { stolen += 1 }
      }
    }
    #expect(stolen == 0)
    #expect(owners.count > 8000)
  }
}
