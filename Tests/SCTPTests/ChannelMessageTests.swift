import MartletPrimitives
import MartletSCTP
import Testing

/// What a session makes of the messages of a peer (RFC 8831 §6.6, RFC 8832 §6).
@Suite struct ChannelMessageTests {
  /// A bare association on one side, a session on the other, and nothing between them.
  private final class Pair {
    var peer: SCTPAssociation
    var session: DataChannelSession
    private(set) var events: [DataChannelEvent] = []
    private(set) var peerEvents: [SCTPEvent] = []

    init(_ configuration: SCTPConfiguration = .init()) {
      peer = SCTPAssociation(configuration, random: RandomSource(seed: 1))
      session = DataChannelSession(configuration, isClient: false, random: RandomSource(seed: 2))
      peer.start(now: .zero)
      run()
    }

    func run() {
      var batch = DatagramBatch()
      for _ in 0..<20 {
        batch.removeAll()
        peer.takeOutput(into: &batch, now: .zero)
        for index in 0..<batch.count { session.receive(batch[index], now: .zero) }
        while let event = session.pollEvent(now: .zero) { events.append(event) }
        batch.removeAll()
        session.takeOutput(into: &batch, now: .zero)
        for index in 0..<batch.count { peer.receive(batch[index], now: .zero) }
        while let event = peer.pollEvent(now: .zero) { peerEvents.append(event) }
      }
    }

    func send(_ protocolID: UInt32, _ bytes: [UInt8], on stream: UInt16 = 0) throws {
      try peer.send(Slice(bytes), on: stream, protocolID: protocolID, now: .zero)
      run()
    }

    func open(_ label: String, on stream: UInt16 = 0) throws {
      try send(PayloadProtocol.control, ChannelControl.open(DataChannelOptions(label: label)).bytes, on: stream)
    }

    var messages: [DataChannelEvent] {
      events.filter { if case .message = $0 { true } else { false } }
    }
    var discarded: Int { session.discarded }
    var channelCount: Int { session.channelCount }
  }

  @Test func `a message in the deprecated parts is put together`() throws {
    let pair = Pair()
    try pair.open("x")
    try pair.send(PayloadProtocol.partialText, [1])
    try pair.send(PayloadProtocol.partialText, [2])
    try pair.send(PayloadProtocol.text, [3])
    try pair.send(PayloadProtocol.partialBinary, [4])
    try pair.send(PayloadProtocol.binary, [5])
    try pair.send(PayloadProtocol.binary, [6])
    #expect(pair.messages == [.message(0, .text, [1, 2, 3]), .message(0, .binary, [4, 5]), .message(0, .binary, [6])])
  }

  @Test func `parts that never end close their channel`() throws {
    let pair = Pair()
    try pair.open("x")
    for _ in 0..<5 { try pair.send(PayloadProtocol.partialBinary, [UInt8](repeating: 1, count: 60000)) }
    #expect(pair.messages.isEmpty && pair.discarded > 0)
    #expect(pair.peerEvents.contains(.incomingReset([0])))
  }

  @Test func `what belongs to no channel, or has no meaning, is discarded and counted`() throws {
    let pair = Pair()
    try pair.send(PayloadProtocol.text, [1], on: 3)
    try pair.open("x")
    try pair.send(99, [1])
    try pair.send(PayloadProtocol.control, [9])
    #expect(pair.messages.isEmpty && pair.discarded == 3 && pair.channelCount == 1)
    try pair.send(PayloadProtocol.control, ChannelControl.ack.bytes, on: 8)
    #expect(pair.discarded == 4)
  }

  // RFC 8832 §6: errors close the stream.
  @Test func `an OPEN that cannot be read, or comes twice, closes its stream`() throws {
    let pair = Pair()
    try pair.send(PayloadProtocol.control, [3, 7, 0, 0], on: 4)
    #expect(pair.channelCount == 0 && pair.peerEvents.contains(.incomingReset([4])))
    try pair.open("x")
    try pair.open("x")
    #expect(pair.events.contains(.opened(0, DataChannelOptions(label: "x"))) && pair.peerEvents.contains(.incomingReset([0])))
  }

  // RFC 8832 §6: data on a channel stands for its ACK.
  @Test func `an answer before the ACK opens the channel`() throws {
    let pair = Pair()
    let id = try pair.session.open(DataChannelOptions(label: "x"), now: .zero)
    pair.run()
    #expect(id == 1 && !pair.events.contains(.open(1)))
    try pair.send(PayloadProtocol.text, [1], on: 1)
    #expect(pair.events.suffix(2) == [.open(1), .message(1, .text, [1])])
  }

  @Test func `a peer with few streams closes the channels that it cannot have`() throws {
    var configuration = SCTPConfiguration()
    configuration.incomingStreams = 2
    let pair = Pair(configuration)
    #expect(try pair.session.open(DataChannelOptions(label: "x"), now: .zero) == 1)
    #expect(throws: DataChannelError.tooManyChannels(maximum: 1)) { try pair.session.open(DataChannelOptions(label: "y"), now: .zero) }
  }
}
