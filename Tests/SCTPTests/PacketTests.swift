import MartletPrimitives
import MartletSCTP
import Testing

@Suite struct PacketTests {
  // RFC 3720 appendix B.4.
  @Test func `the checksum is Castagnoli's`() {
    #expect(CRC32c.checksum([UInt8](repeating: 0, count: 32).span.bytes) == 0x8A91_36AA)
    #expect(CRC32c.checksum([UInt8](repeating: 0xFF, count: 32).span.bytes) == 0x62A8_AB43)
    #expect(CRC32c.checksum(Array(UInt8(0)..<32).span.bytes) == 0x46DD_794E)
    #expect(CRC32c.checksum(Array("123456789".utf8).span.bytes) == 0xE306_9283)
  }
}
