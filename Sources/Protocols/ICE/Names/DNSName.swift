package import MartletPrimitives

/// A domain name as it travels (RFC 1035 §3.1): labels of 1 to 63 bytes, at most 255 bytes with their lengths. Names are equal
/// whatever the case of their ASCII letters (RFC 6762 §16).
package struct DNSName: Hashable, Sendable {
  /// In lower case.
  private var labels: [[UInt8]] = []
  /// With the lengths of the labels and the empty one at the end.
  private var size = 1

  private static let maximumSize = 255
  private static let maximumLabel = 63

  /// - Parameter text: Labels with a dot between two.
  package init?(_ text: String) {
    for label in text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard append(Array(label)) else { return nil }
    }
  }

  /// Reads the name that begins at `start` of a message and answers where the message goes on behind it.
  ///
  /// A pointer (RFC 1035 §4.1.4) must point before the labels that it ends, so that no name goes in circles.
  static func read(in message: RawSpan, at start: Int) throws(ParseError) -> (name: DNSName, end: Int) {
    var (name, position, floor, end) = (DNSName(), start, start, Int?.none)
    while true {
      guard let length = message.byte(at: position) else { throw .truncated(at: position, needed: 1) }
      switch length >> 6 {
      case 0 where length == 0: return (name, end ?? position + 1)
      case 0:
        var reader = ByteReader(message)
        try reader.skip(position + 1)
        let bytes = try reader.bytes(Int(length))
        guard name.append(bytes.withUnsafeBytes { Array($0) }) else { throw .limit("bytes of a name", maximum: maximumSize) }
        position = reader.offset
      case 3:
        guard let low = message.byte(at: position + 1) else { throw .truncated(at: position, needed: 2) }
        let target = Int(length & 0x3F) << 8 | Int(low)
        guard target < floor else { throw .invalid("a pointer of a name that does not point back", at: position) }
        end = end ?? position + 2
        (position, floor) = (target, target)
      default: throw .invalid("a label of unknown kind", at: position)
      }
    }
  }

  private init() {}

  private mutating func append(_ label: [UInt8]) -> Bool {
    guard (1...Self.maximumLabel).contains(label.count), size + 1 + label.count <= Self.maximumSize else { return false }
    size += 1 + label.count
    labels.append(label.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 })
    return true
  }

  package func write(to writer: inout ByteWriter) {
    for label in labels {
      writer.u8(UInt8(label.count))
      writer.append(label)
    }
    writer.u8(0)
  }

  /// A name that browsers make up in place of an address: one label and `local`, to be asked of the neighbours alone
  /// (RFC 6762 §3, draft-ietf-mmusic-mdns-ice-candidates §3.2.1).
  package var isMulticast: Bool { labels.count == 2 && labels[1] == Array("local".utf8) }
}
