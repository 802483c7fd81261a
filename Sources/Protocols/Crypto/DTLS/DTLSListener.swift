internal import COpenSSL
package import MartletPrimitives

/// The server of DTLS for addresses it knows nothing of (RFC 6347 §4.2.1): a ClientHello without the cookie of its address is answered
/// with the cookie, and forgotten; one with it becomes a `DTLSEngine`. So an address that is forged costs one digest, and the answer to
/// it is shorter than what asked for it.
///
/// A cookie is a code over the address and the time, good for one to two minutes. It stands at the beginning of a ClientHello, so the
/// first fragment is enough to judge one that spans datagrams; the engine takes the others, and the listener keeps none.
/// (`DTLSv1_listen` of OpenSSL drops every fragment.)
package final class DTLSListener {
  private let context: TLSContext
  private let key: [UInt8]

  private static let period: Int64 = 60_000_000_000

  /// - Parameters:
  ///   - context: of `TLSContext.datagramServer`.
  ///   - key: 32 random bytes.
  package init(_ context: TLSContext, key: [UInt8]) throws(TLSError) {
    self.context = context
    self.key = key
    // Whether the context is one to make engines of shows here.
    _ = try Self.engine(context, cookies: [])
  }

  /// Takes a datagram from an address that has no association.
  /// - Parameter answer: gets what is to be sent back when no engine comes of it.
  /// - Returns: an association that goes on from here, with its first flight in its output.
  package func receive(
    _ datagram: RawSpan, from client: SocketAddress, now: Instant, answer: inout DatagramBatch
  ) throws(TLSError) -> DTLSEngine? {
    answer.removeAll()
    guard let hello = DTLSClientHello(datagram) else { return nil }
    let cookies = [0, 1].map { cookie(of: client, period: now.nanoseconds / Self.period - $0) }
    guard cookies.contains(where: { Digest.equal($0, hello.cookie) }) else {
      let request = hello.verifyRequest(cookie: cookies[0])
      answer.append(request.span.bytes)
      return nil
    }
    let engine = try Self.engine(context, cookies: cookies)
    var nothing = DatagramBatch()
    // OpenSSL counts messages from the hello without a cookie, which was forgotten.
    let forgotten = DTLSClientHello.withoutCookie
    engine.receive(forgotten.span.bytes, into: &nothing)
    engine.takeOutput(into: &nothing)
    engine.receive(datagram, into: &nothing)
    return engine
  }

  private func cookie(of client: SocketAddress, period: Int64) -> [UInt8] {
    var writer = ByteWriter(capacity: 26)
    writer.append(client.ip.bytes)
    writer.u16(client.port)
    writer.u64(UInt64(bitPattern: period))
    return Array(Digest.hmac(.sha256, key: key, writer.bytes).prefix(16))
  }

  /// - Parameter cookies: any of which the ClientHello shows.
  private static func engine(_ context: TLSContext, cookies: [[UInt8]]) throws(TLSError) -> DTLSEngine {
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
    let engine = try DTLSEngine(first, of: context, .server, verifiesFingerprint: false)
    engine.datagrams.cookies = cookies
    SSL_set_options(engine.ssl, cookieExchange)
    return engine
  }

  /// SSL_OP_COOKIE_EXCHANGE, a macro that Swift does not see.
  private static let cookieExchange: UInt64 = 1 << 13
}
