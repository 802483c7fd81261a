internal import COpenSSL

/// One TLS connection without a socket: ciphertext in, plaintext out, and the other way round. The handshake runs inside
/// `receive`; after every call there may be `takeOutput()` to send, also after one that threw (the alert).
package final class TLSEngine {
  private let context: TLSContext
  private let wire = WireBIO()
  private let ssl: OpaquePointer
  private var failure: TLSError?

  package private(set) var isEstablished = false
  /// The peer sent close_notify: no plaintext follows, and what came is complete.
  package private(set) var peerClosed = false

  /// - Parameter serverName: for clients, the host to ask for and to check the certificate against: a name or an address.
  package init(_ context: TLSContext, serverName: String? = nil) throws(TLSError) {
    OpenSSLFailure.clear()
    guard let first = context.contexts.first, let ssl = SSL_new(first), let bio = wire.makeBIO() else {
      throw TLSError(.configuration, OpenSSLFailure.take().reason)
    }
    self.context = context
    self.ssl = ssl
    SSL_set_bio(ssl, bio, bio)
    switch context.role {
    case .server: SSL_set_accept_state(ssl)
    case .client(let verifies):
      SSL_set_connect_state(ssl)
      guard let serverName else {
        guard !verifies else { throw TLSError(.configuration, "a TLS client needs the name of the server to verify") }
        return
      }
      try TLSServerName.expect(serverName, verifies: verifies, of: ssl)
    }
  }

  deinit { SSL_free(ssl) }

  /// Begins the handshake, for clients: puts the ClientHello into the output.
  package func start() throws(TLSError) { try handshake() }

  /// Takes all of the peer's bytes and appends what they decrypt to.
  ///
  /// - Throws: once the connection has failed; the same error again on later calls. Plaintext before the failure is kept.
  package func receive(_ ciphertext: RawSpan, into plaintext: inout [UInt8]) throws(TLSError) {
    if let failure { throw failure }
    guard !peerClosed else { return }
    let result = ciphertext.withUnsafeBytes { bytes -> Result<Void, TLSError> in
      wire.input = bytes
      defer { wire.input = UnsafeRawBufferPointer(start: nil, count: 0) }
      do throws(TLSError) {
        if !isEstablished { try handshake() }
        if isEstablished { try read(into: &plaintext) }
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  private func handshake() throws(TLSError) {
    OpenSSLFailure.clear()
    let result = SSL_do_handshake(ssl)
    if result == 1 { isEstablished = true } else { try check(result) }
  }

  private func read(into plaintext: inout [UInt8]) throws(TLSError) {
    let result = withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 16) { buffer -> Int32 in
      while true {
        OpenSSLFailure.clear()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
        guard count > 0 else { return count }
        plaintext.append(contentsOf: buffer[..<Int(count)])
      }
    }
    try check(result)
  }

  /// Encrypts into the output.
  ///
  /// - Throws: `.notOpen` before the handshake is complete and after `closeNotify`.
  package func send(_ plaintext: RawSpan) throws(TLSError) {
    if let failure { throw failure }
    guard isEstablished, SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN == 0 else {
      throw TLSError(.notOpen, "TLS is not open for sending")
    }
    guard plaintext.byteCount > 0 else { return }
    OpenSSLFailure.clear()
    var written = 0
    let result = plaintext.withUnsafeBytes { SSL_write_ex(ssl, $0.baseAddress, $0.count, &written) }
    // The output takes everything, so a write is whole or has failed.
    if result != 1 { try check(result) }
  }

  /// Ciphertext to send, in order; empty when there is none.
  package func takeOutput() -> [UInt8] { exchange(&wire.output, with: []) }

  package var hasOutput: Bool { !wire.output.isEmpty }

  /// Says that nothing more will be sent. The transport may be closed once the output is out.
  package func closeNotify() {
    guard failure == nil, isEstablished else { return }
    OpenSSLFailure.clear()
    _ = SSL_shutdown(ssl)
    OpenSSLFailure.clear()
  }

  /// The application protocol that was agreed on; `nil` when none was.
  package var alpn: String? {
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &length)
    guard let name, length > 0 else { return nil }
    return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
  }

  /// The host that the client asked for.
  package var serverName: String? { SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) } }

  /// `TLSv1.3` or `TLSv1.2`.
  package var version: String { String(cString: SSL_get_version(ssl)) }

  private func check(_ result: Int32) throws(TLSError) {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_NONE: return
    case SSL_ERROR_ZERO_RETURN: peerClosed = true
    default:
      let error = describe(OpenSSLFailure.take("the TLS connection failed"))
      failure = error
      throw error
    }
  }

  private func describe(_ cause: OpenSSLFailure) -> TLSError {
    switch cause.code {
    case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: return TLSError(.plainHTTP, "plain HTTP on a port that speaks TLS; use https://")
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      let text = String(cString: X509_verify_cert_error_string(SSL_get_verify_result(ssl)))
      return TLSError(.untrustedPeer, "the peer's certificate is not accepted: \(text)")
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_BAD_PACKET_LENGTH, SSL_R_RECORD_TOO_SMALL, SSL_R_UNEXPECTED_MESSAGE:
      return TLSError(isEstablished ? .failure : .notTLS, cause.reason)
    default: return TLSError(.failure, cause.reason)
    }
  }
}
