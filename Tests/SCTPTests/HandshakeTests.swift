import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// RFC 9260 §5.
@Suite struct HandshakeTests {
  // RFC 9260 §5.2.1: both ends open.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func `two ends that both open connect though one packet in five is lost`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, reorder: 0.1, duplicate: 0.1)
    let id = try simulation.left.session.open(DataChannelOptions(label: "chat"), now: .zero)
    #expect(simulation.connect())
    #expect(simulation.run(for: .seconds(60)) { $0.left.events.contains(.open(id)) })
    #expect(simulation.right.events.contains(.opened(id, DataChannelOptions(label: "chat"))))
    #expect(simulation.left.count { $0 == .connected } == 1 && simulation.right.count { $0 == .connected } == 1)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `one end that opens is enough`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, duplicate: 0.2)
    simulation.right.session.start(now: .zero)
    #expect(simulation.run(for: .seconds(60)) { $0.left.isConnected && $0.right.isConnected })
  }
}
