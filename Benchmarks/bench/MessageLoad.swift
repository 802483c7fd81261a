internal import Glibc
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// How a subscriber of `bench fanout` asks for messages, and how it counts them.
internal enum MessageProtocol: String {
  /// `/ws` of Martlet: subscribes by a command.
  case martlet
  /// A WebSocket that is subscribed by its URL.
  case ws
  /// The same, offering permessage-deflate.
  case deflate
  case sse
  /// Socket.IO over WebSocket; connects to the default namespace.
  case socketio
  /// Bytes of the floor program: 132 a message.
  case raw
}

/// What all subscribers of one run saw.
internal final class MessageTally {
  internal var connected = 0, closed = 0, deliveries = 0, measured = 0, bytes = 0
  internal var isMeasuring = false

  internal func count(_ messages: Int) {
    deliveries += messages
    if isMeasuring { measured += messages }
  }
}

/// One subscriber: a handshake, then counting.
internal final class MessageSubscriber: TCPConnectionHandler {
  private let kind: MessageProtocol
  private let host: String
  private let path: String
  private let tally: MessageTally
  private var isOpen = false
  private var head: [UInt8] = []
  private var rest: [UInt8] = []
  /// Payload of a frame that is still to come.
  private var skip = 0
  private var rawBytes = 0

  internal init(_ kind: MessageProtocol, host: String, path: String, _ tally: MessageTally) {
    self.kind = kind
    self.host = host
    self.path = path
    self.tally = tally
    isOpen = kind == .raw
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    guard kind != .raw else { return tally.connected += 1 }
    var request = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\n"
    if kind == .sse {
      request += "Accept: text/event-stream\r\n"
    } else {
      request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      if kind == .deflate { request += "Sec-WebSocket-Extensions: permessage-deflate\r\n" }
    }
    connection.write(Array((request + "\r\n").utf8))
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    tally.bytes += bytes.byteCount
    if isOpen { return count(Array(copying: bytes), connection) }
    head.append(bytes)
    guard let end = Self.endOfHead(head) else { return }
    isOpen = true
    tally.connected += 1
    let behind = Array(head[end...])
    head = []
    if kind == .martlet || kind == .deflate, path.hasSuffix("/ws") { send("{\"do\":\"subscribe\",\"channel\":\"bench\"}", connection) }
    if kind == .socketio {
      send("40", connection)
      // Martlet's clients subscribe; the peer's broadcasts go to everybody.
      send("42[\"subscribe\",\"bench\"]", connection)
    }
    if !behind.isEmpty { count(behind, connection) }
  }

  private static func endOfHead(_ head: [UInt8]) -> Int? {
    guard head.count >= 4 else { return nil }
    for index in 3..<head.count where head[index] == 10 && head[index - 1] == 13 && head[index - 2] == 10 && head[index - 3] == 13 {
      return index + 1
    }
    return nil
  }

  private func send(_ text: String, _ connection: TCPConnection) {
    connection.write(WebSocketFrame.encode(.text, Array(text.utf8).span.bytes, mask: 0x1234_5678))
  }

  private func count(_ bytes: [UInt8], _ connection: TCPConnection) {
    switch kind {
    case .raw:
      rawBytes += bytes.count
      tally.count(rawBytes / 132)
      rawBytes %= 132
    case .sse: tally.count(Self.marks(bytes))
    case .ws, .martlet, .deflate, .socketio: frames(rest.isEmpty ? bytes : rest + bytes, connection)
    }
  }

  /// Each message holds one `~`.
  private static func marks(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes { raw in
      var count = 0
      for byte in raw where byte == UInt8(ascii: "~") { count += 1 }
      return count
    }
  }

  /// Walks from header to header.
  private func frames(_ bytes: [UInt8], _ connection: TCPConnection) {
    var offset = min(skip, bytes.count)
    skip -= offset
    var found = 0
    while offset + 2 <= bytes.count {
      let length: Int
      let start: Int
      switch bytes[offset + 1] & 0x7F {
      case 126:
        guard offset + 4 <= bytes.count else { break }
        length = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
        start = offset + 4
        take(&found, &offset, start: start, length: length, bytes, connection)
        continue
      case 127:
        guard offset + 10 <= bytes.count else { break }
        length = bytes[offset + 2..<offset + 10].reduce(0) { $0 << 8 | Int($1) }
        take(&found, &offset, start: offset + 10, length: length, bytes, connection)
        continue
      case let short:
        take(&found, &offset, start: offset + 2, length: Int(short), bytes, connection)
        continue
      }
      break
    }
    rest = offset < bytes.count ? Array(bytes[offset...]) : []
    tally.count(found)
  }

  private func take(
    _ found: inout Int, _ offset: inout Int, start: Int, length: Int, _ bytes: [UInt8], _ connection: TCPConnection
  ) {
    let opcode = bytes[offset] & 0x0F
    // Replies and greetings are short; messages are not.
    if opcode == 1 || opcode == 2, length >= 60 { found += 1 }
    if kind == .socketio, opcode == 1, length == 1, start < bytes.count, bytes[start] == UInt8(ascii: "2") { send("3", connection) }
    let end = start + length
    skip = max(0, end - bytes.count)
    offset = min(end, bytes.count)
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { tally.closed += 1 }
}

/// Publishes by HTTP, one POST for each message, over one connection.
internal final class MessagePublisher: TCPConnectionHandler {
  private let request: [UInt8]
  private let perSecond: Int
  private let context: LoopContext
  private weak var connection: TCPConnection?
  private var outstanding = 0
  internal private(set) var published = 0
  internal var isStopped = false

  /// - Parameter perSecond: 0 publishes as fast as the answers come, 16 at once.
  internal init(host: String, path: String, size: Int, perSecond: Int, _ context: LoopContext) {
    let body = "~" + Self.words(max(1, size - 1))
    request = Array(
      "POST \(path) HTTP/1.1\r\nHost: \(host)\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    self.perSecond = perSecond
    self.context = context
  }

  /// Text that compresses as people's messages do: to about half.
  private static func words(_ size: Int) -> String {
    var seed: UInt32 = 7
    var text = ""
    while text.utf8.count < size {
      for _ in 0..<3 + seed >> 28 {
        seed = seed &* 1_664_525 &+ 1_013_904_223
        text.unicodeScalars.append(UnicodeScalar(97 + UInt8(seed >> 24) % 26))
      }
      text += " the "
    }
    return String(text.prefix(size))
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    self.connection = connection
    if perSecond > 0 { tick(context.now) } else { for _ in 0..<16 { publish() } }
  }

  private func tick(_ due: Instant) {
    guard !isStopped else { return }
    publish()
    let next = due + TimeSpan(nanoseconds: 1_000_000_000 / Int64(perSecond))
    context.schedule(at: next) { [weak self] in self?.tick(next) }
  }

  private func publish() {
    connection?.write(request)
    outstanding += 1
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    // One answer, one "HTTP/1.1 2".
    let text = Array(copying: bytes)
    for index in text.indices.dropLast(9)
    where text[index] == 0x48 && text[index + 1] == 0x54 && text[index + 5] == 0x31 && text[index + 9] == 0x32 {
      outstanding -= 1
      published += 1
      if perSecond == 0, !isStopped { publish() }
    }
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {}
}

/// One echo client: sends a message, waits for it, sends the next.
internal final class EchoClient: TCPConnectionHandler {
  private let host: String
  private let path: String
  private let frame: [UInt8]
  private let answer: Int
  private let tally: MessageTally
  private var isOpen = false
  private var received = 0

  internal init(host: String, path: String, size: Int, _ tally: MessageTally) {
    self.host = host
    self.path = path
    self.tally = tally
    let payload = [UInt8](repeating: UInt8(ascii: "a"), count: size)
    frame = WebSocketFrame.encode(.binary, payload.span.bytes, mask: 0x1234_5678)
    answer = WebSocketFrame.encode(.binary, payload.span.bytes).count
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    connection.write(
      Array(
        "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
          .utf8))
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard isOpen else {
      isOpen = true
      tally.connected += 1
      connection.write(frame)
      return
    }
    received += bytes.byteCount
    while received >= answer {
      received -= answer
      tally.count(1)
      connection.write(frame)
    }
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { tally.closed += 1 }
}

internal enum MessageBenchmark {
  /// Connects `clients`, lets them settle, and measures for `seconds`; what is measured stands between two lines of output.
  internal static func run(
    clients: Int, to target: SocketAddress, seconds: Int, publisher: ((LoopContext) -> MessagePublisher)?,
    make: @escaping @Sendable (MessageTally) -> any TCPConnectionHandler
  ) {
    nonisolated(unsafe) let makePublisher = publisher
    let worker = Worker(EventLoop(index: 0), log: log) { context in
      let tally = MessageTally()
      let step: Int64 = 500_000
      for index in 0..<clients {
        context.schedule(after: TimeSpan(nanoseconds: Int64(index) * step)) {
          _ = try? TCPConnection(connectingTo: target, in: context, handler: make(tally))
        }
      }
      let ready = context.now + TimeSpan(nanoseconds: Int64(clients) * step) + .seconds(2)
      context.schedule(at: ready) {
        let publisher = makePublisher.map { $0(context) }
        if let publisher { _ = try? TCPConnection(connectingTo: target, in: context, handler: publisher) }
        context.schedule(after: .seconds(1)) { measure(tally, publisher, seconds, context) }
      }
    }
    worker.join()
  }

  private static func measure(_ tally: MessageTally, _ publisher: MessagePublisher?, _ seconds: Int, _ context: LoopContext) {
    tally.isMeasuring = true
    let (start, published) = (context.now, publisher?.published ?? 0)
    print("measuring")
    fflush(nil)
    context.schedule(after: .seconds(seconds)) {
      tally.isMeasuring = false
      let elapsed = (context.now - start).seconds
      let sent = (publisher?.published ?? 0) - published
      print(
        "{\"connected\": \(tally.connected), \"closed\": \(tally.closed), \"deliveries\": \(tally.measured), \"seconds\": \(elapsed), \"published\": \(sent)}"
      )
      fflush(nil)
      publisher?.isStopped = true
      // What is still under way arrives, so that nothing missing can hide.
      context.schedule(after: .milliseconds(500)) { context.stop() }
    }
  }
}
