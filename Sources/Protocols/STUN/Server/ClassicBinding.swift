internal import MartletPrimitives

/// Binding as RFC 3489 had it: a transaction of 16 bytes where the magic cookie is today, and MAPPED-ADDRESS.
enum ClassicBinding {
  /// `nil` for what is no such request. What it asks for besides (another source address) is left out, as for servers with one.
  static func answer(to bytes: RawSpan, from remote: SocketAddress) -> [UInt8]? {
    guard bytes.byteCount >= STUN.headerBytes, case .v4 = remote.ip else { return nil }
    var reader = ByteReader(bytes)
    guard let type = try? reader.u16(), type == 1, let length = try? reader.u16(), Int(length) == bytes.byteCount - STUN.headerBytes,
      let transaction = try? reader.bytes(16)
    else { return nil }
    var writer = ByteWriter(capacity: 32)
    writer.u16(STUNMessageType.encode(.success, .binding))
    writer.u16(12)
    writer.append(transaction)
    writer.u16(STUNAttributeType.mappedAddress.rawValue)
    writer.u16(8)
    writer.address(remote)
    return writer.bytes
  }
}
