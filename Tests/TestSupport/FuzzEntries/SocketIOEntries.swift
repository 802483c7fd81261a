import MartletPrimitives
import MartletSocketIO

/// Engine.IO payloads and sessions, Socket.IO packets and sessions.
extension FuzzEntry {
  static let socketIO = [enginePayload, engineSession, socketIOPacket]

  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private static let enginePayload = FuzzEntry(
    "engine-payload", seeds: [bytes("4hello\u{1E}2\u{1E}bAQIDBA==\u{1E}40/a,{\"b\":1}")]
  ) { bytes in
    var limits = EngineLimits()
    (limits.payloadBytes, limits.payloadPackets) = (4096, 64)
    guard let packets = try? EnginePayload.decode(Slice(bytes), limits: limits) else { return }
    require(!packets.isEmpty && packets.count <= 64, "a payload without packets, or with too many")
    let forms = packets.map { packet in
      packet.isBinary ? EngineMessage(binary: packet.data.bytes) : EngineMessage(packet.kind, packet.data.bytes)
    }
    for (packet, form) in zip(packets, forms) where !packet.isBinary {
      require((try? EnginePacket(text: form.packet)) == packet, "a packet that reads differently")
    }
  }

  /// Each piece is a request or a WebSocket message; whatever comes, the session stays within its limits and ends once.
  private static let engineSession = FuzzEntry(
    "engine-session", seeds: [bytes("\u{2}g\u{7}p4hello\u{2}w2probe\u{1}w5\u{3}p3"), bytes("gggp1w2probe")]
  ) { bytes in
    var session = EngineSession(sid: "s", EngineConfiguration(), transport: .polling, now: .zero)
    var now = Instant.zero
    var closings = 0
    for piece in pieces(bytes) {
      let rest = Slice(Array(piece.dropFirst()))
      switch piece.first {
      case UInt8(ascii: "g"): try? session.poll()
      case UInt8(ascii: "p"):
        if (try? session.beginPost()) != nil { try? session.endPost(rest, now: now) }
      case UInt8(ascii: "w"):
        try? session.attachSocket(now: now)
        session.receive(rest, isBinary: false, now: now)
      case UInt8(ascii: "x"): session.socketDidClose()
      default:
        now = now + .seconds(10)
        session.timeout(now: now)
        session.send(EngineMessage(binary: rest.bytes))
      }
      while session.pollOutput() != nil {}
      while let event = session.pollEvent() { if case .closed = event { closings += 1 } }
    }
    let isClosed = session.isClosed
    require(closings <= 1 && (closings == 1 || !isClosed), "a session that does not end once")
  }

  private static let socketIOPacket = FuzzEntry(
    "socketio-packet",
    seeds: [bytes(#"52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#), bytes(#"212["foo"]"#)]
  ) { bytes in
    var decoder = SocketIODecoder()
    guard var packet = try? decoder.receive(Slice(bytes), isBinary: false) else {
      for attachment in 0..<3 { _ = try? decoder.receive([UInt8(attachment)], isBinary: true) }
      return
    }
    packet.attachments = []
    var again = SocketIODecoder()
    let back = try? again.receive(packet.encoded[0].packet.dropFirst(1), isBinary: false)
    require(back == packet, "a packet that reads differently")
    var session = SocketIOSession(connectTimeout: .seconds(1), now: .zero)
    try? session.receive(Slice(bytes), isBinary: false)
    session.accept(packet.namespace, sid: "s")
    try? session.receive(Slice(bytes), isBinary: false)
    while session.pollOutput() != nil {}
    while session.pollEvent() != nil {}
  }
}
