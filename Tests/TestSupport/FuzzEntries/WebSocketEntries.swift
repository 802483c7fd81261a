import MartletHTTP
import MartletPrimitives

/// permessage-deflate and the opening handshake; frames without compression are among the HTTP entries.
extension FuzzEntry {
  private static let sentence = Array("the swift of heraldry never lands; the swift of heraldry never lands; ü".utf8)

  private static var deflateSeed: [UInt8] {
    let packed = DeflatePool().compress(sentence.span.bytes, level: 6, windowBits: 15)
    let (first, rest) = (Array(packed[..<5]), Array(packed[5...]))
    return [0] + WebSocketFrame.encode(.text, first.span.bytes, fin: false, compressed: true, mask: 0x0102_0304)
      + WebSocketFrame.encode(.continuation, rest.span.bytes, mask: 0x0102_0304)
      + WebSocketFrame.encode(.binary, packed.span.bytes, compressed: true, mask: 0x0102_0304)
      + WebSocketFrame.encode(.text, sentence.span.bytes, mask: 0x0102_0304)
  }

  /// The first byte says whether windows are kept.
  static let webSocketDeflate = FuzzEntry("websocket-deflate", seeds: [deflateSeed]) { bytes in
    guard let first = bytes.first else { return }
    let keeps = first & 1 == 1
    let frames = Array(bytes.dropFirst())
    let whole = messages([frames[...]], keepsWindow: keeps)
    require(whole == messages(pieces(frames), keepsWindow: keeps), "messages that depend on how the bytes were cut")
    for case .message(let kind, let payload) in whole {
      require(payload.count <= 4096, "a message beyond the limit")
      if kind == .text { require(String(validating: payload.bytes) != nil, "text that is not UTF-8") }
      roundTrip(kind, payload, keepsWindow: keeps)
    }
  }

  private static func compression(keepsWindow: Bool, isServer: Bool) -> MessageCompression {
    var (agreement, settings) = (DeflateAgreement(), DeflateSettings())
    agreement.server.keepsWindow = keepsWindow
    agreement.client.keepsWindow = keepsWindow
    settings.minimumBytes = 0
    settings.compressesBinary = true
    return MessageCompression(agreement, settings, isServer: isServer, pool: DeflatePool())
  }

  private static func messages(_ pieces: [ArraySlice<UInt8>], keepsWindow: Bool) -> [WebSocketMachine.Event] {
    var limits = WebSocketMachine.Limits()
    (limits.frame, limits.message, limits.fragments) = (2048, 4096, 16)
    var machine = WebSocketMachine(.server, limits: limits, compression: compression(keepsWindow: keepsWindow, isServer: true))
    var events: [WebSocketMachine.Event] = []
    for piece in pieces where !machine.isClosed {
      var offset = 0
      while offset < piece.count, let taken = try? machine.receive(piece.span.bytes.extracting(offset..<piece.count), into: &events) {
        offset += taken
      }
      _ = machine.takeOutput()
    }
    return events
  }

  private static func roundTrip(_ kind: WebSocketMachine.MessageKind, _ payload: Slice, keepsWindow: Bool) {
    var server = WebSocketMachine(.server, compression: compression(keepsWindow: keepsWindow, isServer: true))
    var client = WebSocketMachine(.client(maskSeed: [1]), compression: compression(keepsWindow: keepsWindow, isServer: false))
    for _ in 0..<2 { server.send(kind, payload.bytes) }
    let wire = server.takeOutput()
    var events: [WebSocketMachine.Event] = []
    let taken = try? client.receive(wire.span.bytes, into: &events)
    require(taken == wire.count && events == [.message(kind, payload), .message(kind, payload)], "a message that does not come back")
  }

  private static let offers =
    "permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits, permessage-deflate\nchat, superchat\nhttps://a.example\n13"

  /// Four lines: extensions, subprotocols, origin, version.
  static let webSocketHandshake = FuzzEntry("websocket-handshake", seeds: [Array(offers.utf8)]) { bytes in
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard let target = try? HTTPTarget("/ws") else { return }
    var request = HTTPRequest(target: target)
    request.fields = [
      "Host": "a.example", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version": lines.count > 3 ? lines[3] : "13",
    ]
    for (name, value) in zip(["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin"], lines) { request.fields.append(name, value) }
    var terms = WebSocketHandshake.Terms()
    terms.subprotocols = ["superchat"]
    terms.origins = .exactly(["https://a.example"])
    guard case .accept(let response, let agreement) = WebSocketHandshake.answer(request, terms) else { return }
    require(agreement.subprotocol == nil || agreement.subprotocol == "superchat", "a subprotocol that nobody speaks")
    guard let deflate = agreement.deflate else { return }
    require((8...15).contains(deflate.server.windowBits) && (8...15).contains(deflate.client.windowBits), "an absurd window")
    var settings = DeflateSettings()
    settings.keepsPeerWindow = true
    let adopted = try? DeflateAgreement.adopt(response.fields.list("Sec-WebSocket-Extensions"), settings)
    require(adopted?.server == deflate.server, "an answer that reads differently")
    _ = try? DeflateAgreement.adopt(lines, settings)
  }
}
