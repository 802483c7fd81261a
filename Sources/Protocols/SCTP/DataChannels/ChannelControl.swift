package import MartletPrimitives

/// A message of the Data Channel Establishment Protocol (RFC 8832 §5).
package enum ChannelControl: Equatable, Sendable {
  case open(DataChannelOptions)
  case ack

  private static let openType: UInt8 = 3
  private static let ackType: UInt8 = 2
  private static let unordered: UInt8 = 0x80
  private static let byRetransmissions: UInt8 = 1
  private static let byTime: UInt8 = 2

  package init(parsing message: RawSpan, limits: DataChannelLimits = DataChannelLimits()) throws(ParseError) {
    var reader = ByteReader(message)
    switch try reader.u8() {
    case Self.openType: self = .open(try Self.options(&reader, limits))
    case Self.ackType: self = .ack
    default: throw .invalid("a message type of data channels that is not known", at: 0)
    }
  }

  @_lifetime(reader: copy reader)
  private static func options(_ reader: inout ByteReader, _ limits: DataChannelLimits) throws(ParseError) -> DataChannelOptions {
    let type = try reader.u8()
    let priority = try reader.u16()
    let reliability = try reader.u32()
    let (label, name) = (Int(try reader.u16()), Int(try reader.u16()))
    guard label <= limits.label else { throw .limit("bytes of a label", maximum: limits.label) }
    guard name <= limits.protocolName else { throw .limit("bytes of a protocol", maximum: limits.protocolName) }
    var options = DataChannelOptions(label: try reader.string(label), protocolName: try reader.string(name))
    options.priority = priority
    options.isOrdered = type & unordered == 0
    switch type & ~unordered {
    case 0: break
    case byRetransmissions: options.maximumRetransmissions = UInt16(clamping: reliability)
    case byTime: options.lifetime = .milliseconds(Int(reliability))
    default: throw .invalid("a channel type that is not known", at: 1)
    }
    return options
  }

  package var bytes: [UInt8] {
    guard case .open(let options) = self else { return [Self.ackType] }
    var writer = ByteWriter(capacity: 12 + options.label.utf8.count + options.protocolName.utf8.count)
    let order = options.isOrdered ? 0 : Self.unordered
    writer.u8(Self.openType)
    if let count = options.maximumRetransmissions {
      writer.u8(order | Self.byRetransmissions)
      writer.u16(options.priority)
      writer.u32(UInt32(count))
    } else {
      writer.u8(options.lifetime == nil ? order : order | Self.byTime)
      writer.u16(options.priority)
      writer.u32(UInt32(clamping: options.lifetime?.milliseconds ?? 0))
    }
    writer.u16(UInt16(clamping: options.label.utf8.count))
    writer.u16(UInt16(clamping: options.protocolName.utf8.count))
    writer.string(options.label)
    writer.string(options.protocolName)
    return writer.bytes
  }
}
