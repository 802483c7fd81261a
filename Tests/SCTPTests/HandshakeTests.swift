import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// RFC 9260 §5.
@Suite struct HandshakeTests {
  // RFC 9260 §5.2.1: both ends open.
  @Test(arguments: seeds(20))
  func `two ends that both open connect though one packet in five is lost`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, reorder: 0.1, duplicate: 0.1)
    let id = try simulation.left.session.open(DataChannelOptions(label: "chat"), now: .zero)
    #expect(simulation.connect())
    #expect(simulation.run(for: .seconds(60)) { $0.left.events.contains(.open(id)) })
    #expect(simulation.right.events.contains(.opened(id, DataChannelOptions(label: "chat"))))
    #expect(simulation.left.count { $0 == .connected } == 1 && simulation.right.count { $0 == .connected } == 1)
  }

  @Test(arguments: seeds(20))
  func `one end that opens is enough`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, duplicate: 0.2)
    simulation.right.session.start(now: .zero)
    #expect(simulation.run(for: .seconds(60)) { $0.left.isConnected && $0.right.isConnected })
  }

  // RFC 9653 §4, §5.1. Some peers drop an INIT with a parameter that they do not know, against RFC 9260 §3.2.1.
  @Test func `zero checksums are offered twice, and to a peer that asks only if it knows of them`() {
    let parameter: [UInt8] = [0x80, 0x01, 0, 8]
    var session = DataChannelSession(SCTPConfiguration(), isClient: true, random: RandomSource(seed: 1))
    var now = Instant.zero
    session.start(now: now)
    var offers: [Bool] = []
    for _ in 0..<4 {
      var batch = DatagramBatch()
      session.takeOutput(into: &batch, now: now)
      offers += (0..<batch.count).map { Array(copying: batch[$0]).contains(parameter) }
      now = session.deadline ?? now
      session.timeout(now: now)
    }
    #expect(offers == [true, true, false, false])
    for knows in [true, false] {
      var asking = SCTPConfiguration()
      if !knows { asking.extensions.remove(.zeroChecksum) }
      var asker = DataChannelSession(asking, isClient: true, random: RandomSource(seed: 2))
      var answerer = DataChannelSession(SCTPConfiguration(), isClient: false, random: RandomSource(seed: 3))
      asker.start(now: .zero)
      var (question, answer) = (DatagramBatch(), DatagramBatch())
      asker.takeOutput(into: &question, now: .zero)
      for index in 0..<question.count { answerer.receive(question[index], now: .zero) }
      answerer.takeOutput(into: &answer, now: .zero)
      #expect((0..<answer.count).map { Array(copying: answer[$0]).contains(parameter) } == [knows])
    }
  }
}
