internal import COpenSSL
package import MartletPrimitives

/// Who this end of a DTLS association is: a certificate that signs itself, on P-256 (26 µs a signature against 306 with RSA), and
/// its key. Made once per process; what makes it trustworthy is its fingerprint in the SDP (RFC 8827 §6.5).
///
/// `@unchecked Sendable`: an SSL_CTX counts its references atomically and is only read once `init` has returned.
package final class DTLSIdentity: @unchecked Sendable {
  internal let context: OpaquePointer
  package let fingerprint: CertificateFingerprint

  /// - Parameter now: the certificate is valid from a day before for thirty days, which outlives every process's sessions.
  package init(now: WallTime) throws(TLSError) {
    let issued = try Certificate.selfSigned(names: ["WebRTC"], days: 30, now: now)
    OpenSSLFailure.clear()
    guard let context = SSL_CTX_new(DTLS_method()) else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
    self.context = context
    // SHA-256 is what every browser offers and the one that RFC 8122 §5 prefers.
    fingerprint = CertificateFingerprint(.sha256, Certificate.fingerprint(ofPEM: issued.certificatePEM) ?? [])
    let certificates = PEM.certificates(issued.certificatePEM)
    let key = PEM.privateKey(issued.privateKeyPEM)
    defer {
      certificates.forEach(X509_free)
      EVP_PKEY_free(key)
    }
    guard let leaf = certificates.first, let key, SSL_CTX_use_certificate(context, leaf) == 1, SSL_CTX_use_PrivateKey(context, key) == 1,
      SSL_CTX_set_cipher_list(context, Self.ciphers) == 1,
      // Answers 0 when it has taken the list.
      SSL_CTX_set_tlsext_use_srtp(context, Self.profiles) == 0
    else { throw TLSError(.configuration, OpenSSLFailure.take("DTLS could not be set up").reason) }
    // Macros over SSL_CTX_ctrl. DTLS 1.2 alone: 1.0 is not for use any more (RFC 8996), and OpenSSL 3.0 has no 1.3.
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    // SSL_OP_NO_QUERY_MTU | NO_TICKET | NO_RENEGOTIATION | NO_COMPRESSION | CIPHER_SERVER_PREFERENCE, by a macro Swift cannot read.
    SSL_CTX_set_options(context, 1 << 12 | 1 << 14 | 1 << 30 | 1 << 17 | 1 << 22)
    // Each side shows a certificate; it is checked against the fingerprint when the handshake is complete.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT) { _, _ in 1 }
  }

  deinit { SSL_CTX_free(context) }

  /// Those of RFC 8827 §6.5, and those with RSA for peers that bring such a certificate.
  private static let ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:"
    + "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"

  /// In the order of preference: one pass of GCM costs half of CTR with HMAC.
  private static let profiles = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"
}
