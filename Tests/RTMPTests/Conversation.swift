import MartletPrimitives
import MartletRTMP
import TestSupport

/// A client and a server that exchange bytes in random pieces on a clock of their own.
struct Conversation: ~Copyable {
  var server: ServerSession
  var client: ClientSession
  var now = Instant.zero
  var serverEvents: [ServerEvent] = []
  var clientEvents: [ClientEvent] = []
  /// What the driver of the server answers by itself.
  var acceptsConnect = true, acceptsStream = true
  private var random: SeededRandom
  private let step: Int?

  /// - Parameter step: bytes a piece; random when `nil`.
  init(
    _ purpose: ClientSessionConfiguration.Purpose, seed: UInt64 = 1, step: Int? = nil, app: String = "live", name: String = "cam",
    handshake: ClientHandshake.Mode = .keyFirst, server configuration: ServerSessionConfiguration = .init()
  ) {
    var random = SeededRandom(seed: seed)
    var settings = ClientSessionConfiguration(app: app, tcURL: "rtmp://localhost/\(app)", streamName: name, purpose: purpose)
    settings.handshake = handshake
    server = ServerSession(configuration: configuration, now: .zero, random: &random)
    client = ClientSession(settings, now: .zero, random: &random)
    self.random = random
    self.step = step
  }

  /// Lets both talk until neither has anything to say.
  mutating func run() throws(RTMPError) {
    while true {
      let (up, down) = (client.takeOutput(), server.takeOutput())
      if up.isEmpty, down.isEmpty { return }
      try deliverUp(up)
      try deliverDown(down)
    }
  }

  mutating func deliverUp(_ bytes: [UInt8]) throws(RTMPError) {
    var offset = 0
    while offset < bytes.count, !server.isClosed {
      let end = min(bytes.count, offset + (step ?? Int.random(in: 1...2000, using: &random)))
      now = now + .microseconds(100)
      try server.receive(bytes.span.bytes.extracting(offset..<end), now: now)
      offset = end
      try drainServer()
    }
  }

  mutating func deliverDown(_ bytes: [UInt8]) throws(RTMPError) {
    var offset = 0
    while offset < bytes.count, !client.isClosed {
      let end = min(bytes.count, offset + (step ?? Int.random(in: 1...2000, using: &random)))
      now = now + .microseconds(100)
      try client.receive(bytes.span.bytes.extracting(offset..<end), now: now)
      offset = end
      drainClient()
    }
    drainClient()
  }

  mutating func drainServer() throws(RTMPError) {
    while let event = server.pollEvent() {
      serverEvents.append(event)
      switch event {
      case .connect: if acceptsConnect { try server.acceptConnect() }
      case .publish(let request): if acceptsStream { server.acceptPublish(request.streamID) }
      case .play(let request): if acceptsStream { server.acceptPlay(request.streamID, reset: request.reset) }
      default: break
      }
    }
  }

  mutating func drainClient() { while let event = client.pollEvent() { clientEvents.append(event) } }

  var media: [RTMPMessage] {
    serverEvents.compactMap { if case .media(_, let message) = $0 { message } else { nil } }
  }

  var statusCodes: [String] { clientEvents.compactMap { if case .status(_, let code, _) = $0 { code } else { nil } } }
}

/// A server spoken to by hand, command by command.
struct RawClient: ~Copyable {
  var server: ServerSession
  var events: [ServerEvent] = []
  /// What the server has answered.
  var answers: [RTMPMessage] = []
  private var reader = ChunkReader()
  private var writer = ChunkWriter()

  /// Handshakes, and connects unless told not to.
  init(connects: Bool = true, configuration: ServerSessionConfiguration = .init()) throws(RTMPError) {
    var random = SeededRandom(seed: 9)
    server = ServerSession(configuration: configuration, now: .zero, random: &random)
    try raw([3] + [UInt8](repeating: 0, count: 3072))
    let handshake = server.takeOutput()
    guard handshake.count == 3073 else { throw .unexpected("a handshake answer of \(handshake.count) bytes") }
    if connects {
      try command("connect", 1, .object(["app": "live"]))
      try server.acceptConnect()
      try drain()
    }
  }

  mutating func raw(_ bytes: [UInt8]) throws(RTMPError) {
    try server.receive(bytes.span.bytes, now: .zero)
    while let event = server.pollEvent() { events.append(event) }
  }

  mutating func send(_ message: RTMPMessage) throws(RTMPError) {
    var bytes: [UInt8] = []
    writer.write(message, into: &bytes)
    try raw(bytes)
    try drain()
  }

  mutating func command(
    _ name: String, _ transaction: Double, _ object: AMFValue = .null, _ arguments: [AMFValue] = [], on stream: UInt32 = 0,
    encoding: Command.Encoding = .amf0
  ) throws(RTMPError) {
    try send(Command(name, transaction: transaction, object: object, arguments, encoding: encoding).message(streamID: stream))
  }

  mutating func drain() throws(RTMPError) {
    while let event = server.pollEvent() { events.append(event) }
    let bytes = server.takeOutput()
    try reader.receive(bytes.span.bytes, into: &answers)
  }

  /// The commands the server has sent, and forgets them.
  mutating func commands() -> [Command] {
    defer { answers = [] }
    return answers.compactMap { [.command, .commandAMF3].contains($0.type) ? try? Command($0) : nil }
  }

  mutating func codes() -> [String] { commands().compactMap { $0.argument(0)["code"]?.string } }
}
