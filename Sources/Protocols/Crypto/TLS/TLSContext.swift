internal import COpenSSL

/// What connections of one kind share: certificates, trust and ALPN. Made anew to reload certificates; connections
/// keep the one they began with.
///
/// `@unchecked Sendable`: an SSL_CTX counts its references atomically and is only read once it is set up, which is
/// finished when `init` returns; everything else here is immutable.
package final class TLSContext: @unchecked Sendable {
  package struct Identity: Sendable {
    /// The certificate first, then its chain.
    package var certificateChainPEM: [UInt8]
    package var privateKeyPEM: [UInt8]

    package init(certificateChainPEM: [UInt8], privateKeyPEM: [UInt8]) {
      self.certificateChainPEM = certificateChainPEM
      self.privateKeyPEM = privateKeyPEM
    }
  }

  package enum Trust: Sendable {
    /// The system's certificate authorities.
    case system
    /// Only these certificates.
    case pem([UInt8])
    /// Any certificate for any name: for tests and for people who know why.
    case insecure
  }

  internal enum Role { case server, client(verifies: Bool) }

  internal let role: Role
  /// The first is the default; the others are chosen by the name that a client asks for.
  internal let contexts: [OpaquePointer]
  /// `nil` or ALPN's wire form: each name behind its length.
  fileprivate let alpn: UnsafeMutableBufferPointer<UInt8>?

  /// - Parameters:
  ///   - identities: at least one; the first serves clients that name no host, or one that no certificate is for.
  ///   - alpn: protocols in the order of preference, as `["h2", "http/1.1"]`; empty to leave ALPN alone.
  package static func server(_ identities: [Identity], alpn: [String] = []) throws(TLSError) -> TLSContext {
    guard !identities.isEmpty else { throw TLSError(.configuration, "a TLS server needs a certificate") }
    var builder = Builder(alpn: alpn)
    for identity in identities { try builder.addServer(identity) }
    return TLSContext(.server, builder.take())
  }

  package static func client(_ trust: Trust = .system, alpn: [String] = []) throws(TLSError) -> TLSContext {
    var builder = Builder(alpn: alpn)
    try builder.addClient(trust)
    let verifies = if case .insecure = trust { false } else { true }
    return TLSContext(.client(verifies: verifies), builder.take())
  }

  /// As `server`, for DTLS 1.2.
  package static func datagramServer(_ identities: [Identity]) throws(TLSError) -> TLSContext {
    guard !identities.isEmpty else { throw TLSError(.configuration, "a DTLS server needs a certificate") }
    var builder = Builder(alpn: [], datagrams: true)
    for identity in identities { try builder.addServer(identity) }
    return TLSContext(.server, builder.take())
  }

  /// As `client`, for DTLS 1.2.
  package static func datagramClient(_ trust: Trust = .system) throws(TLSError) -> TLSContext {
    var builder = Builder(alpn: [], datagrams: true)
    try builder.addClient(trust)
    let verifies = if case .insecure = trust { false } else { true }
    return TLSContext(.client(verifies: verifies), builder.take())
  }

  private init(_ role: Role, _ parts: ([OpaquePointer], UnsafeMutableBufferPointer<UInt8>?)) {
    self.role = role
    (contexts, alpn) = parts
    guard case .server = role, let first = contexts.first else { return }
    let this = Unmanaged.passUnretained(self).toOpaque()
    for context in contexts where alpn != nil { SSL_CTX_set_alpn_select_cb(context, Self.selectProtocol, this) }
    guard contexts.count > 1 else { return }
    // The macros SSL_CTX_set_tlsext_servername_callback and _arg are these two calls.
    let callback = unsafeBitCast(Self.selectCertificate, to: (@convention(c) () -> Void).self)
    SSL_CTX_callback_ctrl(first, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, callback)
    SSL_CTX_ctrl(first, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, this)
  }

  deinit {
    contexts.forEach(SSL_CTX_free)
    alpn?.deallocate()
  }

  /// Our preference counts (RFC 7301 §3.2); without a common protocol the handshake fails, as the RFC wants it.
  private static let selectProtocol:
    @convention(c) (
      OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32,
      UnsafeMutableRawPointer?
    ) -> Int32 = { _, out, outLength, offered, offeredLength, argument in
      guard let argument, let out, let alpn = Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue().alpn else {
        return SSL_TLSEXT_ERR_NOACK
      }
      var chosen: UnsafeMutablePointer<UInt8>?
      let result = SSL_select_next_proto(&chosen, outLength, alpn.baseAddress, UInt32(alpn.count), offered, offeredLength)
      guard result == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
      out.pointee = UnsafePointer(chosen)
      return SSL_TLSEXT_ERR_OK
    }

  /// Chooses the first certificate that is valid for the name asked for.
  private static let selectCertificate: @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) -> Int32 = {
    ssl, _, argument in
    guard let argument, let ssl, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return SSL_TLSEXT_ERR_NOACK }
    let this = Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue()
    let match = this.contexts.first { X509_check_host(SSL_CTX_get0_certificate($0), name, 0, 0, nil) == 1 }
    guard let match else { return SSL_TLSEXT_ERR_NOACK }
    SSL_set_SSL_CTX(ssl, match)
    return SSL_TLSEXT_ERR_OK
  }
}

/// Collects SSL_CTXs and frees them when one of them cannot be made.
private struct Builder: ~Copyable {
  private var contexts: [OpaquePointer] = []
  private let alpn: [UInt8]
  private let isForDatagrams: Bool

  init(alpn: [String], datagrams: Bool = false) {
    isForDatagrams = datagrams
    self.alpn = alpn.filter { (1...255).contains($0.utf8.count) }.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
  }

  deinit { contexts.forEach(SSL_CTX_free) }

  consuming func take() -> ([OpaquePointer], UnsafeMutableBufferPointer<UInt8>?) {
    var wire: UnsafeMutableBufferPointer<UInt8>?
    if !alpn.isEmpty {
      let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: alpn.count)
      _ = buffer.initialize(from: alpn)
      wire = buffer
    }
    let taken = contexts
    contexts = []
    return (taken, wire)
  }

  private mutating func add(_ method: OpaquePointer?) throws(TLSError) -> OpaquePointer {
    OpenSSLFailure.clear()
    guard let context = SSL_CTX_new(method) else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
    contexts.append(context)
    // Macros over SSL_CTX_ctrl. Idle connections give their buffers back: 48 → 16 KiB each.
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(isForDatagrams ? DTLS1_2_VERSION : TLS1_2_VERSION), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    // SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE: built by a macro Swift cannot read.
    SSL_CTX_set_options(context, 1 << 30 | 1 << 17 | 1 << 22)
    // And SSL_OP_NO_QUERY_MTU | NO_TICKET: sizes are told, and a ticket would make the last flight longer for nothing.
    if isForDatagrams { SSL_CTX_set_options(context, 1 << 12 | 1 << 14) }
    return context
  }

  mutating func addServer(_ identity: TLSContext.Identity) throws(TLSError) {
    let context = try add(isForDatagrams ? DTLS_server_method() : TLS_server_method())
    SSL_CTX_set_num_tickets(context, 1)
    let chain = PEM.certificates(identity.certificateChainPEM)
    defer { chain.forEach(X509_free) }
    guard let leaf = chain.first else { throw TLSError(.configuration, "the certificate file holds no certificate in PEM form") }
    guard let key = PEM.privateKey(identity.privateKeyPEM) else {
      throw TLSError(.configuration, "the key file holds no readable private key: \(OpenSSLFailure.take("no PEM").reason)")
    }
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_certificate(context, leaf) == 1 else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
    guard SSL_CTX_use_PrivateKey(context, key) == 1, SSL_CTX_check_private_key(context) == 1 else {
      throw TLSError(.configuration, "the private key does not belong to the certificate: \(OpenSSLFailure.take().reason)")
    }
    for certificate in chain.dropFirst() {
      guard SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate)) == 1 else {
        throw TLSError(.configuration, OpenSSLFailure.take().reason)
      }
    }
  }

  mutating func addClient(_ trust: TLSContext.Trust) throws(TLSError) {
    let context = try add(isForDatagrams ? DTLS_client_method() : TLS_client_method())
    if !alpn.isEmpty { SSL_CTX_set_alpn_protos(context, alpn, UInt32(alpn.count)) }
    switch trust {
    case .insecure:
      SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
      return
    case .system:
      guard SSL_CTX_set_default_verify_paths(context) == 1 else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
    case .pem(let bytes):
      let roots = PEM.certificates(bytes)
      defer { roots.forEach(X509_free) }
      guard !roots.isEmpty else { throw TLSError(.configuration, "the file of trusted certificates holds none in PEM form") }
      for root in roots { X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) }
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
  }
}
