internal import MartletPrimitives

/// The server's half of the handshake (RTMP 1.0 §5.2): waits for C0 and C1, answers S0, S1 and S2 in one run of bytes,
/// waits for C2. A C1 that carries a player's digest is answered with ours, any other with an echo.
///
///     greeting(C0 C1 so far) ── whole ──▶ confirming(bytes of C2 left) ── 0 left ──▶ done
package struct ServerHandshake: ~Copyable {
  private enum State {
    case greeting([UInt8])
    case confirming(left: Int)
    case done
  }

  private var state = State.greeting([])
  private let seed: UInt64

  package init(random: inout some RandomNumberGenerator) { seed = random.next() }

  package var isDone: Bool {
    if case .done = state { true } else { false }
  }

  /// Takes bytes up to the end of C2 and answers how many it took; the rest belongs to the chunk stream.
  /// What is to be sent is appended to `output`.
  package mutating func receive(_ bytes: RawSpan, into output: inout [UInt8]) throws(RTMPError) -> Int {
    var taken = 0
    while taken < bytes.byteCount {
      switch exchange(&state, with: .done) {
      case .greeting(var packet):
        let count = min(HandshakeDigest.packetBytes + 1 - packet.count, bytes.byteCount - taken)
        packet.append(bytes.extracting(taken..<taken + count))
        taken += count
        try Self.inspect(packet)
        if packet.count == HandshakeDigest.packetBytes + 1 {
          answer(Array(packet.dropFirst()), into: &output)
          state = .confirming(left: HandshakeDigest.packetBytes)
        } else {
          state = .greeting(packet)
        }
      case .confirming(let left):
        // Encoders send an echo, a digest or noise as C2; refusing any of them would only lose publishers.
        let count = min(left, bytes.byteCount - taken)
        taken += count
        if left > count { state = .confirming(left: left - count) }
      case .done: return taken
      }
    }
    return taken
  }

  private func answer(_ c1: [UInt8], into output: inout [UInt8]) {
    var noise = HandshakeNoise(seed: seed)
    output.append(3)
    guard let client = HandshakeDigest.find(in: c1, key: HandshakeDigest.playerText) else {
      output += noise.packet(version: 0) + c1
      return
    }
    // A version from 3.0 on tells the client to expect a digest.
    var s1 = noise.packet(version: 0x0400_0001)
    _ = HandshakeDigest.sign(&s1, client.scheme, key: HandshakeDigest.serverText)
    var s2 = noise.packet(version: 0)
    HandshakeDigest.answer(&s2, to: client.digest, key: HandshakeDigest.serverKey)
    output += s1 + s2
  }

  /// §5.2.2: a version the server does not know is answered with 3, and the client decides. Versions from 32 on are
  /// reserved so that RTMP can be told from text.
  private static func inspect(_ packet: [UInt8]) throws(RTMPError) {
    guard let first = packet.first else { return }
    if looksLikeTLS(packet) { throw .foreignProtocol(.tls) }
    guard first > 31 else { return }
    let methods = "GHPDOCT"
    throw .foreignProtocol(methods.utf8.contains(first) ? .http : .unknown(firstByte: first))
  }

  /// A TLS record with a ClientHello: type 22, version 3.0 to 3.4, length, handshake type 1.
  private static func looksLikeTLS(_ packet: [UInt8]) -> Bool {
    packet.count >= 6 && packet[0] == 0x16 && packet[1] == 3 && packet[2] <= 4 && packet[3] <= 0x40 && packet[5] == 1
  }
}
