internal import COpenSSL
package import MartletPrimitives

/// One end of a DTLS 1.2 association without a socket (RFC 6347, 8827): datagrams in, records and datagrams out.
///
/// Of WebRTC (made with an identity) it fails closed: data and keys are there only once the peer's certificate has one of the
/// fingerprints that signaling told (`expect`), whichever of the two comes first. Whoever drives it sends its datagrams only to
/// addresses that ICE has validated, which takes the place of DTLS's cookies. A client and a server of other protocols are made with a
/// TLS context: the client verifies the server's name and chain, and the server comes from a `DTLSListener`, which has seen a cookie.
///
/// OpenSSL's retransmission timer reads the clock itself. `deadline` tells its remaining time from `now` on, and `timeout` lets it
/// look again; this is the one clock below the I/O line.
package final class DTLSEngine {
  package enum Role: Sendable { case client, server }

  package enum State: Equatable, Sendable {
    case handshaking
    /// The handshake is complete; the fingerprint is not known yet. Only with an identity.
    case unverified
    case connected
    case closed
    case failed(TLSError)
  }

  package private(set) var state = State.handshaking
  /// An identity, or a TLS context: what `ssl` was made of.
  private let origin: AnyObject
  private let verifiesFingerprint: Bool
  internal let datagrams = DatagramBIO()
  internal let ssl: OpaquePointer
  private var expected: [CertificateFingerprint] = []

  /// Bytes of one datagram: what passes everywhere with room for a TURN channel, below IPv6's 1,280.
  package static let defaultMTU = 1200

  /// - Parameter mtu: handshake messages are cut so that no datagram is longer.
  package convenience init(_ role: Role, _ identity: DTLSIdentity, mtu: Int = defaultMTU) throws(TLSError) {
    try self.init(identity.context, of: identity, role, verifiesFingerprint: true, mtu: mtu)
  }

  /// A client that verifies its server as TLS does.
  /// - Parameters:
  ///   - context: of `TLSContext.datagramClient`.
  ///   - serverName: the host to ask for and to check the certificate against: a name or an address.
  package convenience init(client context: TLSContext, serverName: String, mtu: Int = defaultMTU) throws(TLSError) {
    guard case .client(let verifies) = context.role, let first = context.contexts.first else {
      throw TLSError(.configuration, "a DTLS client needs the context of one")
    }
    try self.init(first, of: context, .client, verifiesFingerprint: false, mtu: mtu)
    try TLSServerName.expect(serverName, verifies: verifies, of: ssl)
  }

  internal init(
    _ context: OpaquePointer, of origin: AnyObject, _ role: Role, verifiesFingerprint: Bool, mtu: Int = defaultMTU
  ) throws(TLSError) {
    OpenSSLFailure.clear()
    guard let ssl = SSL_new(context), let bio = datagrams.makeBIO() else {
      throw TLSError(.configuration, OpenSSLFailure.take().reason)
    }
    (self.origin, self.verifiesFingerprint, self.ssl) = (origin, verifiesFingerprint, ssl)
    SSL_set_bio(ssl, bio, bio)
    // OpenSSL forgets what encryption adds to the last record of a flight: 24 bytes with GCM, 37 with CBC.
    SSL_ctrl(ssl, SSL_CTRL_SET_MTU, min(max(mtu, 256), 16384) - 40, nil)
    DTLS_set_timer_cb(ssl, verifiesFingerprint ? Self.nextTimerOfPeers : Self.nextTimer)
    if role == .server { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
  }

  deinit { SSL_free(ssl) }

  /// RFC 6347 §4.2.4.1 begins with a second, for paths nobody has measured, and of servers that begin anew with each ClientHello.
  /// OpenSSL gives up after twelve, some 17 seconds in all.
  private static let nextTimer: @convention(c) (OpaquePointer?, UInt32) -> UInt32 = { _, last in last == 0 ? 1_000_000 : 1_500_000 }

  /// Of peers, to whom ICE has just shown that the path is short. At most two seconds, for the same end.
  private static let nextTimerOfPeers: @convention(c) (OpaquePointer?, UInt32) -> UInt32 = { _, last in
    last == 0 ? 100_000 : min(last * 2, 2_000_000)
  }

  /// Begins the handshake, for clients: the ClientHello is in the output then.
  package func start() { handshake() }

  /// What the peer's certificate must be: one of these, from its session description.
  package func expect(_ fingerprints: [CertificateFingerprint]) {
    expected = fingerprints
    if state == .unverified { verify() }
  }

  // MARK: Receiving

  /// Takes one datagram and appends the records of data that it holds; garbage is ignored, as DTLS wants it.
  package func receive(_ datagram: RawSpan, into records: inout DatagramBatch) {
    guard !isOver else { return }
    datagram.withUnsafeBytes { bytes in
      datagrams.input = bytes
      defer { datagrams.input = UnsafeRawBufferPointer(start: nil, count: 0) }
      if state == .handshaking { handshake() }
      read(into: &records)
    }
  }

  private var isOver: Bool {
    switch state {
    case .closed, .failed: true
    case .handshaking, .unverified, .connected: false
    }
  }

  private func handshake() {
    OpenSSLFailure.clear()
    let result = SSL_do_handshake(ssl)
    if result == 1 {
      state = verifiesFingerprint ? .unverified : .connected
      if verifiesFingerprint { verify() }
    } else {
      check(result)
    }
  }

  private func verify() {
    guard !expected.isEmpty else { return }
    guard let certificate = SSL_get1_peer_certificate(ssl) else { return fail(TLSError(.untrustedPeer, "the peer showed no certificate")) }
    defer { X509_free(certificate) }
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    for fingerprint in expected {
      var size: UInt32 = 0
      guard X509_digest(certificate, fingerprint.algorithm.evp, &digest, &size) == 1 else { continue }
      if Digest.equal(Array(digest[..<Int(size)]), fingerprint.digest) { return state = .connected }
    }
    fail(TLSError(.untrustedPeer, "the peer's certificate does not have the fingerprint of its session description"))
  }

  private func fail(_ error: TLSError) {
    SSL_shutdown(ssl)
    OpenSSLFailure.clear()
    state = .failed(error)
  }

  /// A datagram may hold several records. Data that comes before the fingerprint is known is dropped: SCTP sends it again.
  private func read(into records: inout DatagramBatch) {
    guard !isOver, state != .handshaking else { return }
    withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 16) { buffer in
      while true {
        OpenSSLFailure.clear()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
        guard count > 0 else { return check(count) }
        guard state == .connected else { continue }
        records.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]))
      }
    }
  }

  private func check(_ result: Int32) {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_NONE: return
    case SSL_ERROR_ZERO_RETURN: state = .closed
    default: state = .failed(failure)
    }
  }

  private var failure: TLSError {
    let cause = OpenSSLFailure.take("the DTLS association failed")
    guard cause.code == SSL_R_CERTIFICATE_VERIFY_FAILED else { return TLSError(.failure, cause.reason) }
    let text = String(cString: X509_verify_cert_error_string(SSL_get_verify_result(ssl)))
    return TLSError(.untrustedPeer, "the peer's certificate is not accepted: \(text)")
  }

  // MARK: Sending

  /// Encrypts one record, which becomes one datagram.
  /// - Returns: false before the association is connected and after its end: nothing was sent.
  @discardableResult package func send(_ record: RawSpan) -> Bool {
    guard state == .connected, record.byteCount > 0 else { return false }
    OpenSSLFailure.clear()
    let result = record.withUnsafeBytes { SSL_write(ssl, $0.baseAddress, Int32(clamping: $0.count)) }
    if result <= 0 { check(result) }
    return result > 0
  }

  package var hasOutput: Bool { !datagrams.output.isEmpty }

  /// Gives the datagrams that wait to be sent, in order, for an empty batch, whose buffer is used for the next ones.
  package func takeOutput(into batch: inout DatagramBatch) {
    batch.removeAll()
    swap(&batch, &datagrams.output)
  }

  /// Says that nothing more will be sent (RFC 5246 §7.2.1).
  package func close() {
    guard !isOver else { return }
    if state != .handshaking {
      SSL_shutdown(ssl)
      OpenSSLFailure.clear()
    }
    state = .closed
  }

  // MARK: Time

  /// When the flight that was sent last is due again; `nil` while none waits for an answer.
  package func deadline(now: Instant) -> Instant? {
    guard state == .handshaking else { return nil }
    var left = timeval()
    guard SSL_ctrl(ssl, DTLS_CTRL_GET_TIMEOUT, 0, &left) == 1 else { return nil }
    return now + TimeSpan(nanoseconds: Int64(left.tv_sec) * 1_000_000_000 + Int64(left.tv_usec) * 1000)
  }

  /// Sends the last flight again if it is due.
  package func timeout() {
    guard state == .handshaking else { return }
    OpenSSLFailure.clear()
    let result = SSL_ctrl(ssl, DTLS_CTRL_HANDLE_TIMEOUT, 0, nil)
    if result < 0 { state = .failed(TLSError(.failure, OpenSSLFailure.take("the peer did not answer the DTLS handshake").reason)) }
  }

  // MARK: Keys

  /// The number of the SRTP profile that `use_srtp` agreed on (RFC 5764 §4.1.2, RFC 7714 §14.2); `nil` until connected, and when
  /// the peer did not offer SRTP.
  package var srtpProfile: UInt16? {
    guard state == .connected, let profile = SSL_get_selected_srtp_profile(ssl) else { return nil }
    return UInt16(truncatingIfNeeded: profile.pointee.id)
  }

  /// Keying material for SRTP (RFC 5764 §4.2): the client's write key, the server's, the client's salt, the server's.
  package func exportSRTPKeys(_ count: Int) -> [UInt8]? {
    guard state == .connected, (1...256).contains(count) else { return nil }
    var keys = [UInt8](repeating: 0, count: count)
    let label = "EXTRACTOR-dtls_srtp"
    return SSL_export_keying_material(ssl, &keys, count, label, label.utf8.count, nil, 0, 0) == 1 ? keys : nil
  }

  /// `ECDHE-ECDSA-AES128-GCM-SHA256`, for statistics.
  package var cipher: String? { SSL_get_current_cipher(ssl).flatMap { SSL_CIPHER_get_name($0) }.map { String(cString: $0) } }

  /// Gives OpenSSL's record buffers back until the next record comes (68 → 36 KiB), for an association that only made keys.
  package func releaseBuffers() { SSL_free_buffers(ssl) }
}
