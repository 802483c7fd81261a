import MartletPrimitives
import MartletRTP
import Testing

@Suite struct NACKGeneratorTests {
  private func polled(_ generator: inout NACKGenerator, _ now: Instant) -> [UInt16] {
    var lost: [UInt16] = []
    generator.poll(now: now, into: &lost)
    return lost
  }

  private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test func `a packet is missed once the newest is three ahead of it`() {
    var generator = NACKGenerator()
    generator.receive(10, now: at(0))
    generator.receive(13, now: at(1))
    #expect(polled(&generator, at(1)) == [])
    generator.receive(14, now: at(1))
    #expect(polled(&generator, at(1)) == [11])
    generator.receive(15, now: at(2))
    #expect(polled(&generator, at(2)) == [12])
    #expect(polled(&generator, at(3)) == [])
  }

  @Test func `or after ten milliseconds`() {
    var generator = NACKGenerator()
    generator.receive(65_535, now: at(0))
    generator.receive(1, now: at(1))
    #expect(generator.deadline == at(11))
    #expect(polled(&generator, at(10)) == [])
    #expect(polled(&generator, at(11)) == [0])
  }

  @Test func `disorder asks for nothing`() {
    var generator = NACKGenerator()
    for number in [1, 3, 2, 5, 6, 4, 7] as [UInt16] { generator.receive(number, now: at(Int(number))) }
    #expect(generator.deadline == nil)
    #expect(polled(&generator, at(100)) == [])
    #expect(generator.recovered == 0)
  }

  @Test func `a packet is asked for once in a round trip, ten times at most, then a key frame`() {
    var limits = NACKLimits()
    limits.age = .seconds(60)
    var generator = NACKGenerator(limits: limits)
    generator.roundTrip = .milliseconds(50)
    generator.receive(1, now: at(0))
    generator.receive(3, now: at(0))
    var times: [Int] = []
    for millisecond in 0..<1000 where polled(&generator, at(millisecond)) == [2] { times.append(millisecond) }
    #expect(times == (0..<10).map { 10 + $0 * 50 })
    let wants = (generator.pollKeyFrameRequest(), generator.pollKeyFrameRequest())
    #expect(wants == (true, false))
    #expect(generator.abandoned == 1)
    #expect(generator.deadline == nil)
  }

  @Test func `what is too old is given up`() {
    var generator = NACKGenerator()
    generator.roundTrip = .milliseconds(300)
    generator.receive(1, now: at(0))
    generator.receive(3, now: at(0))
    var count = 0
    for millisecond in 0..<2000 { count += polled(&generator, at(millisecond)).count }
    #expect(count == 4)
    let wants = generator.pollKeyFrameRequest()
    #expect(wants)
  }

  @Test func `what comes late counts as recovered and is not asked for again`() {
    var generator = NACKGenerator()
    generator.receive(1, now: at(0))
    generator.receive(4, now: at(0))
    #expect(polled(&generator, at(20)) == [2, 3])
    generator.receive(3, now: at(50))
    generator.receive(3, now: at(51))
    #expect(generator.recovered == 1)
    #expect(polled(&generator, at(200)) == [2])
  }

  @Test func `a key frame makes all before it useless`() {
    var generator = NACKGenerator()
    generator.receive(1, now: at(0))
    generator.receive(5, startsKeyFrame: true, now: at(0))
    #expect(generator.missingCount == 0)
    generator.receive(8, now: at(0))
    #expect(polled(&generator, at(50)) == [6, 7])
  }

  @Test func `too many losses, or too wide a gap, ask for a key frame instead`() {
    var limits = NACKLimits()
    (limits.missing, limits.gap) = (10, 50)
    for numbers in [[0, 8, 16, 24], [0, 100]] as [[UInt16]] {
      var generator = NACKGenerator(limits: limits)
      for number in numbers { generator.receive(number, now: at(0)) }
      let wants = generator.pollKeyFrameRequest()
      #expect(wants)
      #expect(generator.missingCount <= 10)
    }
  }

  @Test func `a source that begins anew below its last number is followed`() {
    var generator = NACKGenerator()
    for number in [30_000, 30_001, 1000, 30_002, 500, 501, 503] as [UInt16] { generator.receive(number, now: at(0)) }
    #expect(polled(&generator, at(50)) == [502])
  }

  @Test func `a hostile order of numbers keeps the list bounded`() {
    var random = RandomSource(seed: 5)
    var generator = NACKGenerator()
    var most = 0
    for step in 0..<20_000 {
      generator.receive(UInt16.random(in: 0...65_535, using: &random), now: at(step))
      most = max(most, generator.missingCount)
    }
    #expect(most <= NACKLimits().missing)
  }

  @Test func `of what is sent again only what is missing is of use, and what nobody has seen yet`() {
    var generator = NACKGenerator()
    #expect(generator.isMissing(7))
    for number in [65_534, 65_535, 2] as [UInt16] { generator.receive(number, now: at(0)) }
    #expect([65_535, 0, 1, 2, 3].map { generator.isMissing($0) } == [false, true, true, false, true])
    generator.receive(1, now: at(5))
    #expect(!generator.isMissing(1))
  }
}
