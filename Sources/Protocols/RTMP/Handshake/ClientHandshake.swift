internal import MartletPrimitives

/// The client's half of the handshake (RTMP 1.0 §5.2): sends C0 and C1, waits for S0, S1 and S2, answers C2.
package struct ClientHandshake: ~Copyable {
  package enum Mode: Sendable {
    /// As the specification has it.
    case simple
    /// With a digest, as Flash Player does; servers that do not know it see a simple one.
    case digestFirst, keyFirst
  }

  private enum State {
    case waiting([UInt8])
    case done
  }

  private var state = State.waiting([])
  private let noise: HandshakeNoise

  /// Appends C0 and C1 to `output`.
  package init(_ mode: Mode = .keyFirst, random: inout some RandomNumberGenerator, into output: inout [UInt8]) {
    var noise = HandshakeNoise(seed: random.next())
    var c1 = noise.packet(version: mode == .simple ? 0 : 0x0900_7C02)
    switch mode {
    case .simple: break
    case .digestFirst: _ = HandshakeDigest.sign(&c1, .digestFirst, key: HandshakeDigest.playerText)
    case .keyFirst: _ = HandshakeDigest.sign(&c1, .keyFirst, key: HandshakeDigest.playerText)
    }
    self.noise = noise
    output.append(3)
    output += c1
  }

  package var isDone: Bool {
    if case .done = state { true } else { false }
  }

  /// Takes bytes up to the end of S2 and answers how many it took; C2 is appended to `output`.
  package mutating func receive(_ bytes: RawSpan, into output: inout [UInt8]) throws(RTMPError) -> Int {
    guard case .waiting(var packet) = exchange(&state, with: .done) else { return 0 }
    let whole = 1 + 2 * HandshakeDigest.packetBytes
    let count = min(whole - packet.count, bytes.byteCount)
    packet.append(bytes.extracting(0..<count))
    if let version = packet.first, version != 3 { throw .unsupportedVersion(version) }
    guard packet.count == whole else {
      state = .waiting(packet)
      return count
    }
    let s1 = Array(packet[1...HandshakeDigest.packetBytes])
    if let server = HandshakeDigest.find(in: s1, key: HandshakeDigest.serverText) {
      var noise = noise
      var c2 = noise.packet(version: 0)
      HandshakeDigest.answer(&c2, to: server.digest, key: HandshakeDigest.playerKey)
      output += c2
    } else {
      output += s1
    }
    return count
  }
}
