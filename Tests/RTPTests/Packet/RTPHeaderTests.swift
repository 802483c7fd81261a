import MartletPrimitives
import MartletRTP
import Testing

@Suite struct RTPHeaderTests {
  // RFC 3550 §5.1.
  @Test func `every field is where it belongs`() throws {
    let bytes = hex("b2e01234 89abcdef 01020304 aaaaaaaa bbbbbbbb 12340001 deadbeef 0102 000003")
    let header = try RTPHeader(parsing: bytes.span.bytes)
    #expect(header.marker && header.hasPadding)
    #expect(header.payloadType == 96)
    #expect(header.sequenceNumber == 0x1234)
    #expect(header.timestamp == 0x89AB_CDEF)
    #expect(header.ssrc == 0x0102_0304)
    #expect(header.csrcCount == 2)
    #expect((0..<3).map { header.csrc($0, in: bytes.span.bytes) } == [0xAAAA_AAAA, 0xBBBB_BBBB, nil])
    #expect(header.extensionProfile == 0x1234)
    #expect(header.extensionRange == 24..<28)
    #expect(header.byteCount == 28)
    #expect(try header.payloadRange(in: bytes.span.bytes) == 28..<30)
  }

  @Test func `another version is not RTP`() {
    for version in [0, 1, 3] as [UInt8] {
      let bytes = [version << 6] + [UInt8](repeating: 0, count: 11)
      #expect(throws: ParseError.invalid("RTP version \(version), expected 2", at: 0)) { try RTPHeader(parsing: bytes.span.bytes) }
    }
  }

  @Test func `a header that ends too soon is refused at every byte`() throws {
    let bytes = hex("92601234 89abcdef 01020304 aaaaaaaa bbbbbbbb bede0001 10ff0000")
    for count in 0..<bytes.count {
      #expect(throws: ParseError.self) { try RTPHeader(parsing: bytes.span.bytes.extracting(first: count)) }
    }
    #expect(try RTPHeader(parsing: bytes.span.bytes).byteCount == bytes.count)
  }

  @Test func `padding is at least one byte and no more than there is`() throws {
    for (payload, range) in [("01", 12..<12), ("aa02 02", 12..<13), ("00", nil), ("02", nil), ("", nil), ("aabb04", nil)] {
      let bytes = hex("a0600001 00000000 00000000" + payload)
      let header = try RTPHeader(parsing: bytes.span.bytes)
      let found = try? header.payloadRange(in: bytes.span.bytes)
      #expect(found == range, "\(payload)")
    }
  }

  // RFC 5761 §4.
  @Test func `RTP and RTCP are told apart by the second byte`() {
    func isRTCP(_ bytes: [UInt8]) -> Bool { RTPHeader.isRTCP(bytes.span.bytes) }
    for type in [200, 201, 205, 206, 207, 192, 223] as [UInt8] { #expect(isRTCP([0x80, type])) }
    for type in [96, 127, 0, 0x80 | 96, 0x80 | 127, 191, 224] as [UInt8] { #expect(!isRTCP([0x80, type])) }
    #expect(!isRTCP([0x80]))
  }

  @Test func `what is written reads the same`() throws {
    var writer = ByteWriter()
    let fields = RTPHeaderFields(payloadType: 111, sequenceNumber: 65_535, timestamp: .max, ssrc: 7, marker: true)
    fields.write(csrcs: [UInt32](1...20), into: &writer)
    let header = try RTPHeader(parsing: writer.bytes.span.bytes)
    #expect(RTPHeaderFields(header) == fields)
    #expect(header.csrcCount == 15)
    #expect(header.csrc(14, in: writer.bytes.span.bytes) == 15)
    #expect(header.extensionProfile == nil)
  }

  // RFC 8285 §4.2 and §4.3.
  @Test func `extensions take the smallest form that holds them`() throws {
    let cases: [([(UInt8, [UInt8])], UInt16)] = [
      ([(1, [1]), (14, [UInt8](repeating: 2, count: 16))], 0xBEDE),
      ([(1, [1]), (15, [2])], 0x1000),
      ([(1, []), (2, [3])], 0x1000),
      ([(200, [UInt8](repeating: 9, count: 255)), (3, [3])], 0x1000),
    ]
    for (values, profile) in cases {
      var elements = ExtensionElements()
      for (id, value) in values { elements.append(id, value.span.bytes) }
      let bytes = packet(sequenceNumber: 1, extensions: elements, payload: [0xAA])
      let header = try RTPHeader(parsing: bytes.span.bytes)
      #expect(header.extensionProfile == profile)
      #expect(header.byteCount % 4 == 0)
      for (id, value) in values { #expect(header.element(id, in: bytes.span.bytes).map { Array(bytes[$0]) } == value) }
      #expect(header.element(77, in: bytes.span.bytes) == nil)
      #expect(try header.payloadRange(in: bytes.span.bytes) == bytes.count - 1..<bytes.count)
    }
  }

  @Test func `id 0 and values above 255 bytes are not written`() {
    var elements = ExtensionElements()
    elements.append(0, [1].span.bytes)
    elements.append(1, [UInt8](repeating: 0, count: 256).span.bytes)
    #expect(elements.isEmpty)
  }

  @Test func `padding between elements is skipped, id 15 ends the one-byte form`() throws {
    let bytes = hex("90600001 00000000 00000000 bede0003 0010aa00 0021bbcc f0003011")
    let header = try RTPHeader(parsing: bytes.span.bytes)
    #expect(header.element(1, in: bytes.span.bytes) == 18..<19)
    #expect(header.element(2, in: bytes.span.bytes) == 22..<24)
    #expect(header.element(3, in: bytes.span.bytes) == nil)
  }

  @Test func `an element that does not fit its extension is not there`() throws {
    for content in ["1f010203", "15010203", "00000016"] {
      let bytes = hex("90600001 00000000 00000000 bede0001" + content + "aabbccdd")
      let header = try RTPHeader(parsing: bytes.span.bytes)
      #expect(header.element(1, in: bytes.span.bytes) == nil)
    }
    let bytes = hex("90600001 00000000 00000000 10000001 01030102 aabbccdd")
    #expect(try RTPHeader(parsing: bytes.span.bytes).element(1, in: bytes.span.bytes) == nil)
  }
}
