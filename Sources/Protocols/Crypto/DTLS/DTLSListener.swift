internal import COpenSSL
package import MartletPrimitives

/// The server of DTLS for addresses it knows nothing of (RFC 6347 §4.2.1): a ClientHello without the cookie of its address is answered
/// with the cookie, and forgotten; one with it becomes a `DTLSEngine`. So an address that is forged costs one digest, and the answer to
/// it is shorter than what asked for it.
///
/// A cookie is a code over the address and the time, good for one to two minutes. A ClientHello that spans datagrams is dropped, which
/// OpenSSL's listening cannot take; those of DTLS 1.2 without the key shares of 1.3 are far shorter than a datagram.
package final class DTLSListener {
  private let context: TLSContext
  private let key: [UInt8]
  private var next: DTLSEngine
  private let address: OpaquePointer?

  private static let period: Int64 = 60_000_000_000

  /// - Parameters:
  ///   - context: of `TLSContext.datagramServer`.
  ///   - key: 32 random bytes.
  package init(_ context: TLSContext, key: [UInt8]) throws(TLSError) {
    self.context = context
    self.key = key
    next = try Self.engine(context)
    address = BIO_ADDR_new()
  }

  deinit { BIO_ADDR_free(address) }

  /// Takes a datagram from an address that has no association.
  /// - Parameter answer: gets what is to be sent back when no engine comes of it.
  /// - Returns: an association that goes on from here, with its first flight in its output.
  package func receive(
    _ datagram: RawSpan, from client: SocketAddress, now: Instant, answer: inout DatagramBatch
  ) throws(TLSError) -> DTLSEngine? {
    answer.removeAll()
    // A record of a handshake (22) that begins with a ClientHello (1), or it is not worth OpenSSL's time.
    guard datagram.byte(at: 0) == 22, datagram.byte(at: 13) == 1 else { return nil }
    let engine = next
    engine.datagrams.cookies = [0, 1].map { cookie(of: client, period: now.nanoseconds / Self.period - $0) }
    OpenSSLFailure.clear()
    let result = datagram.withUnsafeBytes { bytes in
      engine.datagrams.input = bytes
      defer { engine.datagrams.input = UnsafeRawBufferPointer(start: nil, count: 0) }
      return DTLSv1_listen(engine.ssl, address)
    }
    // The handshake looks at the cookie once more.
    defer { engine.datagrams.cookies = [] }
    guard result > 0 else {
      engine.takeOutput(into: &answer)
      // One that fails is used up.
      if result < 0 { next = try Self.engine(context) }
      return nil
    }
    next = try Self.engine(context)
    engine.setTimer()
    engine.handshake()
    return engine
  }

  private func cookie(of client: SocketAddress, period: Int64) -> [UInt8] {
    var writer = ByteWriter(capacity: 26)
    writer.append(client.ip.bytes)
    writer.u16(client.port)
    writer.u64(UInt64(bitPattern: period))
    return Array(Digest.hmac(.sha256, key: key, writer.bytes).prefix(16))
  }

  private static func engine(_ context: TLSContext) throws(TLSError) -> DTLSEngine {
    guard case .server = context.role, let first = context.contexts.first else {
      throw TLSError(.configuration, "a DTLS server needs the context of one")
    }
    SSL_CTX_set_cookie_generate_cb(first) { ssl, out, length in
      guard let cookie = DatagramBIO.datagrams(SSL_get_rbio(ssl))?.cookies.first, let out, let length else { return 0 }
      for (index, byte) in cookie.enumerated() { out[index] = byte }
      length.pointee = UInt32(cookie.count)
      return 1
    }
    SSL_CTX_set_cookie_verify_cb(first) { ssl, bytes, length in
      guard let cookies = DatagramBIO.datagrams(SSL_get_rbio(ssl))?.cookies, let bytes else { return 0 }
      let shown = Array(UnsafeBufferPointer(start: bytes, count: Int(length)))
      return cookies.contains { Digest.equal($0, shown) } ? 1 : 0
    }
    return try DTLSEngine(first, of: context, .server, verifiesFingerprint: false)
  }
}
