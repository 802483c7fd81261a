import MartletPrimitives
import MartletRTP
import Testing

@Suite struct RTXTests {
  private func restore(_ packet: [UInt8]) throws -> (RTX.Restored, [UInt8])? {
    var bytes = packet
    let restored = try bytes.withUnsafeMutableBytes { try RTX.restore($0, ssrc: 0x1234_5678, payloadType: 96) }
    return restored.map { ($0, Array(bytes[$0.range])) }
  }

  // RFC 4588 §4.
  @Test(arguments: [0, 1, 1000]) func `a packet comes out of its retransmission as it was`(_ size: Int) throws {
    let pair = try SRTPPair(.aeadAES128GCM)
    var extensions = ExtensionElements()
    extensions.append(3, transportSequenceNumber: 77)
    var random = RandomSource(seed: 1)
    let payload = random.bytes(size)
    let original = packet(sequenceNumber: 500, timestamp: 9, extensions: extensions, payload: payload)
    let header = packet(sequenceNumber: 1, ssrc: 42, timestamp: 9, payloadType: 97, extensions: extensions, payload: [])
    var wire = [UInt8](repeating: 0, count: 1500)
    let count = try wire.withUnsafeMutableBytes {
      try pair.sender.protect(header: header.span.bytes, originalSequenceNumber: 500, payload: payload.span.bytes, into: $0)
    }
    #expect(count == original.count + RTX.overhead + 16)
    let (restored, bytes) = try #require(try restore(try pair.unprotect(Array(wire.prefix(count)))))
    #expect(restored.sequenceNumber == 500)
    #expect(bytes == original)
  }

  @Test func `a retransmission that is only padding carries nothing`() throws {
    let nothing = try restore(hex("a0610001 00000000 0000002a 00000004"))
    #expect(nothing == nil)
    let empty = try restore(hex("80610001 00000000 0000002a"))
    #expect(empty == nil)
  }

  @Test func `one byte is no sequence number`() {
    #expect(throws: ParseError.truncated(at: 12, needed: 2)) { try restore(hex("80610001 00000000 0000002a 01")) }
  }

  @Test func `what does not fit is refused before anything is written`() throws {
    let pair = try SRTPPair(.aeadAES128GCM)
    let header = packet(sequenceNumber: 1, payload: [])
    let payload: [UInt8] = [7]
    // 12 of header, 2 and 1 of payload, 16 of tag.
    var wire = [UInt8](repeating: 0, count: 30)
    #expect(throws: SRTPError.doesNotFit(needed: 31, available: 30)) {
      try wire.withUnsafeMutableBytes {
        try pair.sender.protect(header: header.span.bytes, originalSequenceNumber: 1, payload: payload.span.bytes, into: $0)
      }
    }
    #expect(wire == [UInt8](repeating: 0, count: 30))
  }
}
