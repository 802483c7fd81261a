import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

/// A publisher, a server and a player, each pair over a pipe on a bad network, in virtual time.
private struct Broadcast: ~Copyable {
  struct Sent: Equatable {
    var type: MessageType
    var timestamp: UInt32
    var payload: Slice
  }

  var clock = ManualClock()
  var network: VirtualNetwork
  /// What the player has got, over all connections of the publisher.
  var played: [Sent] = []
  /// How publishing connections ended, as the server saw it.
  var ends: [String] = []
  var publisherIsReady = false

  private var random: SeededRandom
  private var publisher: ClientSession
  private var ingest: ServerSession
  private var player: ClientSession
  private var outlet: ServerSession
  private var publisherPipe: VirtualPipe, ingestPipe: VirtualPipe
  private var playerPipe: VirtualPipe, outletPipe: VirtualPipe
  private var ingestIsOver = false
  private var ports: UInt16 = 5000
  private static let server = IPAddress.v4(0x0A00_0001), client = IPAddress.v4(0x0A00_0002), viewer = IPAddress.v4(0x0A00_0003)

  init(seed: UInt64) {
    random = SeededRandom(seed: seed)
    network = VirtualNetwork(
      seed: seed, loss: 0.03, latency: .milliseconds(20), jitter: .milliseconds(15), reorder: 0.05, duplicate: 0.02)
    publisher = Self.client(.publish(), &random, .zero)
    player = Self.client(.play(), &random, .zero)
    ingest = ServerSession(now: .zero, random: &random)
    outlet = ServerSession(now: .zero, random: &random)
    (publisherPipe, ingestPipe) = Self.pipes(Self.client, 5000)
    (playerPipe, outletPipe) = Self.pipes(Self.viewer, 6000)
  }

  private static func client(
    _ purpose: ClientSessionConfiguration.Purpose, _ random: inout SeededRandom, _ now: Instant
  ) -> ClientSession {
    let settings = ClientSessionConfiguration(app: "live", tcURL: "rtmp://server/live", streamName: "cam", purpose: purpose)
    return ClientSession(settings, now: now, random: &random)
  }

  private static func pipes(_ host: IPAddress, _ port: UInt16) -> (VirtualPipe, VirtualPipe) {
    let (local, remote) = (SocketAddress(ip: host, port: port), SocketAddress(ip: server, port: 1935))
    return (VirtualPipe(local: local, remote: remote), VirtualPipe(local: remote, remote: local))
  }

  /// A new connection of the publisher, from another port.
  mutating func reconnect() {
    ports += 1
    publisher = Self.client(.publish(), &random, clock.now)
    ingest = ServerSession(now: clock.now, random: &random)
    (publisherPipe, ingestPipe) = Self.pipes(Self.client, ports)
    ingestIsOver = false
    publisherIsReady = false
  }

  mutating func publish(_ message: Sent) { publisher.sendMedia(message.type, timestamp: message.timestamp, message.payload) }
  mutating func finish() { publisher.finish() }
  /// The publisher's connection breaks, here or on the server's side.
  mutating func cut(atServer: Bool) { if atServer { ingestPipe.reset() } else { publisherPipe.reset() } }
  var ingestHasEnded: Bool { ingestIsOver }

  /// Lets time pass until `limit`, or until nothing is left to happen.
  mutating func run(for span: TimeSpan) throws(RTMPError) {
    let limit = clock.now + span
    while true {
      try turn()
      let deadlines = [
        network.deadline, publisherPipe.deadline, ingestPipe.deadline, playerPipe.deadline, outletPipe.deadline, publisher.deadline,
        player.deadline, ingest.deadline, outlet.deadline,
      ]
      guard let next = deadlines.compactMap({ $0 }).min(), next <= limit else {
        clock.advance(to: limit)
        return
      }
      // Everything due has been done: what is due still would be due for ever.
      guard next > clock.now else { throw .unexpected("a deadline that does not pass") }
      clock.advance(to: next)
    }
  }

  private mutating func turn() throws(RTMPError) {
    while let datagram = network.receive(now: clock.now) { deliver(datagram) }
    for step in 0..<2 {
      publisherPipe.timeout(now: clock.now)
      ingestPipe.timeout(now: clock.now)
      playerPipe.timeout(now: clock.now)
      outletPipe.timeout(now: clock.now)
      if step == 0 { try drive() }
    }
    while let datagram = publisherPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
    while let datagram = ingestPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
    while let datagram = playerPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
    while let datagram = outletPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
  }

  private mutating func deliver(_ datagram: VirtualNetwork.Datagram) {
    // Segments of a connection that is gone find nobody.
    if datagram.to == publisherPipe.local {
      publisherPipe.receive(datagram.bytes, now: clock.now)
    } else if datagram.to == playerPipe.local {
      playerPipe.receive(datagram.bytes, now: clock.now)
    } else if datagram.from == ingestPipe.remote {
      ingestPipe.receive(datagram.bytes, now: clock.now)
    } else if datagram.from == outletPipe.remote {
      outletPipe.receive(datagram.bytes, now: clock.now)
    }
  }

  private mutating func drive() throws(RTMPError) {
    try drivePublisher()
    driveIngest()
    try driveOutlet()
    try drivePlayer()
  }

  private mutating func drivePublisher() throws(RTMPError) {
    let bytes = publisherPipe.read()
    if !publisher.isClosed {
      if !bytes.isEmpty { try publisher.receive(bytes.span.bytes, now: clock.now) }
      try publisher.timeout(now: clock.now)
    }
    while let event = publisher.pollEvent() { if event == .publishing { publisherIsReady = true } }
    publisherPipe.write(publisher.takeOutput())
    if publisher.isClosed { publisherPipe.finish() }
  }

  private mutating func driveIngest() {
    guard !ingestIsOver else { return }
    let bytes = ingestPipe.read()
    do throws(RTMPError) {
      if !bytes.isEmpty { try ingest.receive(bytes.span.bytes, now: clock.now) }
      try ingest.timeout(now: clock.now)
    } catch {
      ingestIsOver = true
      ends.append("\(error)")
    }
    while let event = ingest.pollEvent() {
      switch event {
      case .connect: try? ingest.acceptConnect()
      case .publish(let request): ingest.acceptPublish(request.streamID)
      case .media(_, let message): fanOut(message)
      case .closeStream:
        ingestIsOver = true
        ends.append("unpublished")
      default: break
      }
    }
    ingestPipe.write(ingest.takeOutput())
    if !ingestIsOver, ingestPipe.isBroken || ingestPipe.isAtEnd {
      ingestIsOver = true
      ends.append("connection ended")
    }
  }

  /// The same bytes for every player, as the hub's wire ring keeps them.
  private mutating func fanOut(_ message: RTMPMessage) {
    guard let id = outlet.playerStreamID else { return }
    let chunkStream = message.type == .audio ? ChunkStreamID.audio : message.type == .video ? ChunkStreamID.video : ChunkStreamID.data
    let image = ChunkWriter.wireImage(
      type: message.type, chunkStreamID: chunkStream, streamID: id, timestamp: message.timestamp, payloadParts: [message.payload],
      chunkSize: outlet.outgoingChunkSize)
    outletPipe.write(outlet.takeOutput())
    outletPipe.write(image.array)
  }

  private mutating func driveOutlet() throws(RTMPError) {
    let bytes = outletPipe.read()
    if !bytes.isEmpty { try outlet.receive(bytes.span.bytes, now: clock.now) }
    try outlet.timeout(now: clock.now)
    while let event = outlet.pollEvent() {
      switch event {
      case .connect: try outlet.acceptConnect()
      case .play(let request): outlet.acceptPlay(request.streamID)
      default: break
      }
    }
    outletPipe.write(outlet.takeOutput())
  }

  private mutating func drivePlayer() throws(RTMPError) {
    let bytes = playerPipe.read()
    if !bytes.isEmpty { try player.receive(bytes.span.bytes, now: clock.now) }
    try player.timeout(now: clock.now)
    while let event = player.pollEvent() {
      if case .media(let message) = event {
        played.append(Sent(type: message.type, timestamp: message.timestamp, payload: message.payload))
      }
    }
    playerPipe.write(player.takeOutput())
  }
}

@Suite struct LossyNetworkTests {
  /// Audio and video of all sizes, with times that wrap.
  private func messages(_ count: Int, from first: Int = 0, seed: UInt64) -> [Broadcast.Sent] {
    var random = SeededRandom(seed: seed &* 1000 &+ UInt64(first))
    return (first..<first + count).map { index in
      let isVideo = index % 3 != 0
      let size = Int.random(in: 1...(index % 40 == 1 ? 120_000 : isVideo ? 4000 : 300), using: &random)
      return Broadcast.Sent(
        type: isVideo ? .video : .audio, timestamp: 0xFFFF_FF00 &+ UInt32(truncatingIfNeeded: index &* 13),
        payload: Slice((0..<size).map { UInt8(truncatingIfNeeded: index &+ $0 &* 31) }))
    }
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `every message reaches the player once, in order, with its time`(seed: UInt64) throws {
    var broadcast = Broadcast(seed: seed)
    try broadcast.run(for: .seconds(8))
    let isReady = broadcast.publisherIsReady
    #expect(isReady)
    let sent = messages(120, seed: seed)
    for message in sent {
      broadcast.publish(message)
      try broadcast.run(for: .milliseconds(13))
    }
    broadcast.finish()
    try broadcast.run(for: .seconds(60))
    let (played, ends, lost) = (broadcast.played, broadcast.ends, broadcast.network.statistics.lost)
    #expect(played.count == sent.count && played == sent)
    #expect(ends == ["unpublished"] && lost > 0)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `a publisher whose connection breaks comes back, and the player sees a gap and nothing else`(seed: UInt64) throws {
    var broadcast = Broadcast(seed: seed)
    try broadcast.run(for: .seconds(8))
    let first = messages(60, seed: seed)
    for message in first {
      broadcast.publish(message)
      try broadcast.run(for: .milliseconds(13))
    }
    // Amid what is on its way, anywhere in a message.
    try broadcast.run(for: .milliseconds(Int(seed) * 7))
    broadcast.cut(atServer: seed % 2 == 0)
    try broadcast.run(for: .seconds(30))
    let beforeTheGap = broadcast.played
    #expect(beforeTheGap.count <= first.count && beforeTheGap == Array(first.prefix(beforeTheGap.count)))
    broadcast.reconnect()
    try broadcast.run(for: .seconds(8))
    let isReady = broadcast.publisherIsReady
    #expect(isReady)
    let second = messages(60, from: 60, seed: seed)
    for message in second {
      broadcast.publish(message)
      try broadcast.run(for: .milliseconds(13))
    }
    broadcast.finish()
    try broadcast.run(for: .seconds(60))
    let (played, ends) = (broadcast.played, broadcast.ends)
    #expect(Array(played.dropFirst(beforeTheGap.count)) == second)
    #expect(ends.last == "unpublished")
  }

  @Test func `cut at any byte a publisher's stream is a prefix of what was sent, and nothing fails`() throws {
    let sent = messages(8, seed: 5).map {
      Broadcast.Sent(type: $0.type, timestamp: $0.timestamp, payload: $0.payload.sub(0..<300))
    }
    // One whole conversation, noted byte by byte in both directions.
    var pair = Conversation(.publish())
    try pair.run()
    for message in sent { pair.client.sendMedia(message.type, timestamp: message.timestamp, message.payload) }
    let media = pair.client.takeOutput()
    for count in 0...media.count {
      var again = Conversation(.publish())
      try again.run()
      try again.deliverUp(Array(media[..<count]))
      let arrived = again.media.map { Broadcast.Sent(type: $0.type, timestamp: $0.timestamp, payload: $0.payload) }
      let isClosed = again.server.isClosed
      #expect(!isClosed)
      #expect(arrived == Array(sent.prefix(arrived.count)))
      #expect(count < media.count || arrived.count == sent.count)
    }
  }

  @Test func `a client whose connection ends inside the handshake or connect leaves a session that times out`() throws {
    var random = SeededRandom(seed: 4)
    let settings = ClientSessionConfiguration(app: "live", tcURL: "rtmp://h/live", streamName: "cam", purpose: .publish())
    var client = ClientSession(settings, now: .zero, random: &random)
    let hello = client.takeOutput()
    for count in stride(from: 0, to: hello.count, by: 17) {
      var server = ServerSession(now: .zero, random: &random)
      try server.receive(hello.span.bytes.extracting(0..<count), now: .zero)
      let deadline = server.deadline ?? .distantFuture
      do {
        try server.timeout(now: deadline)
        Issue.record("a session without a peer lives on")
      } catch {
        #expect(error == .timedOut(waitingFor: "complete RTMP handshake", after: .seconds(10)))
      }
    }
  }
}
