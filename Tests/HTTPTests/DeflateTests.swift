import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// RFC 7692.
@Suite struct DeflateNegotiationTests {
  private func answer(_ offers: String..., change: (inout DeflateSettings) -> Void = { _ in }) -> String? {
    var settings = DeflateSettings()
    change(&settings)
    var fields = HTTPFields()
    for offer in offers { fields.append("Sec-WebSocket-Extensions", offer) }
    return DeflateAgreement.accept(fields.list("Sec-WebSocket-Extensions"), settings)?.answer
  }

  // §7.1.1.1, §7.1.1.2: a server may answer both parameters without having been offered them.
  @Test func `no end keeps its window by default`() {
    #expect(answer("permessage-deflate") == "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    let keeping = answer("permessage-deflate") { ($0.keepsOwnWindow, $0.keepsPeerWindow) = (true, true) }
    #expect(keeping == "permessage-deflate")
    let asked = answer("permessage-deflate; server_no_context_takeover; client_no_context_takeover") {
      ($0.keepsOwnWindow, $0.keepsPeerWindow) = (true, true)
    }
    #expect(asked == "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
  }

  // §7.1.2.
  @Test func `window bits are answered within what was offered`() {
    let base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    #expect(answer("permessage-deflate; server_max_window_bits=10") == base + "; server_max_window_bits=10")
    #expect(answer("permessage-deflate; server_max_window_bits=\"8\"") == base + "; server_max_window_bits=8")
    #expect(answer("permessage-deflate; server_max_window_bits=15") == base + "; server_max_window_bits=15")
    #expect(answer("permessage-deflate; client_max_window_bits") == base)
    #expect(answer("permessage-deflate; client_max_window_bits=9") == base)
    #expect(answer("permessage-deflate") { $0.windowBits = 11 } == base + "; server_max_window_bits=11")
  }

  // §7.1: such an offer is declined, not the connection.
  @Test(
    arguments: [
      "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7",
      "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=08",
      "permessage-deflate; server_max_window_bits=+9", "permessage-deflate; client_max_window_bits=99",
      "permessage-deflate; client_max_window_bits=", "permessage-deflate; server_no_context_takeover=1",
      "permessage-deflate; client_no_context_takeover; client_no_context_takeover", "permessage-deflate; unknown",
      "permessage-deflate; client_max_window_bits; client_max_window_bits=9", "x-webkit-deflate-frame", "permessage-bzip2", ";", "=",
      "permessage-deflate;", "permessage-deflate; a b", "permessage deflate",
    ])
  func `an offer that cannot be met is declined`(offer: String) { #expect(answer(offer) == nil) }

  @Test func `the first offer that can be met wins`() {
    let base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    #expect(
      answer("permessage-deflate; nonsense, permessage-deflate; server_max_window_bits=12, permessage-deflate") == base
        + "; server_max_window_bits=12")
    #expect(answer("bzip", "permessage-deflate") == base)
    #expect(answer("permessage-deflate") { $0.isEnabled = false } == nil)
  }

  @Test func `a client takes only answers that fit its offer`() throws {
    let settings = DeflateSettings()
    #expect(
      DeflateAgreement.offer(settings)
        == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
    func adopt(_ answers: String..., keeps: Bool = false) throws -> DeflateAgreement? {
      var settings = settings
      settings.keepsPeerWindow = keeps
      settings.keepsOwnWindow = keeps
      return try DeflateAgreement.adopt(answers, settings)
    }
    #expect(try adopt() == nil)
    let least = try adopt("permessage-deflate; server_no_context_takeover; client_max_window_bits=10; server_max_window_bits=9")
    #expect(least?.client == .init(keepsWindow: false, windowBits: 10) && least?.server == .init(keepsWindow: false, windowBits: 9))
    let most = try adopt("permessage-deflate", keeps: true)
    #expect(most?.client.keepsWindow == true && most?.server.keepsWindow == true)
    #expect(try adopt("permessage-deflate; client_no_context_takeover", keeps: true)?.client.keepsWindow == false)
    for bad in [
      ["permessage-deflate"], ["other"], ["permessage-deflate; server_no_context_takeover", "permessage-deflate"],
      ["permessage-deflate; server_no_context_takeover; client_max_window_bits"],
      ["permessage-deflate; server_no_context_takeover; server_max_window_bits=16"],
      ["permessage-deflate; server_no_context_takeover; x"],
    ] { #expect(throws: HTTPError.self, "\(bad)") { _ = try DeflateAgreement.adopt(bad, settings) } }
  }
}

@Suite struct MessageCompressionTests {
  private static let text = Array(String(repeating: "the quick brown fox jumps over the lazy dog; ", count: 40).utf8)

  private static func compression(
    _ role: Bool, keeps: Bool = false, bits: UInt8 = 15, pool: DeflatePool = DeflatePool(), minimum: UInt32 = 256
  ) -> MessageCompression {
    var settings = DeflateSettings()
    settings.compressesBinary = true
    settings.minimumBytes = minimum
    var agreement = DeflateAgreement()
    agreement.server = .init(keepsWindow: keeps, windowBits: bits)
    agreement.client = .init(keepsWindow: keeps, windowBits: bits)
    return MessageCompression(agreement, settings, isServer: role, pool: pool)
  }

  /// §7.2.3.1: "Hello" compressed.
  private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

  private func frame(_ payload: [UInt8], fin: Bool = true, rsv1: Bool = true, opcode: WebSocketOpcode = .text) -> [UInt8] {
    WebSocketFrame.encode(opcode, payload.span.bytes, fin: fin, compressed: rsv1, mask: 0x1234_5678)
  }

  // §7.2.3.1 to §7.2.3.5.
  @Test func `the examples of the specification`() {
    let text: [WebSocketMachine.Event] = [.message(.text, Slice(Array("Hello".utf8)))]
    let stored: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]
    let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
    let twoBlocks: [UInt8] = [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]
    for payload in [Self.hello, stored, final, twoBlocks] {
      for step in [1, 2, 5, .max] {
        let run = WebSocketRun(frame(payload) + frame(payload), step: step, compression: Self.compression(true))
        #expect(run.events == text + text && run.error == nil)
      }
    }
    let fragments = frame(Array(Self.hello[..<3]), fin: false) + frame(Array(Self.hello[3...]), rsv1: false, opcode: .continuation)
    #expect(WebSocketRun(fragments, compression: Self.compression(true)).events == text)
    // §7.2.3.2: the second refers to the first one's window.
    let shared = frame(Self.hello) + frame([0xF2, 0x00, 0x11, 0x00, 0x00])
    #expect(WebSocketRun(shared, compression: Self.compression(true, keeps: true)).events == text + text)
    #expect(WebSocketRun(shared, compression: Self.compression(true)).error == .invalidPayload)
    // An empty message (§7.2.3.6).
    #expect(WebSocketRun(frame([0x00]), compression: Self.compression(true)).events == [.message(.text, Slice())])
  }

  // §6, §7.2.3.
  @Test func `RSV1 stands on the first frame of a compressed message and nowhere else`() {
    #expect(WebSocketRun(frame(Self.hello)).error == .protocolError)
    #expect(WebSocketRun(frame([], opcode: .ping), compression: Self.compression(true)).error == .protocolError)
    #expect(WebSocketRun(frame([], opcode: .close), compression: Self.compression(true)).error == .protocolError)
    let continuation = frame(Self.hello, fin: false) + frame(Self.hello, opcode: .continuation)
    #expect(WebSocketRun(continuation, compression: Self.compression(true)).error == .protocolError)
    let plain = frame(Array("plain".utf8), rsv1: false)
    #expect(WebSocketRun(plain, compression: Self.compression(true)).events == [.message(.text, Slice(Array("plain".utf8)))])
  }

  @Test(arguments: [false, true], [8, 9, 10, 12, 15] as [UInt8])
  func `both roles understand each other with every window`(keeps: Bool, bits: UInt8) throws {
    var random = SeededRandom(seed: UInt64(bits))
    var client = WebSocketMachine(.client(maskSeed: [1]), compression: Self.compression(false, keeps: keeps, bits: bits))
    var server = WebSocketMachine(.server, compression: Self.compression(true, keeps: keeps, bits: bits))
    for count in [0, 1, 255, 256, 1000, 5000, 70_000, 300_000] {
      // Words from a short list, so that matches reach far back.
      var payload: [UInt8] = []
      while payload.count < count {
        payload += Self.text.prefix(Int.random(in: 1...600, using: &random)) + [UInt8.random(in: 0...127, using: &random)]
      }
      payload = Array(payload.prefix(count))
      for kind in [WebSocketMachine.MessageKind.text, .binary] {
        client.send(kind, payload.span.bytes)
        let up = client.takeOutput()
        var events: [WebSocketMachine.Event] = []
        _ = try server.receive(up.span.bytes, into: &events)
        #expect(events == [.message(kind, Slice(payload))])
        #expect(count < 1000 || up.count < count)
        server.send(kind, payload.span.bytes)
        let down = server.takeOutput()
        events = []
        for byte in stride(from: 0, to: down.count, by: 999) {
          _ = try client.receive(down.span.bytes.extracting(byte..<min(byte + 999, down.count)), into: &events)
        }
        #expect(events == [.message(kind, Slice(payload))])
      }
    }
  }

  @Test func `a bomb is refused with 1009 before its memory is there`() {
    var limits = WebSocketMachine.Limits()
    (limits.frame, limits.message) = (1 << 20, 100_000)
    let pool = DeflatePool()
    let bomb = pool.compress([UInt8](repeating: 0x61, count: 50_000_000).span.bytes, level: 9, windowBits: 15)
    #expect(bomb.count < 60_000)
    #expect(WebSocketRun(frame(bomb), limits: limits, compression: Self.compression(true)).error == .messageTooBig)
    for step in [100, 7000] {
      #expect(WebSocketRun(frame(bomb), step: step, limits: limits, compression: Self.compression(true)).error == .messageTooBig)
    }
    let exact = pool.compress([UInt8](repeating: 0x61, count: 100_000).span.bytes, level: 9, windowBits: 15)
    #expect(WebSocketRun(frame(exact), limits: limits, compression: Self.compression(true)).error == nil)
    let over = pool.compress([UInt8](repeating: 0x61, count: 100_001).span.bytes, level: 9, windowBits: 15)
    #expect(WebSocketRun(frame(over), limits: limits, compression: Self.compression(true)).error == .messageTooBig)
  }

  @Test func `many small bombs are handed up a few at a time`() throws {
    let pool = DeflatePool()
    let small = pool.compress([UInt8](repeating: 0x61, count: 200_000).span.bytes, level: 9, windowBits: 15)
    let wire = (0..<100).flatMap { _ in frame(small) }
    var machine = WebSocketMachine(.server, compression: Self.compression(true))
    var offset = 0
    var total = 0
    while offset < wire.count {
      var events: [WebSocketMachine.Event] = []
      offset += try machine.receive(wire.span.bytes.extracting(offset..<wire.count), into: &events)
      #expect(events.count <= 2)
      total += events.count
    }
    #expect(total == 100)
  }

  @Test func `inflated text is validated as it comes`() {
    let pool = DeflatePool()
    let bad = pool.compress((Self.text + [0xFF] + Self.text).span.bytes, level: 6, windowBits: 15)
    #expect(WebSocketRun(frame(bad, fin: false), compression: Self.compression(true)).error == .invalidPayload)
    let cut = pool.compress((Self.text + [0xE2, 0x82]).span.bytes, level: 6, windowBits: 15)
    #expect(WebSocketRun(frame(cut), compression: Self.compression(true)).error == .invalidPayload)
  }

  @Test func `what is not deflated data is 1007`() {
    for payload in [[0xFF, 0xFF, 0xFF], Array(Self.hello.dropLast(3)), [0x07], []] as [[UInt8]] {
      let run = WebSocketRun(frame(payload), compression: Self.compression(true))
      // Without a byte the tail alone is left: an empty block with its header cut off.
      #expect(run.error == .invalidPayload, "\(payload)")
    }
  }

  @Test func `messages below the limit, and those that would grow, go as they are`() {
    var server = WebSocketMachine(.server, compression: Self.compression(true))
    server.send(.text, Array(Self.text[..<255]).span.bytes)
    #expect(server.takeOutput()[0] == 0x81)
    server.send(.text, Array(Self.text[..<256]).span.bytes)
    #expect(server.takeOutput()[0] == 0xC1)
    var random = SeededRandom(seed: 4)
    let noise = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) }
    server.send(.binary, noise.span.bytes)
    #expect(server.takeOutput()[0] == 0x82)
  }

  @Test func `an image is the same for everybody, and only for those who can read it`() throws {
    let pool = DeflatePool()
    let image = WebSocketImage(.text, Slice(Self.text), compressor: pool)
    let compressed = try #require(image.compressed)
    #expect(compressed.count < image.plain.count / 5 && compressed.array[0] == 0xC1 && image.plain.array[0] == 0x81)
    let own = WebSocketMachine(.server, compression: Self.compression(true)).takesCompressedImages
    let narrow = WebSocketMachine(.server, compression: Self.compression(true, bits: 12)).takesCompressedImages
    let keeping = WebSocketMachine(.server, compression: Self.compression(true, keeps: true)).takesCompressedImages
    let none = WebSocketMachine(.server).takesCompressedImages
    #expect(own && !narrow && !keeping && !none)
    for _ in 0..<3 {
      let wire = compressed.array + image.plain.array + compressed.array
      let run = WebSocketRun(wire, role: .client(maskSeed: [1]), compression: Self.compression(false))
      #expect(run.events == Array(repeating: .message(.text, Slice(Self.text)), count: 3))
    }
    #expect(WebSocketImage(.binary, Slice(Self.text), compressor: pool).compressed == nil)
    #expect(WebSocketImage(.text, Slice(Array(Self.text.prefix(200))), compressor: pool).compressed == nil)
    #expect(image.bytes(compressed: false) == image.plain && image.bytes(compressed: true) == compressed)
  }

  @Test func `random compressed frames never trap, however they are cut`() {
    var random = SeededRandom(seed: 77)
    var limits = WebSocketMachine.Limits()
    (limits.frame, limits.message, limits.fragments) = (2000, 3000, 10)
    let pool = DeflatePool()
    let seed =
      frame(pool.compress(Self.text.span.bytes, level: 6, windowBits: 15), fin: false)
      + frame(Self.hello, rsv1: false, opcode: .continuation) + frame(Self.hello)
    for round in 0..<3000 {
      var bytes = seed
      for _ in 0..<(1 + round % 4) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      let whole = WebSocketRun(bytes, limits: limits, compression: Self.compression(true, pool: pool))
      let cut = WebSocketRun(bytes, step: 1 + round % 9, limits: limits, compression: Self.compression(true, keeps: false, pool: pool))
      #expect(whole == cut)
    }
  }
}
