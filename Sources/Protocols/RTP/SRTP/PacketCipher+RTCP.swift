internal import MartletCrypto

extension PacketCipher {
  /// RFC 3711 §3.4: the first header and its SSRC stay in clear.
  static let controlHeaderBytes = 8

  /// Encrypts the rest of `control`, at least eight bytes, into `packet`, which has room for it, the tag and the index word.
  func protectRTCP(_ control: UnsafeRawBufferPointer, into packet: UnsafeMutableRawBufferPointer, ssrc: UInt32, index: UInt32) {
    let header = UnsafeRawBufferPointer(rebasing: control[..<Self.controlHeaderBytes])
    let body = UnsafeRawBufferPointer(rebasing: control[Self.controlHeaderBytes...])
    let destination = UnsafeMutableRawBufferPointer(rebasing: packet[Self.controlHeaderBytes...])
    // The bit in front of the index says "encrypted".
    let trailer = 1 << 31 | index
    packet.copyMemory(from: header)
    switch self {
    case .gcm(let cipher, let salt):
      let nonce = Self.nonce(salt, ssrc: ssrc, index: UInt64(index))
      Self.withAssociatedData(header, trailer) { cipher.seal(body, nonce: nonce, authenticating: $0, into: destination) }
      packet.storeBytes(of: trailer.bigEndian, toByteOffset: control.count + AESGCM.tagBytes, as: UInt32.self)
    case .counterMode(let cipher, let code, let salt, let tagBytes):
      cipher.apply(Self.counter(salt, ssrc: ssrc, index: UInt64(index)), to: body, into: destination)
      packet.storeBytes(of: trailer.bigEndian, toByteOffset: control.count, as: UInt32.self)
      let end = control.count + 4
      code.authenticate(
        UnsafeRawBufferPointer(rebasing: packet[..<end]), into: UnsafeMutableRawBufferPointer(rebasing: packet[end..<end + tagBytes]))
    }
  }

  /// The word with the index, of a packet that is at least as long as header, tag and word.
  func controlTrailer(_ packet: UnsafeRawBufferPointer) -> UInt32 {
    let behind =
      switch self {
      case .gcm: 0
      case .counterMode(_, _, _, let tagBytes): tagBytes
      }
    return UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: packet.count - behind - 4, as: UInt32.self))
  }

  /// Verifies and decrypts in place; answers the length of the RTCP packet, or `nil` when the tag is wrong.
  func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer, ssrc: UInt32, trailer: UInt32) -> Int? {
    let body = UnsafeMutableRawBufferPointer(rebasing: packet[Self.controlHeaderBytes...])
    let index = UInt64(trailer & 0x7FFF_FFFF)
    switch self {
    case .gcm(let cipher, let salt):
      let sealed = UnsafeRawBufferPointer(rebasing: body.dropLast(4))
      let header = UnsafeRawBufferPointer(rebasing: packet[..<Self.controlHeaderBytes])
      let nonce = Self.nonce(salt, ssrc: ssrc, index: index)
      let isGenuine = Self.withAssociatedData(header, trailer) { cipher.open(sealed, nonce: nonce, authenticating: $0, into: body) }
      return isGenuine ? packet.count - AESGCM.tagBytes - 4 : nil
    case .counterMode(let cipher, let code, let salt, let tagBytes):
      let end = packet.count - tagBytes
      let (message, tag) = (UnsafeRawBufferPointer(rebasing: packet[..<end]), UnsafeRawBufferPointer(rebasing: packet[end...]))
      guard code.verify(message, against: tag) else { return nil }
      let encrypted = UnsafeRawBufferPointer(rebasing: packet[Self.controlHeaderBytes..<end - 4])
      cipher.apply(Self.counter(salt, ssrc: ssrc, index: index), to: encrypted, into: body)
      return end - 4
    }
  }

  /// RFC 7714 §9.2: the first eight bytes and the word with the index, which lies behind the body on the wire.
  private static func withAssociatedData<R>(_ header: UnsafeRawBufferPointer, _ trailer: UInt32, _ body: (UnsafeRawBufferPointer) -> R) -> R
  {
    let first = header.loadUnaligned(as: UInt64.self)
    // A tuple of eight and four bytes has no gap.
    return withUnsafeBytes(of: (first, trailer.bigEndian)) { body(UnsafeRawBufferPointer(rebasing: $0[..<12])) }
  }
}
