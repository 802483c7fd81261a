import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// The generator at the receiver and the reader at the sender, over a bad network.
@Suite struct TransportFeedbackExchangeTests {
  private struct Truth {
    var sent: Instant
    var bytes: Int
    var arrival: Instant?
  }

  @Test(arguments: seeds(20)) func `the sender learns what became of every packet, and when`(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let (a, b) = (SocketAddress(host: 1), SocketAddress(host: 2))
    var network = VirtualNetwork(
      seed: seed, loss: 0.1, latency: .milliseconds(30), jitter: .milliseconds(20), reorder: 0.05, duplicate: 0.05)
    var generator = TransportFeedbackGenerator()
    var reader = TransportFeedbackReader(first: UInt16.random(in: .min ... .max, using: &random))
    var truth: [Truth] = []
    var index: [UInt16: Int] = [:]
    var told: [UInt16: TransportFeedbackReader.Result] = [:]
    var now = Instant.zero + .seconds(Int.random(in: 0...10_000_000, using: &random))
    for step in 0..<6000 {
      now = now + .milliseconds(1)
      if step < 5000, Bool.random(using: &random) {
        let bytes = Int.random(in: 100...1200, using: &random)
        let number = reader.send(bytes: bytes, now: now)
        index[number] = truth.count
        truth.append(Truth(sent: now, bytes: bytes))
        network.send(.init(from: a, to: b, bytes: [UInt8(number >> 8), UInt8(number & 0xFF)]), now: now)
      }
      while let datagram = network.receive(now: now) {
        let number = UInt16(datagram.bytes[0]) << 8 | UInt16(datagram.bytes[1])
        if let place = index[number], truth[place].arrival == nil { truth[place].arrival = now }
        generator.receive(number, now: now)
      }
      while let feedback = generator.poll(sender: 1, media: 2, now: now) {
        let wire = write([.transportFeedback(feedback)])
        #expect(wire.count < 1200)
        guard case .transportFeedback(let read) = try parse(wire).first else { continue }
        var results: [TransportFeedbackReader.Result] = []
        reader.receive(read, into: &results)
        for result in results { told[result.sequenceNumber] = result }
      }
    }
    try check(truth, index, told)
  }

  private func check(_ truth: [Truth], _ index: [UInt16: Int], _ told: [UInt16: TransportFeedbackReader.Result]) throws {
    var offset: TimeSpan?
    // Of losses before the first arrival and behind the last one the receiver cannot know.
    let first = try #require(truth.firstIndex { $0.arrival != nil })
    let last = try #require(truth.lastIndex { $0.arrival != nil })
    for (number, place) in index where (first...last).contains(place) {
      let result = try #require(told[number])
      #expect(result.sent == truth[place].sent && result.bytes == truth[place].bytes)
      #expect((result.arrival == nil) == (truth[place].arrival == nil))
      guard let arrival = result.arrival, let real = truth[place].arrival else { continue }
      // The receiver's clock is another; the difference is the same for all packets, to 250 µs.
      let difference = real - arrival
      offset = offset ?? difference
      #expect(abs((difference - (offset ?? .zero)).nanoseconds) <= 250_000)
    }
  }

  private func poll(_ generator: inout TransportFeedbackGenerator, _ now: Instant) throws -> TransportFeedback {
    let feedback = generator.poll(sender: 1, media: 2, now: now)
    return try #require(feedback)
  }

  @Test func `a late packet is reported though the feedback has passed it`() throws {
    var generator = TransportFeedbackGenerator()
    for number in [1, 2, 4] as [UInt16] { generator.receive(number, now: .zero) }
    let first = try poll(&generator, .zero + .milliseconds(100))
    #expect(first.baseSequenceNumber == 1 && first.deltas == [0, 0, nil, 0])
    generator.receive(3, now: .zero + .milliseconds(110))
    generator.receive(6, now: .zero + .milliseconds(111))
    let second = try poll(&generator, .zero + .milliseconds(210))
    #expect(second.baseSequenceNumber == 3 && second.feedbackCount == 1)
    // 4 came first, 440 units before 3; 5 is missing.
    #expect(second.deltas == [184, -440, nil, 444])
    #expect(generator.deadline == nil)
  }

  @Test func `packets missing since the last feedback are part of the next`() throws {
    var generator = TransportFeedbackGenerator()
    generator.receive(65_534, now: .zero)
    _ = try poll(&generator, .zero + .milliseconds(100))
    generator.receive(2, now: .zero + .seconds(30))
    let feedback = try poll(&generator, .zero + .seconds(31))
    #expect(feedback.baseSequenceNumber == 65_535)
    #expect(feedback.deltas.count == 4 && feedback.deltas.prefix(3) == [nil, nil, nil])
  }

  @Test func `arrivals too far apart for a delta go into feedbacks of their own`() throws {
    var limits = TransportFeedbackGenerator.Limits()
    limits.interval = .seconds(30)
    var generator = TransportFeedbackGenerator(limits: limits)
    generator.receive(1, now: .zero)
    generator.receive(3, now: .zero + .seconds(9))
    let now = Instant.zero + .seconds(30)
    let first = try poll(&generator, now)
    #expect(first.deltas.count == 1)
    let second = try poll(&generator, now)
    #expect(second.baseSequenceNumber == 2 && second.deltas.count == 2)
    let third = generator.poll(sender: 1, media: 2, now: now)
    #expect(third == nil)
  }

  @Test func `any order of numbers keeps both sides bounded and every feedback small`() throws {
    var random = RandomSource(seed: 9)
    var generator = TransportFeedbackGenerator()
    var reader = TransportFeedbackReader()
    var now = Instant.zero
    var (outstanding, largest) = (0, 0)
    for _ in 0..<20_000 {
      now = now + .milliseconds(Int.random(in: 0...5, using: &random))
      generator.receive(UInt16.random(in: 0...65_535, using: &random), now: now)
      _ = reader.send(bytes: 1, now: now)
      outstanding = max(outstanding, reader.outstanding)
      var results: [TransportFeedbackReader.Result] = []
      while let feedback = generator.poll(sender: 1, media: 2, now: now) {
        largest = max(largest, write([.transportFeedback(feedback)]).count)
        reader.receive(feedback, into: &results)
      }
    }
    #expect(outstanding <= 4096 && largest < 1200)
  }
}
