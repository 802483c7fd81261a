internal import MartletCrypto

extension PacketCipher {
  /// Encrypts `body` behind the header that `packet` already begins with, and appends the tag. `packet` has room for all of it.
  func protectRTP(
    _ body: UnsafeRawBufferPointer, behind headerBytes: Int, in packet: UnsafeMutableRawBufferPointer, ssrc: UInt32, index: UInt64
  ) {
    let header = UnsafeRawBufferPointer(rebasing: packet[..<headerBytes])
    let destination = UnsafeMutableRawBufferPointer(rebasing: packet[headerBytes...])
    switch self {
    case .gcm(let cipher, let salt):
      // RFC 7714 §8.2: the header is the associated data.
      cipher.seal(body, nonce: Self.nonce(salt, ssrc: ssrc, index: index), authenticating: header, into: destination)
    case .counterMode(let cipher, let code, let salt, let tagBytes):
      cipher.apply(Self.counter(salt, ssrc: ssrc, index: index), to: body, into: destination)
      // RFC 3711 §4.2: the code covers the packet and the roll-over counter.
      let end = headerBytes + body.count
      code.authenticate(
        UnsafeRawBufferPointer(rebasing: packet[..<end]), then: PacketIndex.rollover(index),
        into: UnsafeMutableRawBufferPointer(rebasing: packet[end..<end + tagBytes]))
    }
  }

  /// Verifies and decrypts in place. `packet` is longer than its header and tag; answers the length of the RTP packet, or `nil`
  /// when the tag is wrong.
  func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer, headerBytes: Int, ssrc: UInt32, index: UInt64) -> Int? {
    let header = UnsafeRawBufferPointer(rebasing: packet[..<headerBytes])
    let body = UnsafeMutableRawBufferPointer(rebasing: packet[headerBytes...])
    switch self {
    case .gcm(let cipher, let salt):
      let nonce = Self.nonce(salt, ssrc: ssrc, index: index)
      guard cipher.open(UnsafeRawBufferPointer(body), nonce: nonce, authenticating: header, into: body) else { return nil }
      return packet.count - AESGCM.tagBytes
    case .counterMode(let cipher, let code, let salt, let tagBytes):
      let end = packet.count - tagBytes
      let (message, tag) = (UnsafeRawBufferPointer(rebasing: packet[..<end]), UnsafeRawBufferPointer(rebasing: packet[end...]))
      guard code.verify(message, then: PacketIndex.rollover(index), against: tag) else { return nil }
      let encrypted = UnsafeRawBufferPointer(rebasing: packet[headerBytes..<end])
      cipher.apply(Self.counter(salt, ssrc: ssrc, index: index), to: encrypted, into: body)
      return end
    }
  }
}
