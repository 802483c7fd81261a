package import MartletPrimitives

/// What resolving the name of a candidate needs of a DNS message (RFC 1035 §4): questions, and the addresses among the records.
package struct DNSMessage: Equatable, Sendable {
  package enum Kind: UInt16, Sendable {
    case a = 1
    case aaaa = 28
  }

  package struct Address: Equatable, Sendable {
    package var name: DNSName
    package var ip: IPAddress

    package init(_ name: DNSName, _ ip: IPAddress) {
      self.name = name
      self.ip = ip
    }
  }

  package var id: UInt16
  package var isResponse: Bool
  /// Of class IN, for addresses; others are passed over.
  package var questions: [DNSName] = []
  package var addresses: [Address] = []

  package init(id: UInt16, isResponse: Bool) {
    self.id = id
    self.isResponse = isResponse
  }

  /// RFC 6762 §17.
  package static let maximumBytes = 9000
  /// Questions and records of a message.
  package static let maximumEntries = 128
  private static let responseFlag: UInt16 = 0x8000
  private static let internet: UInt16 = 1
  /// "Answer by unicast" in a question, "flush what you know" in a record (RFC 6762 §18.12, §18.13).
  private static let topBitOfClass: UInt16 = 0x8000

  package init(parsing bytes: RawSpan) throws(ParseError) {
    guard bytes.byteCount <= Self.maximumBytes else { throw .limit("bytes of a DNS message", maximum: Self.maximumBytes) }
    var reader = ByteReader(bytes)
    id = try reader.u16()
    let flags = try reader.u16()
    isResponse = flags & Self.responseFlag != 0
    let questionCount = Int(try reader.u16())
    let recordCount = Int(try reader.u16()) + Int(try reader.u16()) + Int(try reader.u16())
    guard questionCount + recordCount <= Self.maximumEntries else { throw .limit("entries of a DNS message", maximum: Self.maximumEntries) }
    for _ in 0..<questionCount { try readQuestion(&reader, of: bytes) }
    for _ in 0..<recordCount { try readRecord(&reader, of: bytes) }
  }

  @_lifetime(reader: copy reader)
  private static func readName(_ reader: inout ByteReader, of bytes: RawSpan) throws(ParseError) -> DNSName {
    let (name, end) = try DNSName.read(in: bytes, at: reader.offset)
    try reader.skip(end - reader.offset)
    return name
  }

  @_lifetime(reader: copy reader)
  private mutating func readQuestion(_ reader: inout ByteReader, of bytes: RawSpan) throws(ParseError) {
    let name = try Self.readName(&reader, of: bytes)
    let (kind, scope) = (Kind(rawValue: try reader.u16()), try reader.u16() & ~Self.topBitOfClass)
    if kind != nil, scope == Self.internet, !questions.contains(name) { questions.append(name) }
  }

  @_lifetime(reader: copy reader)
  private mutating func readRecord(_ reader: inout ByteReader, of bytes: RawSpan) throws(ParseError) {
    let name = try Self.readName(&reader, of: bytes)
    let (kind, scope) = (Kind(rawValue: try reader.u16()), try reader.u16() & ~Self.topBitOfClass)
    try reader.skip(4)
    let (count, start) = (Int(try reader.u16()), reader.offset)
    let data = try reader.bytes(count)
    guard let kind, scope == Self.internet else { return }
    guard count == (kind == .a ? 4 : 16), let ip = IPAddress(bytes: data.withUnsafeBytes { Array($0) }) else {
      throw .invalid("an address of \(count) bytes", at: start)
    }
    addresses.append(Address(name, ip))
  }

  /// Each question asks for addresses of both families.
  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 128)
    writer.u16(id)
    // A response of multicast DNS is authoritative (RFC 6762 §18.4).
    writer.u16(isResponse ? Self.responseFlag | 0x0400 : 0)
    writer.u16(UInt16(clamping: questions.count * 2))
    writer.u16(UInt16(clamping: addresses.count))
    writer.u32(0)
    for question in questions {
      for kind in [Kind.a, .aaaa] {
        question.write(to: &writer)
        writer.u16(kind.rawValue)
        writer.u16(Self.internet)
      }
    }
    for address in addresses { Self.write(address, to: &writer) }
    return writer.bytes
  }

  private static func write(_ address: Address, to writer: inout ByteWriter) {
    let bytes = address.ip.bytes
    address.name.write(to: &writer)
    writer.u16((bytes.count == 4 ? Kind.a : .aaaa).rawValue)
    writer.u16(internet)
    writer.u32(120)
    writer.u16(UInt16(bytes.count))
    writer.append(bytes)
  }
}
