import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// A client's and a server's machine over pipes on a bad network, in virtual time.
private struct Conversation: ~Copyable {
  private var clock = ManualClock()
  private var network: VirtualNetwork
  private var client: WebSocketMachine
  private var server: WebSocketMachine
  private var clientPipe: VirtualPipe
  private var serverPipe: VirtualPipe
  private(set) var atServer: [WebSocketMachine.Event] = []
  private(set) var atClient: [WebSocketMachine.Event] = []
  private static let near = SocketAddress(ip: .v4(0x0A00_0002), port: 5000), far = SocketAddress(ip: .v4(0x0A00_0001), port: 80)

  init(seed: UInt64, compresses: Bool) {
    network = VirtualNetwork(
      seed: seed, loss: 0.05, latency: .milliseconds(15), jitter: .milliseconds(10), reorder: 0.05, duplicate: 0.03, mtu: 300)
    clientPipe = VirtualPipe(local: Self.near, remote: Self.far, mtu: 300)
    serverPipe = VirtualPipe(local: Self.far, remote: Self.near, mtu: 300)
    let (agreement, settings) = (DeflateAgreement(), DeflateSettings())
    let pool = DeflatePool()
    client = WebSocketMachine(
      .client(maskSeed: [7]), compression: compresses ? .init(agreement, settings, isServer: false, pool: pool) : nil)
    server = WebSocketMachine(.server, compression: compresses ? .init(agreement, settings, isServer: true, pool: pool) : nil)
  }

  mutating func say(_ kind: WebSocketMachine.MessageKind, _ payload: [UInt8], fromServer: Bool) {
    if fromServer { server.send(kind, payload.span.bytes) } else { client.send(kind, payload.span.bytes) }
  }

  mutating func ping() { client.ping([1, 2, 3]) }
  mutating func close() { client.close(.goingAway, reason: "enough") }
  var areClosed: Bool { client.isClosed && server.isClosed }

  mutating func run(for span: TimeSpan) throws(WebSocketError) {
    let limit = clock.now + span
    while true {
      while let datagram = network.receive(now: clock.now) {
        if datagram.to == Self.near {
          clientPipe.receive(datagram.bytes, now: clock.now)
        } else {
          serverPipe.receive(datagram.bytes, now: clock.now)
        }
      }
      clientPipe.timeout(now: clock.now)
      serverPipe.timeout(now: clock.now)
      try Self.feed(&client, clientPipe.read(), &atClient)
      try Self.feed(&server, serverPipe.read(), &atServer)
      clientPipe.write(client.takeOutput())
      serverPipe.write(server.takeOutput())
      while let datagram = clientPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
      while let datagram = serverPipe.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
      let next = [network.deadline, clientPipe.deadline, serverPipe.deadline].compactMap { $0 }.min()
      guard let next, next <= limit else { return clock.advance(to: limit) }
      clock.advance(to: max(next, clock.now + .microseconds(1)))
    }
  }

  private static func feed(
    _ machine: inout WebSocketMachine, _ bytes: [UInt8], _ events: inout [WebSocketMachine.Event]
  ) throws(WebSocketError) {
    var offset = 0
    while offset < bytes.count { offset += try machine.receive(bytes.span.bytes.extracting(offset..<bytes.count), into: &events) }
  }
}

@Suite struct WebSocketNetworkTests {
  @Test(arguments: [false, true], 1...8 as ClosedRange<UInt64>)
  func `every message arrives once and in order over a bad network`(compresses: Bool, seed: UInt64) throws {
    var conversation = Conversation(seed: seed, compresses: compresses)
    var random = SeededRandom(seed: seed)
    var (up, down): ([WebSocketMachine.Event], [WebSocketMachine.Event]) = ([], [])
    for round in 0..<60 {
      let count = [0, 5, 125, 126, 700, 3000].randomElement(using: &random) ?? 0
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: 97 + ($0 &* round) % 26) }
      let kind: WebSocketMachine.MessageKind = round % 3 == 0 ? .binary : .text
      conversation.say(kind, payload, fromServer: round % 2 == 0)
      if round % 2 == 0 { down.append(.message(kind, Slice(payload))) } else { up.append(.message(kind, Slice(payload))) }
      if round % 10 == 9 {
        conversation.ping()
        up.append(.ping([1, 2, 3]))
      }
      try conversation.run(for: .milliseconds(20))
    }
    try conversation.run(for: .seconds(20))
    conversation.close()
    try conversation.run(for: .seconds(10))
    up.append(.closed(.goingAway, reason: "enough"))
    down.append(.closed(.goingAway, reason: ""))
    let (atServer, atClient, closed) = (
      conversation.atServer, conversation.atClient.filter { $0 != .pong([1, 2, 3]) }, conversation.areClosed
    )
    #expect(atServer == up)
    #expect(atClient == down)
    #expect(closed)
  }
}
