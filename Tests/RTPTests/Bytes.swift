import MartletPrimitives
import MartletRTP

/// Bytes from hexadecimal digits, in which spaces do not count.
func hex(_ digits: String) -> [UInt8] { Hex.decode(digits.filter { $0 != " " }) ?? [] }

/// A packet with the given parts.
func packet(
  sequenceNumber: UInt16, ssrc: UInt32 = 0x1234_5678, timestamp: UInt32 = 0, payloadType: UInt8 = 96,
  extensions: ExtensionElements = ExtensionElements(), payload: [UInt8]
) -> [UInt8] {
  var writer = ByteWriter()
  RTPHeaderFields(payloadType: payloadType, sequenceNumber: sequenceNumber, timestamp: timestamp, ssrc: ssrc)
    .write(extensions: extensions, into: &writer)
  writer.append(payload)
  return writer.bytes
}

extension SocketAddress {
  /// A host of the virtual network.
  init(host: UInt8) { self.init(ip: .v4(0x0A00_0000 | UInt32(host)), port: 5000) }
}
