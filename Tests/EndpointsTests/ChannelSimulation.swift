import MartletClient
@testable import MartletEndpoints
import MartletHTTP
import MartletIO
import MartletMessages
import MartletPrimitives
import TestSupport

/// One connection as the server sees it: the real hub, reader, commands and formats behind a virtual pipe.
final class SimulatedSocket: OutputSink, ChannelReaderOwner {
  var source: (any OutputSource)?
  var lastWrite = Instant.zero
  var pipe: VirtualPipe
  private var machine = WebSocketMachine(.server)
  private let hub: MessageHub
  private lazy var reader = {
    let reader = ChannelReader(SocketFormat.plain(), sink: self)
    reader.owner = self
    reader.start()
    return reader
  }()
  private var isClosed = false

  init(_ hub: MessageHub, _ pipe: VirtualPipe) { (self.hub, self.pipe) = (hub, pipe) }

  func setNeedsFlush() {}
  func boundKernelOutput() {}
  func readerFellBehind(_ reader: ChannelReader, on channel: ChannelName) { machine.close(ChannelCloseCode.slow, reason: "slow") }
  func reader(_ reader: ChannelReader, didSee event: PresenceEvent) {}

  /// Reads what came and writes what there is.
  func turn() throws {
    let bytes = pipe.read()
    var (events, offset) = ([WebSocketMachine.Event](), 0)
    while offset < bytes.count, !machine.isClosed {
      offset += try machine.receive(bytes.span.bytes.extracting(offset..<bytes.count), into: &events)
    }
    for case .message(let kind, let payload) in events { try take(kind, payload) }
    pipe.write(machine.takeOutput())
    let vector = IOVector()
    source?.gather(into: vector, .all)
    let messages = vector.copy(atMost: .max)
    if !messages.isEmpty {
      source?.advance(by: messages.count)
      pipe.write(messages)
    }
    if pipe.isBroken || machine.isClosed { close() }
  }

  func close() {
    guard !exchange(&isClosed, with: true) else { return }
    hub.close(reader)
  }

  func kick(_ code: UInt16) { machine.close(.init(rawValue: code), reason: "") }

  private func take(_ kind: WebSocketMachine.MessageKind, _ payload: Slice) throws {
    if kind == .text {
      let json = try JSON(parsing: payload.bytes)
      let id = json["id"]?.intValue
      return perform(try SocketCommand(json, id: id))
    }
    var bytes = ByteReader(payload.bytes)
    let count = Int(try bytes.u16())
    guard case .object(var object) = try JSON(parsing: Array(copying: try bytes.bytes(count))) else { return }
    object["b64"] = .string(Base64.encode(payload.dropFirst(2 + count).array))
    perform(try SocketCommand(.object(object), id: object["id"]?.intValue))
  }

  private func say(_ text: Slice) { machine.send(.text, text.bytes) }

  private func perform(_ command: SocketCommand) {
    let id = command.id
    switch command.action {
    case .connect, .refresh, .ping, .presence: say(SocketReply.ok(id))
    case .subscribe(let channel, let start, _, _):
      hub.subscribe(reader, to: channel, start) { [self] result in
        switch result {
        case .failure(let error): say(SocketReply.error(id, .init(error), "\(error)"))
        case .success(let subscription):
          say(
            SocketReply.ok(id) { json in
              json.member("channel", channel.text)
              json.member("cursor", subscription.cursor.description)
              json.member("lost", subscription.lostHistory)
            })
        }
      }
    case .unsubscribe(let channel):
      do throws(MessageError) {
        try hub.unsubscribe(reader, from: channel)
        say(SocketReply.ok(id))
      } catch { say(SocketReply.error(id, .init(error), "\(error)")) }
    case .publish(let channel, let draft):
      hub.publish(draft, to: channel) { [self] result in
        switch result {
        case .failure(let error): say(SocketReply.error(id, .init(error), "\(error)"))
        case .success(let cursor): say(SocketReply.ok(id) { $0.member("cursor", cursor.description) })
        }
      }
    case .history(let channel, let start, let limit):
      hub.history(of: channel, start, limit: limit) { [self] result in
        if case .success(let history) = result { say(SocketReply.ok(id) { history.write(of: channel, to: &$0) }) }
      }
    }
  }
}

/// A client: the real machine, and what it was told.
final class SimulatedClient {
  var machine: ChannelMachine
  var socket: WebSocketMachine?
  var pipe: VirtualPipe?
  var events: [ChannelEvent] = []
  var answers: [Int64: Result<ChannelMachine.Answer, ChannelError>] = [:]
  var connectAt: Instant?
  private(set) var losses = 0
  /// Events that its reader has room for; then it is held.
  var room = Int.max

  init(seed: UInt64) {
    var limits = ChannelMachine.Limits()
    limits.timeout = .seconds(600)
    machine = ChannelMachine(
      limits: limits, backoff: Backoff(initial: .milliseconds(40), maximum: .milliseconds(300)), random: SeededRandom(seed: seed))
  }

  /// Carries out what the machine wants, but for connections.
  func drain(now: Instant) {
    while let action = machine.poll() {
      switch action {
      case .connect: connectAt = now + .milliseconds(20)
      case .send(let bytes, let binary): socket?.send(binary ? .binary : .text, bytes.span.bytes)
      case .disconnect: drop()
      case .deliver(let id, let event, _):
        events.append(event)
        room -= 1
        if room <= 0 { machine.hold(id) }
      case .end(_, let error): events.append(.lost(cursor: "end \(error)"))
      case .answer(let id, let result): answers[id] = result
      }
    }
    if let bytes = socket?.takeOutput() { pipe?.write(bytes) }
  }

  func drop() {
    pipe?.reset()
    socket = nil
  }

  /// The connection breaks under it.
  func lose(_ loss: ChannelMachine.Loss, now: Instant) {
    guard socket != nil || connectAt != nil else { return }
    losses += 1
    drop()
    connectAt = nil
    machine.disconnected(loss, now: now)
    drain(now: now)
  }

  func turn(now: Instant) throws {
    let bytes = pipe?.read() ?? []
    var (events, offset) = ([WebSocketMachine.Event](), 0)
    while offset < bytes.count, let taken = try socket?.receive(bytes.span.bytes.extracting(offset..<bytes.count), into: &events) {
      offset += taken
    }
    for event in events {
      switch event {
      case .message(let kind, let payload): machine.receive(payload.bytes, binary: kind == .binary, now: now)
      case .closed(let code, let reason): lose(.closed(code.rawValue, reason), now: now)
      case .ping, .pong: break
      }
      drain(now: now)
    }
    if socket != nil, pipe?.isBroken == true { lose(.closed(1006, "reset"), now: now) }
    if let deadline = machine.deadline, deadline <= now { machine.timeout(now: now) }
    drain(now: now)
  }

  var messages: [MartletClient.ChannelMessage] {
    events.compactMap { if case .message(let message) = $0 { message } else { nil } }
  }
}

/// Clients and a server on a bad network, in virtual time.
final class ChannelSimulation {
  let hub: MessageHub
  private(set) var clock = ManualClock()
  private var network: VirtualNetwork
  private(set) var clients: [SimulatedClient] = []
  private var sockets: [SimulatedSocket] = []
  private var ports: UInt16 = 1000
  private let seed: UInt64

  init(_ hub: MessageHub, seed: UInt64) {
    (self.hub, self.seed) = (hub, seed)
    network = VirtualNetwork(
      seed: seed, loss: 0.02, latency: .milliseconds(8), jitter: .milliseconds(6), reorder: 0.02, duplicate: 0.02, mtu: 400)
  }

  var now: Instant { clock.now }

  func addClient() -> SimulatedClient {
    let client = SimulatedClient(seed: seed &* 31 &+ UInt64(clients.count))
    clients.append(client)
    return client
  }

  /// The server closes the connection of a client that has one.
  func kick(_ client: SimulatedClient, _ code: UInt16) {
    sockets.first { $0.pipe.remote == client.pipe?.local }?.kick(code)
  }

  private func connect(_ client: SimulatedClient) {
    ports += 1
    let near = SocketAddress(ip: .v4(0x0A00_0002), port: ports), far = SocketAddress(ip: .v4(0x0A00_0001), port: ports)
    client.connectAt = nil
    client.pipe = VirtualPipe(local: near, remote: far, mtu: 400, retransmission: .milliseconds(60))
    client.socket = WebSocketMachine(.client(maskSeed: [UInt8(truncatingIfNeeded: ports), 7]))
    sockets.append(SimulatedSocket(hub, VirtualPipe(local: far, remote: near, mtu: 400, retransmission: .milliseconds(60))))
    client.machine.connected(token: "t", now: now)
    client.drain(now: now)
  }

  func run(for span: TimeSpan) throws {
    let limit = now + span
    while true {
      while let datagram = network.receive(now: now) { route(datagram) }
      for socket in sockets {
        socket.pipe.timeout(now: now)
        try socket.turn()
      }
      for client in clients {
        client.pipe?.timeout(now: now)
        try client.turn(now: now)
        if let at = client.connectAt, at <= now { connect(client) }
      }
      transmit()
      sockets.removeAll { $0.pipe.isBroken && $0.pipe.deadline == nil }
      let deadlines =
        [network.deadline] + sockets.map(\.pipe.deadline) + clients.flatMap { [$0.pipe?.deadline, $0.machine.deadline, $0.connectAt] }
      guard let next = deadlines.compactMap({ $0 }).min(), next <= limit else { return clock.advance(to: limit) }
      clock.advance(to: max(next, now + .microseconds(10)))
    }
  }

  private func route(_ datagram: VirtualNetwork.Datagram) {
    for client in clients where client.pipe?.local == datagram.to { client.pipe?.receive(datagram.bytes, now: now) }
    for socket in sockets where socket.pipe.local == datagram.to { socket.pipe.receive(datagram.bytes, now: now) }
  }

  private func transmit() {
    for client in clients { while let datagram = client.pipe?.pollTransmit(now: now) { network.send(datagram, now: now) } }
    for socket in sockets { while let datagram = socket.pipe.pollTransmit(now: now) { network.send(datagram, now: now) } }
  }
}
